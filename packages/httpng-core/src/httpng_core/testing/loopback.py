"""A scripted kernel, a clock turned by hand, a client: an application and its client in one thread."""

import logging
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any

from httpng_core.app.application import as_application
from httpng_core.app.files import Files
from httpng_core.connection import Connection
from httpng_core.http.request import Address
from httpng_core.sending.exchange import Exchange
from httpng_core.testing.http1_client import ReceivedResponse, decode
from httpng_core.testing.http2_client import Http2Client, ReceivedStream
from httpng_core.testing.path import ScriptedPath
from httpng_core.testing.server import ScriptedServer
from httpng_core.testing.stepped_io import step_async
from httpng_core.tls.certificates import Certificates
from httpng_core.tls.end import RECORD, TlsEnd, TlsError
from httpng_core.wire.events import RequestReceived

_log = logging.getLogger("httpng")


class Clock:
    """A monotonic clock that stands still until it is advanced."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now


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
        loop: "Loopback",
        connection: Connection,
        room: float,
        path: ScriptedPath | None = None,
        tls: TlsEnd | None = None,
    ) -> None:
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
        self._loop = loop
        self._read = 0

    def send(self, data: bytes) -> None:
        """Send bytes to the server, which acts on them before this returns."""
        if not self.gone:
            self._unsealed += data
            self._send()
            self._loop.settle()

    def say_all(self) -> None:
        """Send the client's close_notify: it sends no more over TLS."""
        assert self.tls is not None
        self.tls.close()
        self._send()
        self._loop.settle()

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
        self._loop.settle()

    def acknowledge(self, total: int | None = None) -> None:
        """Acknowledge the first `total` bytes, or all that the kernel took, as the client's TCP."""
        self.connection.bytes_acknowledged(self.arrived if total is None else total, self._loop.clock.now)
        self._loop.settle()

    def half_close(self) -> None:
        """Send the client's FIN."""
        self.connection.receive_eof(self._loop.clock.now)
        self._loop.settle()

    def reset(self) -> None:
        """Send the client's reset."""
        self.gone = True
        self.connection.connection_lost(self._loop.clock.now)
        self._loop.settle()

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
            self.connection.bytes_acknowledged(self.arrived, self._loop.clock.now)
            moved = True
        return self._send() or moved

    def _send(self) -> bool:
        data = self._seal(self.tls) if self.tls is not None else self._unsealed
        self._unsealed = b"" if self._shaken else self._unsealed
        if data and not self.gone:
            self.connection.receive_data(data, self._loop.clock.now)
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
            if connection.asks_first and not self._is_writable():
                return moved
            moved = self._push(connection) or moved
            if self.room < 1:
                return moved
        return moved

    def _push(self, connection: Connection) -> bool:
        now = self._loop.clock.now
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
            self.gone = self.gone or self.connection.reset_expected
        elif self.connection.half_close_expected():
            self.closed = True


class Http2Peer(Client):
    """A client that speaks HTTP/2 by prior knowledge; what it says arrives at once.

    Attributes:
        http2: the client without its socket, for what has no verb here; then `settle` the loop.
    """

    def __init__(self, loop: "Loopback", connection: Connection, room: float, http2: Http2Client) -> None:
        super().__init__(loop, connection, room)
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
        self._loop.settle()
        return self.http2.streams[number]

    def give(self, size: int, number: int | None = None) -> None:
        """Give room to a stream, or to the connection."""
        self.http2.give(size, number)
        self._loop.settle()

    def cancel(self, number: int) -> None:
        """Reset a stream."""
        self.http2.h2.reset_stream(number, 8)
        self._loop.settle()

    def pump(self) -> bool:
        """Let the kernel take what it can and the client answer; return whether anything moved."""
        moved = super().pump()
        self.http2.receive(self.take())
        said = self.http2.take()
        if said and not self.gone:
            self.connection.receive_data(said, self._loop.clock.now)
        return moved or bool(said)


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


class _Errors(logging.Handler):
    """Keeps what handlers have raised, by what is logged of it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.kept: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the error of a record."""
        told = [error for error in (record.exc_info or ())[1:2] if isinstance(error, BaseException)]
        args = record.args if isinstance(record.args, tuple) else ()
        told += [error for error in args if isinstance(error, BaseException)]
        # Of an error in Lua there is the message alone.
        self.kept.append(told[0] if told else RuntimeError(record.getMessage()))


