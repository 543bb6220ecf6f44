"""One request and its response: the calls of a handler, and what a protocol frames of it.

Every method takes the time as an argument; none blocks. Calls that can't end at once return a
`Pending` that settles later, through `paid`, a deadline, `cancel` or the end.
"""

import sys
from collections.abc import Callable
from math import inf
from typing import Protocol

from httpng_core.config import Settings
from httpng_core.errors import AckedUnknownError, ContentLengthError
from httpng_core.path import PathEstimate
from httpng_core.pending import DONE, Follow, HeaderWrite, Pending, Source, Wait, Write
from httpng_core.request import Request
from httpng_core.response import HeaderSource, Response, ResponseHead, body_bytes, response_head
from httpng_core.results import Call, SendResult, SendStats, encode
from httpng_core.send_queue import SendQueue
from httpng_core.states import GIVEN_UP, LIVE, TAKES_WRITES, ResponseEvent, ResponseState, next_state
from httpng_core.timers import Timer, Timers
from httpng_core.window import Until, WindowSize
from httpng_core.wire import Span

HANDLER_ERROR = b"Path handler execution error"
_ERROR_HEAD = response_head(500, {"content-type": "text/plain; charset=utf-8"})


CallThreadsafe = Callable[[Callable[[], None]], None]


class Carrier(Protocol):
    """What an exchange needs from its connection. None of these may call back into the exchange."""

    def track_acknowledged(self, exchange: "Exchange", sent: int) -> bool:
        """Acknowledgements are wanted from now on, after `sent` body bytes; whether they can be told."""

    def wake(self) -> None:
        """There is something to send."""

    def push(self) -> None:
        """Unlike the others it may call back: a call waits, so the kernel is asked at once if possible."""

    def feed_hooks(self) -> tuple[Callable[[], None], CallThreadsafe | None]:
        """What a feed calls when a payload has become pending, and how it reaches our thread from others."""

    def exchange_ended(self, exchange: "Exchange", now: float) -> None:
        """The handler is done: the flush begins."""

    def exchange_over(self, exchange: "Exchange", now: float) -> None:
        """The exchange reached a final state."""


