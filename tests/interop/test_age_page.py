"""The page that plots how old the data is: its streams, and what chromium shows of it."""

import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.request import urlopen

import pytest
from tests.interop.chromium import browsing
from tests.interop.test_examples import BOUND, EXAMPLES, ask, connect, running

from httpng_core import CertificateFiles

APP = f"{EXAMPLES / 'age_page' / 'app.py'}:app"
RATE = "16"
"""KiB/s of the relays that are used: the ticks are 50."""


@pytest.fixture(params=["httpng_asyncio", "httpng_trio"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    with running("-m", request.param, APP, "--listen", "127.0.0.1:0") as (process, port):
        yield process, port


def relay(port: int, stream: str) -> int:
    with urlopen(f"http://127.0.0.1:{port}/relays", timeout=BOUND) as answer:
        relays: dict[str, dict[str, int]] = json.load(answer)
    ports = [port for by_rate in relays.values() for port in by_rate.values()]
    assert len(set(ports)) == len(ports) > 1
    return relays[stream][RATE]


class Reader:
    """A client of one of the streams.

    Attributes:
        numbers: those of the ticks that have come.
    """

    def __init__(self, sock: socket.socket, path: str) -> None:
        self.numbers: list[int] = []
        self._socket, self._wire = sock, b""
        ask(sock, path)

    def read(self, wanted: Callable[[], bool]) -> None:
        """Reads until it is so."""
        end = monotonic() + BOUND
        while not wanted():
            assert monotonic() < end
            data = self._socket.recv(65536)
            assert data, "the stream has ended"
            self.take(data)

    def read_what_is_there(self) -> None:
        """Reads until the kernel has nothing more."""
        self._socket.setblocking(False)
        try:
            while data := self._socket.recv(65536):
                self.take(data)
        except BlockingIOError:
            self._socket.settimeout(BOUND)

    def take(self, data: bytes) -> None:
        *events, self._wire = (self._wire + data).split(b"\n\n")
        for event in events:
            found = re.search(rb'id: (\d+)\ndata: \{"at": [\d.]+, "number": (\d+)\} *$', event)
            assert found is not None, event
            assert found[1] == found[2]
            self.numbers.append(int(found[1]))


class Confirming(Reader):
    """A client of /confirmed, which confirms on a second connection."""

    def __init__(self, sock: socket.socket, other: socket.socket) -> None:
        self._other, self._token = other, b""
        super().__init__(sock, "/confirmed")

    def take(self, data: bytes) -> None:
        *events, self._wire = (self._wire + data).split(b"\n\n")
        for event in events:
            told = event.rpartition(b"data: ")[2]
            if b"event: confirmations" in event:
                self._token = json.loads(told)["token"].encode()
            elif b"event: confirm" in event:
                body = self._token + b" " + told
                head = f"POST /confirm HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
                self._other.sendall(head.encode() + body)
            else:
                super().take(event + b"\n\n" + self._wire)


def test_the_page_is_served(server: tuple[Any, int]) -> None:
    with urlopen(f"http://127.0.0.1:{server[1]}/", timeout=BOUND) as answer:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.read() == (EXAMPLES / "age_page" / "page.html").read_bytes()


def test_the_slow_link_keeps_up_with_the_newest_tick_only(server: tuple[Any, int]) -> None:
    with ExitStack() as stack:
        fast, newest, every = (
            Reader(stack.enter_context(connect(port)), path)
            for port, path in (
                (server[1], "/newest"),
                (relay(server[1], "newest"), "/newest"),
                (relay(server[1], "every"), "/every"),
            )
        )
        newest.read(lambda: bool(newest.numbers))
        every.read(lambda: bool(every.numbers))

        def far_behind() -> bool:
            newest.read_what_is_there()
            every.read_what_is_there()
            return fast.numbers[-1:] > [every.numbers[-1] + 100]

        fast.read(far_behind)
        assert every.numbers == list(range(every.numbers[0], every.numbers[-1] + 1))
        assert newest.numbers == sorted(set(newest.numbers))
        assert newest.numbers[-1] - newest.numbers[0] >= len(newest.numbers) + 50, "most have been skipped"
        assert fast.numbers[-1] - newest.numbers[-1] < 33, "a third at most of what the other is behind"


def test_behind_a_proxy_only_what_is_confirmed_is_fresh(server: tuple[Any, int]) -> None:
    port = relay(server[1], "confirmed")
    with ExitStack() as stack:
        fast = Reader(stack.enter_context(connect(server[1])), "/newest")
        proxied = Reader(stack.enter_context(connect(relay(server[1], "proxied"))), "/newest")
        confirmed = Confirming(stack.enter_context(connect(port)), stack.enter_context(connect(port)))

        def far_behind() -> bool:
            proxied.read_what_is_there()
            confirmed.read_what_is_there()
            return (
                bool(confirmed.numbers and proxied.numbers) and fast.numbers[-1] > proxied.numbers[-1] + 100
            )

        fast.read(far_behind)
        assert confirmed.numbers == sorted(set(confirmed.numbers))
        assert fast.numbers[-1] - confirmed.numbers[-1] < 33, "a third at most of what the other is behind"


def test_chromium_plots_all_five(program: Callable[[str], str], tmp_path: Path) -> None:
    chromium = program("chromium")
    command = ("-m", "httpng_asyncio", APP, "--listen", "127.0.0.1:0")
    with running(*command) as (process, port), browsing(chromium, tmp_path, BOUND) as page:
        page.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        wait_until(page, "typeof series == 'object' && series.every(one => one.points?.length > 5)")
        wait_until(
            page, "[...document.querySelectorAll('.age')].every(one => /^[0-9.]+ s$/.test(one.innerText))"
        )
        assert page.evaluate(_DRAWN) == [True] * 5
        assert page.errors == []
        process.kill()
        wait_until(page, "series.every(one => one.card.innerText.includes('Stream ended'))")


def test_chromium_plots_all_five_over_tls(
    program: Callable[[str], str], pair: CertificateFiles, tmp_path: Path
) -> None:
    """The streams as well, and each slow one on a connection of its own."""
    chromium = program("chromium")
    tls = ("--certfile", pair.certificate_file, "--keyfile", pair.certificate_key_file)
    trusting = "--ignore-certificate-errors"
    with (
        running("-m", "httpng_asyncio", APP, "--listen", "127.0.0.1:0", *tls) as (process, port),
        browsing(chromium, tmp_path, BOUND, trusting) as page,
    ):
        page.call("Page.navigate", url=f"https://127.0.0.1:{port}/")
        wait_until(page, "typeof series == 'object' && series.every(one => one.points?.length > 5)")
        assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        assert page.errors == []
        process.kill()
        wait_until(page, "series.every(one => one.card.innerText.includes('Stream ended'))")
        # Of a stream it tells once it has ended.
        told = page.evaluate("performance.getEntriesByType('resource').map(one => one.nextHopProtocol)")
        assert set(told) <= {"h2", ""}
        assert "h2" in told


# Whether the plot has pixels of the colour of each line.
_DRAWN = """(() => {
    const canvas = document.getElementById("plot"), pen = canvas.getContext("2d");
    const pixels = new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    const seen = new Set(pixels), probe = new OffscreenCanvas(1, 1).getContext("2d");
    return series.map((one) => {
        probe.fillStyle = getComputedStyle(one.card).color;
        probe.fillRect(0, 0, 1, 1);
        return seen.has(new Uint32Array(probe.getImageData(0, 0, 1, 1).data.buffer)[0]);
    });
})()"""


def wait_until(page: Any, condition: str) -> None:
    """Waits until it is so; the browser is killed after a bounded time."""
    page.evaluate(
        "new Promise(done => { const timer = setInterval(() => {"
        f" if ({condition}) {{ clearInterval(timer); done(true); }} }}, 20); }})"
    )