class Loopback:
    """Serves an application to scripted clients, by a clock turned by hand.

    Async handlers are stepped without an event loop: they can await the calls of their `io`, nothing else.

    Attributes:
        clock: the clock.
        runner: what runs the handlers.
        server: what the application controls: shutdowns, reconfigurations, threads that go.
        exchanges: every exchange begun, in order.
        max_turns: how many turns a handler may take without rest until that is an error.
    """

    max_turns = 10_000

    def __init__(
        self,
        app: object,
        *,
        clock: Clock | None = None,
        certificates: Certificates | None = None,
        files: Files | None = None,
        raises: bool = False,
        **cfg: Any,
    ) -> None:
        """Take a handler with settings, or an `Application`; `clock` if that was made with one.

        `certificates` are for clients that speak TLS, `files` for directories as handlers. With `raises`, the
        call that let a handler run raises the handler's error, once the client has been answered with 500.
        """
        self.certificates = certificates
        self.application = as_application(app, None, cfg)
        self.clock = clock or Clock()
        self.exchanges: list[Exchange] = []
        self._errors = _Errors() if raises else None
        self.runner = self.application.runner(self.clock, start_async=self._start_async, files=files)
        self._clients: list[Client] = []
        self.server = ScriptedServer(self.application, self.clock, self._connections, self.runner)

    def connect(
        self, room: float = inf, path: ScriptedPath | None = None, tls: TlsEnd | None = None
    ) -> Client:
        """Return a new client whose kernel takes `room` bytes before it refuses, or one on a path.

        One with an end of TLS begins its handshake at once.

        Raises:
            ConnectionRefusedError: the server has been shut down.
        """
        self._check_listening()
        connection = self._connection(tls is not None)
        client = Client(self, connection, room if path is None else path.room, path, tls)
        self._clients.append(client)
        if tls is not None:
            client.send(b"")
        return client

    def connect_http2(self, room: float = inf, window: int = 65535, *, reads: bool = True) -> Http2Peer:
        """Return a new client that speaks HTTP/2, with so much room for each stream; `reads`: it is kept up.

        Raises:
            ConnectionRefusedError: the server has been shut down.
        """
        self._check_listening()
        connection = self.application.connection(self.clock.now, tells_acknowledged=True)
        client = Http2Peer(self, connection, room, Http2Client(window, reads=reads))
        self._clients.append(client)
        self.settle()
        return client

    def forget(self) -> None:
        """Forget all clients and exchanges, so that tests can see what others hold of them."""
        self._clients.clear()
        self.exchanges.clear()

    def _check_listening(self) -> None:
        if not self.server.listens:
            raise ConnectionRefusedError("nobody listens")

    def _connections(self) -> list[Connection]:
        return [client.connection for client in self._clients]

    def _connection(self, over_tls: bool) -> Connection:
        peer, ours = Address("192.0.2.1", 50000 + len(self._clients)), Address("192.0.2.2", 80)
        if over_tls:
            assert self.certificates is not None, "this Loopback has no certificates"
        return self.application.connection(
            self.clock.now,
            peer=peer,
            ouraddr=ours,
            tells_acknowledged=True,
            certificates=self.certificates if over_tls else None,
        )

    def advance(self, seconds: float) -> None:
        """Time passes, each deadline at its moment."""
        end = self.clock.now + seconds
        while (deadline := self._next_deadline()) is not None and deadline <= end:
            self.clock.now = max(self.clock.now, deadline)
            self._fire()
            self.settle()
        self.clock.now = end
        self.settle()

    def settle(self) -> None:
        """Run handlers and kernels until nothing moves without time or the clients."""
        if self._errors is None:
            self._settle()
            return
        _log.addHandler(self._errors)
        try:
            self._settle()
        finally:
            _log.removeHandler(self._errors)
        if self._errors.kept:
            first, self._errors.kept[:] = self._errors.kept[0], []
            raise first

    def _settle(self) -> None:
        for _ in range(self.max_turns):
            self._serve()
            self.runner.run()
            moved = [client.pump() for client in self._clients]
            self._serve()
            for client in self._clients:
                client.note_close()
            self.server.settle()
            self._fire()
            if not any(moved) and not self.runner.is_ready:
                return
        raise AssertionError(f"a handler did not come to rest in {self.max_turns} turns")

    def _serve(self) -> None:
        for client in self._clients:
            while (event := client.connection.next_event()) is not None:
                if isinstance(event, RequestReceived):
                    self.exchanges.append(event.exchange)
                self.runner.handle(event)

    def _next_deadline(self) -> float | None:
        deadlines = [self.runner.next_deadline(), self.server.next_deadline()]
        deadlines += [client.next_deadline() for client in self._clients]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _fire(self) -> None:
        now = self.clock.now
        self.runner.handle_timeout(now)
        self.server.handle_timeout(now)
        for client in self._clients:
            client.handle_timeout(now)

    def _start_async(self, exchange: Exchange, function: Callable[..., Any]) -> None:
        step_async(self.runner, exchange, function)
