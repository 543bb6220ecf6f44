"""A connection inside TLS: the contract of `Connection` kept for sealed bytes.

Plaintext is sealed late: a record is made only when the socket can take it, of what the connection within
would have offered the socket. As a sealed record can't be taken back, that offer is committed by it; one
record at most is so ahead of the kernel. What the kernel took counts by whole records.
"""

from collections.abc import Callable
from enum import Enum, auto

from httpng_core.config.settings import Settings
from httpng_core.connection import LINGER_TIMEOUT, Connection
from httpng_core.feeds.broadcast import Lane
from httpng_core.http.dates import DateSource
from httpng_core.http.request import UNKNOWN_ADDRESS, Address
from httpng_core.http1.h11_parser import refusal
from httpng_core.sending.exchange import CallInLoop
from httpng_core.tls.certificates import Certificates
from httpng_core.tls.end import RECORD, TlsEnd, TlsError
from httpng_core.tls.records import RecordBook
from httpng_core.wire.events import Event, TlsFailed

# Less the framing of a chunk and of the last one, so that a full frame is one record.
_BODY = RECORD - 16
# What the client can make us say besides responses (key updates, alerts) waits to be read; no more than this.
_UNSENT_AT_MOST = 64 * 1024
_PLAIN_HTTP = "this is an HTTPS port: the request came without TLS"


class Phase(Enum):
    """What the connection is doing."""

    SHAKING = auto()
    """The handshake is under way, for at most `handshake_timeout`."""
    OPEN = auto()
    """The connection within has it."""
    CLOSING = auto()
    """Our close_notify is made, and goes out before the end that the connection within wants."""
    FAILED = auto()
    """An alert goes out; then we wait a while for the client's FIN."""
    CLOSED = auto()
    """The socket is to be closed."""


