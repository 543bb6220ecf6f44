"""One TCP connection without its socket: wire bytes and times in, wire bytes and events out.

The driver calls the verbs in any order; a spurious call does nothing. What a driver must do:

* hand over what it read (`receive_data`, `receive_eof`, `connection_lost`) while `wants_read`;
* while `wants_write` and the socket can take data: `data_to_send`, `send()`, and report its return
  value with `bytes_accepted`, 0 included (ask the socket first where `asks_first`);
* call `handle_timeout` at `next_deadline`, fetch events with `next_event` after each verb, and close
  when `close_expected` says so.

Nothing here blocks, reads a clock, or calls the driver back, `on_wake` apart, which must not call in.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Literal

from httpng_core.config.settings import Settings
from httpng_core.feeds.broadcast import Lane
from httpng_core.http.dates import DateSource
from httpng_core.http.request import UNKNOWN_ADDRESS, Address
from httpng_core.http1.protocol import Http1
from httpng_core.http2.protocol import Http2
from httpng_core.sending.exchange import CallInLoop, Exchange
from httpng_core.sending.positions import CommitSize
from httpng_core.timers import Timers
from httpng_core.wire.events import Event
from httpng_core.wire.frame import Frame
from httpng_core.wire.log import WireLog
from httpng_core.wire.protocol import HttpProtocol

__all__ = ["LINGER_TIMEOUT", "Connection", "ProtocolName"]

LINGER_TIMEOUT = 5.0
"""Seconds to wait for the client's FIN after ours, so that a reset doesn't eat the last answer."""


ProtocolName = Literal["http/1.1", "h2"]
"""Protocols by their names in ALPN."""


class Phase(Enum):
    """How far the end of the connection has come."""

    OPEN = auto()
    """The protocol has it."""
    LINGERING = auto()
    """Our side is shut; waiting for the client's FIN."""
    CLOSED = auto()
    """The socket is to be closed."""


