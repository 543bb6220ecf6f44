"""One request and its response: the calls of a handler, and what a protocol frames of it.

Every method takes the time as an argument; none blocks. Calls that can't end at once return a
`Pending` that settles later, through `paid`, a deadline, `cancel` or the end.
"""

from collections.abc import Callable
from math import inf
from typing import Protocol

from httpng_core.config.settings import Settings
from httpng_core.errors import AckedUnknownError, ContentLengthError
from httpng_core.feeds.broadcast import Lane
from httpng_core.http.request import Request
from httpng_core.http.response import HeaderSource, Response, ResponseHead, body_bytes, response_head
from httpng_core.sending.calls import DONE, Follow, HeaderWrite, Pending, Source, Wait, Write
from httpng_core.sending.checks import (
    checked_position,
    checked_stall_timeout,
    checked_timeout,
    checked_until,
    checked_window,
)
from httpng_core.sending.positions import Until, WindowSize
from httpng_core.sending.results import Call, SendStats, encode
from httpng_core.sending.stall import StallWatch
from httpng_core.sending.states import GIVEN_UP, LIVE, TAKES_WRITES, ResponseEvent, ResponseState, next_state
from httpng_core.sending.waits import HeaderProgress, Waits
from httpng_core.sending.writers import Writers
from httpng_core.timers import Timers
from httpng_core.wire.log import Span

HANDLER_ERROR = b"Path handler execution error"
_ERROR_HEAD = response_head(500, {"content-type": "text/plain; charset=utf-8"})


CallInLoop = Callable[[Callable[[], None]], None]


class Carrier(Protocol):
    """What an exchange needs from its connection. None of these may call back into the exchange."""

    def track_acknowledged(self, exchange: "Exchange", sent: int) -> bool:
        """Acknowledgements are wanted from now on, after `sent` body bytes; whether they can be told."""

    def wake(self) -> None:
        """There is something to send."""

    def push(self) -> None:
        """Unlike the others it may call back: a call waits, so the kernel is asked at once if possible."""

    def feed_hooks(self) -> tuple[Callable[[], None], CallInLoop | None]:
        """What a feed calls when a payload has become pending, and how it reaches our thread from others."""

    def lane(self) -> Lane | None:
        """How a sweep may send to the client, if only chunks of body bytes are to be sent."""

    def swept(self, size: int) -> None:
        """A sweep has sent `size` wire bytes."""

    def fell_short(self, taken: int, now: float) -> None:
        """A sweep has sent the first `taken` wire bytes of the frame that is next."""

    def exchange_ended(self, exchange: "Exchange", now: float) -> None:
        """The handler is done: the flush begins."""

    def exchange_over(self, exchange: "Exchange", now: float) -> None:
        """The exchange reached a final state."""


