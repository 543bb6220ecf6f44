"""One exchange over HTTP/1.1, HTTP/2 or TLS, and what its client can tell of how it ended."""

from math import inf
from typing import Any

import pytest
from tests.core.driving import GET, GET_10, HEAD, Driven
from tests.core.driving2 import Driven2
from tests.core.sealed import Sealed

from httpng_core import CertificateFiles, Certificates, Closing, Exchange, Pending

TRANSPORTS = pytest.mark.parametrize("kind", ["http/1.1", "http/2", "tls"])


class Carried:
    """An exchange on a transport.

    Attributes:
        driven: the connection in the hands of the test.
        exchange: the exchange.
    """

    def __init__(self, driven: Driven | Sealed, kind: str, method: str = "GET") -> None:
        self.driven = driven
        self.kind = kind
        self.method = method
        self.exchange: Exchange
        if isinstance(driven, Driven2):
            self.exchange, self.stream = driven.begin(method=method)
        else:
            self.exchange = driven.exchange

    @property
    def now(self) -> float:
        return self.driven.now

    def push(self, room: float = inf) -> None:
        self.driven.push(room)

    def advance(self, seconds: float) -> None:
        self.driven.advance(seconds)

    def header(self, code: int = 200, headers: Any = None) -> Pending:
        return self.exchange.write_header(code, headers, self.now)

    def write(self, body: bytes, timeout: float | None = None, window: int | None = None) -> Pending:
        return self.exchange.write(body, self.now, timeout, window)

    def finish(self) -> None:
        self.exchange.finish(self.now)

    def fail(self) -> None:
        self.exchange.fail(self.now)

    @property
    def outcomes(self) -> list[str]:
        return self.driven.outcomes

    @property
    def positions(self) -> tuple[int, int]:
        stats = self.exchange.stats(self.now)
        return stats.current, stats.sent

    @property
    def body(self) -> bytes:
        """The body as the client has it."""
        if self.kind == "http/2":
            return bytes(self.stream.body)
        return bytes(self._response.body)

    @property
    def status(self) -> int:
        return self.stream.status if self.kind == "http/2" else int(self._response.status)

    @property
    def _response(self) -> Any:
        if isinstance(self.driven, Sealed):
            return self.driven.response
        return self.driven.responses(self.method)[0]

    @property
    def end(self) -> str:
        """What the client can tell of the end: "whole", "short", "reset", or nothing so far."""
        connection = self.driven.connection
        if self.kind == "http/2":
            if connection.close_expected() is Closing.RESET:
                return "reset"
            return "whole" if self.stream.complete else "" if self.stream.reset is None else "short"
        if connection.close_expected() is Closing.RESET:
            return "reset"
        if self._response.complete:
            return "whole"
        said_all = isinstance(self.driven, Sealed) and self.driven.said_all
        return "short" if connection.half_close_expected() and not said_all else ""


def carried(
    kind: str, certificates: Certificates, pair: CertificateFiles, method: str = "GET", **settings: Any
) -> Carried:
    """An exchange of which nothing has gone out; over TLS and HTTP/2 all is settled before."""
    if kind == "http/2":
        driven = Driven2(1 << 24, **settings)
        driven.client.give(1 << 24)
        return Carried(driven, kind, method)
    request = {"GET": GET, "HEAD": HEAD, "GET 1.0": GET_10}[method]
    if kind == "tls":
        return Carried(Sealed(certificates, pair, **settings).shake().send(request), kind, method)
    return Carried(Driven(request, **settings), kind, method.split()[0])
