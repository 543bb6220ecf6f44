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
from math import inf

from httpng_core.config import Settings
from httpng_core.errors import RemoteError
from httpng_core.events import Event, ExchangeEnded, Outcome, RequestReceived, RequestRefused
from httpng_core.exchange import CallThreadsafe, Exchange
from httpng_core.pending import SharedPayload
from httpng_core.protocols.frame import Frame
from httpng_core.protocols.http1 import CONTINUE, Reading, RequestParser, ResponseFramer, refusal
from httpng_core.request import UNKNOWN_ADDRESS, Address
from httpng_core.states import ResponseState
from httpng_core.timers import Timers
from httpng_core.window import CommitSize
from httpng_core.wire import WireLog

LINGER_TIMEOUT = 5.0
"""Seconds to wait for the client's FIN after ours, so that a reset doesn't eat the last answer."""

_OUTCOMES: dict[ResponseState, Outcome] = {
    ResponseState.CLOSED: "complete",
    ResponseState.CANCELLED: "cancelled",
    ResponseState.ABORTED: "aborted",
}


class Phase(Enum):
    """What the connection is doing; each phase has its deadline."""

    IDLE = auto()
    """Waiting for the next request on a kept-alive connection."""
    READING = auto()
    """A request is expected or coming in."""
    HANDLING = auto()
    """The handler has the exchange."""
    FLUSHING = auto()
    """The rest of a response goes out."""
    LINGERING = auto()
    """Our side is shut; waiting for the client's FIN."""
    CLOSED = auto()
    """The socket is to be closed."""


