"""The examples do what they say, each as a program of its own, on a port that the system picks."""

import ast
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.request import Request, urlopen

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
BOUND = 20.0
"""Nothing here may take longer."""

# Serves until its standard input ends, then closes the clients' sockets by ending.
_EMBEDDED = """
import select, socket, sys
from httpng_core import Application
from {name} import serve, hello

def handler(request):
    return "x" * 8_000_000 if request.path == "/long" else hello(request)

with socket.create_server(("127.0.0.1", 0)) as listener:
    print("listening on http://127.0.0.1:%d" % listener.getsockname()[1], file=sys.stderr, flush=True)
    serve(Application(handler), listener, stop=lambda: bool(select.select([sys.stdin], [], [], 0)[0]))
print("stopped", flush=True)
"""


@contextmanager
def running(*command: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A server in a process of its own, and the port that it says it listens on; killed in the end."""
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES)}
    with subprocess.Popen(
        [sys.executable, *command], stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
    ) as process:
        watchdog = threading.Timer(BOUND, process.kill)
        watchdog.start()
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"listening on https?://127\.0\.0\.1:(\d+)", line)
            assert found, line + process.stderr.read()
            yield process, int(found[1])
        finally:
            watchdog.cancel()
            process.kill()


def connect(port: int) -> socket.socket:
    sock = socket.socket()
    # Before connecting, so that a client that reads nothing is soon seen to.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(BOUND)
    sock.connect(("127.0.0.1", port))
    return sock


def ask(sock: socket.socket, path: str, version: str = "1.1", *headers: str) -> None:
    lines = [f"GET {path} HTTP/{version}", "Host: test", *headers, "", ""]
    sock.sendall("\r\n".join(lines).encode())


def read_to_end(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


# The ticker --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["httpng_asyncio", "httpng_trio"])
@pytest.mark.parametrize("app", ["ticker.lua", "ticker.py:app"])
def test_the_ticker(backend: str, app: str) -> None:
    with running("-m", backend, str(EXAMPLES / app), "--listen", "127.0.0.1:0") as (process, port):
        base = f"http://127.0.0.1:{port}"
        with urlopen(f"{base}/?client=newest", timeout=BOUND) as newest:
            assert newest.headers["content-type"] == "text/event-stream"
            with urlopen(f"{base}/every?client=every", timeout=BOUND) as every:
                check_events([read_event(newest) for _ in range(5)])
                check_events([read_event(every) for _ in range(5)])
                check_stats(base)
        process.send_signal(signal.SIGTERM)
        assert process.wait(BOUND) == 0


@pytest.mark.parametrize("app", ["ticker.lua", "ticker.py:app"])
def test_the_boards_are_json(app: str) -> None:
    command = ("-m", "httpng_asyncio", str(EXAMPLES / app), "--listen", "127.0.0.1:0")
    with running(*command) as (_, port), urlopen(f"http://127.0.0.1:{port}/", timeout=BOUND) as answer:
        for _ in range(10):
            board = json.loads(read_event(answer)[1])
            assert len(board["quotes"]) == 8


def read_event(answer: Any) -> tuple[int, str]:
    number, data, empty = (answer.readline().decode() for _ in range(3))
    assert empty == "\n"
    return int(number.removeprefix("id: ")), data.removeprefix("data: ")


def check_events(events: list[tuple[int, str]]) -> None:
    numbers = [number for number, _ in events]
    assert numbers == sorted(set(numbers))
    for _, board in events:
        assert re.match(r'\{"at":[0-9.]+,"quotes":\[\{"symbol":"ACME","bid":', board)


def check_stats(base: str) -> None:
    with urlopen(f"{base}/stats", timeout=BOUND) as answer:
        assert answer.headers["content-type"] == "application/json"
        stats = json.load(answer)
    assert stats.keys() == {"newest", "every"}
    assert all(0 < each["sent"] <= each["current"] for each in stats.values())


# The ticker on a feed ----------------------------------------------------------------------------------

FEED = ("-m", "httpng_asyncio", str(EXAMPLES / "ticker_feed.py") + ":app", "--listen", "127.0.0.1:0")


@contextmanager
def curling(curl: str, *arguments: str) -> Iterator[Any]:
    """What curl prints, line by line as it comes, for a bounded time."""
    command = [curl, "--silent", "--no-buffer", "--max-time", f"{BOUND:.0f}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout
        finally:
            process.kill()


class Account:
    """What a client of the feed has got, and what it was told that it missed."""

    def __init__(self, lines: Any) -> None:
        self.numbers: list[int] = []
        self.gaps: list[int] = []
        self.retries: list[str] = []
        self.close: Callable[[], None] = lambda: None
        self._lines = iter(lines)

    def read_event(self) -> None:
        fields = [line.rstrip("\n") for line in iter(lambda: next(self._lines), "\n")]
        if fields[0].startswith("retry: "):
            self.retries += fields
        elif fields[0] == "event: gap":
            self.gaps.append(int(fields[1].removeprefix("data: ")))
        else:
            number, data = fields
            self.numbers.append(int(number.removeprefix("id: ")))
            assert json.loads(data.removeprefix("data: ")).keys() == {"symbol", "price"}

    def read_on(self, events: int) -> None:
        """Reads so many quotes."""
        end = len(self.numbers) + events
        while len(self.numbers) < end:
            self.read_event()

    def read_until_even(self, last: int) -> None:
        """Reads until all quotes after `last` are here or told as missed; else the stream ends in time."""
        while max(self.numbers, default=0) - last != self._after(last):
            self.read_event()

    def _after(self, last: int) -> int:
        return len([number for number in self.numbers if number > last]) + sum(self.gaps)


def test_the_feed_tells_who_comes_back_what_is_missing(program: Callable[[str], str]) -> None:
    curl = program("curl")
    with running(*FEED) as (_, port):
        url = f"http://127.0.0.1:{port}/"
        with curling(curl, url) as lines:
            first = Account(lines)
            first.read_on(40)
        assert first.retries == ["retry: 1000"]
        assert first.gaps == []
        assert first.numbers == list(range(1, 41))
        with curling(curl, "--header", "Last-Event-ID: 5", url) as lines:
            again = Account(lines)
            again.read_on(1)
            assert len(again.gaps) == 1
            assert again.gaps[0] >= 40 - 5 - 8
            again.read_on(20)
            again.read_until_even(5)
        with curling(curl, "--header", "Last-Event-ID: 1000000", url) as lines:
            other = Account(lines)
            other.read_on(20)
            assert other.gaps == []


def test_the_feed_goes_on_for_others_when_a_client_leaves_that_another_loop_serves() -> None:
    with running(*FEED, "--threads", "2") as (_, port):
        for _ in range(10):
            with ExitStack() as stack:
                first, second = (stack.enter_context(following(port)) for _ in range(2))
                first.read_on(2)
                first.close()
                second.read_on(20)


@contextmanager
def following(port: int) -> Iterator[Account]:
    """A client of the feed; in a server with two loops the next one is served by the other."""
    with connect(port) as client, client.makefile(newline="\n") as lines:
        ask(client, "/", "1.0")
        while lines.readline().strip():
            pass  # the header block
        account = Account(lines)
        account.read_on(1)
        account.close = lambda: client.shutdown(socket.SHUT_RDWR)
        yield account


def test_the_feed_tells_a_slow_client_what_it_skipped() -> None:
    with running(*FEED, "--notsent-lowat", "1024") as (_, port), connect(port) as slow:
        ask(slow, "/", "1.0")
        with slow.makefile(newline="\n") as lines:
            while lines.readline().strip():
                pass  # the header block
            account = Account(lines)
            account.read_on(1)
            wait_until_skipped(port, 20)
            while not account.gaps:
                account.read_event()
            account.read_on(20)
            account.read_until_even(account.numbers[0] - 1)


def wait_until_skipped(port: int, quotes: int) -> None:
    end = monotonic() + BOUND
    while monotonic() < end:
        with urlopen(f"http://127.0.0.1:{port}/stats", timeout=BOUND) as answer:
            if json.load(answer)["skipped"] >= quotes:
                return
    raise AssertionError("nothing was skipped")


@pytest.mark.parametrize("backend", ["httpng_asyncio", "httpng_trio"])
def test_the_ticker_on_a_feed(backend: str) -> None:
    command = ("-m", backend, str(EXAMPLES / "ticker_feed.lua"), "--listen", "127.0.0.1:0")
    with running(*command) as (process, port):
        base = f"http://127.0.0.1:{port}"
        with urlopen(f"{base}/", timeout=BOUND) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            events = [read_event(answer) for _ in range(10)]
            assert [number for number, _ in events] == list(range(1, 11))
            assert all(json.loads(quote).keys() == {"symbol", "price"} for _, quote in events)
            with urlopen(f"{base}/stats", timeout=BOUND) as told:
                stats = json.load(told)
        assert stats.keys() == {"published", "followers", "delivered", "skipped", "merged", "expired"}
        assert stats["followers"] == 1
        assert stats["published"] >= 10
        check_gap(base, stats["published"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(BOUND) == 0


def check_gap(base: str, published: int) -> None:
    """Who comes back is told how many quotes it has missed."""
    with urlopen(Request(f"{base}/", headers={"Last-Event-ID": "3"}), timeout=BOUND) as again:
        event, data, empty = (again.readline().decode() for _ in range(3))
        assert (event, empty) == ("event: gap\n", "\n")
        assert int(data.removeprefix("data: ")) >= published - 3
        read_event(again)


# The driver on selectors -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "lines"), [("embed_selectors", 150), ("embed_threads", 200)])
def test_an_embedding_example_is_short_and_needs_core_alone(name: str, lines: int) -> None:
    source = (EXAMPLES / f"{name}.py").read_text()
    assert len(source.splitlines()) < lines
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported - sys.stdlib_module_names == {"httpng_core"}


@pytest.mark.parametrize("name", ["embed_selectors", "embed_threads"])
def test_an_embedding_example_serves_and_stops(name: str) -> None:
    with running("-c", _EMBEDDED.format(name=name)) as (process, port):
        with connect(port) as slow, connect(port) as quick:
            ask(slow, "/long")
            first = slow.recv(1024)
            # While the slow client reads nothing more, others are served on a connection that is kept.
            for path in ("/one", "/two"):
                ask(quick, path)
                answer = quick.recv(65536)
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                assert b"\r\ndate: " in answer
                assert answer.endswith(b"\r\n\r\nYou asked for %s\n" % path.encode())
            with connect(port) as old:
                ask(old, "/old", "1.0")
                answer = read_to_end(old)
                assert b"connection: close\r\n" in answer
                assert answer.endswith(b"\r\n\r\nYou asked for /old\n")
            slow.shutdown(socket.SHUT_WR)
            head, _, body = (first + read_to_end(slow)).partition(b"\r\n\r\n")
            assert b"content-length: 8000000" in head
            assert body == b"x" * 8_000_000
        out, _ = process.communicate(timeout=BOUND)
        assert out == "stopped\n"
        assert process.returncode == 0


# The demo ----------------------------------------------------------------------------------------------


def test_the_demo() -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")],
        env={**os.environ, "DEMO_SECONDS": "3"},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    heading = next(line for line in run.stdout.splitlines() if "age of newest tick" in line)
    assert re.split(r"\s{2,}", heading.strip())[1:] == [
        "age of newest tick",
        "delivered",
        "skipped",
        "current",
        "sent",
        "in flight",
    ]
    rows = dict(re.findall(r"^ *(fast|slow|slow-every) +(.+)$", run.stdout, re.MULTILINE))
    assert rows.keys() == {"fast", "slow", "slow-every"}
    assert "After 3 s the slow client's newest board is" in run.stdout


@pytest.mark.parametrize("columns", [60, 45, 200])
def test_the_demo_fits_a_terminal_and_highlights_the_ages(columns: int) -> None:
    shown = on_a_terminal([sys.executable, str(EXAMPLES / "demo.py")], columns, DEMO_SECONDS="2")
    lines = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line) for line in shown.splitlines()]
    assert max(map(len, lines)) <= columns
    assert any("age of newest tick" in line for line in lines)
    assert any("in flight" in line for line in lines) is (columns == 200)
    for name in ("fast", "slow", "slow-every"):
        assert re.search(rf"^ *{name} [^\n]*\x1b\[1;7m\d+\.\d\d s\x1b\[0m", shown, re.MULTILINE)
    assert "After 2 s the slow client's newest board is" in " ".join(lines)


def on_a_terminal(command: Sequence[str], columns: int, **environment: str) -> str:
    """What a program shows on a terminal that is so wide."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (40, columns))
    variables = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    shown = b""
    with subprocess.Popen(command, stdout=its, stderr=its, env={**variables, **environment}) as process:
        os.close(its)
        try:
            # Linux answers with EIO once nobody has the other end.
            with suppress(OSError):
                while data := os.read(ours, 4096):
                    shown += data
            assert process.wait(BOUND) == 0
        finally:
            process.kill()
            os.close(ours)
    return shown.decode().replace("\r\n", "\n")
