"""A client that uploads, over HTTP/1.1 or HTTP/2, to handlers that read; both in the hands of the test."""

from typing import Any

from tests.core.driving import Driven
from tests.core.driving2 import Driven2

from httpng_core import Application, Exchange, Read, Request, Runner

Fields = tuple[tuple[str, str], ...]
KINDS = ["length", "chunked", "http/2"]
"""How a body comes: by Content-Length, chunked, or in frames of HTTP/2."""


class Reading:
    """A handler that the test is, and that reads."""

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Leaves all to the test."""

    def streams(self, request: Request, otherwise: bool) -> bool:
        """Whatever the settings say."""
        return "whole" not in request.path


class Driven1Reading(Driven):
    """HTTP/1.1."""

    def application(self, **settings: Any) -> Application:
        return Application(Reading(), **settings)


class Driven2Reading(Driven2):
    """HTTP/2."""

    def application(self, **settings: Any) -> Application:
        return Application(Reading(), **settings)


class Upload:
    """One connection and the upload on it.

    Attributes:
        driven: the connection, and its kernel.
    """

    def __init__(self, kind: str, **settings: Any) -> None:
        self.kind = kind
        self.driven: Driven = (
            Driven2Reading(**settings) if kind == "http/2" else Driven1Reading(b"", **settings)
        )

    @property
    def is_http2(self) -> bool:
        return self.kind == "http/2"

    @property
    def exchange(self) -> Exchange:
        return self.driven.exchange

    # The client ---------------------------------------------------------------------------------------

    def begin(
        self, size: int | None = None, headers: tuple[tuple[str, str], ...] = (), path: str = "/"
    ) -> "Upload":
        """Sends a head; by `size` it is declared, on HTTP/1.1 by Content-Length always."""
        if self.kind == "chunked":
            headers = (*headers, ("transfer-encoding", "chunked"))
        elif size is not None:
            headers = (*headers, ("content-length", str(size)))
        if isinstance(self.driven, Driven2):
            self.stream = self.driven.client.request(path, "POST", headers, body=None)
            self.driven.turn()
        else:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
            self.driven.receive(f"POST {path} HTTP/1.1\r\nhost: x\r\n{lines}\r\n".encode())
        return self

    def send(self, data: bytes) -> None:
        """Sends a piece of the body; on HTTP/2 it has to fit the windows."""
        if isinstance(self.driven, Driven2):
            for at in range(0, len(data), 16384):
                self.driven.client.h2.send_data(self.stream, data[at : at + 16384])
            self.driven.turn()
        elif self.kind == "chunked":
            self.driven.receive(b"%x\r\n%s\r\n" % (len(data), data))
        else:
            self.driven.receive(data)

    def end(self) -> None:
        """Sends the end of the body."""
        if isinstance(self.driven, Driven2):
            self.driven.client.h2.end_stream(self.stream)
            self.driven.turn()
        elif self.kind == "chunked":
            self.driven.receive(b"0\r\n\r\n")

    def push(self) -> None:
        """The kernel takes what there is, and the client has it."""
        self.driven.push()
        if isinstance(self.driven, Driven2):
            self.driven.turn()

    @property
    def window(self) -> int:
        """How much an HTTP/2 client may send on the stream."""
        assert isinstance(self.driven, Driven2)
        return int(self.driven.client.h2.local_flow_control_window(self.stream))

    @property
    def statuses(self) -> list[int]:
        """The status codes that the client has got, interim ones among them."""
        if isinstance(self.driven, Driven2):
            stream = self.driven.client.streams[self.stream]
            return stream.interim + ([stream.status] if stream.status else [])
        lines = bytes(self.driven.wire).split(b"HTTP/1.1 ")[1:]
        return [int(line[:3]) for line in lines]

    @property
    def body(self) -> bytes:
        """What the client has got of the response's body; on HTTP/1.1 of the only response."""
        if isinstance(self.driven, Driven2):
            return bytes(self.driven.client.streams[self.stream].body)
        return self.driven.body

    @property
    def is_held_back(self) -> bool:
        """Whether the client is kept from sending more."""
        return self.window <= 0 if self.is_http2 else not self.driven.connection.wants_read

    # The handler --------------------------------------------------------------------------------------

    def read(self, limit: int | None = None, timeout: float | None = None) -> Read:
        """A read of the handler's."""
        read = self.exchange.read(limit, self.driven.now, timeout)
        if self.is_http2:
            self.push()
        return read

    def answer(self, body: bytes = b"done", status: int = 200) -> None:
        """What the handler returns."""
        self.exchange.answer(status, None, body, self.driven.now)
        self.push()
