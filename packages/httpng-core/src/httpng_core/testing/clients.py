"""The client's side of a connection in one thread: a scripted kernel between it and the server."""

from collections.abc import Callable, Iterable, Mapping
from math import inf

from httpng_core.connection import Closing, Connection, Readiness
from httpng_core.testing.clock import Clock
from httpng_core.testing.http1_client import ReceivedResponse, decode
from httpng_core.testing.http2_client import Http2Client, ReceivedStream
from httpng_core.testing.path import ScriptedPath
from httpng_core.tls.end import RECORD, TlsEnd, TlsError


class Client:
    """The other end of one connection, with a scripted kernel between: it takes `room` bytes.

    Attributes:
        room: how many more bytes the kernel takes before it refuses; give more with `give_room`.
        path: the path to the client, which then says how much room there is; `None`: all comes at once.
        received: everything that the kernel took and the path has delivered; of TLS what could be opened.
        arrived: how many wire bytes that was.
        tls: the client's end of TLS, `None` for plain text.
        said_all: the server's close_notify has come.
        failure: why the client gave TLS up; empty while it hasn't.
        gone: the connection was reset, by whichever side.
        closed: the server closed its sending side, or all of it.
        acknowledges: whether the client's TCP acknowledges at once what the kernel took; else `acknowledge`,
            or the path does.
    """

    def __init__(
        self,
        clock: Clock,
        settle: Callable[[], None],
        connection: Connection,
        room: float,
        path: ScriptedPath | None = None,
        tls: TlsEnd | None = None,
    ) -> None:
        """Be the client of `connection`; `settle` has the server act on what came, until all is at rest."""
        self.connection = connection
        self.room = room
        self.path = path
        self.received = bytearray()
        self.arrived = 0
        self.tls = tls
        self.said_all = False
        self.failure = ""
        self._shaken = tls is None
        self._unsealed = b""
        if path is not None:
            path.on_arrival = self._arrive
        self.gone = False
        self.closed = False
        self.acknowledges = path is None
        self._clock = clock
        self._settle = settle
        self._read = 0

    def send(self, data: bytes) -> None:
        """Send bytes to the server, which acts on them before this returns."""
        if not self.gone:
            self._unsealed += data
            self._send()
            self._settle()

    def say_all(self) -> None:
        """Send the client's close_notify: it sends no more over TLS."""
        assert self.tls is not None
        self.tls.close()
        self._send()
        self._settle()

    def get(
        self,
        path: str = "/",
        method: str = "GET",
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | str = b"",
    ) -> None:
        """Send a request; with a `body`, its Content-Length is told unless `headers` tell how long it is."""
        fields, data = _pairs(headers), body.encode() if isinstance(body, str) else body
        names = {name.lower() for name, _ in fields}
        if "host" not in names:
            fields.insert(0, ("Host", "test"))
        if data and names.isdisjoint(("content-length", "transfer-encoding")):
            fields.append(("Content-Length", str(len(data))))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + data)

    def give_room(self, size: float = inf) -> None:
        """Let the kernel take `size` more bytes."""
        self.room += size
        self._settle()

    def acknowledge(self, total: int | None = None) -> None:
        """Acknowledge the first `total` bytes, or all that the kernel took, as the client's TCP."""
        self.connection.bytes_acknowledged(self.arrived if total is None else total, self._clock.now)
        self._settle()

    def half_close(self) -> None:
        """Send the client's FIN."""
        self.connection.receive_eof(self._clock.now)
        self._settle()

    def reset(self) -> None:
        """Send the client's reset."""
        self.gone = True
        self.connection.connection_lost(self._clock.now)
        self._settle()

    def take(self) -> bytes:
        """Return what has arrived since the last call."""
        data = bytes(self.received[self._read :])
        self._read = len(self.received)
        return data

    def responses(self, *methods: str) -> list[ReceivedResponse]:
        """Decode all that arrived with h11, as answers to requests with these methods (default: GETs)."""
        return decode(bytes(self.received), methods or ("GET",) * 100, closed=self.closed)

    def pump(self) -> bool:
        """Let the kernel take what it can; return whether anything moved."""
        moved = self._take_all()
        if self.acknowledges and self.connection.tracks_acknowledged:
            self.connection.bytes_acknowledged(self.arrived, self._clock.now)
            moved = True
        return self._send() or moved

    def _send(self) -> bool:
        data = self._seal(self.tls) if self.tls is not None else self._unsealed
        self._unsealed = b"" if self._shaken else self._unsealed
        if data and not self.gone:
            self.connection.receive_data(data, self._clock.now)
        return bool(data)

    def _seal(self, tls: TlsEnd) -> bytes:
        self._shaken = self._shaken or (not self.failure and tls.shake())
        for start in range(0, len(self._unsealed) if self._shaken else 0, RECORD):
            tls.seal(self._unsealed[start : start + RECORD])
        return tls.take()

    def _arrive(self, data: bytes) -> None:
        self.arrived += len(data)
        if self.tls is None:
            self.received += data
            return
        self.tls.receive(data)
        try:
            self._open(self.tls)
        except TlsError as error:
            self.failure = self.failure or str(error)

    def _open(self, tls: TlsEnd) -> None:
        self._shaken = self._shaken or tls.shake()
        while self._shaken and not self.said_all and (opened := tls.read()) is not None:
            self.said_all = not opened
            self.received += opened

    def _take_all(self) -> bool:
        connection, moved = self.connection, False
        while connection.wants_write and not self.gone:
            if connection.prepare() is Readiness.ASK and not self._is_writable():
                return moved
            moved = self._push(connection) or moved
            if self.room < 1:
                return moved
        return moved

    def _push(self, connection: Connection) -> bool:
        now = self._clock.now
        wire = b"".join(connection.data_to_send(now))
        if not wire:
            return True
        taken = int(min(len(wire), self.room))
        if self.path is None:
            self.room -= taken
            self._arrive(wire[:taken])
        else:
            self.path.take(wire[:taken], now)
            self.room = self.path.room
        connection.bytes_accepted(taken, now)
        return taken > 0

    def _is_writable(self) -> bool:
        return self.room >= 1 if self.path is None else self.path.is_writable

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` is due, or `None`."""
        deadlines = [self.connection.next_deadline()]
        if self.path is not None:
            deadlines.append(self.path.next_deadline())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Have what is due at `now` happen, on the path first."""
        if self.path is not None and not self.gone:
            self.path.handle_timeout(now)
            self.room = self.path.room
            self.connection.bytes_acknowledged(self.path.acknowledged, now)
        self.connection.handle_timeout(now)

    def note_close(self) -> None:
        """Take over what the connection wants of its socket."""
        if self.connection.close_expected():
            self.closed = True
            self.gone = self.gone or self.connection.close_expected() is Closing.RESET
        elif self.connection.half_close_expected():
            self.closed = True


class Http2Peer(Client):
    """A client that speaks HTTP/2 by prior knowledge; what it says arrives at once.

    Attributes:
        http2: the client without its socket, for what has no verb here; then `settle` the loop.
    """

    def __init__(
        self,
        clock: Clock,
        settle: Callable[[], None],
        connection: Connection,
        room: float,
        http2: Http2Client,
    ) -> None:
        super().__init__(clock, settle, connection, room)
        self.http2 = http2

    def request(
        self,
        path: str = "/",
        method: str = "GET",
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | None = b"",
    ) -> ReceivedStream:
        """Send a request, with a body that fits the windows (`None` leaves it open); return what comes."""
        fields = tuple((name.lower(), value) for name, value in _pairs(headers))
        number = self.http2.request(path, method, fields, body=body)
        self._settle()
        return self.http2.streams[number]

    def give(self, size: int, number: int | None = None) -> None:
        """Give room to a stream, or to the connection."""
        self.http2.give(size, number)
        self._settle()

    def cancel(self, number: int) -> None:
        """Reset a stream."""
        self.http2.h2.reset_stream(number, 8)
        self._settle()

    def pump(self) -> bool:
        """Let the kernel take what it can and the client answer; return whether anything moved."""
        moved = super().pump()
        self.http2.receive(self.take())
        said = self.http2.take()
        if said and not self.gone:
            self.connection.receive_data(said, self._clock.now)
        return moved or bool(said)


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)
