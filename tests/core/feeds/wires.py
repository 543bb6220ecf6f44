"""A client of each kind of wire, in step with others: a scripted kernel, and what comes of it decoded.

What `sent` must be is told by the bytes that the kernel took, and by nothing of ours: over HTTP/2 by the
frames among them, over TLS by what another end of TLS can open of them.
"""

import ssl
from collections.abc import Callable
from typing import Any

from httpng_core import (
    Broadcast,
    Certificates,
    Connection,
    Exchange,
    ExchangeEnded,
    Host,
    Readiness,
    RequestReceived,
    SendStats,
    parse_settings,
)
from httpng_core.testing import Clock, Http2Client, TlsEnd, decode

WIRES = ("http/1.1", "tls", "http/2", "http/2+tls")
GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
PLENTY = 1 << 40
_DATA, _FIRST_WINDOW = 0, 65535


class Wired:
    """A connection whose kernel, client and handlers are in the hands of the test.

    Attributes:
        room: how many bytes the kernel takes.
        raw: what it took.
        exchanges: those that were begun, in order.
        flagged: whether the connection has woken its driver.
        blocked: whether the kernel has refused.
        moved_at: when it last took something.
        asked: how often it was asked for a broadcast.
        refuses_after_asking: whether the kernel says that it takes bytes, and then doesn't.
    """

    def __init__(
        self,
        wire: str,
        clock: Clock,
        ready: Callable[[Broadcast], None] | None,
        certificates: Certificates,
        context: ssl.SSLContext,
        *,
        window: int = 1 << 24,
        shared_window: int = 1 << 24,
        streams: int = 1,
        **settings: Any,
    ) -> None:
        """The client trusts what `context` does; over HTTP/2 it gives so much room to a stream and in all."""
        self.wire = wire
        self.clock = clock
        self.room: float = PLENTY
        self.raw = bytearray()
        # Of each record that the client has opened: where it ends, and what was in it.
        self._records: list[tuple[int, bytes]] = []
        self._fed = self._heard = 0
        self.flagged = self.blocked = self.refuses_after_asking = False
        self.asked, self.moved_at = 0, clock.now
        self.tls: TlsEnd | None = None
        self.http2: Http2Client | None = None
        self._shaken = True
        self.exchanges: list[Exchange] = []
        self.outcomes: list[str] = []
        in_step = ready is not None
        host = Host(
            self.flag,
            feed_ready=ready,
            direct_send=self.send if in_step else None,
            can_take=self.can_take if in_step else None,
        )
        is_sealed = "tls" in wire
        self.connection = Connection(
            parse_settings(settings),
            clock(),
            host=host,
            tells_acknowledged=True,
            certificates=certificates if is_sealed else None,
        )
        if is_sealed:
            context.set_alpn_protocols(["h2" if "http/2" in wire else "http/1.1"])
            self.tls, self._shaken = TlsEnd(context, server_side=False, server_hostname="localhost"), False
            while not self._shaken:
                self._shaken = self.tls.shake()
                self.receive_raw(self.tls.take())
                self.serve()
        if "http/2" in wire:
            self.http2 = Http2Client(window)
            if shared_window > _FIRST_WINDOW:
                self.http2.give(shared_window - _FIRST_WINDOW)
            for _ in range(streams):
                self.http2.request("/", authority="localhost")
            self.turn()
        else:
            self.receive(GET)

    # The driver ---------------------------------------------------------------------------------------

    def flag(self) -> None:
        self.flagged = True

    def can_take(self) -> bool:
        """For a broadcast, where what is made can't be taken back."""
        self.asked += 1
        return not self.flagged and not self.blocked and self.room >= 1

    def send(self, data: bytes) -> int:
        """For a broadcast."""
        if self.room < 1 or self.refuses_after_asking:
            raise BlockingIOError
        return self._take(data)

    def serve(self) -> bool:
        """What a driver does for a connection that is flagged; return whether anything moved."""
        self.refuses_after_asking = False
        connection, before = self.connection, len(self.raw)
        while connection.wants_write and not self.blocked:
            if connection.prepare() is Readiness.ASK and self.room < 1:
                self.blocked = True
                break
            data = b"".join(connection.data_to_send(self.clock()))
            if not data:
                continue
            taken = self._take(data)
            self.blocked = taken < len(data)
            connection.bytes_accepted(taken, self.clock())
        self.take_events()
        self.flagged = False
        return len(self.raw) > before

    def drain(self, room: float) -> None:
        """The client reads: there is room again."""
        self.room += room
        if self.blocked and self.room >= 1:
            self.blocked, self.flagged = False, True

    def turn(self) -> None:
        """Both sides get what the other has to say."""
        assert self.http2 is not None
        for _ in range(100):
            data = self.http2.take()
            if not data and not (self.connection.wants_write and not self.blocked):
                return
            if data:
                self.receive(data)
            self.serve()
        raise AssertionError("it goes on for ever")

    # The client ---------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """The server gets what the client says."""
        if self.tls is not None:
            self.tls.seal(data)
            data = self.tls.take()
        self.receive_raw(data)

    def receive_raw(self, data: bytes) -> None:
        """A driver serves whoever it has read from."""
        self.flagged = True
        self.connection.receive_data(data, self.clock())
        self.take_events()

    @property
    def exchange(self) -> Exchange:
        return self.exchanges[0]

    def stats(self, which: int = 0) -> SendStats:
        return self.exchanges[which].stats(self.clock())

    @property
    def plain(self) -> bytes:
        """What the client can read of what the kernel took, unsealed: whole records."""
        return self._unsealed(bytes(self.raw))

    def body(self, which: int = 0, *, waiting: bytes = b"") -> bytes:
        """The body of a response, as far as its bytes are with the client; parts of a frame count.

        With `waiting`, as far as they would be if the kernel had taken that as well.
        """
        plain = self._unsealed(bytes(self.raw) + waiting)
        if self.http2 is None:
            responses = decode(plain, ("GET",), closed=False)
            return responses[0].body if responses else b""
        stream, body, at = 2 * which + 1, bytearray(), 0
        while at + 9 <= len(plain):
            size = int.from_bytes(plain[at : at + 3], "big")
            if plain[at + 3] == _DATA and int.from_bytes(plain[at + 5 : at + 9], "big") == stream:
                body += plain[at + 9 : at + 9 + size]
            at += 9 + size
        return bytes(body)

    def decoded(self, which: int = 0) -> bytes:
        """The body as an independent client has it, which would have said so were a window overrun."""
        return self.body() if self.http2 is None else bytes(self.http2.streams[2 * which + 1].body)

    # Inside -------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> int:
        taken = int(min(len(data), self.room))
        self.room -= taken
        self.raw += data[:taken]
        if taken:
            self.moved_at = self.clock.now
        if self.tls is not None and not self._shaken:
            self.tls.receive(data[:taken])
            self._fed = len(self.raw)
        elif self.http2 is not None and (heard := self.plain[self._heard :]):
            self._heard += len(heard)
            self.http2.receive(heard)
        return taken

    def _unsealed(self, raw: bytes) -> bytes:
        """Open the records among `raw` that are whole, those that are still to be sent too."""
        if self.tls is None:
            return raw
        while (end := self._fed + 5 + int.from_bytes(raw[self._fed + 3 : self._fed + 5], "big")) <= len(raw):
            self.tls.receive(raw[self._fed : end])
            self._fed, opened = end, b""
            while more := self.tls.read():
                opened += more
            self._records.append((end, opened))
        return b"".join(opened for end, opened in self._records if end <= len(raw))

    def take_events(self) -> None:
        while (event := self.connection.next_event()) is not None:
            if isinstance(event, RequestReceived):
                self.exchanges.append(event.exchange)
            elif isinstance(event, ExchangeEnded):
                self.outcomes.append(event.outcome)
