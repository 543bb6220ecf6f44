"""`httpng top`: what its keys do, and what it shows, without a terminal."""

import io
import json
import os
import pty
import socket
import sys
import termios
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from rich.console import Console
from tests.driver.harness import GET, Client, Serving, in_thread
from tests.driver.operator_client import ask

from httpng_core import Request, Response
from httpng_driver import IO, status_handler
from httpng_driver.command import DOWN, UP, Keyboard, View, fetch, read_keys, tell, top

BIG = bytes(4_000_000)
ON_ONE_LOOP = pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False})])


class Terminal:
    """A keyboard on which is typed what the test wants, and what was shown."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self.keys = Keyboard(self.theirs)
        self.shown: list[Any] = []

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def text(self, width: int = 120) -> str:
        console = Console(width=width, height=24, color_system=None)
        with console.capture() as capture:
            console.print(self.shown[-1])
        return capture.get()

    def close(self) -> None:
        os.close(self._ours)
        os.close(self.theirs)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    found = Terminal()
    import tty

    tty.setcbreak(found.theirs)
    yield found
    found.close()


def test_an_arrow_is_one_key_and_others_come_one_by_one(terminal: Terminal) -> None:
    terminal.type("\x1b[Aq\x1b[B/")
    assert [terminal.keys.key(5) for _ in range(4)] == [UP, "q", DOWN, "/"]
    assert terminal.keys.key(0) == ""


@pytest.mark.parametrize(
    ("typed", "line"), [("abc\n", "abc"), ("abx\x7fc\r", "abc"), ("abc\x1b", ""), ("\n", "")]
)
def test_a_line_is_typed_or_given_up(terminal: Terminal, typed: str, line: str) -> None:
    for one in typed:
        terminal.type(one)
    assert terminal.keys.line(terminal.shown.append) == line


@pytest.mark.anyio
@ON_ONE_LOOP
async def test_an_exchange_is_chosen_given_a_window_and_killed(serving: Serving, terminal: Terminal) -> None:
    ended: list[str] = []

    async def stuck(req: Request, io: IO) -> None:
        await io.write(BIG, timeout=60)
        ended.append(req.path)

    async with serving(stuck, admin={"addr": "127.0.0.1", "port": 0}, default_send_window=1000) as server:
        assert server.admin is not None
        where = server.admin
        with (
            Client(server.addresses[0], receive_buffer=16384) as one,
            Client(server.addresses[0], receive_buffer=16384) as two,
        ):
            one.send(GET.replace(b"/ ", b"/a "))
            two.send(GET.replace(b"/ ", b"/b "))
            wanted: dict[str, Any] = {"limit": 100, "sort": "lag", "part": ""}
            view = View(where.url, wanted, terminal.shown.append)

            def press(*keys: str, typed: str = "") -> str:
                for key in keys:
                    if typed and key == keys[-1]:
                        terminal.type(typed)
                    view.press(key, terminal.keys)
                    view.look(30)
                view.draw(120, 24)
                return terminal.text()

            def run() -> None:
                while len(ask(where).data["exchanges"]) < 2:
                    pass
                view.look(30)
                assert "choose one first" in press("k")
                assert "2 exchanges, 2 connections, 1 loop" in press("a")
                assert wanted["sort"] == "age"
                assert "/b" not in press("/", typed="/a\n")
                assert "done" in press(DOWN, "w", typed=f"{len(BIG)}\n")
                assert ask(where, "/status?sort=current").data["exchanges"][0]["current"] == len(BIG)
                assert "/b" in press("/", typed="\n")
                assert "done" in press(DOWN, "K", typed="y")
                assert ask(where).data["active"] < 2
                assert "in flight" in press("v")
                assert "HTTP/1.1" in press("c")
                view.press("q", terminal.keys)

            await in_thread(run)
            assert view.is_over


@pytest.mark.anyio
@ON_ONE_LOOP
async def test_what_a_stranger_sends_is_not_obeyed_by_the_terminal(
    serving: Serving, terminal: Terminal
) -> None:
    row = {
        **dict.fromkeys(("route", "client", "protocol"), "-"),
        "acked": None,
        "confirmed": 12_345_678,
        "stalled_by": None,
        "skipped": None,
    }
    numbers = dict.fromkeys(("age", "lag", "current", "sent", "rate", "rtt"), 1.0)
    status = {
        "state": "running", "active": 1, "connections": 1, "in_flight": 5, "begun": 1, "loops": [{}],
        "exchanges": [{**row, **numbers, "id": "1.1-0", "target": "/\x1b]0;x\x07[red]"}],
    }  # fmt: skip
    async with serving(lambda req: json.dumps(status)) as server:
        view = View(server.addresses[0].url, {"limit": 100, "sort": "lag", "part": ""}, terminal.shown.append)
        await in_thread(view.look, 24)
    for width in (80, 120):
        view.draw(width, 24)
        assert "/?]0;x?[red]" in terminal.text(width)
        assert ("12M" in terminal.text(width)) == (width == 120), (
            "what has been confirmed, where there is room"
        )
        assert max(map(len, terminal.text(width).splitlines())) <= width


# The command ------------------------------------------------------------------------------------------


async def answering(req: Request, _io: IO) -> Response:
    bodies = {"/list": b"[1]", "/text": b"hello"}
    path = req.path.partition("?")[0]
    return Response(status=200 if path in bodies else 418, body=bodies.get(path, b"a teapot"))


@pytest.mark.anyio
@ON_ONE_LOOP
async def test_the_state_is_printed_once(serving: Serving, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(answering, admin={"addr": "127.0.0.1", "port": 0}) as server:
        assert server.admin is not None
        where = f"127.0.0.1:{server.admin.port}"
        assert await in_thread(top, ["--json", "--connections", "5", where]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["exchanges"]) == ("running", [])


@pytest.mark.anyio
@ON_ONE_LOOP
async def test_a_live_view_goes_on_until_it_is_left(
    serving: Serving,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    place = str(tmp_path / "admin")
    async with serving(answering, admin=f"unix:{place}") as server:
        assert server.admin is not None
        before = termios.tcgetattr(terminal.theirs)
        before[3] |= termios.ICANON
        termios.tcsetattr(terminal.theirs, termios.TCSANOW, before)
        with os.fdopen(os.dup(terminal.theirs)) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            typing = Thread(target=_type_once_it_is_taken, args=(terminal, "?a/x\nq"))
            typing.start()
            assert await in_thread(top, ["--interval", "0.05", f"unix:{place}"]) == 0
            typing.join()
        assert termios.tcgetattr(terminal.theirs)[3] & termios.ICANON


def _type_once_it_is_taken(terminal: Terminal, text: str) -> None:
    """What was typed before is not for the view."""
    while termios.tcgetattr(terminal.theirs)[3] & termios.ICANON:
        pass
    terminal.type(text)


@pytest.mark.anyio
@ON_ONE_LOOP
async def test_what_is_no_status_is_told(serving: Serving) -> None:
    async with serving(answering) as server:
        where = server.addresses[0].url
        for path, told in (
            ("/list", "this is no status of httpng"),
            ("/text", "this is no status of httpng"),
            ("/other", "answered with 418: is httpng.status_handler mounted there"),
        ):
            with pytest.raises(ValueError, match=told):
                await in_thread(fetch, where + path)
        assert await in_thread(tell, where, "kill") == f"{where}: this is no status of httpng"


@pytest.mark.anyio
@ON_ONE_LOOP
async def test_a_mounted_handler_tells_and_does_nothing(serving: Serving) -> None:
    async with serving(status_handler) as server:
        where = server.addresses[0].url
        assert (await in_thread(fetch, where))["state"] == "running"
        told = await in_thread(partial(tell, where, "kill", exchange="1.1-0"))
        assert told == "only an admin listener does that, not a mounted handler"


def test_where_nothing_listens_or_no_http_is_spoken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = f"127.0.0.1:{listening.getsockname()[1]}"
        speaking = Thread(target=_say_nonsense, args=(listening,))
        speaking.start()
        assert "this is no HTTP" in tell(where, "kill")
        speaking.join()
    assert top([where]) == 1
    assert top(["--json", where]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("httpng top: ") for line in lines)


def _say_nonsense(listening: socket.socket) -> None:
    client, _ = listening.accept()
    with client:
        client.recv(65536)
        client.sendall(b"nonsense\r\n\r\n")


def test_without_a_terminal_no_key_ever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("q"))
    with read_keys() as keys:
        assert keys.key(0) == ""


def test_of_nothing_nothing_is_chosen(terminal: Terminal) -> None:
    view = View("127.0.0.1:1", {"limit": 1, "sort": "lag", "part": ""}, terminal.shown.append)
    for key in (UP, DOWN, "x", "e"):
        view.press(key, terminal.keys)
    assert not view.is_over
    assert not view.is_stale
