"""Several processes behind one set of sockets: started, replaced, and ended, over real sockets."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import RemoteDisconnected
from pathlib import Path

import pytest
from tests.driver.harness import BOUND, Client
from tests.driver.operator_client import ask

from httpng_core import ListenAddress
from httpng_driver.workers import Backoff, Channel, FileWatch, is_ours

_LISTENING = re.compile(r"httpng: listening on http://(.+):(\d+)\n")
APP = """
import os, signal

VERSION = 1
KEPT = []

async def app(req, io):
    if req.path == "/grow":
        KEPT.append(b"x" * 150_000_000)
    if req.path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    if req.path == "/stream":
        await io.write(f"{os.getpid()} ")
        await io.wait_draining()
        return "bye"
    if req.path == "/deaf":
        while True:
            if await io.write("."):
                return
            await io.wait_draining(0.05)
    return f"{os.getpid()} {VERSION}"
"""
SCRIPT = """
import os, sys
import httpng_asyncio

def app(req):
    return f"{os.getpid()} script"

httpng_asyncio.run(app, listen="127.0.0.1:0", workers=2)
"""
LUA = """
local httpng = require 'httpng'
httpng.cfg{listen = '127.0.0.1:0', workers = 2, handler = function() return '0 lua' end}
"""
ONLY_IN_THE_SUPERVISOR = """
import os
if "HTTPNG_INHERITED" in os.environ:
    raise ValueError("no such database")

def app(req):
    return "never"
