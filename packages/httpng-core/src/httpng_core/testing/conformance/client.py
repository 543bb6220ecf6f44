"""Clients of a driver under test: blocking sockets with a bound, of HTTP/1.1 and of HTTP/2.

They may be slow or rude, keep every byte that they have read, and decode with h11 and h2, which know nothing
of what sends.
"""

import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import h11

from httpng_core.testing.http2_client import Http2Client

BOUND: Final = 15.0
"""Seconds that nothing may take longer than."""
WIDE: Final = 1 << 30
"""So much room in a window of HTTP/2 that it doesn't count."""
_FIRST_WINDOW: Final = 65535
_DATA: Final = 0
_FRAME_HEAD: Final = 9
_RESET: Final = struct.pack("ii", 1, 0)

Protocol = Literal["http1", "http2"]
Fields = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """A response as far as it has come; `reset` tells of an RST_STREAM."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False
    reset: bool = False


class Wire:
    """One TCP connection of a client.

    Attributes:
        wire: every byte that has come.
        ended: how the server's side ended: "" while it hasn't, "fin" or "reset".
    """

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.wire = bytearray()
        self.ended = ""
        self.socket = socket.socket()
        if receive_buffer is not None:
            # Before connecting: later the kernel may have made it larger.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(BOUND)
        try:
            self.socket.connect(("127.0.0.1", port))
        except BaseException:
            self.socket.close()
            raise

    @property
    def ports(self) -> tuple[int, int]:
        """The client's port and the server's."""
        return self.socket.getsockname()[1], self.socket.getpeername()[1]

    def send(self, data: bytes) -> None:
        """Send all of it; block while the server doesn't read."""
        self.socket.sendall(data)

    def receive(self, limit: int = 1 << 16) -> bool:
        """Read what there is, or wait for some; false at the end, however it came."""
        try:
            data = self.socket.recv(limit)
        except (ConnectionResetError, BrokenPipeError):
            self.ended = "reset"
            return False
        self.wire += data
        if data:
            self.take(data)
        else:
            self.ended = self.ended or "fin"
        return bool(data)

    def take(self, data: bytes) -> None:
        """Decode what has come; nothing here."""

    def read_wire(self, size: int) -> None:
        """Read until `size` bytes have come since the start, and not one more."""
        while len(self.wire) < size and self.receive(min(size - len(self.wire), 1 << 16)):
            pass

    def read_to_end(self) -> str:
        """Read until the server's side ends; tell how it did."""
        while self.receive():
            pass
        return self.ended

    def wait_for_reset(self) -> None:
        """Wait, without reading, until the server has reset the connection."""
        poll = select.poll()
        poll.register(self.socket, 0)
        assert poll.poll(BOUND * 1000), "the server resets the connection"

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes for a while, no end either."""
        return not select.select([self.socket], [], [], seconds)[0]

    def is_stuck(self, data: bytes, limit: int, seconds: float) -> bool:
        """Send `data` again and again; whether the server stops reading before `limit` bytes are sent."""
        sent = 0
        while sent < limit:
            if not select.select([], [self.socket], [], seconds)[1]:
                return True
            sent += self.socket.send(data, socket.MSG_DONTWAIT)
        return False

    def half_close(self) -> None:
        """Send a FIN, and may read on."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a reset; again: nothing."""
        if self.socket.fileno() >= 0:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.socket.close()

    def close(self) -> None:
        """Close."""
        self.socket.close()