class Connection:
    """An HTTP/1.1 connection of a server.

    Attributes:
        on_wake: called when there may be something new to send or to close; it must only set a flag.
        on_push: called when a call of a handler has to wait: the driver may ask the kernel at once.
        on_payload: called in place of it when a feed has something for the client: it may then try
            `take_payload` first. `None`: `on_wake` is.
        call_threadsafe: calls a function in the thread of this connection, from any; `None`: it can't.
        reset_expected: close with a reset, as what the client has must not pass for complete.
    """

    def __init__(
        self,
        settings: Settings,
        now: float,
        *,
        peer: Address = UNKNOWN_ADDRESS,
        ouraddr: Address = UNKNOWN_ADDRESS,
        date: Callable[[], bytes | None] = lambda: None,
        on_wake: Callable[[], None] = lambda: None,
        tells_acknowledged: bool = False,
        over_tls: bool = False,
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
        """
        self.on_wake = on_wake
        self.on_push: Callable[[], object] = lambda: None
        self.on_payload: Callable[[], None] | None = None
        self.call_threadsafe: CallThreadsafe | None = None
        self._tells_acknowledged = tells_acknowledged
        self.reset_expected = False
        self._settings = settings
        self._date = date
        self._parser = RequestParser(settings, peer, ouraddr, https=over_tls)
        self._framer: ResponseFramer | None = None
        self._exchange: Exchange | None = None
        self._read_ahead = bytearray()
        self._eof = False
        self._draining = False
        self._events: deque[Event] = deque()
        self._timers = Timers()
        self._wire = WireLog()
        self._commit_size = CommitSize(grows=not over_tls)
        self._offer: Frame | None = None
        self._tail: list[bytes | memoryview] = []
        self._lent: tuple[SharedPayload, int]
        self._phase_deadline: float | None
        self._enter(Phase.READING, now, settings.header_timeout)

    # In -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """The client sent `data`."""
        if self._phase in (Phase.LINGERING, Phase.CLOSED) or not data:
            return
        if self._phase in (Phase.HANDLING, Phase.FLUSHING):
            self._read_ahead += data
            return
        self._feed(data, now)

    def receive_eof(self, now: float) -> None:
        """The client's FIN: it sends no more, and may or may not go on reading."""
        if self._eof:
            return
        self._eof = True
        if self._phase is Phase.LINGERING:
            self._close()
        elif self._phase in (Phase.IDLE, Phase.READING):
            self._read_to_the_end(now)
        elif self._exchange is not None and self._cancels_on_eof(self._exchange):
            self._exchange.cancel(now)

    def connection_lost(self, now: float) -> None:
        """The socket is dead: a reset, a send error. Everything pending settles as cancelled."""
        self._close()
        if self._exchange is not None:
            self._exchange.cancel(now)

    def bytes_accepted(self, size: int, now: float) -> None:
        """The kernel took the first `size` bytes of what `data_to_send` gave last.

        Raises:
            ValueError: that is more than was offered.
        """
        if self._phase is Phase.CLOSED:
            return
        if self._offer is not None:
            self._answer_offer(self._offer, size)
        if size:
            self._consume(size)
            self._progress(now)
            self._wire.accept(size, now)
            self._flushed_raw(now)

    def commit_offer(self) -> None:
        """What `data_to_send` gave last can't be taken back any more, though the kernel took nothing yet.

        For a carrier that has put it into something that goes out in order, such as a TLS record. What
        the kernel took of it is told with `bytes_accepted` as always. Without an offer it does nothing.
        """
        if self._offer is not None:
            self._commit(self._offer)

    def bytes_moved(self, now: float) -> None:
        """The kernel took, or the client acknowledged, bytes of a record that isn't through: no stall."""
        self._progress(now)

    def bytes_acknowledged(self, total: int | None, now: float) -> None:
        """The client's TCP has the first `total` wire bytes; `None`: that can't be told any more.

        More than was accepted counts as all of it: a FIN is acknowledged as well.
        """
        if total is None:
            self._tells_acknowledged = False
            self._wire.forget()
            if self._exchange is not None:
                self._exchange.forget_acked(now)
            return
        before = self._wire.acknowledged
        self._wire.acknowledge(total, now)
        if self._wire.acknowledged > before:
            self._progress(now)

    def handle_timeout(self, now: float) -> None:
        """Does what was due at `now`."""
        if self._phase_deadline is not None and self._phase_deadline <= now:
            self._phase_deadline = None
            self._phase_expired(now)
        self._timers.handle(now)

    def drain(self, now: float) -> None:
        """Takes no more requests: closes when idle, else once the exchange under way is over."""
        self._draining = True
        if self._framer is not None:
            self._framer.keep_alive = False
        idle = self._phase is Phase.READING and self._parser.reading is Reading.NOTHING
        if self._phase is Phase.IDLE or idle:
            self._close()

    def abort(self, now: float) -> None:
        """The server gives the connection up: what runs is cancelled and the socket reset."""
        if self._phase is Phase.CLOSED:
            return
        self.reset_expected = self._phase is not Phase.LINGERING
        self._close()
        if self._exchange is not None:
            self._exchange.cancel(now)

    # Out ----------------------------------------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""
        if self._eof or self._phase is Phase.CLOSED:
            return False
        return len(self._read_ahead) < self._settings.shuttle_size

    @property
    def wants_write(self) -> bool:
        """Whether `data_to_send` would give something, or has something to finish."""
        if self._phase is Phase.CLOSED:
            return False
        if self._tail or self._offer is not None:
            return True
        return self._exchange is not None and self._exchange.has_frame

    @property
    def asks_first(self) -> bool:
        """Whether to ask the socket if it can take data before calling `data_to_send`.

        The next frame would be accepted from a writer that still waits, and what is accepted stays so; or
        the client has shown to be slow. Else `send()` itself may be the question: a refused frame is taken
        back.
        """
        exchange, framer = self._exchange, self._framer
        if self._tail or self._offer is not None or exchange is None or framer is None:
            return False
        # An end without bytes takes no room: the kernel has the response, however slow the client is.
        return exchange.draws_from_writer or (self._commit_size.is_cautious and not framer.ends_silently)

    @property
    def tracks_acknowledged(self) -> bool:
        """Whether `bytes_acknowledged` is wanted as soon as there is something to tell."""
        return self._wire.tracks and self._wire.acknowledged < self._wire.accepted

    @property
    def wants_acknowledged(self) -> bool:
        """Whether `bytes_acknowledged` is wanted before the next `handle_timeout`.

        A flush is not stalled while the client acknowledges, even if the socket takes nothing.
        """
        return self._tells_acknowledged and (self._phase is Phase.FLUSHING or self.tracks_acknowledged)

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
        return [] if self._offer is None else self._offer.buffers()

    def take_payload(self) -> bytes | None:
        """The next payload of a feed, framed once for all; `None`: the general way has to be gone.

        It is given where nothing else is to be sent, so that its books are a few additions. Ask the socket
        first where `asks_first`. What `send()` returned is to be told at once with `payload_taken`.
        """
        exchange = self._exchange
        if exchange is None or exchange.steady is None or self._tail or self._offer is not None:
            return None
        payload = exchange.steady.shared()
        if payload is None or len(payload.body) >= CommitSize.SMALL or self._framer is None:
            return None
        wire = self._framer.shared(payload)
        self._lent = payload, len(wire)
        return wire

    def payload_taken(self, taken: int, now: float) -> bool:
        """The kernel took `taken` bytes of what `take_payload` gave; tells whether more is pending."""
        (payload, size), exchange, framer = self._lent, self._exchange, self._framer
        assert exchange is not None
        assert framer is not None
        if taken == size:
            # Written out, as is all on this way: a call costs a tenth of what there is to spend.
            wire = self._wire
            wire.pushed += size
            wire.accepted += size
            return exchange.payload_taken(len(payload.body), now)
        self._offer = framer.shared_frame(payload)
        exchange.draw_shared(now)
        self.bytes_accepted(taken, now)
        return True

    def next_event(self) -> Event | None:
        """What happened, oldest first; `None` when all has been told."""
        return self._events.popleft() if self._events else None

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`, or `None`."""
        pending = self._timers.next_deadline()
        if pending is None or self._phase_deadline is None:
            return self._phase_deadline if pending is None else pending
        return min(pending, self._phase_deadline)

    def half_close_expected(self) -> bool:
        """Whether the sending side is to be shut down, while reading goes on."""
        return self._phase is Phase.LINGERING

    def close_expected(self) -> bool:
        """Whether the socket is to be closed, with a reset if `reset_expected`."""
        return self._phase is Phase.CLOSED

    # What exchanges tell (Carrier) --------------------------------------------------------------------

    def wake(self) -> None:
        """An exchange has something to send."""
        self.on_wake()

    def push(self) -> None:
        """A call waits: has the kernel asked at once, if the driver can."""
        self.on_push()

    def feed_hooks(self) -> tuple[Callable[[], None], CallThreadsafe | None]:
        """What a feed calls when a payload has become pending, and how it reaches our thread from others."""
        return self.on_payload or self.on_wake, self.call_threadsafe

    def track_acknowledged(self, exchange: Exchange, sent: int) -> bool:
        """An exchange asks for acknowledged bytes; tells whether they can be told."""
        if self._tells_acknowledged:
            self._wire.track(exchange, sent)
            self.on_wake()
        return self._tells_acknowledged

    def exchange_ended(self, exchange: Exchange, now: float) -> None:
        """The handler is done: from now on no progress for `stall_timeout` is the end."""
        if self._phase is Phase.HANDLING:
            self._enter(Phase.FLUSHING, now, self._settings.stall_timeout)

    def exchange_over(self, exchange: Exchange, now: float) -> None:
        """The exchange is complete, cancelled or aborted."""
        outcome = _OUTCOMES[exchange.state]
        self._events.append(ExchangeEnded(exchange, outcome, now - exchange.started))
        self._exchange, framer, self._framer = None, self._framer, None
        if outcome != "complete":
            # HTTP/1.1 has no other way to say that a response is not whole (RFC 9112, 8).
            self.reset_expected = self.reset_expected or self._phase is not Phase.CLOSED
            self._close()
        elif framer is not None and framer.keep_alive:
            self._next_request(now)
        else:
            self._linger(now)

    # Inside: reading ----------------------------------------------------------------------------------

    def _feed(self, data: bytes, now: float) -> None:
        before = self._parser.reading
        self._parser.feed(data)
        if self._phase is Phase.IDLE and self._parser.reading is not Reading.NOTHING:
            self._enter(Phase.READING, now, self._settings.header_timeout)
        self._read_request(now)
        if self._phase is Phase.READING and self._parser.reading is Reading.BODY:
            self._enter(Phase.READING, now, self._settings.body_timeout)
            if before is not Reading.BODY and self._parser.expects_continue:
                self._send_raw(CONTINUE)

    def _read_request(self, now: float) -> None:
        try:
            request = self._parser.next_request()
        except RemoteError as error:
            self._refuse(error.status, str(error), now)
            return
        if request is None:
            return
        exchange = Exchange(request, self._settings, self._timers, self, now)
        self._exchange = exchange
        keep_alive = self._parser.keep_alive and not self._draining
        self._framer = ResponseFramer(exchange, keep_alive, self._date)
        self._enter(Phase.HANDLING, now, None)
        self._events.append(RequestReceived(exchange))

    def _next_request(self, now: float) -> None:
        """Goes on after a complete response, first with what was read ahead."""
        # The next exchange may not ask for what costs something.
        self._wire.forget()
        self._parser.restart()
        rest = bytes(self._read_ahead)
        self._read_ahead.clear()
        self._enter(Phase.IDLE, now, self._settings.keepalive_timeout)
        if rest or self._parser.reading is not Reading.NOTHING:
            self._feed(rest, now)
        if self._eof and self._phase in (Phase.IDLE, Phase.READING):
            self._read_to_the_end(now)

    def _read_to_the_end(self, now: float) -> None:
        """No more bytes will come: a request that is not whole is a mistake, none at all is the end."""
        if self._parser.reading is Reading.NOTHING:
            self._close()
        else:
            self._refuse(400, "the request ended before it was whole", now)

    def _refuse(self, status: int, reason: str, now: float) -> None:
        self._events.append(RequestRefused(status, reason))
        self._enter(Phase.FLUSHING, now, self._settings.stall_timeout)
        self._send_raw(refusal(status, reason, self._date()))

    def _cancels_on_eof(self, exchange: Exchange) -> bool:
        if exchange.state is ResponseState.ENDED:
            return False
        rule = self._settings.cancel_on_half_close
        return rule == "always" or (rule == "streaming" and exchange.head is not None)

    # Inside: sending ----------------------------------------------------------------------------------

    def _next_frame(self, now: float, limit: int | None) -> Frame | None:
        if self._framer is None:
            return None
        size = self._commit_size.value if limit is None else min(limit, self._commit_size.value)
        frame = self._framer.frame(max(size, 1), now)
        if frame is not None and frame.size == 0:
            # The end of a response that has no bytes of its own: the kernel needn't be asked.
            frame.commit(self._wire)
            self._wire.accept(0, now)
            return None
        if frame is not None:
            frame.exchange.offered = True
        return frame

    def _send_raw(self, data: bytes) -> None:
        """Wire bytes that belong to no exchange."""
        self._wire.push(len(data))
        self._tail.append(data)
        self.on_wake()

    def _answer_offer(self, offer: Frame, taken: int) -> None:
        self._commit_size.taken(offer.size, taken)
        if taken:
            self._commit(offer)
        else:
            self._offer, offer.exchange.offered = None, False

    def _commit(self, offer: Frame) -> None:
        self._offer, offer.exchange.offered = None, False
        offer.commit(self._wire)
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

    def _progress(self, now: float) -> None:
        if self._phase is Phase.FLUSHING:
            self._phase_deadline = now + self._settings.stall_timeout

    def _flushed_raw(self, now: float) -> None:
        """A refusal that has gone out whole ends the connection."""
        if self._phase is Phase.FLUSHING and self._exchange is None and not self._tail:
            self._linger(now)

    # Inside: phases -----------------------------------------------------------------------------------

    def _enter(self, phase: Phase, now: float, timeout: float | None) -> None:
        self._phase = phase
        self._phase_deadline = None if timeout is None or timeout == inf else now + timeout

    def _phase_expired(self, now: float) -> None:
        if self._phase is Phase.FLUSHING and self._exchange is not None:
            self._exchange.abort(now)
        elif self._phase is Phase.READING and self._parser.reading is not Reading.NOTHING:
            self._refuse(408, "the request took too long", now)
        else:
            self.reset_expected = self._phase is Phase.FLUSHING
            self._close()

    def _linger(self, now: float) -> None:
        if self._eof:
            self._close()
        else:
            self._enter(Phase.LINGERING, now, LINGER_TIMEOUT)
            self._read_ahead.clear()
            self.on_wake()

    def _close(self) -> None:
        self._phase, self._phase_deadline = Phase.CLOSED, None
        self._tail.clear()
        self._offer = None
        self._read_ahead.clear()
        self.on_wake()