class Exchange:
    """One request and its response.

    Attributes:
        request: the request.
        settings: what the server runs with.
        state: where the response stands.
        head: the header block, once given.
        substitute: a body of ours (an error's) that goes out in place of the handler's; it isn't counted.
        started: when the request had come in whole.
        offered: whether a frame of it is offered to the kernel, which has not answered yet.
        on_over: called once when the exchange is over, in whatever way; it must only schedule.
        carrier: what speaks for it on its connection.
    """

    __slots__ = (
        "_end_committed",
        "_header",
        "_moved_at",
        "_queue",
        "_stalls",
        "_timers",
        "_waits",
        "_writers",
        "carrier",
        "head",
        "offered",
        "on_over",
        "request",
        "settings",
        "started",
        "state",
        "substitute",
    )

    def __init__(
        self, request: Request, settings: Settings, timers: Timers, carrier: Carrier, started: float
    ) -> None:
        self.request = request
        self.state = ResponseState.OPEN
        self.head: ResponseHead | None = None
        self.substitute = b""
        self.started = started
        self.offered = False
        self.on_over: Callable[[], None] | None = None
        self.settings = settings
        self._timers = timers
        self.carrier = carrier
        self._header = HeaderProgress()
        self._writers = Writers(timers, self._header)
        self._queue = self._writers.queue
        self._waits = Waits(self._queue.window, self._header, timers)
        self._end_committed = False
        self._stalls: StallWatch | None = None
        self._moved_at = started

    # What handlers call -------------------------------------------------------------------------------

    def write_header(
        self, code: int, headers: HeaderSource | None, now: float, timeout: float | None = None
    ) -> Pending:
        """Gives the header block; settles `None` when the TCP/IP stack has it.

        Raises:
            TypeError, ValueError: wrong arguments; nothing of the block is sent.
            ResponseStateError: the header block was given before.
        """
        deadline = self._deadline(now, timeout)
        head = response_head(code, headers)
        state = next_state(self.state, ResponseEvent.WRITE_HEADER, head_given=self._header.given)
        if self.state not in TAKES_WRITES:
            return self._ended_call(HeaderWrite(), Call.WRITE_HEADER)
        self.state = state
        self._header.given = True
        self._give_head(head)
        return self._await(HeaderWrite(deadline))

    def write(
        self,
        body: bytes | str | bytearray | memoryview,
        now: float,
        timeout: float | None = None,
        window: WindowSize | None = None,
        headers: HeaderSource | None = None,
        until: Until | None = None,
    ) -> Pending:
        """Writes body bytes; settles `None` once all are accepted, see the specification's rules 1 to 7.

        `headers` are for the implicit header block of a first write without `write_header`; `until` tells
        how far a byte must have come to be no longer in flight. The window "auto" counts until acked,
        whatever `until` says.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked", or `window` "auto", where the platform can't tell.
            ContentLengthError: more than the declared Content-Length; nothing of the body is sent.
        """
        data = body_bytes(body)
        size = self.settings.default_send_window if window is None else checked_window(window)
        deadline = self._deadline(now, timeout)
        until = self._checked_until(until)
        if size == "auto":
            until = self._checked_until("acked")
        if self.state not in TAKES_WRITES:
            return self._ended_call(Write(data, 0, deadline), Call.WRITE)
        self._begin_body(headers, now, until)
        if size == "auto":
            return self._write_along_path(data, deadline, now)
        if self._take_now(data, size, now, until):
            return DONE
        return self._writers.line_up(Write(data, size, deadline, until), now)

    def wait(
        self, position: int, now: float, timeout: float | None = None, until: Until | None = None
    ) -> Pending:
        """Waits until `sent >= position`, or for 0 and below until at most `-position` bytes are in flight.

        With `until="acked"` it is `acked` that has to come so far. Always settles with a result. `wait(0)`
        waits for the header block as well.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked" where the platform can't tell.
        """
        position = checked_position(position)
        deadline = self._deadline(now, timeout)
        wait = Wait(position, deadline, self._checked_until(until))
        self.count_swept()
        if self.state not in LIVE or self._waits.reached(wait):
            return self._ended_call(wait, Call.WAIT)
        return self._await(wait)

    def follow(
        self,
        source: Source,
        now: float,
        timeout: float | None = None,
        window: WindowSize | None = None,
        headers: HeaderSource | None = None,
        until: Until | None = None,
    ) -> Pending:
        """Sends what a feed publishes until it is closed; settles `None` when that and all of it is sent.

        The next payload is sent when all before it has come as far as `until`, or already when it fits into
        `window`. The window "auto" follows the path and counts until acked, whatever `until` says. Without a
        timeout it goes on for ever. Where body bytes are dropped by rule it ends at once.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked", or `window` "auto", where the platform can't tell.
            ContentLengthError: the response has a Content-Length, and a feed has none.
        """
        size = 0 if window is None else checked_window(window)
        deadline = inf if timeout is None else now + checked_timeout(timeout)
        until = self._checked_until(until)
        if size == "auto":
            until = self._checked_until("acked")
            follow = Follow(source, 0, deadline, until, self._queue.along_path())
        else:
            follow = Follow(source, size, deadline, until)
        if self.state not in TAKES_WRITES:
            follow.settle(self._writers.follow_result(cancelled=True))
            return follow
        self._begin_body(headers, now, until)
        if self._queue.drops:
            return DONE
        if self._queue.length is not None:
            raise ContentLengthError("a response with a content-length can't follow a feed, which has none")
        source.begin(self, *self.carrier.feed_hooks())
        if self.state in TAKES_WRITES:
            return self._writers.line_up(follow, now)
        # What other threads had published came with it, and was too much for another follow of ours.
        source.end()
        follow.settle(self._writers.follow_result(cancelled=True))
        return follow

    def feed_closed(self, now: float) -> None:
        """The feed that is followed has closed."""
        self._queue.advance(now)
        # Who stood in line behind it may have been accepted.
        self.carrier.wake()

    def count_swept(self) -> None:
        """Counts what a sweep has sent, if one does."""
        if (source := self._queue.following) is not None:
            self.settle_books(source)

    def settle_books(self, source: Source) -> None:
        """Counts what a sweep has sent of `source`."""
        body, wire, at = source.take_books()
        if wire:
            self._queue.swept(body)
            self._moved_at = max(self._moved_at, at)
            self.carrier.swept(wire)

    def fell_short(self, taken: int, now: float) -> None:
        """The kernel took only `taken` wire bytes of a payload that a sweep has sent."""
        self.carrier.fell_short(taken, now)

    @property
    def stall_timeout(self) -> float | None:
        """Seconds without a byte moving, while some are in flight, that abort the exchange; `None`: never.

        It is read by the next write. How far a byte must come to have moved is what `until` of that says.
        """
        return None if self._stalls is None or self._stalls.timeout == inf else self._stalls.timeout

    @stall_timeout.setter
    def stall_timeout(self, seconds: float | None) -> None:
        if seconds is None and self._stalls is None:
            return
        timeout = checked_stall_timeout(seconds)
        if self._stalls is not None:
            self._stalls.timeout = timeout
        elif timeout < inf:
            self._stalls = StallWatch(timeout, self._queue, self._timers, lambda: self._moved_at, self.abort)

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the exchange is aborted, as things stand; infinity: never.

        What is sent need not move further, unless bytes are in flight until acked.
        """
        if self._stalls is None or not (self._queue.lag_until == "acked" or self._queue.is_moving):
            return inf
        return self._stalls.timeout

    def track_acknowledged(self) -> bool:
        """Counts what the client's TCP acknowledges from now on; tells whether that can be told.

        Then an acknowledgement is progress as well, so that a client that takes long is not a stall.
        """
        window = self._queue.window
        if window.acked is None and self.state in LIVE:
            self._step_out()
            if not self.carrier.track_acknowledged(self, window.sent):
                return False
            window.acked = 0
        return True

    def close(self, now: float, headers: HeaderSource | None = None) -> None:
        """Ends the response cleanly, also when a write fell short: the handler says that it knows.

        Bytes that are missing from a declared Content-Length make it an abort all the same. Calling
        it again does nothing.
        """
        if self.state in TAKES_WRITES:
            self._writers.cancel()
            self._writers.fell_short = False
        self.finish(now, headers)

    def stats(self, now: float) -> SendStats:
        """Where the exchange stands."""
        window = self._queue.window
        self.count_swept()
        return SendStats(
            current=window.current,
            sent=window.sent,
            acked=window.acked,
            cancelled=self.state in GIVEN_UP,
            headers_were_sent=self._header.sent,
            lag=self._queue.lag(now),
        )

    def withdraw(self, pending: Pending, now: float) -> None:
        """Ends a call as a timeout would: its task was cancelled, or its time is up."""
        if pending.settled:
            return
        if isinstance(pending, Write):
            self._writers.withdraw(pending, now)
            # Who stood in line behind it may have been accepted.
            self.carrier.wake()
        else:
            self._waits.withdraw(pending)

    # How a handler ends -------------------------------------------------------------------------------

    def finish(self, now: float, headers: HeaderSource | None = None) -> None:
        """The handler returned without a response of its own: flush and end, or abort if it must.

        `headers` are those of an empty answer, if none was begun.
        """
        if self.state not in TAKES_WRITES:
            return
        if self.head is None:
            self._give_head(response_head(200, headers, 0))
        self._writers.fell_short = self._writers.cancel() or self._writers.fell_short
        self._end(now)

    def respond(self, response: Response, now: float) -> None:
        """The handler returned a response: it is sent whole, or its body is appended to the one begun.

        Raises:
            TypeError, ValueError: the response isn't one; nothing of it is sent.
            ContentLengthError: its body is longer than declared; nothing of it is sent.
        """
        data = body_bytes(response.body)
        head = response_head(response.status, response.headers, len(data))
        if self.state not in TAKES_WRITES:
            return
        if self.head is None:
            self._give_head(head)
        cut = self._writers.cancel()
        # With "auto" it is the payload: there is nothing to choose later.
        size = self.settings.default_send_window
        limit = inf if size == "auto" else float(size)
        if not self._take_now(data, limit, now):
            self._writers.line_up(Write(data, limit, inf), now)
        self._writers.note_whole(data)
        self._writers.fell_short = self._writers.fell_short or cut
        self._end(now)

    def fail(self, now: float) -> None:
        """The handler raised: an answer of ours if nothing was committed, else an abort."""
        if self.state not in LIVE:
            return
        if self._header.committed or self.offered:
            self.abort(now)
            return
        self._queue.drop_all()
        self._writers.cancel()
        self._waits.cancel_header_writes()
        self._header.begun = True
        self.head, self.substitute = _ERROR_HEAD, HANDLER_ERROR
        self._flush(now)

    def abort(self, now: float) -> None:
        """We give the exchange up: what the client has must not pass for complete."""
        self._give_up(ResponseEvent.ABORT, now)

    def cancel(self, now: float) -> None:
        """The client is gone: everything pending settles at once, what was not committed is dropped."""
        self._give_up(ResponseEvent.CANCEL, now)

    @property
    def is_over(self) -> bool:
        """Whether a final state was reached."""
        return self.state not in LIVE

    @property
    def moved_at(self) -> float:
        """When a byte last moved, or had to begin to."""
        return self._moved_at

    def half_closed(self, now: float) -> None:
        """The client sends no more; whether that cancels is `cancel_on_half_close`."""
        if self.state is ResponseState.ENDED:
            return
        rule = self.settings.cancel_on_half_close
        if rule == "always" or (rule == "streaming" and self.head is not None):
            self.cancel(now)

    # What protocols frame -----------------------------------------------------------------------------

    @property
    def has_frame(self) -> bool:
        """Whether there is something to frame: the head, body bytes or the end."""
        if self.state not in LIVE or self.head is None:
            return False
        return not self._header.committed or self._queue.has_frame or self.end_due

    @property
    def draws_from_writer(self) -> bool:
        """Whether the next frame would be accepted from a caller that still waits."""
        return self.state in LIVE and self._queue.draws_from_writer

    @property
    def head_due(self) -> bool:
        """Whether the header block was given and not committed."""
        return self.head is not None and not self._header.committed

    @property
    def end_due(self) -> bool:
        """Whether only the end of the response is left to commit."""
        return self.ends_after(0)

    @property
    def drops_body(self) -> bool:
        """Whether body bytes are dropped by rule: HEAD, 204, 304 (RFC 9110, 6.4.1)."""
        return self._queue.drops

    def ends_after(self, size: int) -> bool:
        """Whether nothing follows the next `size` body bytes."""
        ended = self.state is ResponseState.ENDED and not self._end_committed
        return ended and self._queue.drained_after(size)

    def peek(self, limit: int, now: float) -> bytes | memoryview:
        """Body bytes for the next frame, at most `limit`. A long write's are accepted by this call."""
        return self._queue.peek(limit, now)

    def commit(self, *, head: bool, size: int, end: bool) -> None:
        """The kernel took a part of a frame with the head, `size` body bytes, the end."""
        self._header.committed = self._header.committed or head
        self._end_committed = self._end_committed or end
        if size:
            self._queue.commit(size)

    def paid(self, span: Span, size: int, now: float) -> None:
        """The TCP/IP stack took wire bytes that carry `size` more bytes of `span`."""
        self._moved_at = now
        if span is Span.HEAD:
            self._header.sent = True
        elif span is Span.BODY:
            self._queue.pay(size, now)
        elif self.state in LIVE:
            self.state = next_state(self.state, ResponseEvent.FLUSHED, head_given=True)
            self._tell_over(now)
        if self._waits.pending:
            self._settle_waits()
        if self.state is ResponseState.STREAMING and self._header.sent and not self._waits.pending:
            self._step_in()

    def acknowledged(self, span: Span, size: int, now: float) -> None:
        """The client's TCP acknowledged wire bytes that carry `size` more bytes of `span`."""
        self._moved_at = now
        if span in (Span.HEAD, Span.EARLIER):
            self._header.acked = self._header.sent
        if span in (Span.BODY, Span.EARLIER):
            self._queue.acknowledge(size, now)
        if self._waits.pending:
            self._settle_waits()

    def forget_acked(self, now: float) -> None:
        """Acknowledgements can't be told any more: `acked` is unknown and waits for it settle."""
        self._queue.forget_acked(now)
        self._waits.forget_acked()

    # Inside -------------------------------------------------------------------------------------------

    def _deadline(self, now: float, timeout: float | None) -> float:
        return now + (self.settings.default_send_timeout if timeout is None else checked_timeout(timeout))

    def _step_in(self) -> None:
        source = self._queue.steady_source
        if source is not None and (lane := self.carrier.lane()) is not None:
            source.step_in(lane)

    def _step_out(self) -> None:
        """A sweep may not send any more: someone waits for positions, or wants them acknowledged."""
        source = self._queue.following
        if source is not None:
            source.step_out()

    def _begin_body(self, headers: HeaderSource | None, now: float, until: Until) -> None:
        self._queue.lag_until = until
        if self._stalls is not None:
            self._stalls.begin(now)
        if self.head is None:
            self._give_head(response_head(200, headers))
            self._header.given = True
        self.state = next_state(self.state, ResponseEvent.WRITE, head_given=True)
        self.carrier.wake()

    def _checked_until(self, until: Until | None) -> Until:
        until = self.settings.default_window_until if until is None else until
        if until == "sent":
            return until
        until = checked_until(until)
        if not self.track_acknowledged():
            raise AckedUnknownError("what a client has acknowledged can't be told on this platform")
        return until

    def _write_along_path(self, data: bytes, deadline: float, now: float) -> Pending:
        path = self._queue.along_path()
        if self._take_now(data, path.limit(len(data)), now, "acked"):
            return DONE
        path.refused(now)
        return self._writers.line_up(Write(data, 0, deadline, "acked", path), now)

    def _give_head(self, head: ResponseHead) -> None:
        self.head, self._header.begun = head, True
        self._queue.length = head.content_length
        self._queue.drops = head.bodiless or self.request.method == "HEAD"
        self.carrier.wake()

    def _take_now(self, data: bytes, limit: float, now: float, until: Until = "sent") -> bool:
        if not self._queue.take_now(data, limit, now, until):
            return False
        self._writers.note_whole(data)
        if self._queue.drops and self._waits.pending:
            # Dropped bytes count as sent, and no kernel will say so.
            self._settle_waits()
        return True

    def _await(self, wait: Wait | HeaderWrite) -> Pending:
        self._step_out()
        self._waits.add(wait)
        return wait

    def _end(self, now: float) -> None:
        if self._writers.fell_short or self._queue.is_too_short:
            self.abort(now)
            return
        self._flush(now)

    def _flush(self, now: float) -> None:
        self.state = next_state(self.state, ResponseEvent.END, head_given=True)
        self.carrier.exchange_ended(self, now)
        self.carrier.wake()

    def _give_up(self, event: ResponseEvent, now: float) -> None:
        if self.state not in LIVE:
            return
        self.state = next_state(self.state, event, head_given=self.head is not None)
        self._queue.drop_all()
        self._writers.cancel()
        self._settle_waits()
        self._tell_over(now)

    def _tell_over(self, now: float) -> None:
        if self._stalls is not None:
            self._stalls.stop()
        callback, self.on_over = self.on_over, None
        if callback is not None:
            callback()
        self.carrier.exchange_over(self, now)
        self.carrier.wake()

    def _settle_waits(self) -> None:
        self._waits.settle_met(over=self.state not in LIVE)

    def _ended_call(self, pending: Pending, call: Call) -> Pending:
        """Settles a call at once: the exchange is over, or what it waits for is there already."""
        over = self.state not in (LIVE if call is Call.WAIT else TAKES_WRITES)
        reached = isinstance(pending, Wait) and self._waits.reached(pending)
        pending.settle(encode(call, cancelled=over, headers_were_sent=self._header.sent, reached=reached))
        return pending
