"""A client that speaks HTTP/2, in clear text or within TLS, with the verbs of the one of HTTP/1.1.

Not reading is two things here: not reading the socket, which fills up, and reading it without giving room in
the windows, which leaves the socket empty.
"""

from collections import deque
from typing import Any, ClassVar, Literal

from tests.driver.http1_client import Client, Headers, Received
from tests.driver.tls_client import TlsClient

from httpng_core.testing import Http2Client, ReceivedStream

Stall = Literal["socket", "stream", "connection"]
"""What is full when the client doesn't read: its socket, as its windows are wide; else a window."""
WIDE = 1 << 30
SHUT = 40_000
"""How much a window has room for that the client doesn't open."""
_CONNECTION = 65535
_CANCEL = 8


class Client2(Client):
    """In clear text, by prior knowledge."""

    def __init__(self, *args: Any, stall: Stall = "socket", window: int | None = None, **more: Any) -> None:
        """With `window` each stream has so much room, until it is given more."""
        super().__init__(*args, **more)
        opening = {"socket": WIDE, "stream": SHUT, "connection": WIDE}[stall] if window is None else window
        self.http2 = Http2Client(opening, reads=False)
        self._narrow = WIDE - opening
        if stall != "connection":
            self.http2.give(WIDE - _CONNECTION)
        self._stall: Stall = stall
        self._streams: deque[int] = deque()
        self._last: ReceivedStream | None = None
        self._seen = 0
        self._shut = False

    # Requests and responses: one after the other, as on HTTP/1.1 --------------------------------------

    def prepare(self, path: str = "/", method: str = "GET", headers: Headers = ()) -> bytes:
        self._streams.append(self.http2.request(path, method, tuple(headers), authority=self.authority))
        return self.http2.take()

    def post(self, headers: Headers, body: bytes, path: str = "/") -> None:
        """Sends a request with a body that fits the windows."""
        self._streams.append(
            self.http2.request(path, "POST", tuple(headers), body=body, authority=self.authority)
        )
        self.say()

    def expect(self, number: int) -> None:
        """Has `read_response` read what comes on a stream, in its turn."""
        self._streams.append(number)

    def begin(self, path: str = "/") -> int:
        """Sends a request, beside others; tells its stream id."""
        self.request(path)
        return self._streams.pop()

    def adopt(self, number: int) -> None:
        """Takes a stream that was begun otherwise for the newest request."""
        self._streams.append(number)

    def read_until(self, number: int, size: int = WIDE) -> ReceivedStream:
        """Reads until `size` body bytes of a stream, or its end, have come in; opens no window."""
        stream = self.http2.streams[number]
        while len(stream.body) < size and not stream.complete and stream.reset is None and self.receive():
            pass
        return stream

    def read_response(self, method: str = "GET") -> Received:
        received = self.read_body(WIDE)
        self._last = self.http2.streams[self._streams.popleft()]
        return received

    def read_body(self, size: int) -> Received:
        self.open_windows()
        stream = self.read_until(self._streams[0], size)
        broken = not stream.complete and (stream.reset is not None or bool(self.ended))
        return Received(stream.status, stream.headers, bytes(stream.body), stream.complete, broken)

    @property
    def body(self) -> bytes:
        return bytes(self._stream.body)

    @property
    def was_reset(self) -> bool:
        stream = self._last or self._stream
        return self.ended == "reset" or (not stream.complete and stream.reset not in (None, 0))

    @property
    def was_cut_short(self) -> bool:
        """Whether the stream was reset; the connection goes on."""
        stream = self._last or self._stream
        return not self.ended and not stream.complete and stream.reset not in (None, 0)

    @property
    def surplus(self) -> bytes:
        """Nothing: h2 takes no frame after the end of a stream."""
        return b""

    def abandon(self) -> None:
        """Wants no more of the response, and nothing else of the connection."""
        self.http2.h2.reset_stream(self._streams.popleft(), _CANCEL)
        self.say()

    @property
    def _stream(self) -> ReceivedStream:
        return self.http2.streams[self._streams[0]]

    # Windows ------------------------------------------------------------------------------------------

    def stall(self) -> None:
        while not self.starves and not self._stream.complete and self.receive():
            pass

    @property
    def starves(self) -> bool:
        room = {"socket": 0, "stream": SHUT, "connection": _CONNECTION}[self._stall]
        return len(self._stream.body) >= room

    def open_windows(self) -> None:
        if not self.http2.reads:
            self.http2.reads = True
            for number in self._streams:
                stream = self.http2.streams[number]
                if self._narrow and not stream.complete and stream.reset is None:
                    self.http2.give(self._narrow, number)
            if self._stall == "connection":
                self.http2.give(WIDE - _CONNECTION)
            self.say()

    def give(self, size: int, number: int | None) -> None:
        """Gives room to a stream, or to the connection."""
        self.http2.give(size, number)
        self.say()

    # The socket ---------------------------------------------------------------------------------------

    def receive(self, limit: int = 1 << 16) -> bytes:
        data = super().receive(limit)
        self._decode_frames()
        return data

    def read_wire(self, size: int) -> bytes:
        carried = super().read_wire(size)
        self._decode_frames()
        return carried

    def half_close(self, data: bytes = b"") -> None:
        self._shut = True
        super().half_close(data)

    def say(self) -> None:
        """Sends what h2 has to say; to a server that is gone: nothing."""
        data = self.http2.take()
        try:
            if data:
                self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            # What told this will not tell it again to who reads.
            self.ended = self.ended or ("" if self._shut else "reset")

    def _decode_frames(self) -> None:
        data, self._seen = bytes(self.wire[self._seen :]), len(self.wire)
        self.http2.receive(data)
        if not self.ended:
            self.say()


class TlsClient2(Client2, TlsClient):
    """Within TLS, by ALPN."""

    alpn: ClassVar[list[str]] = ["h2", "http/1.1"]