"""


class Program:
    """A server in a process of its own, in the hands of the test."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process = process
        self._log = log
        self.until(lambda: _LISTENING.search(self.log), "it listens")
        found = _LISTENING.search(self.log)
        assert found is not None
        self.address = ListenAddress(found[1], int(found[2]))

    @property
    def log(self) -> str:
        return self._log.read_text()

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for something that processes do; there is no event for that."""
        deadline = time.monotonic() + 3 * BOUND
        while not condition():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, f"{what}: {self.log}"
            time.sleep(0.02)

    def get(self, path: str = "/") -> str:
        with Client(self.address) as client:
            client.send(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            return client.read_response().body.decode()

    def answerer(self) -> str:
        """Who answers now; nobody where a worker, told to go, closed the connection before it was asked."""
        return (self.get().split() or [""])[0]

    def workers(self, count: int = 30) -> set[str]:
        """Who answers; none of the requests is refused."""
        return {self.get().split()[0] for _ in range(count)}

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(3 * BOUND)


@contextmanager
def program(folder: Path, *arguments: str) -> Iterator[Program]:
    log = folder / "stderr.txt"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, stderr=stderr, text=True, process_group=0
        )
    try:
        yield Program(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(BOUND)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def command(module: str, app: str, *options: str) -> list[str]:
    return ["-m", module, app, "--listen", "127.0.0.1:0", *options]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "script.lua").write_text(LUA)
    (tmp_path / "broken.py").write_text(ONLY_IN_THE_SUPERVISOR)
    return tmp_path


@pytest.mark.parametrize("module", ["httpng_asyncio", "httpng_trio"])
def test_sighup_replaces_all_and_nobody_is_refused(folder: Path, module: str) -> None:
    with program(folder, *command(module, "app.py:app", "--workers", "2")) as server:
        server.until(lambda: len(before := server.workers()) == 2 and before, "two serve")
        before = server.workers()
        with Client(server.address) as stream:
            stream.send(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
            assert stream.read_body(4).body
            server.process.send_signal(signal.SIGHUP)
            # Each of these requests is answered, by an old worker or by a new one.
            server.until(lambda: not server.workers(5) & before, "the old ones are gone")
            assert stream.read_response().body.endswith(b"bye")
        assert server.end() == 0


def test_one_that_dies_is_replaced_and_signals_change_the_number(folder: Path) -> None:
    with program(folder, *command("httpng_asyncio", "app.py:app", "--workers", "2")) as server:
        with Client(server.address) as client:
            client.send(b"GET /die HTTP/1.1\r\nhost: x\r\n\r\n")
            server.until(lambda: "another one starts in" in server.log, "the death is noticed")
        server.until(lambda: server.log.count(" serves\n") == 3, "another one serves")
        server.process.send_signal(signal.SIGTTIN)
        server.until(lambda: server.log.count(" serves\n") == 4, "a third one serves")
        server.process.send_signal(signal.SIGTTOU)
        server.until(lambda: "there are to be 2 workers" in server.log, "it is told")
        with Client(server.address) as deaf:
            deaf.send(b"GET /deaf HTTP/1.1\r\nhost: x\r\n\r\n")
            assert deaf.read_body(1).body
            server.process.send_signal(signal.SIGTERM)
            server.until(lambda: "GET /deaf; a second signal" in server.log, "it says what it waits for")
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(BOUND) == 0


def test_any_worker_answers_operators_for_all_and_the_socket_stays(folder: Path) -> None:
    place = ListenAddress("", 0, path=str(folder / "a"))
    options = ("--workers", "2", "--admin", "unix:a", "--uds", "s")
    with program(folder, *command("httpng_asyncio", "app.py:app", *options)) as server:

        def pids() -> set[int]:
            try:
                return {worker["pid"] for worker in ask(place).data["workers"]}
            except RemoteDisconnected:
                # One that goes was asked, and has closed the connection before the question came.
                return set()

        server.until(lambda: len(pids()) == 2, "both answer")
        before = pids()
        with Client(server.address) as one, Client(server.address) as two:
            for client in (one, two):
                client.send(b"GET /deaf HTTP/1.1\r\nhost: x\r\n\r\n")
                assert client.read_body(1).body
            found = ask(place, "/status?part=deaf").data
            assert (found["active"], len(found["exchanges"])) == (2, 2)
            # Whichever worker is asked, the one does it that has the exchange.
            for row in found["exchanges"]:
                answer = ask(place, "/window", {"exchange": row["id"], "bytes": 5})
                assert (answer.status, answer.data) == (200, {"done": row["id"]})
                assert ask(place, "/kill", {"exchange": row["id"]}).status == 200
                assert ask(place, "/kill", {"exchange": row["id"]}).status == 404
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: len(found := pids()) == 2 and not found & before, "the old ones are gone")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(folder / "s"))
        assert "operators ask at unix:a" in server.log
        assert server.end() == 0
    assert not (folder / "a").exists()
    assert not (folder / "s").exists()


def test_one_that_cannot_start_ends_the_program(folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, *command("httpng_asyncio", "broken.py:app", "--workers", "2")],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        timeout=6 * BOUND,
        check=False,
    )
    assert ended.returncode == 2
    assert "broken.py:4: ValueError: no such database" in ended.stderr
    assert "httpng: a worker can't start: it ended with status 2, see above" in ended.stderr


def test_files_that_change_are_loaded_and_a_syntax_error_is_survived(folder: Path) -> None:
    with (
        program(folder, *command("httpng_asyncio", "app.py:app", "--reload")) as server,
        Client(server.address) as deaf,
    ):
        deaf.send(b"GET /deaf HTTP/1.1\r\nhost: x\r\n\r\n")
        assert deaf.read_body(1).body
        (folder / "app.py").write_text(APP.replace("VERSION = 1", "VERSION ="))
        server.until(lambda: "those before go on" in server.log, "the mistake is told")
        assert server.get().endswith(" 1")
        (folder / "app.py").write_text(APP.replace("VERSION = 1", "VERSION = 22"))
        # An open stream holds nothing up.
        server.until(lambda: server.get().endswith(" 22"), "the new one serves")


def test_after_so_many_requests_a_worker_is_replaced(folder: Path) -> None:
    with program(folder, *command("httpng_asyncio", "app.py:app", "--max-requests", "20")) as server:
        before = server.get().split()[0]
        server.until(lambda: server.answerer() not in ("", before), "another one serves")
        assert "requests (max_requests)" in server.log
        assert server.end() == 0


def test_a_worker_that_has_grown_is_replaced(folder: Path) -> None:
    options = ("--worker-max-rss", "180M")
    with program(folder, *command("httpng_asyncio", "app.py:app", *options)) as server:
        before = server.get().split()[0]
        assert "is to be replaced" not in server.log
        assert server.get("/grow").split()[0] == before
        server.until(lambda: server.answerer() not in ("", before), "another one serves")
        assert f"worker {before} is to be replaced: it has grown to " in server.log
        assert "(worker_max_rss)" in server.log
        assert server.end() == 0


@pytest.mark.parametrize("name", ["script.py", "script.lua"])
def test_a_program_and_a_script_say_how_many_workers_they_want(folder: Path, name: str) -> None:
    lua = name.endswith(".lua")
    with program(folder, *(["-m", "httpng_asyncio", name] if lua else [name])) as server:
        assert server.get().endswith(" lua" if lua else " script")
        assert server.log.count(" serves\n") == 2 or not lua
        assert server.end() == 0


WAITING = """
local httpng, fiber = require 'httpng', require 'fiber'
local who = math.floor(fiber.time() * 1e6)
if os.getenv('HTTPNG_WORKER') then fiber.sleep(0.05) end
httpng.cfg{listen = '127.0.0.1:0', workers = 2, handler = function() return ('%d lua'):format(who) end}
"""


def test_workers_whose_script_waits_before_it_listens_have_the_sockets_of_the_supervisor(
    tmp_path: Path,
) -> None:
    """On a slow machine a script waits where it creates a fiber: its time is up."""
    (tmp_path / "waiting.lua").write_text(WAITING)
    with program(tmp_path, "-m", "httpng_asyncio", "waiting.lua") as server:
        server.until(lambda: len(server.workers()) == 2, "both serve where the supervisor listens")
        assert server.log.count(" serves\n") == 2
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: server.log.count(" serves\n") == 4, "others serve")
        server.until(lambda: len(server.workers()) == 2, "both serve where the supervisor listens")
        assert server.end() == 0


def test_a_single_process_outlives_sighup(folder: Path) -> None:
    with program(folder, *command("httpng_asyncio", "app.py:app")) as server:
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: "the settings are as they were" in server.log, "it is told")
        assert server.get() == f"{server.process.pid} 1"
        assert server.end() == 0


def test_workers_end_with_a_supervisor_that_was_killed(folder: Path) -> None:
    with program(folder, *command("httpng_asyncio", "app.py:app", "--workers", "2")) as server:
        pids = [int(pid) for pid in server.workers()]
        server.process.kill()
        server.process.wait(BOUND)
        deadline = time.monotonic() + BOUND
        while any(map(_is_alive, pids)):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


# Its parts ----------------------------------------------------------------------------------------------


def test_the_backoff_grows_while_workers_die_young() -> None:
    backoff = Backoff()
    delays = [backoff.next_delay(0.5) for _ in range(12)]
    assert 0.07 <= delays[0] <= 0.1
    assert delays[3] > 2 * delays[0]
    assert 22.0 <= max(delays) <= 30.0
    assert backoff.next_delay(3600.0) == 0.0
    assert backoff.next_delay(0.5) <= 0.1


def test_words_come_whole_over_a_channel() -> None:
    one, other = socket.socketpair()
    here, there = Channel(one), Channel(other)
    assert there.receive() == []
    here.tell("ready", 10.0)
    here.tell("leaving")
    assert there.receive() == [("ready", 10.0), ("leaving", 0.0)]
    one.send(b"dra")
    assert there.receive() == []
    one.send(b"in -1.0\n")
    assert there.receive() == [("drain", -1.0)]
    here.close()
    assert there.receive() is None
    there.close()


def test_only_files_of_the_application_count() -> None:
    assert is_ours(Path("/srv/app/views.py"))
    assert is_ours(Path("/srv/app/script.lua"))
    for other in (
        "/srv/app/a.log",
        "/srv/app/__pycache__/a.py",
        "/srv/.venv/a.py",
        "/srv/site-packages/b.py",
    ):
        assert not is_ours(Path(other))


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("A = 1")
    changes: list[float] = []
    watch = FileWatch(lambda: changes.append(time.monotonic()), [tmp_path])
    deadline = time.monotonic() + 2 * BOUND
    size = 1
    while not changes:
        assert time.monotonic() < deadline
        size += 1
        (tmp_path / "a.py").write_text("A = 1" * size)
        os.utime(tmp_path / "a.py", (size, size))
        time.sleep(0.05)
    watch.close()
