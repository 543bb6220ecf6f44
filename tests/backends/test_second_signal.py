"""A handler that never lets anything else run: the second signal ends the process all the same."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.backends.test_command_line import command, heed_signals, module, running
from tests.driver.harness import BOUND, Client

__all__ = ["module"]

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")

LUA = """
local httpng = require 'httpng'
httpng.cfg{threads = %d, handler = function(req, io)
  io:write('begun') io:wait(0)
  %s
end}
"""
PYTHON = """
import signal

async def spin(req, io):
    await io.write(b"begun")
    await io.wait(0)
    while True:
        pass

async def catch(req, io):
    await io.write(b"begun")
    await io.wait(0)
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""
LOOPS = {
    "a loop": "while true do end",
    "calls of C": "local s = ('x'):rep(100) while true do s:upper() end",
    "pcall": "while true do pcall(function() while true do end end) end",
    "a search in C": "local _ = (('x'):rep(1e5)):find('.-.-.-.-b')",
}


def delivered(process: "subprocess.Popen[str]", number: int) -> None:
    """Signals, and waits until the kernel has handed it over: two of a kind that wait are one."""
    process.send_signal(number)
    ends = time.monotonic() + BOUND
    while time.monotonic() < ends and process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        if all(int(line.split()[1], 16) == 0 for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))):
            return
        time.sleep(0.001)


def ended_by_the_second(process: "subprocess.Popen[str]", number: int) -> None:
    delivered(process, number)
    assert process.poll() is None
    began = time.monotonic()
    delivered(process, number)
    _, errors = process.communicate(timeout=BOUND)
    assert process.returncode == 128 + number
    assert errors.endswith("httpng: ended by a second signal\n")
    assert time.monotonic() - began < BOUND / 2


CASES = [
    *((loop, 1, signal.SIGTERM) for loop in LOOPS),
    ("a loop", 1, signal.SIGINT),
    ("a loop", 2, signal.SIGTERM),
]


@pytest.mark.parametrize("runtime", ["luajit21", "lua54"])
@pytest.mark.parametrize(("loop", "threads", "number"), CASES)
def test_a_handler_in_lua(
    module: str, tmp_path: Path, runtime: str, number: int, loop: str, threads: int
) -> None:
    (tmp_path / "app.lua").write_text(LUA % (threads, LOOPS[loop]))
    arguments = command(module, "app.lua", "--lua", runtime, "--listen", "127.0.0.1:0")
    with running(arguments, tmp_path) as server, Client(server.addresses[0]) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_body(5)
        ended_by_the_second(server.process, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("handler", ["spin", "catch"])
@pytest.mark.parametrize("uvloop", ["--uvloop", "--no-uvloop"])
def test_a_handler_in_python(module: str, tmp_path: Path, handler: str, number: int, uvloop: str) -> None:
    if (module, uvloop) == ("httpng_trio", "--uvloop"):
        pytest.skip("uvloop is for asyncio")
    (tmp_path / "app.py").write_text(PYTHON)
    options = ["--listen", "127.0.0.1:0", *([uvloop] if module == "httpng_asyncio" else [])]
    arguments = command(module, f"app.py:{handler}", *options)
    with running(arguments, tmp_path) as server, Client(server.addresses[0]) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_body(5)
        ended_by_the_second(server.process, number)


@pytest.mark.parametrize("runtime", ["luajit21", "lua54"])
def test_a_script_that_never_comes_to_its_cfg(module: str, tmp_path: Path, runtime: str) -> None:
    (tmp_path / "app.lua").write_text("io.stderr:write('begun\\n') while true do end")
    process = subprocess.Popen(
        [sys.executable, "-m", module, "app.lua", "--lua", runtime],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )
    with process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "begun\n"
            ended_by_the_second(process, signal.SIGINT)
        finally:
            process.kill()
