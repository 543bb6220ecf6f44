"""The cases of core.py: each a set of connections, and the phases that one request or write goes through."""

from collections.abc import Callable
from typing import Any

from bench_apps import hello_plain  # type: ignore[import-not-found]
from core_driver import CoreDriver  # type: ignore[import-not-found]

CONNECTIONS = 400
WRK = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
BROWSER = (
    b"GET /?x=1 HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\n'
    b'sec-ch-ua-platform: "Linux"\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux '
    b"x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36\r\nAccept: text/html,"
    b"application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n"
    b"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\nCookie: theme=dark; session=%016d\r\n"
)

Phases = tuple[tuple[str, Callable[[], object]], ...]


class Hello:
    """A GET over HTTP/1.1, answered by a plain handler."""

    def __init__(self, head: bytes, *, changing: bool) -> None:
        self._head, self._changing, self._number = head, changing, 0
        self._driver = CoreDriver(hello_plain)
        self._connections = self._driver.connect(CONNECTIONS)
        self._requests: list[bytes] = []
        self._sizes: list[int] = []
        self.phases: Phases = (
            ("receive", lambda: self._driver.receive(self._connections, self._requests)),
            ("handle", lambda: self._driver.handle(self._connections)),
            ("offer", self._offer),
            ("accept", lambda: self._driver.accept(self._connections, self._sizes)),
            ("end", lambda: self._driver.handle(self._connections)),
            ("ask", lambda: self._driver.ask(self._connections)),
        )

    def prepare(self) -> None:
        """Make the requests of a round."""
        self._requests = [self._request() for _ in self._connections]

    def check(self) -> None:
        """Make sure that all was answered, in one offer."""
        assert len(self._sizes) == CONNECTIONS
        assert min(self._sizes) > 100
        assert not any(connection.wants_write for connection in self._connections)

    def _offer(self) -> None:
        self._sizes = self._driver.offer(self._connections)

    def _request(self) -> bytes:
        if self._changing:
            self._number += 1
        if b"%016d" in self._head:
            return self._head % self._number + b"\r\n"
        return self._head + (b"X-Request-Id: %016d\r\n\r\n" % self._number if self._changing else b"\r\n")


class Http2Hello:
    """A GET over HTTP/2, one at a time on each connection; its client is h2, outside what is timed."""

    def __init__(self) -> None:
        # Not a name of the core itself: only this case needs it.
        from httpng_core.testing import Http2Client

        self._driver = CoreDriver(hello_plain)
        self._connections = self._driver.connect(CONNECTIONS)
        self._clients = [Http2Client() for _ in self._connections]
        self._requests: list[bytes] = []
        self._meet()
        self.phases: Phases = (
            ("receive", lambda: self._driver.receive(self._connections, self._requests)),
            ("handle", lambda: self._driver.handle(self._connections)),
            ("push", lambda: self._driver.push(self._connections)),
            ("end", lambda: self._driver.handle(self._connections)),
            ("ask", lambda: self._driver.ask(self._connections)),
        )

    def prepare(self) -> None:
        """Have each client ask."""
        self._requests = [self._ask(client) for client in self._clients]

    def check(self) -> None:
        """Make sure that nothing is left."""
        assert not any(connection.wants_write for connection in self._connections)

    def _meet(self) -> None:
        """Exchange prefaces and settings, and one request, whose answer proves that the case works."""
        self.prepare()
        self._driver.receive(self._connections, self._requests)
        self._driver.handle(self._connections)
        for connection, client in zip(self._connections, self._clients, strict=True):
            client.receive(self._driver.wire(connection))
            assert client.streams[1].complete
            self._driver.receive([connection], [client.take()])
        self._driver.handle(self._connections)

    def _ask(self, client: Any) -> bytes:
        client.request("/", authority="127.0.0.1:8080")
        return bytes(client.take())


class Write:
    """A write with room into a chunked response that has begun: framed, sent, paid."""

    def __init__(self, size: int) -> None:
        self._body, self._wire = b"x" * size, 0
        self._driver = CoreDriver(hello_plain)
        self._connections = self._driver.connect(CONNECTIONS)
        self._exchanges = self._driver.begin(self._connections, WRK + b"\r\n")
        self._driver.write_header(self._exchanges)
        self._driver.push(self._connections)
        self.phases: Phases = (
            ("write", lambda: self._driver.write(self._exchanges, self._body)),
            ("push", self._push),
            ("ask", lambda: self._driver.ask(self._connections)),
        )

    def prepare(self) -> None:
        """Do nothing: what is written is always the same."""

    def check(self) -> None:
        """Make sure that the body went out."""
        assert self._wire > CONNECTIONS * len(self._body)

    def _push(self) -> None:
        self._wire = self._driver.push(self._connections)


Case = Hello | Http2Hello | Write
CASES: dict[str, Callable[[], Case]] = {
    "hello": lambda: Hello(WRK, changing=False),
    "hello, changing": lambda: Hello(WRK, changing=True),
    "hello, browser": lambda: Hello(BROWSER, changing=False),
    "hello, browser, changing": lambda: Hello(BROWSER, changing=True),
    "hello, HTTP/2": Http2Hello,
    "write of 100 B": lambda: Write(100),
    "write of 64 KiB": lambda: Write(65536),
}