class Client(Wire):
    """A client of HTTP/1.1, one request after the other unless it `send`s them itself.

    Attributes:
        answer: the response that is coming, or came last.
        interim: the status codes of interim responses to all requests.
    """

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.answer = Answer()
        self.interim: list[int] = []
        self._parser: h11.Connection | None = None
        self._rest = b""
        super().__init__(port, receive_buffer)

    def request(
        self,
        path: str = "/",
        method: str = "GET",
        headers: Fields = (),
        body: bytes = b"",
        version: str = "1.1",
    ) -> None:
        """Send a request."""
        lines = [
            f"{method} {path} HTTP/{version}",
            "Host: test",
            *(f"{key}: {value}" for key, value in headers),
        ]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.expect(method)
        self._say("\r\n".join([*lines, "", ""]).encode() + body)

    def _say(self, data: bytes) -> None:
        """Send; to a server that is gone: nothing."""
        try:
            if data:
                self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            # What told this will not tell it again to who reads.
            self.ended = self.ended or "reset"

    def expect(self, method: str = "GET") -> None:
        """Take what comes next for the response to a `method` request."""
        self.answer = Answer()
        self._parser = h11.Connection(h11.CLIENT)
        self._parser.send(h11.Request(method=method, target="/", headers=[("host", "test")]))
        self._parser.send(h11.EndOfMessage())
        rest, self._rest = self._rest, b""
        self.take(rest)

    def get(self, path: str = "/", method: str = "GET", headers: Fields = (), body: bytes = b"") -> Answer:
        """Send a request and read its response."""
        self.request(path, method, headers, body)
        return self.read_answer()

    def read_answer(self) -> Answer:
        """Read until the response, or the connection, has ended."""
        while not self.is_over and self.receive():
            pass
        if self.ended == "fin" and not self.answer.complete and self._parser is not None:
            self._end()
        return self.answer

    def read_body(self, size: int) -> Answer:
        """Read until `size` bytes of the body, or its end, have come."""
        while len(self.answer.body) < size and not self.is_over and self.receive():
            pass
        return self.answer

    @property
    def is_over(self) -> bool:
        """Whether the response has ended, or the connection."""
        return self.answer.complete or self.answer.reset or bool(self.ended)

    @property
    def carried(self) -> int:
        """How many body bytes the wire bytes of this response carry, those of half a frame as well."""
        return len(self.answer.body)

    def take(self, data: bytes) -> None:
        """Decode what has come."""
        if self._parser is None or self.answer.complete:
            self._rest += data
        elif data:
            self._parser.receive_data(data)
            self._decode()

    def _decode(self) -> None:
        assert self._parser is not None
        answer = self.answer
        while not isinstance(event := self._parser.next_event(), type(h11.NEED_DATA)):
            if isinstance(event, h11.Response):
                answer.status = event.status_code
                answer.headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.InformationalResponse):
                self.interim.append(event.status_code)
            elif isinstance(event, h11.Data):
                answer.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                answer.complete = True
                self._rest = self._parser.trailing_data[0]
                break
            else:
                break

    def _end(self) -> None:
        """End a body that has no other end than the FIN that came."""
        assert self._parser is not None
        try:
            self._parser.receive_data(b"")
            self._decode()
        except h11.RemoteProtocolError:
            pass


class Client2(Client):
    """A client of HTTP/2 by prior knowledge, with the verbs of the other; its windows are wide."""

    def __init__(self, port: int, receive_buffer: int | None = None, window: int = WIDE) -> None:
        self.http2 = Http2Client(window, reads=False)
        self.http2.give(WIDE - _FIRST_WINDOW)
        self._number = 0
        super().__init__(port, receive_buffer)
        self.say()

    def request(
        self,
        path: str = "/",
        method: str = "GET",
        headers: Fields = (),
        body: bytes = b"",
        version: str = "2",
    ) -> None:
        self._number = self.http2.request(path, method, tuple(headers))
        self.answer = Answer()
        self.say()

    def upload(self, body: bytes) -> None:
        """Send a request with a body, as the windows of the server have room."""
        self._number = self.http2.request(method="POST", body=None)
        self.answer = Answer()
        until = time.monotonic() + BOUND
        while body and time.monotonic() < until:
            room = min(self.http2.h2.local_flow_control_window(self._number), 16384)
            self.http2.h2.send_data(self._number, body[:room], end_stream=room >= len(body))
            body = body[room:]
            self.say()
            if body and not room:
                self.receive()

    def cancel(self) -> None:
        """Want no more of the response, and go on."""
        self.http2.h2.reset_stream(self._number, 8)
        self.say()

    def give(self, size: int) -> None:
        """Give room to the stream of the response."""
        self.http2.give(size, self._number)
        self.say()

    @property
    def carried(self) -> int:
        """See `Client`; counted by hand, as h2 tells of whole frames only."""
        at = size = 0
        while at + _FRAME_HEAD <= len(self.wire):
            length = int.from_bytes(self.wire[at : at + 3], "big")
            if self.wire[at + 3] == _DATA:
                size += min(length, len(self.wire) - at - _FRAME_HEAD)
            at += _FRAME_HEAD + length
        return size

    def take(self, data: bytes) -> None:
        self.http2.receive(data)
        stream = self.http2.streams.get(self._number)
        if stream is not None:
            self.answer = Answer(
                stream.status,
                dict(stream.headers),
                stream.body,
                stream.complete,
                stream.reset not in (None, 0),
            )
        self.say()

    def say(self) -> None:
        """Send what h2 has to say."""
        self._say(self.http2.take())

    def _end(self) -> None:
        """Do nothing: the end of the connection ends no response."""
