"""Autobahn's fuzzing client (wstest, of autobahntestsuite for Python 2.7): no case of it may fail."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.driver.harness import in_thread, serving_on

from httpng_core import Request
from httpng_driver import IO

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.1.*", "13.1.*"]
FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}
BOUND = 3600


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend(loop: str) -> tuple[str, dict[str, bool]]:
    return ("trio", {}) if loop == "trio" else ("asyncio", {"use_uvloop": loop == "uvloop"})


async def echo(req: Request, io: IO) -> None:
    ws = await io.accept_websocket()
    async for message in ws:
        await ws.send(message)


async def test_no_case_fails(loop: str, program: Callable[[str], str], tmp_path: Path) -> None:
    wstest = program("wstest")
    async with serving_on("trio" if loop == "trio" else "asyncio")(echo) as server:
        url = f"ws://127.0.0.1:{server.addresses[0].port}"
        told = {"outdir": str(tmp_path / "reports"), "servers": [{"agent": loop, "url": url}], "cases": CASES}
        spec = tmp_path / "spec.json"
        spec.write_text(json.dumps(told | {"exclude-cases": [], "exclude-agent-cases": {}}))
        command = [wstest, "--mode", "fuzzingclient", "--spec", str(spec)]
        await in_thread(lambda: subprocess.run(command, cwd=tmp_path, timeout=BOUND, check=True))
    results = json.loads((tmp_path / "reports" / "index.json").read_text())[loop]
    assert len(results) > 300
    assert {
        name: (result["behavior"], result["behaviorClose"])
        for name, result in results.items()
        if not {result["behavior"], result["behaviorClose"]} <= FINE
    } == {}
