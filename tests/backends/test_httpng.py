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


FAILS = """
from contextlib import asynccontextmanager

from httpng import Application


async def asgi(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


@asynccontextmanager
async def lifespan():
    raise LookupError("no database")
    yield


native = Application(lambda req: "hello", lifespan=lifespan)
"""


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("asgi", [], "httpng: the start of the ASGI application failed: no database\n"),
        ("asgi", ["--loop", "trio"], "httpng: the start of the ASGI application failed: no database\n"),
        ("native", [], "httpng: the lifespan of the application raised LookupError: no database\n"),
        ("asgi", ["--workers", "2"], "httpng: a worker can't start: it ended with status 3, see above\n"),
    ],
)
def test_a_start_that_fails_ends_it_with_status_3(
    tmp_path: Path, name: str, options: list[str], told: str
) -> None:
    (tmp_path / "fails.py").write_text(FAILS)
    status, out, err = run(command("httpng", f"fails:{name}", "--port", "0", *options), tmp_path)
    assert (status, out) == (3, "")
    assert told in err
    assert "listening" not in err
