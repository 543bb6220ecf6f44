"""Serves scripts that may never end, or crash, in a process of its own: one that is lost is a failed test.

Nothing in this process can end Lua that no hook stops. So the parent waits, ends the child, starts another.
"""

import io
import json
import logging
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h11
import pytest
from tests.lua.conftest import AFTER, BEFORE

from httpng_core import ConfigError
from httpng_core.testing import Clock, Loopback
from httpng_lua import LuaApplication

BOUND: Final = 20.0
"""Seconds of work after which a child without an answer is lost; what is stopped takes a small part of it."""
WAIT: Final = 150.0
"""Seconds after which it is lost whatever it did: others may use the machine."""

LIMIT: Final = 0.1
"""The time limit of the scripts."""
_TICK: Final = 0.0002


class Ticking(Clock):
    """A clock that goes on each time that it is read: the time limit comes without anybody's waiting."""

    def __call__(self) -> float:
        self.now += _TICK
        return self.now

    def __setattr__(self, name: str, value: float) -> None:
        super().__setattr__(name, max(value, getattr(self, name, value)))


@dataclass(frozen=True)
class Told:
    """What the child tells of a script.

    Attributes:
        error: why it wasn't served; empty if it was.
        answers: status and body for each path; the status is 0 if the response was aborted.
        log: what was logged.
        seen: what the script saw.
    """

    error: str
    answers: list[tuple[int, str]]
    log: str
    seen: list[str]


class Cage:
    """The child, as the parent sees it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def serve(self, source: str, *paths: str, lua: str, **overrides: object) -> Told:
        """Has the script served, one request for each of `paths`, all on connections of their own.

        A path may be followed by a space and the size of a request body.
        """
        child = self._child = self._child or _child()
        assert child.stdin is not None
        assert child.stdout is not None
        job = {"source": source, "paths": paths or ("/",), "lua": lua, "overrides": overrides}
        child.stdin.write(json.dumps(job) + "\n")
        child.stdin.flush()
        ready = _answers(child)
        line = child.stdout.readline() if ready else ""
        if not line:
            self.close()
            pytest.fail("it crashed the process" if ready else "nothing stopped it")
        told = json.loads(line)
        return Told(
            told["error"], [(status, body) for status, body in told["answers"]], told["log"], told["seen"]
        )

    def close(self) -> None:
        """Ends the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


@pytest.fixture(scope="module")
def cage() -> Iterator[Cage]:
    """A child for the tests of a module."""
    cage = Cage()
    yield cage
    cage.close()


def _answers(child: subprocess.Popen[str]) -> bool:
    """Wait until the child answers; false once it is lost."""
    begun = _seconds_of_work(child.pid)
    assert child.stdout is not None
    for _ in range(int(WAIT)):
        ready, _, _ = select.select([child.stdout], [], [], 1)
        if ready or _seconds_of_work(child.pid) - begun > BOUND:
            return bool(ready)
    return False


def _seconds_of_work(pid: int) -> float:
    """Return the CPU time that a process has used (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lua.cage"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


# The child ---------------------------------------------------------------------------------------------


def _answer(loop: Loopback, path: str) -> tuple[int, str]:
    client = loop.connect()
    path, _, size = path.partition(" ")
    body = b"x" * int(size or 0)
    client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    loop.advance(1)
    if client.gone or not client.received:
        return 0, ""
    try:
        [response] = client.responses()
    except h11.RemoteProtocolError:
        # Cut short.
        return 0, ""
    return response.status, response.body.decode("latin-1")


def _served(path: Path, job: dict[str, Any]) -> dict[str, object]:
    clock = Ticking()
    try:
        app = LuaApplication(path, clock=clock, lua=job["lua"], overrides=job["overrides"])
    except ConfigError as error:
        return {"error": str(error), "answers": [], "seen": []}
    loop = Loopback(app, clock=clock)
    answers = [_answer(loop, path) for path in job["paths"]]
    _, seen = _answer(loop, "/seen")
    return {"error": "", "answers": answers, "seen": seen.split("\n") if seen else []}


def _main() -> None:
    log = io.StringIO()
    # What scripts print goes elsewhere.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.basicConfig(stream=log, level=logging.INFO, format="%(name)s: %(message)s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.lua"
        for line in sys.stdin:
            job = json.loads(line)
            path.write_text(f"{BEFORE}{job['source']}{AFTER}")
            log.seek(0)
            log.truncate()
            told = _served(path, job) | {"log": ""}
            print(json.dumps(told | {"log": log.getvalue()}), flush=True, file=out)


if __name__ == "__main__":
    _main()
