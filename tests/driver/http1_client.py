"""A client that speaks HTTP/1.1 over a plain socket, and may be slow or rude; and what it decodes.

The verbs that mean the same on HTTP/2 are `prepare`, `request`, `get`, `read_response`, `read_body`, `body`,
`was_reset`, `was_cut_short`, `surplus`, `abandon`, `stall`, `open_windows`, and those of the connection.
"""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import h11

from httpng_core import ListenAddress

BOUND = 20.0
"""No condition may take longer to come true."""
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Headers = Sequence[tuple[str, str]]


class Client:
    """A client with a socket of its own. It keeps all that it has read.

    Attributes:
        wire: every byte that has come in, apart from whole responses.
        taken: how many bytes the responses had that `read_response` took out of `wire`.
        ended: how the server's side ended: "" while it hasn't, "fin" or "reset".
        authority: whom the requests that it prepares are for.
    """

    authority = "x"
    _decoder: "Decoder | None" = None
    _fed = 0

    def __init__(self, address: ListenAddress, *, receive_buffer: int | None = None) -> None:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.wire = bytearray()
        self.taken = 0
        self.ended = ""
        if receive_buffer is not None:
            # Before connecting: a buffer that has grown could swallow everything.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(BOUND)
        try:
            self.socket.connect((address.host, address.port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """By which the server's end can be found."""
        return int(self.socket.getsockname()[1])

    def shake(self) -> None:
        """Goes through the handshake, where there is one; blocks."""

    def prepare(self, path: str = "/", method: str = "GET", headers: Headers = ()) -> bytes:
        """A request without a body, to be sent."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.authority}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", ""]).encode()

    def request(self, path: str = "/", method: str = "GET", headers: Headers = ()) -> None:
        """Sends a request without a body."""
        self.send(self.prepare(path, method, headers))

    def get(self, path: str = "/", method: str = "GET", headers: Headers = ()) -> "Received":
        """Sends a request and reads its response."""
        self.request(path, method, headers)
        return self.read_response(method)

    def stall(self) -> None:
        """Reads what it must read so that it is the client that the server waits for; may block."""

    @property
    def starves(self) -> bool:
        """Whether it has read what it must read for that."""
        return True

    def open_windows(self) -> None:
        """Gives room from now on, as every client does that reads a response; HTTP/1.1 has no windows."""

    def send(self, data: bytes) -> None:
        """Sends, and blocks while the server doesn't read: a little data never does."""
        self.socket.sendall(data)

    def receive(self, limit: int = 1 << 16) -> bytes:
        """Reads what there is, or waits for some; empty at the end, however it ended."""
        try:
            data = self.socket.recv(limit)
        except ConnectionResetError:
            self.ended = "reset"
            return b""
        self.wire += data
        if not data:
            self.ended = self.ended or "fin"
        return data

    def receive_ready(self, limit: int = 1 << 16) -> bytes:
        """Reads what there is, without waiting."""
        self.socket.setblocking(False)
        try:
            return self.receive(limit)
        except BlockingIOError:
            return b""
        finally:
            self.socket.settimeout(BOUND)

    def read_wire(self, size: int) -> bytes:
        """Reads on until `size` wire bytes have come in altogether, and not one more; gives `carried`."""
        while self.read < size and self.receive(min(size - self.read, 1 << 16)):
            pass
        return self.carried(size)

    @property
    def read(self) -> int:
        """How many wire bytes it has read."""
        return self.taken + len(self.wire)

    def carried(self, size: int) -> bytes:
        """The plaintext that the first `size` wire bytes carry, apart from whole responses taken out."""
        return bytes(self.wire[: size - self.taken])

    def read_wire_until(self, end: bytes) -> None:
        """Reads until some wire bytes have come."""
        while end not in self.wire and self.receive():
            pass

    def read_to_end(self) -> "Client":
        """Reads until the server's side ends."""
        while self.receive():
            pass
        return self

    def read_body(self, size: int) -> "Received":
        """Reads until `size` body bytes, or the end of the response, have come in."""
        response = self._decode()
        while len(response.body) < size and not response.complete and self.receive():
            response = self._decode()
        return response

    def read_response(self, method: str = "GET") -> "Received":
        """Reads one response, and takes it out of `wire`: what follows it stays."""
        response = self._decode(method)
        while not (response.complete or response.broken) and self.receive():
            response = self._decode()
        assert self._decoder is not None
        if not response.complete:
            self._decoder.end()
        rest = self._decoder.rest + self.wire[self._fed :]
        self._decoder, self._fed = None, 0
        self.taken += len(self.wire) - len(rest)
        self.wire[:] = rest
        return response

    @property
    def body(self) -> bytes:
        """What has come of the body of the response that is under way."""
        return self._decode().body

    @property
    def was_reset(self) -> bool:
        """Whether the response that was read last, or is under way, was cut off by a reset."""
        return self.ended == "reset"

    @property
    def was_cut_short(self) -> bool:
        """Whether the connection ended in the middle of a response, after all that was accepted had come."""
        return self.ended == "fin"

    @property
    def surplus(self) -> bytes:
        """What has come after the responses that were read."""
        return bytes(self.wire)

    def _decode(self, method: str = "GET") -> "Received":
        if self._decoder is None:
            self._decoder = Decoder(method)
        if not self._decoder.response.complete:
            self._decoder.feed(bytes(self.wire[self._fed :]))
            self._fed = len(self.wire)
        return self._decoder.response

    def ask(self, data: bytes = GET, method: str = "GET") -> "Received":
        """Sends a request and reads its response."""
        self.send(data)
        return self.read_response(method)

    def half_close(self, data: bytes = b"") -> None:
        """Sends a FIN, in one segment with `data`, and goes on reading."""
        if data:
            self.socket.send(data, socket.MSG_MORE)
        self.socket.shutdown(socket.SHUT_WR)

    def abandon(self) -> None:
        """Wants no more of the response."""
        self.reset()

    def reset(self) -> None:
        """Closes with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Closes. Again: nothing."""
        self.socket.close()


@dataclass
class Received:
    """A response as far as it has come in."""

    status: int = 0
    headers: dict[str, str] | None = None
    body: bytes = b""
    complete: bool = False
    broken: bool = False
    """It ended, or was malformed, before it was whole."""


class Decoder:
    """Decodes one response by h11, which knows nothing of how it was framed."""

    def __init__(self, method: str = "GET") -> None:
        self.response = Received()
        self.rest = b""
        self._h11 = h11.Connection(h11.CLIENT)
        self._h11.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        self._h11.send(h11.EndOfMessage())
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Takes wire bytes."""
        if data:
            self._receive(data)

    def end(self) -> None:
        """No more will come."""
        self._receive(b"")

    def _receive(self, data: bytes) -> None:
        try:
            self._h11.receive_data(data)
            while self._take(self._h11.next_event()):
                pass
        except h11.RemoteProtocolError:
            self.response.broken = True
        self.response.body += b"".join(self._pieces)
        self._pieces.clear()

    def _take(self, event: object) -> bool:
        if isinstance(event, h11.Response):
            self.response.status = event.status_code
            self.response.headers = {name.decode(): value.decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            self._pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            self.response.complete = True
            self.rest = self._h11.trailing_data[0]
            return False
        elif not isinstance(event, h11.InformationalResponse):
            return False
        return True