class Connection:
    """A connection of a server: bytes, the kernel's answers and the two ends; the rest is the protocol's.

    Attributes:
        on_wake: called when there may be something new to send or to close; it must only set a flag.
        on_push: called when a call of a handler has to wait: the driver may ask the kernel at once.
        on_payload: called in place of it when a feed has something for the client. `None`: `on_wake` is.
        feed_lane: how feeds may send to this client together with others; `None`: they don't.
        call_in_loop: calls a function in the thread of this connection, from any; `None`: it can't.
        reset_expected: close with a reset, as what the client has must not pass for complete.
        timers: deadlines of calls.
        wire: what wire bytes pay for.
        deadline: when the protocol, or lingering, has taken too long.
        eof: whether the client's FIN has come.
        draining: whether no more requests are to be taken.
        protocol: what is spoken.
    """

    def __init__(
        self,
        settings: Settings,
        now: float,
        *,
        peer: Address = UNKNOWN_ADDRESS,
        ouraddr: Address = UNKNOWN_ADDRESS,
        date: DateSource = lambda: None,
        on_wake: Callable[[], None] = lambda: None,
        tells_acknowledged: bool = False,
        over_tls: bool = False,
        protocol: ProtocolName = "http/1.1",
    ) -> None:
        """Starts with nothing received at `now`.

        Args:
            settings: limits and timeouts.
            now: the time, in seconds of any monotonic clock; every later time is of the same.
            peer: the client's end.
            ouraddr: our end.
            date: the value for the Date header (RFC 9110, 6.6.1), or `None` without a clock.
            on_wake: see the attribute.
            tells_acknowledged: whether the driver can call `bytes_acknowledged`.
            over_tls: whether these bytes are sealed on their way: requests say https, and frames stay
                small, as a sealed record can't be taken back.
            protocol: what was agreed on by ALPN (RFC 7301). In clear text the first bytes of a client tell.
        """
        self.on_wake = on_wake
        self.on_push: Callable[[], object] = lambda: None
        self.on_payload: Callable[[], None] | None = None
        self.feed_lane: Lane | None = None
        self.call_in_loop: CallInLoop | None = None
        self.reset_expected = False
        self.timers = Timers()
        self.wire = WireLog()
        self.deadline: float | None = None
        self.eof = False
        self.draining = False
        self._tells_acknowledged = tells_acknowledged
        self._phase = Phase.OPEN
        self._events: deque[Event] = deque()
        self._commit_size = CommitSize(grows=not over_tls)
        self._offer: Frame | None = None
        self._unanswered = 0
        self._tail: list[bytes | memoryview] = []
        speaks = Http2 if protocol == "h2" else Http1
        self.protocol: HttpProtocol = speaks(self, settings, now, date, peer, ouraddr, https=over_tls)

    # In -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """The client sent `data`."""
        if self._phase is Phase.OPEN and data:
            self.protocol.receive(data, now)

    def receive_eof(self, now: float) -> None:
        """The client's FIN: it sends no more, and may or may not go on reading."""
        if self.eof:
            return
        self.eof = True
        if self._phase is Phase.LINGERING:
            self.close()
        elif self._phase is Phase.OPEN:
            self.protocol.receive_eof(now)

    def connection_lost(self, now: float) -> None:
        """The socket is dead: a reset, a send error. Everything pending settles as cancelled."""
        self.close()
        self.protocol.lost(now)

    def bytes_accepted(self, size: int, now: float) -> None:
        """The kernel took the first `size` bytes of what `data_to_send` gave last.

        Raises:
            ValueError: that is more than was offered.
        """
        if self._phase is Phase.CLOSED:
            return
        if self._offer is not None or self._unanswered:
            self._answer_offer(size)
        if size:
            self._consume(size)
            self.wire.accept(size, now)
            self.protocol.moved(now)

    def commit_offer(self) -> None:
        """What `data_to_send` gave last can't be taken back any more, though the kernel took nothing yet.

        For a carrier that has put it into something that goes out in order, such as a TLS record. What
        the kernel took of it is told with `bytes_accepted` as always. Without an offer it does nothing.
        """
        if self._offer is not None:
            self._unanswered = self._offer.size
            self._commit(self._offer)

    def bytes_moved(self, now: float) -> None:
        """The kernel took, or the client acknowledged, bytes of a record that isn't through: no stall."""
        self.protocol.moved(now)

    def bytes_acknowledged(self, total: int | None, now: float) -> None:
        """The client's TCP has the first `total` wire bytes; `None`: that can't be told any more.

        More than was accepted counts as all of it: a FIN is acknowledged as well.
        """
        if total is None:
            self._tells_acknowledged = False
            self.wire.forget()
            self.protocol.forget_acked(now)
            return
        before = self.wire.acknowledged
        self.wire.acknowledge(total, now)
        if self.wire.acknowledged > before:
            self.protocol.moved(now)

    def handle_timeout(self, now: float) -> None:
        """Does what was due at `now`."""
        if self.deadline is not None and self.deadline <= now:
            self.deadline = None
            if self._phase is Phase.OPEN:
                self.protocol.expired(now)
            else:
                self.close()
        self.timers.handle(now)

    def drain(self, now: float) -> None:
        """Takes no more requests: closes when idle, else once what is under way is over."""
        self.draining = True
        self.protocol.drain(now)

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Other settings from now on: for requests that are not whole yet, and all that come later.

        An exchange keeps those that it began with, and a deadline of the connection's that is set stays set
        if it is the earlier one. What can't be changed while a server runs must be the same.
        """
        self.protocol.reconfigure(settings, now)

    def abort(self, now: float) -> None:
        """The server gives the connection up: what runs is cancelled and the socket reset."""
        if self._phase is Phase.CLOSED:
            return
        self.reset_expected = self._phase is not Phase.LINGERING
        self.close()
        self.protocol.lost(now)

    # Out ----------------------------------------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""
        return not self.eof and self._phase is not Phase.CLOSED and self.protocol.wants_read

    @property
    def wants_write(self) -> bool:
        """Whether `data_to_send` would give something, or has something to finish."""
        if self._phase is Phase.CLOSED:
            return False
        return bool(self._tail) or self._offer is not None or self.protocol.has_frame

    @property
    def asks_first(self) -> bool:
        """Whether to ask the socket if it can take data before calling `data_to_send`.

        The next frame would be accepted from a writer that still waits, and what is accepted stays so; or
        the client has shown to be slow; or it is HTTP/2, where no frame can be taken back. Else `send()`
        itself may be the question: a refused frame is taken back.
        """
        if self._tail or self._offer is not None:
            return False
        return self.protocol.asks_first(self._commit_size.is_cautious)

    @property
    def accepted(self) -> int:
        """How many wire bytes the kernel took."""
        self.protocol.count_swept()
        return self.wire.accepted

    @property
    def tracks_acknowledged(self) -> bool:
        """Whether `bytes_acknowledged` is wanted as soon as there is something to tell."""
        return self.wire.tracks and self.wire.acknowledged < self.wire.accepted

    @property
    def wants_acknowledged(self) -> bool:
        """Whether `bytes_acknowledged` is wanted before the next `handle_timeout`.

        A flush is not stalled while the client acknowledges, even if the socket takes nothing.
        """
        return self._tells_acknowledged and (self.protocol.is_flushing or self.tracks_acknowledged)

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up, as things stand; infinity: never.

        Our own deadlines hold it. It is for a backstop in the kernel, which must come later than they do.
        A closed connection still has one: the kernel may have bytes left to send.
        """
        return self.protocol.stall_limit

    def data_to_send(self, now: float, limit: int | None = None) -> list[bytes | memoryview]:
        """Wire bytes for the socket: the rest of a frame, or a new one. This is where bytes are committed.

        A frame of which the kernel takes nothing (`bytes_accepted(0)`) is taken back. The list is empty
        when there is nothing to send.

        Args:
            now: the time.
            limit: at most this many body bytes in a new frame; the commit size bounds it as well.
        """
        if self._tail or self._phase is Phase.CLOSED:
            return list(self._tail)
        if self._offer is None:
            self._offer = self._next_frame(now, limit)
        return list(self._tail) if self._offer is None else self._offer.buffers()

    def next_event(self) -> Event | None:
        """What happened, oldest first; `None` when all has been told."""
        return self._events.popleft() if self._events else None

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`, or `None`."""
        pending = self.timers.next_deadline()
        if pending is None or self.deadline is None:
            return self.deadline if pending is None else pending
        return min(pending, self.deadline)

    def half_close_expected(self) -> bool:
        """Whether the sending side is to be shut down, while reading goes on."""
        return self._phase is Phase.LINGERING

    def close_expected(self) -> bool:
        """Whether the socket is to be closed, with a reset if `reset_expected`."""
        return self._phase is Phase.CLOSED

    # What the protocol needs (Link) -------------------------------------------------------------------

    @property
    def all_out(self) -> bool:
        """Whether the kernel has all that was committed."""
        return not self._tail

    def tell(self, event: Event) -> None:
        """Something happened that the driver is to know."""
        self._events.append(event)

    def wake(self) -> None:
        """There is something to send."""
        self.on_wake()

    def push(self) -> None:
        """A call waits: has the kernel asked at once, if the driver can."""
        self.on_push()

    def feed_hooks(self) -> tuple[Callable[[], None], CallInLoop | None]:
        """What a feed calls when a payload has become pending, and how it reaches our thread from others."""
        return self.on_payload or self.on_wake, self.call_in_loop

    def lane(self) -> Lane | None:
        """How a sweep may send now, if nothing stands before it and the socket needn't be asked."""
        if self._tail or self._offer is not None or self._commit_size.is_cautious:
            return None
        return self.feed_lane

    def swept(self, size: int) -> None:
        """A sweep has sent `size` wire bytes."""
        self.wire.push(size)
        self.wire.accepted += size

    def fell_short(self, taken: int, now: float) -> None:
        """A sweep has sent the first `taken` wire bytes of the frame that is next."""
        if taken:
            self._offer = self._next_frame(now, None)
            self.bytes_accepted(taken, now)
        self.on_wake()

    def track_acknowledged(self, exchange: Exchange, sent: int) -> bool:
        """An exchange asks for acknowledged bytes; tells whether they can be told."""
        if self._tells_acknowledged:
            self.wire.track(exchange, sent)
            self.on_wake()
        return self._tells_acknowledged

    def send_raw(self, data: bytes) -> None:
        """Wire bytes that belong to no exchange and can't be taken back."""
        self.wire.push(len(data))
        self._tail.append(data)
        self.on_wake()

    def queue(self, buffers: list[bytes | memoryview]) -> None:
        """Wire bytes of a new frame that can't be taken back; the wire log knows of them."""
        self._tail += buffers
        self._unanswered = sum(map(len, buffers))

    def linger(self, now: float) -> None:
        """All is sent: shuts our side and waits a while for the client's FIN."""
        if self.eof:
            self.close()
        else:
            self._phase, self.deadline = Phase.LINGERING, now + LINGER_TIMEOUT
            self.on_wake()

    def close(self) -> None:
        """The socket is to be closed."""
        self._phase, self.deadline = Phase.CLOSED, None
        self._tail.clear()
        self._offer = None
        self.on_wake()

    def reset(self) -> None:
        """The socket is to be closed with a reset: what the client has must not pass for complete."""
        self.reset_expected = self.reset_expected or self._phase is not Phase.CLOSED
        self.close()

    # Inside -------------------------------------------------------------------------------------------

    def _next_frame(self, now: float, limit: int | None) -> Frame | None:
        size = self._commit_size.value if limit is None else min(limit, self._commit_size.value)
        frame = self.protocol.next_frame(max(size, 1), now)
        if self._phase is Phase.CLOSED:
            # The `on_gap` of a feed, which was called for the frame, gave the exchange up.
            self.close()
            return None
        if frame is not None and frame.size == 0:
            # The end of a response that has no bytes of its own: the kernel needn't be asked.
            frame.commit(self.wire)
            self.wire.accept(0, now)
            return None
        if frame is not None:
            frame.exchange.offered = True
        return frame

    def _answer_offer(self, taken: int) -> None:
        offer = self._offer
        self._commit_size.taken(self._unanswered if offer is None else offer.size, taken)
        self._unanswered = 0
        if offer is None:
            return
        if taken:
            self._commit(offer)
        else:
            self._offer, offer.exchange.offered = None, False

    def _commit(self, offer: Frame) -> None:
        self._offer, offer.exchange.offered = None, False
        offer.commit(self.wire)
        self._tail = offer.buffers()

    def _consume(self, size: int) -> None:
        tail = self._tail
        while size and tail:
            first = tail[0]
            if size < len(first):
                tail[0] = memoryview(first)[size:]
                return
            size -= len(first)
            tail.pop(0)
        if size:
            raise ValueError(f"{size} more bytes accepted than were offered")
