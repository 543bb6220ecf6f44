"""The command line with sockets that others have opened: systemd's, and those of the process before."""

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.backends.test_command_line import command, running
from tests.driver.harness import BOUND, Client
from tests.driver.test_unix_sockets import UnixClient

from httpng_core import ListenAddress

APP = "import os\ndef app(req):\n    return str(os.getpid())\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A service manager, as far as it is told how services stand."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(BOUND)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_the_sockets_of_systemd_and_what_it_is_told(folder: Path, manager: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        shell = f'exec 3<&{sock.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        arguments = ["bash", "-c", shell, "sh", *command("httpng_asyncio", "app.py:app")]
        with running(arguments, folder, pass_fds=[sock.fileno()]) as server:
            assert server.addresses[0].port == sock.getsockname()[1]
            assert manager.recv(100) == b"READY=1"
            assert server.ask().decode() == str(server.process.pid)
            assert server.stop() == ""
        assert manager.recv(100) == b"STOPPING=1"


class Asking(threading.Thread):
    """Connects again and again, and notes who answers."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        super().__init__()
        self.connect, self.enough = connect, threading.Event()
        self.failure: BaseException | None = None
        self.answers: list[int] = []

    def run(self) -> None:
        try:
            while not self.enough.is_set() and len(self.answers) < 100_000:
                with self.connect() as client:
                    self.answers.append(int(client.ask().body))
        except BaseException as error:
            self.failure = error


@pytest.mark.skipif(sys.platform != "linux", reason="is made for Linux")
def test_a_running_server_is_replaced_and_nobody_refused(folder: Path, manager: socket.socket) -> None:
    path = str(folder / "a.sock")
    listen = ["--listen", "127.0.0.1:0", "--uds", path]
    with running(command("httpng_asyncio", "app.py:app", *listen), folder, listeners=1) as server:
        assert server.line() == f"httpng: listening on unix:{path}\n"
        assert manager.recv(100) == b"READY=1"
        old = server.process.pid
        (address,) = server.addresses
        askers = [Asking(lambda: Client(address)), Asking(lambda: UnixClient(path))]
        for asker in askers:
            asker.start()
        server.process.send_signal(signal.SIGUSR2)
        found = re.search(r"process (\d+) is to take over", server.line())
        assert found
        new = int(found[1])
        try:
            assert {server.line(), server.line()} == {
                f"httpng: listening on {address.url}\n",
                f"httpng: listening on unix:{path}\n",
            }
            assert server.process.wait(BOUND) == 0
            told = {manager.recv(100), manager.recv(100)}
            assert told == {b"READY=1", f"MAINPID={new}".encode()}
            with Client(address) as client:
                assert client.ask().body == str(new).encode()
            with UnixClient(path) as client:
                assert client.ask().body == str(new).encode()
        finally:
            for asker in askers:
                asker.enough.set()
                asker.join(BOUND)
            os.kill(new, signal.SIGTERM)
        for asker in askers:
            assert asker.failure is None
            assert {old, new} >= set(asker.answers) >= {new}
        assert manager.recv(100) == b"STOPPING=1"
        assert server.process.stderr is not None
        assert server.process.stderr.read() == "", "until the new one has ended, too"
    assert not Path(path).exists()


WAITING = """
local httpng, fiber = require 'httpng', require 'fiber'
if os.getenv('HTTPNG_PREDECESSOR') then fiber.sleep(0.05) end
httpng.cfg{listen = '127.0.0.1:0', handler = function() return 'lua' end}
"""


def test_a_successor_whose_script_waits_takes_over_when_it_listens(folder: Path) -> None:
    (folder / "waiting.lua").write_text(WAITING)
    with running(command("httpng_asyncio", "waiting.lua"), folder) as server:
        server.process.send_signal(signal.SIGUSR2)
        found = re.search(r"process (\d+) is to take over", server.line())
        assert found
        try:
            assert server.line() == f"httpng: listening on {server.addresses[0].url}\n"
            assert server.process.wait(BOUND) == 0
            assert server.ask() == b"lua"
        finally:
            os.kill(int(found[1]), signal.SIGTERM)


def test_a_successor_that_can_not_start_changes_nothing(folder: Path) -> None:
    with running(command("httpng_trio", "app.py:app", "--listen", "127.0.0.1:0"), folder) as server:
        (folder / "app.py").write_text("def app(\n")
        server.process.send_signal(signal.SIGUSR2)
        lines = [server.line() for _ in range(3)]
        assert "is to take over" in lines[0]
        assert "syntax error" in lines[1]
        assert "ended with status 2: this one goes on" in lines[2]
        assert server.ask().decode() == str(server.process.pid)
        assert server.stop() == ""


@pytest.mark.parametrize("app", [["app.py:app", "--fd", "9"], ["app.lua"]], ids=["option", "lua"])
def test_a_descriptor(folder: Path, app: list[str]) -> None:
    lua = "require 'httpng'.cfg{listen = 'fd:9', handler = function() return 'hello' end}"
    (folder / "app.lua").write_text(lua)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        shell = f'exec 9<&{sock.fileno()}; exec "$@"'
        arguments = ["bash", "-c", shell, "sh", *command("httpng_asyncio", *app)]
        with running(arguments, folder, pass_fds=[sock.fileno()]) as server:
            (address,) = server.addresses
            assert address == ListenAddress("127.0.0.1", sock.getsockname()[1])
            assert server.ask()
            assert server.stop() == ""