class TlsConnection:
    """One TLS connection of a server, around the `Connection` that it makes after the handshake.

    Everything is as `Connection` tells it, and is counted in sealed bytes where wire bytes are meant.

    Attributes:
        on_wake: see `Connection`.
        on_push: see `Connection`.
        on_payload: see `Connection`.
        feed_lane: taken and left alone: each client's bytes are sealed for itself.
        call_in_loop: see `Connection`; it has to be set before the handshake is done, as the others.
    """

    def __init__(
        self,
        certificates: Certificates,
        settings: Settings,
        now: float,
        *,
        peer: Address = UNKNOWN_ADDRESS,
        ouraddr: Address = UNKNOWN_ADDRESS,
        date: DateSource = lambda: None,
        on_wake: Callable[[], None] = lambda: None,
        tells_acknowledged: bool = False,
    ) -> None:
        """Waits for a handshake, our name proved with `certificates`; the rest is as for `Connection`."""
        self.on_wake = on_wake
        self.on_push: Callable[[], object] = lambda: None
        self.on_payload: Callable[[], None] | None = None
        self.feed_lane: Lane | None = None
        self.call_in_loop: CallInLoop | None = None
        self._settings = settings
        self._peer, self._ouraddr, self._date = peer, ouraddr, date
        self._tells_acknowledged = tells_acknowledged
        self._end = TlsEnd(certificates.context, server_side=True)
        self._inner: Connection | None = None
        self._book = RecordBook()
        self._tail: bytes | memoryview = b""
        self._acknowledged = 0
        self._eof = self._reset = self._has_rest = False
        self._failure: TlsFailed | None = None
        self._phase = Phase.SHAKING
        self._began = now
        self._deadline: float | None = now + settings.handshake_timeout

    # In -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """The client sent `data`."""
        if self._phase in (Phase.FAILED, Phase.CLOSED) or not data:
            return
        if not self._end.begun and data[:1].isalpha():
            # No record of TLS begins with a letter, every request of HTTP/1.1 does.
            self._answer_plainly(now)
            return
        self._end.receive(data)
        try:
            if self._phase is not Phase.SHAKING or self._shake(now):
                self._read(now)
        except TlsError as error:
            self._fail(str(error), now)
        self._collect()
        self._follow(now)

    def receive_eof(self, now: float) -> None:
        """The client's FIN; without a close_notify before it, it means the same to HTTP/1.1."""
        if self._eof or self._phase is Phase.CLOSED:
            return
        self._eof = True
        if self._inner is not None:
            self._inner.receive_eof(now)
        if self._phase is Phase.SHAKING:
            # Who only looks whether the port is open has nothing to be told of.
            if self._end.begun:
                self._tell("the client closed during the handshake")
            self._close()
        self._follow(now)

    def connection_lost(self, now: float) -> None:
        """The socket is dead: see `Connection`."""
        self._close()
        if self._inner is not None:
            self._inner.connection_lost(now)

    def bytes_accepted(self, size: int, now: float) -> None:
        """The kernel took the first `size` sealed bytes of what `data_to_send` gave last.

        Raises:
            ValueError: that is more than was offered.
        """
        if self._phase is Phase.CLOSED:
            return
        if size > len(self._tail):
            raise ValueError(f"{size - len(self._tail)} more bytes accepted than were offered")
        self._tail = memoryview(self._tail)[size:]
        opened, inner = self._book.accept(size), self._inner
        if inner is not None and opened:
            inner.bytes_accepted(opened, now)
            if not inner.tracks_acknowledged:
                self._book.forget()
        elif inner is not None and size:
            inner.bytes_moved(now)
        self._follow(now)

    def bytes_acknowledged(self, total: int | None, now: float) -> None:
        """The client's TCP has the first `total` sealed bytes; `None`: that can't be told any more."""
        inner = self._inner
        if inner is None:
            return
        if total is None:
            inner.bytes_acknowledged(None, now)
            return
        if total > self._acknowledged:
            self._acknowledged = total
            inner.bytes_moved(now)
        inner.bytes_acknowledged(self._book.acknowledge(total), now)

    def handle_timeout(self, now: float) -> None:
        """Does what was due at `now`."""
        if self._deadline is not None and self._deadline <= now:
            if self._phase is Phase.SHAKING:
                self._tell("the handshake took too long")
            self._close()
        if self._inner is not None:
            self._inner.handle_timeout(now)
        self._follow(now)

    def drain(self, now: float) -> None:
        """Takes no more requests: see `Connection`. A handshake under way is given up."""
        if self._inner is not None:
            self._inner.drain(now)
            self._follow(now)
        elif self._phase is Phase.SHAKING:
            self._close()

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Other settings from now on: see `Connection`. A handshake under way keeps its deadline."""
        self._settings = settings
        if self._inner is not None:
            self._inner.reconfigure(settings, now)

    def abort(self, now: float) -> None:
        """The server gives the connection up: a reset, and no close_notify, as that would say complete."""
        if self._phase is Phase.CLOSED:
            return
        self._reset = self._phase is Phase.SHAKING
        self._close()
        if self._inner is not None:
            self._inner.abort(now)

    # Out ----------------------------------------------------------------------------------------------

    @property
    def reset_expected(self) -> bool:
        """Close with a reset, as what the client has must not pass for complete."""
        return self._reset or (self._inner is not None and self._inner.reset_expected)

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""
        if self._eof or self._phase is Phase.CLOSED or len(self._tail) > _UNSENT_AT_MOST:
            return False
        return self._inner is None or self._phase is Phase.FAILED or self._inner.wants_read

    @property
    def wants_write(self) -> bool:
        """Whether `data_to_send` would give something, or has something to finish."""
        if self._phase is Phase.CLOSED:
            return False
        inner = self._inner
        if self._tail or inner is None or self._phase is not Phase.OPEN:
            return len(self._tail) > 0
        return inner.wants_write or (_is_ending(inner) and not inner.reset_expected)

    @property
    def asks_first(self) -> bool:
        """Whether to ask the socket if it can take data: always, as what is sealed can't be taken back.

        But for an end without bytes, and for an answer of ours that belongs to no exchange.
        """
        if self._tail or self._inner is None:
            return True
        return self._has_rest or self._inner.asks_first

    @property
    def accepted(self) -> int:
        """How many sealed bytes the kernel took."""
        return self._book.accepted

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up: see `Connection`."""
        return self._settings.stall_timeout if self._inner is None else self._inner.stall_limit

    @property
    def tracks_acknowledged(self) -> bool:
        """Whether `bytes_acknowledged` is wanted as soon as there is something to tell."""
        return self._inner is not None and self._inner.tracks_acknowledged

    @property
    def wants_acknowledged(self) -> bool:
        """Whether `bytes_acknowledged` is wanted before the next `handle_timeout`."""
        return self._inner is not None and self._inner.wants_acknowledged

    def data_to_send(self, now: float, limit: int | None = None) -> list[bytes | memoryview]:
        """Sealed bytes for the socket: the rest of what was made, or a new record. This commits it.

        The list is empty when there is nothing to send.

        Args:
            now: the time.
            limit: at most this many body bytes in a new frame; a record bounds it as well.
        """
        self._follow(now)
        if not self._tail and self._phase is Phase.OPEN and self._inner is not None:
            try:
                self._seal(self._inner, now, _BODY if limit is None else min(limit, _BODY))
            except TlsError as error:
                self._fail(str(error), now)
            self._follow(now)
        return [self._tail] if self._tail else []

    def next_event(self) -> Event | None:
        """What happened, oldest first; `None` when all has been told."""
        told = self._inner.next_event() if self._inner is not None else None
        if told is None:
            told, self._failure = self._failure, None
        return told

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`, or `None`."""
        inner = self._inner
        if inner is None or self._phase is Phase.CLOSED:
            return self._deadline
        if self._phase is Phase.OPEN and _is_ending(inner):
            # At once: our close_notify is due, and has its own time to be flushed in.
            return self._began
        deadlines = [each for each in (self._deadline, inner.next_deadline()) if each is not None]
        return min(deadlines, default=None)

    def half_close_expected(self) -> bool:
        """Whether the sending side is to be shut down, while reading goes on."""
        if self._tail or self._phase not in (Phase.CLOSING, Phase.FAILED):
            return False
        return self._phase is Phase.FAILED or (self._inner is not None and self._inner.half_close_expected())

    def close_expected(self) -> bool:
        """Whether the socket is to be closed, with a reset if `reset_expected`."""
        if self._phase is Phase.CLOSED:
            return True
        inner = self._inner
        if inner is None or self._phase is Phase.FAILED or not inner.close_expected():
            return False
        return inner.reset_expected or (self._phase is Phase.CLOSING and not self._tail)

    # Inside -------------------------------------------------------------------------------------------

    def _shake(self, now: float) -> bool:
        if not self._end.shake():
            return False
        inner = Connection(
            self._settings,
            now,
            peer=self._peer,
            ouraddr=self._ouraddr,
            date=self._date,
            on_wake=lambda: self.on_wake(),
            tells_acknowledged=self._tells_acknowledged,
            over_tls=True,
            protocol="h2" if self._end.protocol == "h2" else "http/1.1",
        )
        inner.on_push = lambda: self.on_push()
        inner.on_payload = self.on_payload
        inner.call_in_loop = self.call_in_loop
        self._inner, self._phase, self._deadline = inner, Phase.OPEN, None
        return True

    def _read(self, now: float) -> None:
        """Opens all that has come, so that nothing is left when the client's FIN comes."""
        inner = self._inner
        assert inner is not None
        while (data := self._end.read()) is not None:
            if not data:
                inner.receive_eof(now)
                return
            inner.receive_data(data, now)

    def _seal(self, inner: Connection, now: float, limit: int) -> None:
        plaintext = b"".join(inner.data_to_send(now, limit))
        if not plaintext:
            return
        inner.commit_offer()
        record = memoryview(plaintext)[:RECORD]
        self._has_rest = len(plaintext) > RECORD
        self._end.seal(record)
        self._collect(len(record))

    def _collect(self, plaintext: int = 0) -> None:
        """Takes what TLS has to send: a record of `plaintext` bytes, or what it says by itself."""
        sealed = self._end.take()
        if sealed:
            self._book.push(len(sealed), plaintext)
            self._push(sealed)

    def _push(self, sealed: bytes) -> None:
        self._tail = b"".join((self._tail, sealed)) if self._tail else sealed
        self.on_wake()

    def _follow(self, now: float) -> None:
        """Goes along with the connection within when it wants its end."""
        inner = self._inner
        if self._phase is Phase.OPEN and inner is not None and _is_ending(inner):
            if inner.reset_expected:
                self._close()
                return
            self._phase, self._deadline = Phase.CLOSING, now + LINGER_TIMEOUT
            self._end.close()
            self._collect()
        elif self._phase is Phase.FAILED and self._eof and not self._tail:
            self._close()

    def _fail(self, reason: str, now: float) -> None:
        self._tell(reason)
        if self._inner is not None:
            self._inner.connection_lost(now)
        self._phase, self._deadline = Phase.FAILED, now + LINGER_TIMEOUT
        self._collect()

    def _answer_plainly(self, now: float) -> None:
        answer = refusal(400, _PLAIN_HTTP, self._date())
        self._fail("plain HTTP on an HTTPS port", now)
        self._book.push(len(answer))
        self._push(answer)

    def _tell(self, reason: str) -> None:
        self._failure = TlsFailed(reason, self._peer)

    def _close(self) -> None:
        self._phase, self._deadline = Phase.CLOSED, None
        self._tail = b""
        self.on_wake()


AnyConnection = Connection | TlsConnection
"""What a driver drives: both keep the same contract."""


def _is_ending(inner: Connection) -> bool:
    return inner.half_close_expected() or inner.close_expected()
