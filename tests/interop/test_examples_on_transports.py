"""Each example over HTTP/2 and TLS, as curl gets it; how they do over HTTP/1.1 is in test_examples.py."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from tests.driver.http2_client import Client2, TlsClient2
from tests.driver.net import TRANSPORTS, Transport
from tests.interop.test_age_page import APP as AGE_PAGE
from tests.interop.test_examples import _EMBEDDED, BOUND, EXAMPLES, Account, check_events, running

from httpng_core import CertificateFiles, ListenAddress

Program = Callable[[str], str]
OTHERS = [each for each in TRANSPORTS if each.http2 or each.tls]
RUNS = [*(("httpng_asyncio", each) for each in OTHERS), ("httpng_trio", OTHERS[-1])]
on_transports = pytest.mark.parametrize(("backend", "transport"), RUNS, ids=str, indirect=["transport"])


class Served:
    """An example that runs.

    Attributes:
        port: where it listens.
    """

    def __init__(self, curl: str, transport: Transport, port: int) -> None:
        self.port = port
        self._url = f"{'https' if transport.tls else 'http'}://127.0.0.1:{port}"
        plain = "--http2-prior-knowledge" if transport.http2 else "--http1.1"
        how = ("--http2" if transport.http2 else "--http1.1") if transport.tls else plain
        self._command = [curl, "--insecure", how, "--silent", "--max-time", f"{BOUND:.0f}"]
        self._status = "HTTP/2 200" if transport.http2 else "HTTP/1.1 200 OK"

    def get(self, path: str) -> str:
        """A body."""
        command = [*self._command, self._url + path]
        return subprocess.run(command, capture_output=True, text=True, timeout=BOUND, check=True).stdout

    @contextmanager
    def stream(self, path: str, *options: str) -> Iterator[Any]:
        """The lines of a body as they come."""
        command = [*self._command, "--no-buffer", "--include", *options, self._url + path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                lines = process.stdout
                assert lines is not None
                head = [line.strip() for line in iter(lines.readline, "\n")]
                assert head[0] == self._status
                assert "content-type: text/event-stream" in head
                yield lines
            finally:
                process.kill()


@pytest.fixture
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def serve(program: Program, transport: Transport, pair: CertificateFiles) -> Any:
    """`with serve(*command) as served`."""

    @contextmanager
    def serve(*command: str) -> Iterator[Served]:
        tls = ("--certfile", pair.certificate_file, "--keyfile", pair.certificate_key_file)
        arguments = (*command, "--listen", "127.0.0.1:0", *(tls if transport.tls else ()))
        with running("-m", *arguments) as (_, port):
            yield Served(program("curl"), transport, port)

    return serve


@on_transports
@pytest.mark.parametrize("app", ["ticker.lua", "ticker.py:app"])
def test_the_ticker(serve: Any, backend: str, app: str) -> None:
    with (
        serve(backend, str(EXAMPLES / app)) as served,
        served.stream("/?client=newest") as newest,
        served.stream("/every?client=every") as every,
    ):
        for lines in (newest, every):
            check_events([read_event_of(lines) for _ in range(5)])
        stats = json.loads(served.get("/stats"))
    assert stats.keys() == {"newest", "every"}
    assert all(0 < each["sent"] <= each["current"] for each in stats.values())


def read_event_of(lines: Any) -> tuple[int, str]:
    number, data, empty = (lines.readline() for _ in range(3))
    assert empty == "\n"
    return int(number.removeprefix("id: ")), data.removeprefix("data: ")


@on_transports
@pytest.mark.parametrize("app", ["ticker_feed.lua", "ticker_feed.py:app"])
def test_the_ticker_on_a_feed(serve: Any, backend: str, app: str) -> None:
    with serve(backend, str(EXAMPLES / app)) as served:
        with served.stream("/") as lines:
            account = Account(lines)
            account.read_on(20)
        assert account.numbers == list(range(1, 21))
        with served.stream("/", "--header", "Last-Event-ID: 5") as lines:
            again = Account(lines)
            again.read_on(1)
        assert len(again.gaps) == 1
        assert again.gaps[0] > 0
        assert json.loads(served.get("/stats"))["delivered"] >= 20


@on_transports
def test_the_age_page(serve: Any, backend: str) -> None:
    with serve(backend, AGE_PAGE) as served:
        assert served.get("/") == (EXAMPLES / "age_page" / "page.html").read_text()
        for path in ("/newest", "/every"):
            with served.stream(path) as lines:
                events = [read_event_of(lines) for _ in range(5)]
            assert [json.loads(data)["number"] for _, data in events] == [number for number, _ in events]


@pytest.mark.parametrize("transport", [each for each in TRANSPORTS if each.http2], ids=str, indirect=True)
def test_a_client_that_shuts_its_window_is_told_what_it_skipped(
    serve: Any, transport: Transport, pair: CertificateFiles
) -> None:
    with serve("httpng_asyncio", str(EXAMPLES / "ticker_feed.py") + ":app") as served:
        address = ListenAddress("127.0.0.1", served.port)
        with (
            TlsClient2(address, pair, window=500) if transport.tls else Client2(address, window=500) as client
        ):
            client.shake()
            client.request()
            end = monotonic() + BOUND
            while json.loads(served.get("/stats"))["skipped"] < 20:
                client.receive_ready()
                assert monotonic() < end
            assert len(client.body) == 500
            client.open_windows()
            while not re.search(rb"event: gap\ndata: (\d+)\n\n", client.body):
                assert client.receive()


@pytest.mark.parametrize("transport", TRANSPORTS[2:3], ids=str, indirect=True)
def test_the_embedding_example(program: Program, transport: Transport) -> None:
    with running("-c", _EMBEDDED.format(name="embed_selectors")) as (_, port):
        served = Served(program("curl"), transport, port)
        assert served.get("/one") == "You asked for /one\n"
        assert served.get("/long") == "x" * 8_000_000