class Exchange:
    """One request and its response.

    Attributes:
        request: the request.
        state: where the response stands.
        head: the header block, once given.
        substitute: a body of ours (an error's) that goes out in place of the handler's; it isn't counted.
        started: when the request had come in whole.
        offered: whether a frame of it is offered to the kernel, which has not answered yet.
        steady: what it follows, while nothing but payloads is to be sent and nobody waits for positions.
        on_over: called once when the exchange is over, in whatever way; it must only schedule.
        carrier: what speaks for it on its connection.
    """

    __slots__ = (
        "_end_committed",
        "_fell_short",
        "_head_acked",
        "_head_committed",
        "_head_given",
        "_head_sent",
        "_moved_at",
        "_path",
        "_queue",
        "_settings",
        "_stall_timeout",
        "_stall_timer",
        "_timers",
        "_waited_at",
        "_waits",
        "carrier",
        "head",
        "offered",
        "on_over",
        "request",
        "started",
        "state",
        "steady",
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
        self.steady: Source | None = None
        self.on_over: Callable[[], None] | None = None
        self._settings = settings
        self._timers = timers
        self.carrier = carrier
        self._queue = SendQueue(self._write_accepted, self._write_refused)
        self._waits: list[Wait | HeaderWrite] = []
        self._head_given = False
        self._head_committed = False
        self._head_sent = False
        self._head_acked = False
        self._end_committed = False
        self._fell_short = False
        self._stall_timeout = inf
        self._stall_timer: Timer | None = None
        self._moved_at = started
        self._waited_at: int | None = None
        self._path: PathEstimate | None = None

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
        state = next_state(self.state, ResponseEvent.WRITE_HEADER, head_given=self._head_given)
        if self.state not in TAKES_WRITES:
            return self._ended_call(HeaderWrite(), Call.WRITE_HEADER)
        self.state = state
        self._head_given = True
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
        size = self._settings.default_send_window if window is None else _checked_window(window)
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
        return self._line_up(Write(data, size, deadline, until), now)

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
        if isinstance(position, bool) or not isinstance(position, int):
            raise TypeError(f"position must be an integer, not {type(position).__name__}")
        deadline = self._deadline(now, timeout)
        wait = Wait(position, deadline, self._checked_until(until))
        if self.state not in LIVE or self._reached(wait):
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
        `window`. Without a timeout it goes on for ever. Where body bytes are dropped by rule it ends at once.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked" where the platform can't tell.
            ContentLengthError: the response has a Content-Length, and a feed has none.
        """
        limit = 0 if window is None else _checked_window(window)
        if limit == "auto":
            raise ValueError('a feed is not followed with send_window "auto" yet; give a number of bytes')
        deadline = inf if timeout is None else now + checked_timeout(timeout)
        until = self._checked_until(until)
        follow = Follow(source, limit, deadline, until)
        if self.state not in TAKES_WRITES:
            follow.settle(self._follow_result(cancelled=True))
            return follow
        self._begin_body(headers, now, until)
        if self._queue.drops:
            return DONE
        if self._queue.length is not None:
            raise ContentLengthError("a response with a content-length can't follow a feed, which has none")
        source.begin(self, *self.carrier.feed_hooks())
        return self._line_up(follow, now)

    def feed_closed(self, now: float) -> None:
        """The feed that is followed has closed."""
        self._queue.advance(now)

    @property
    def stall_timeout(self) -> float | None:
        """Seconds without a byte moving, while some are in flight, that abort the exchange; `None`: never.

        It is read by the next write. How far a byte must come to have moved is what `until` of that says.
        """
        return None if self._stall_timeout == inf else self._stall_timeout

    @stall_timeout.setter
    def stall_timeout(self, seconds: float | None) -> None:
        if seconds == 0:
            raise ValueError("stall_timeout must be more than 0 seconds")
        self._stall_timeout = inf if seconds is None else checked_timeout(seconds, "stall_timeout")

    def close(self, now: float, headers: HeaderSource | None = None) -> None:
        """Ends the response cleanly, also when a write fell short: the handler says that it knows.

        Bytes that are missing from a declared Content-Length make it an abort all the same. Calling
        it again does nothing.
        """
        if self.state in TAKES_WRITES:
            self._settle_all(self._queue.leave_all())
            self._fell_short = False
        self.finish(now, headers)

    def stats(self, now: float) -> SendStats:
        """Where the exchange stands."""
        window = self._queue.window
        return SendStats(
            current=window.current,
            sent=window.sent,
            acked=window.acked,
            cancelled=self.state in GIVEN_UP,
            headers_were_sent=self._head_sent,
            lag=self._queue.lag(now),
        )

    def withdraw(self, pending: Pending, now: float) -> None:
        """Ends a call as a timeout would: its task was cancelled, or its time is up."""
        if pending.settled:
            return
        if isinstance(pending, Write):
            self._queue.leave(pending)
            self._fell_short = pending.rest > 0 or (self._fell_short and not pending.body)
            self._settle_write(pending)
            self._queue.advance(now)
        else:
            self._waits = [wait for wait in self._waits if wait is not pending]
            self._settle_wait(pending)

    # How a handler ends -------------------------------------------------------------------------------

    def finish(self, now: float, headers: HeaderSource | None = None) -> None:
        """The handler returned without a response of its own: flush and end, or abort if it must.

        `headers` are those of an empty answer, if none was begun.
        """
        if self.state not in TAKES_WRITES:
            return
        if self.head is None:
            self._give_head(response_head(200, headers, 0))
        self._fell_short = self._cut_line() or self._fell_short
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
        cut = self._cut_line()
        # With "auto" it is the payload: there is nothing to choose later.
        size = self._settings.default_send_window
        limit = inf if size == "auto" else float(size)
        if not self._take_now(data, limit, now):
            self._line_up(Write(data, limit, inf), now)
        self._note_whole(data)
        self._fell_short = self._fell_short or cut
        self._end(now)

    def fail(self, now: float) -> None:
        """The handler raised: an answer of ours if nothing was committed, else an abort."""
        if self.state not in LIVE:
            return
        if self._head_committed or self.offered:
            self.abort(now)
            return
        self._queue.drop_all()
        self._settle_all(self._queue.leave_all())
        self._settle_header_writes()
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
        rule = self._settings.cancel_on_half_close
        if rule == "always" or (rule == "streaming" and self.head is not None):
            self.cancel(now)

    # What protocols frame -----------------------------------------------------------------------------

    @property
    def has_frame(self) -> bool:
        """Whether there is something to frame: the head, body bytes or the end."""
        if self.state not in LIVE or self.head is None:
            return False
        return not self._head_committed or self._queue.has_frame or self.end_due

    @property
    def draws_from_writer(self) -> bool:
        """Whether the next frame would be accepted from a caller that still waits."""
        return self.state in LIVE and self._queue.draws_from_writer

    @property
    def head_due(self) -> bool:
        """Whether the header block was given and not committed."""
        return self.head is not None and not self._head_committed

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
        self._head_committed = self._head_committed or head
        self._end_committed = self._end_committed or end
        if size:
            self._queue.commit(size)

    def paid(self, span: Span, size: int, now: float) -> None:
        """The TCP/IP stack took wire bytes that carry `size` more bytes of `span`."""
        self._moved_at = now
        if span is Span.HEAD:
            self._head_sent = True
        elif span is Span.BODY:
            if self._path is not None:
                self._path.sent(self._queue.window.sent + size, now)
            self._queue.pay(size, now)
        elif self.state in LIVE:
            self.state = next_state(self.state, ResponseEvent.FLUSHED, head_given=True)
            self._tell_over(now)
        if self._waits:
            self._settle_waits()
        elif self.state is ResponseState.STREAMING and self._head_sent:
            self.steady = self._queue.steady_source

    def payload_taken(self, size: int, now: float) -> bool:
        """The TCP/IP stack took the `shared` payload of the steady source whole; tells whether more waits.

        It is the same as `peek`, `commit` and `paid`, in one step.
        """
        window = self._queue.window
        window.current += size
        window.committed += size
        window.sent += size
        self._moved_at = now
        assert self.steady is not None
        return self.steady.taken()

    def draw_shared(self, now: float) -> None:
        """The `shared` payload of the steady source is in the frame that is offered."""
        self.offered = True
        self._queue.draw_shared(now)

    def acknowledged(self, span: Span, size: int, now: float) -> None:
        """The client's TCP acknowledged wire bytes that carry `size` more bytes of `span`."""
        self._moved_at = now
        if span in (Span.HEAD, Span.EARLIER):
            self._head_acked = self._head_sent
        if span in (Span.BODY, Span.EARLIER):
            self._acknowledge_body(size, now)
        if self._waits:
            self._settle_waits()

    def forget_acked(self, now: float) -> None:
        """Acknowledgements can't be told any more: `acked` is unknown and waits for it settle."""
        self._queue.forget_acked(now)
        waits = [wait for wait in self._waits if isinstance(wait, Wait) and wait.until == "acked"]
        for wait in waits:
            self.withdraw(wait, now)

    # Inside -------------------------------------------------------------------------------------------

    def _deadline(self, now: float, timeout: float | None) -> float:
        return now + (self._settings.default_send_timeout if timeout is None else checked_timeout(timeout))

    def _watch_stall(self, now: float) -> None:
        if self._stall_timer is None and self._stall_timeout < inf:
            self._moved_at = now
            self._stall_timer = self._timers.add(now + self._stall_timeout, self._check_stall)

    def _check_stall(self, now: float) -> None:
        """Aborts if nothing has moved; else looks again when that could be, if anything is in flight."""
        self._stall_timer = None
        due = self._stall_due(now) if self.state in LIVE else None
        if due is None:
            return
        if due <= now:
            self.abort(now)
        else:
            self._stall_timer = self._timers.add(due, self._check_stall)

    def _stall_due(self, now: float) -> float | None:
        """When it is a stall, or time to look again; `None`: nothing has to move."""
        if self._queue.is_moving:
            return self._moved_at + self._stall_timeout
        source = self._queue.following
        if source is None:
            return None
        # A payload that waits may just have been published: it is a stall if the last look found one as well.
        before, self._waited_at = self._waited_at, self._queue.window.sent if source.size else None
        return now if self._waited_at is not None and self._waited_at == before else now + self._stall_timeout

    def _begin_body(self, headers: HeaderSource | None, now: float, until: Until) -> None:
        self._queue.lag_until = until
        self._watch_stall(now)
        if self.head is None:
            self._give_head(response_head(200, headers))
            self._head_given = True
        self.state = next_state(self.state, ResponseEvent.WRITE, head_given=True)
        self.carrier.wake()

    def _checked_until(self, until: Until | None) -> Until:
        until = self._settings.default_window_until if until is None else until
        if until == "sent":
            return until
        if until != "acked":
            raise ValueError(f'until must be "sent" or "acked", not {until!r}')
        window = self._queue.window
        if window.acked is None and self.state in LIVE:
            if not self.carrier.track_acknowledged(self, window.sent):
                raise AckedUnknownError("what a client has acknowledged can't be told on this platform")
            window.acked, self.steady = 0, None
        return until

    def _write_along_path(self, data: bytes, deadline: float, now: float) -> Pending:
        if self._path is None:
            self._path = PathEstimate(self._queue.window.sent)
        path = self._path
        if self._take_now(data, path.limit(len(data)), now, "acked"):
            return DONE
        path.refused(now)
        return self._line_up(Write(data, 0, deadline, "acked", path), now)

    def _acknowledge_body(self, size: int, now: float) -> None:
        window = self._queue.window
        if self._path is not None and window.acked is not None:
            # First, so that what waits for room finds the window as it is now.
            self._path.acknowledged(window.acked + size, now)
        self._queue.acknowledge(size, now)

    def _give_head(self, head: ResponseHead) -> None:
        self.head = head
        self._queue.length = head.content_length
        self._queue.drops = head.bodiless or self.request.method == "HEAD"
        self.carrier.wake()

    def _take_now(self, data: bytes, limit: float, now: float, until: Until = "sent") -> bool:
        if not self._queue.take_now(data, limit, now, until):
            return False
        self._note_whole(data)
        if self._queue.drops and self._waits:
            # Dropped bytes count as sent, and no kernel will say so.
            self._settle_waits()
        return True

    def _note_whole(self, body: bytes) -> None:
        """All of a body goes out: that makes up for a write that fell short, unless it is empty."""
        self._fell_short = self._fell_short and not body

    def _line_up(self, write: Write, now: float) -> Pending:
        write.timer = self._timers.add(write.deadline, lambda at: self.withdraw(write, at))
        self._queue.line_up(write, now)
        return write

    def _await(self, wait: Wait | HeaderWrite) -> Pending:
        wait.timer = self._timers.add(wait.deadline, lambda at: self.withdraw(wait, at))
        self._waits.append(wait)
        self.steady = None
        return wait

    def _cut_line(self) -> bool:
        """Nobody in line is served any more; whether a write was cut in its middle.

        Then what the client has can't pass for complete, though it was another task's write.
        """
        left = self._queue.leave_all()
        self._settle_all(left)
        return any(write.accepted and write.rest for write in left)

    def _end(self, now: float) -> None:
        if self._fell_short or self._is_too_short():
            self.abort(now)
            return
        self._flush(now)

    def _flush(self, now: float) -> None:
        self.state = next_state(self.state, ResponseEvent.END, head_given=True)
        self.carrier.exchange_ended(self, now)
        self.carrier.wake()

    def _is_too_short(self) -> bool:
        queue = self._queue
        return queue.length is not None and not queue.drops and queue.promised < queue.length

    def _give_up(self, event: ResponseEvent, now: float) -> None:
        if self.state not in LIVE:
            return
        self.state = next_state(self.state, event, head_given=self.head is not None)
        self._queue.drop_all()
        self._settle_all(self._queue.leave_all())
        self._settle_waits()
        self._tell_over(now)

    def _tell_over(self, now: float) -> None:
        callback, self.on_over = self.on_over, None
        if callback is not None:
            callback()
        self.carrier.exchange_over(self, now)
        self.carrier.wake()

    def _reached(self, wait: Wait) -> bool:
        window = self._queue.window
        if wait.position > 0:
            return window.reached(wait.until) >= wait.position
        if wait.position == 0 and self._head_pending(wait.until):
            return False
        return window.in_flight_until(wait.until) <= -wait.position

    def _head_pending(self, until: Until) -> bool:
        """Whether the header block was given and has not come as far as `until`."""
        acked = until == "acked" and self._queue.window.acked is not None
        return self.head is not None and not (self._head_acked if acked else self._head_sent)

    def _settle_waits(self) -> None:
        over = self.state not in LIVE
        waits, self._waits = self._waits, []
        for wait in waits:
            met = self._reached(wait) if isinstance(wait, Wait) else self._head_sent
            if met or over:
                self._settle_wait(wait)
            else:
                self._waits.append(wait)

    def _settle_header_writes(self) -> None:
        """The header block that they wait for will never go out."""
        for wait in [wait for wait in self._waits if isinstance(wait, HeaderWrite)]:
            self._waits.remove(wait)
            self._settle_wait(wait, over=True)

    def _settle_wait(self, wait: Pending, *, over: bool = False) -> None:
        self._timers.cancel(wait.timer)
        over = over or self.state not in LIVE
        if isinstance(wait, Wait):
            reached = self._reached(wait)
            wait.settle(encode(Call.WAIT, cancelled=over, headers_were_sent=self._head_sent, reached=reached))
        elif self._head_sent:
            wait.settle(None)
        else:
            wait.settle(encode(Call.WRITE_HEADER, cancelled=over, headers_were_sent=False))

    def _settle_all(self, writes: list[Write]) -> None:
        for write in writes:
            self._settle_write(write, cancelled=True)

    def _settle_write(self, write: Write, *, cancelled: bool = False) -> None:
        self._timers.cancel(write.timer)
        if isinstance(write, Follow):
            self._end_follow(write)
            write.settle(self._follow_result(cancelled=cancelled))
            return
        write.settle(
            encode(
                Call.WRITE,
                cancelled=cancelled,
                headers_were_sent=self._head_sent,
                body_bytes=write.accepted,
            )
        )

    def _end_follow(self, follow: Follow) -> None:
        self.steady = None
        follow.source.end()

    def _follow_result(self, *, cancelled: bool) -> SendResult:
        return encode(Call.WAIT, cancelled=cancelled, headers_were_sent=self._head_sent)

    def _write_accepted(self, write: Write) -> None:
        self._timers.cancel(write.timer)
        if isinstance(write, Follow):
            self._end_follow(write)
        self._note_whole(write.body)
        write.settle(None)

    def _write_refused(self, write: Write, error: Exception) -> None:
        self._timers.cancel(write.timer)
        if isinstance(write, Follow):
            self._end_follow(write)
        write.settle(None, error)

    def _ended_call(self, pending: Pending, call: Call) -> Pending:
        """Settles a call at once: the exchange is over, or what it waits for is there already."""
        over = self.state not in (LIVE if call is Call.WAIT else TAKES_WRITES)
        reached = isinstance(pending, Wait) and self._reached(pending)
        pending.settle(encode(call, cancelled=over, headers_were_sent=self._head_sent, reached=reached))
        return pending


def checked_timeout(timeout: float, name: str = "timeout") -> float:
    """A timeout in seconds, if it is one.

    Raises:
        TypeError: not a number.
        ValueError: negative or NaN.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(timeout).__name__}")
    if timeout != timeout or timeout < 0:
        raise ValueError(f"{name} must be 0 or more seconds, not {timeout}")
    # An integer may be larger than any float; added to a time it would raise.
    return inf if timeout > sys.float_info.max else timeout


def _checked_window(window: WindowSize) -> WindowSize:
    if window == "auto":
        return window
    if isinstance(window, bool) or not isinstance(window, int):
        raise TypeError(f'send_window must be an integer or "auto", not {type(window).__name__}')
    if window < 0:
        raise ValueError(f"send_window must be 0 or more bytes, not {window}")
    return window
