"""The package `httpng`: its names, its command, and which loop is run."""

import sys
from pathlib import Path

import anyio
import anyio.abc
import pytest
from tests.backends.test_command_line import command, run, running
from tests.driver.harness import Client, in_thread

import httpng
from httpng_core import ConfigError


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_serve_is_that_of_the_loop_that_runs(backend: str) -> None:
    async def scenario() -> bytes:
        async with anyio.create_task_group() as tasks:
            server = await tasks.start(serve)
            with Client(server.addresses[0]) as client:
                body = (await in_thread(client.ask)).body
            server.shutdown(0)
        return body

    async def serve(*, task_status: anyio.abc.TaskStatus[httpng.Server]) -> None:
        await httpng.serve(lambda req: "hello", listen="127.0.0.1:0", task_status=task_status)

    assert anyio.run(scenario, backend=backend) == b"hello"


@pytest.mark.parametrize("loop", ["auto", "trio"])
def test_the_command(tmp_path: Path, loop: str) -> None:
    (tmp_path / "main.py").write_text(
        "import sys\nasync def app(req, io):\n    return str('httpng_trio' in sys.modules)\n"
    )
    arguments = command("httpng", "main:app", "--loop", loop, "--port", "0")
    with running(arguments, tmp_path) as server:
        assert server.ask() == str(loop == "trio").encode()
        assert server.stop() == ""


def test_the_script_is_installed(tmp_path: Path) -> None:
    status, out, err = run([str(Path(sys.executable).parent / "httpng"), "--version"], tmp_path)
    assert (status, err) == (0, "")
    assert out.startswith(f"httpng {httpng.__version__} (")


def test_a_loop_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"^loop is 'curio', must be auto, asyncio, uvloop or trio$"):
        httpng.run(lambda req: "", loop="curio")  # type: ignore[arg-type]
