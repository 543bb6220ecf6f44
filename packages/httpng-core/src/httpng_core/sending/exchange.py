"""One request and its response: the calls of a handler.

Every method takes the time as an argument; none blocks. Calls that can't end at once return a `Pending` that
settles later: when the kernel has taken bytes, at a deadline, or at the end. What a protocol frames of the
response is in `outgoing.py`.
"""

from math import inf
from typing import Final

from httpng_core.config.types import Integer, Seconds, Until, WindowSize
from httpng_core.errors import ContentLengthError, ResponseStateError
from httpng_core.http.interim import interim_head
from httpng_core.http.response import (
    HeaderSource,
    Response,
    ResponseHead,
    body_bytes,
    response_head,
    switching_head,
    with_defaults,
)
from httpng_core.http.trailers import Fields, trailer_fields
from httpng_core.sending.calls import (
    DONE,
    DrainWait,
    Follow,
    HeaderWrite,
    Message,
    Pending,
    Read,
    Source,
    Wait,
    Write,
)
from httpng_core.sending.checks import (
    checked_position,
    checked_timeout,
    checked_window,
)
from httpng_core.sending.ends import FELL_SHORT, RAISED, Cause, EndKind
from httpng_core.sending.messages import MessagePositions
from httpng_core.sending.outgoing import of_users
from httpng_core.sending.queue import WriterQueue
from httpng_core.sending.receiver import Receiver
from httpng_core.sending.results import Call, SendResult, SendStats, encode
from httpng_core.sending.states import (
    GIVEN_UP,
    LAST_LIVE,
    LAST_WRITABLE,
    ResponseEvent,
    ResponseState,
    next_state,
)
from httpng_core.sending.tracking import Tracking
from httpng_core.sending.waits import HeadStage, Waits, reached

HANDLER_ERROR: Final = b"Path handler execution error"
_ERROR_HEAD: Final = response_head(500, {"content-type": "text/plain; charset=utf-8"})
_OPEN: Final = ResponseState.OPEN
_STREAMING: Final = ResponseState.STREAMING
_SHORT: Final = 16 * 1024
"""A body up to this is framed at once with its head."""


class Exchange(Tracking):
    """One request and its response, with the calls of its handler.

    Attributes:
        request: the request.
        settings: what the server ran with when the exchange began.
        host: the driver's hooks; `exchange.host.driver` is whatever the driver wants to find there.
        on_over: called once when the exchange is over, in whatever way; it must only schedule.
        current, sent: positions in the response body; `stats` has them all.
        cause: why it ended; `CLEAN` until it does otherwise.
        first_sent: when the TCP/IP stack had the header block; 0 before that.
        largest_lag: the longest that a byte was in flight so far, in seconds.
        window: the send window that an operator has set, in bytes; `None`: none did.
    """

    __slots__ = ()

    # Calls that wait ----------------------------------------------------------------------------------

    def write_header(
        self, code: Integer, headers: HeaderSource | None, now: float, timeout: Seconds | None = None
    ) -> Pending:
        """Give the header block; the call settles with `None` when the TCP/IP stack has it.

        Raises:
            TypeError, ValueError: wrong arguments; nothing of the block is sent.
            ResponseStateError: the header block was given before.
        """
        deadline = self._deadline(now, timeout)
        head = response_head(code, headers)
        state = next_state(self.state, ResponseEvent.WRITE_HEADER, head_given=self.head_given)
        if self.state > LAST_WRITABLE:
            return self._ended_call(HeaderWrite(), Call.WRITE_HEADER)
        self.state = state
        self.head_given = True
        self._give_head(head, head.content_length)
        self.host.wake()
        return self._await(HeaderWrite(deadline))

    def write(
        self,
        body: bytes | str | bytearray | memoryview,
        now: float,
        timeout: Seconds | None = None,
        window: WindowSize | None = None,
        headers: HeaderSource | None = None,
        until: Until | None = None,
    ) -> Pending:
        """Write body bytes; the call settles with `None` once all are accepted.

        See the specification's rules 1 to 7. `headers` are for the implicit header block of a first write
        without `write_header`; `until` tells how far a byte must have come to be no longer in flight. The
        window "auto" counts until acked, or confirmed if `until` says so.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked", or `window` "auto", where the platform can't tell.
            ConfirmedUnknownError: `until` is "confirmed" where nothing confirms.
            ContentLengthError: more than the declared Content-Length; nothing of the body is sent.
        """
        data = body if type(body) is bytes else body_bytes(body)
        settings = self.settings
        limit = settings.default_send_window if window is None else checked_window(window)
        if self.window is not None:
            limit = self.window
        if timeout is not None:
            timeout = checked_timeout(timeout)
        until = settings.default_window_until if until is None else until
        if until != "sent" or limit == "auto":
            until = self._track(until, limit)
        if self.state > LAST_WRITABLE:
            return self._ended_call(Write(data, 0, inf), Call.WRITE)
        if self.tunnel is not None:
            raise ResponseStateError("a WebSocket was accepted: use its send")
        if self.head is None or self.stalls is not None:
            self._begin_body(headers, now)
        self.lag_until = until
        wait_for = settings.default_send_timeout if timeout is None else timeout
        if limit == "auto":
            return self._write_along_path(data, now + wait_for, until, now)
        room = self.host.admission.window
        room = limit if limit <= room else max(room, min(limit, len(data)))
        if self._take_now(data, room, until, now):
            return DONE
        return self._line_up(Write(data, room, now + wait_for, until), now)

    def write_message(
        self,
        frame: bytes,
        head: int,
        size: int,
        positions: MessagePositions,
        now: float,
        timeout: Seconds | None = None,
        window: WindowSize | None = None,
        until: Until | None = None,
    ) -> Pending:
        """Write a message of `size` bytes, framed as `frame` behind its first `head`, whole or not at all.

        It is accepted once it fits into the window, which counts by `positions`; one that is longer than that
        when nothing is in flight and the TCP/IP stack has taken a part of it. A result that says that it was
        accepted means that it goes out: the time was up before what is left of it fitted.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked", or `window` "auto", where the platform can't tell.
            ConfirmedUnknownError: `until` is "confirmed" where nothing confirms.
        """
        limit = self.settings.default_send_window if window is None else checked_window(window)
        if self.window is not None:
            limit = self.window
        deadline = self._deadline(now, timeout)
        until = self.settings.default_window_until if until is None else until
        if until != "sent" or limit == "auto":
            until = self._track(until, limit)
        path = self.along_path(until) if limit == "auto" else None
        fixed = 0 if limit == "auto" else limit
        if fixed > self.host.admission.window:
            fixed = max(self.host.admission.window, min(fixed, size))
        message = Message(frame, head, size, positions, fixed, deadline, until, path)
        if self.state > LAST_WRITABLE:
            return self._ended_call(message, Call.WRITE)
        if self.stalls is not None:
            self.stalls.begin(now)
        self.lag_until = until
        if (self.queue is None or not len(self.queue)) and message.is_due:
            self._calls += 1
            self.last_whole = self._calls
            message.accept(self.current)
            self.accept(frame, now)
            self.host.wake()
            return DONE
        if path is not None:
            path.refused(now)
        return self._line_up(message, now)

    def wait(
        self,
        position: Integer,
        now: float,
        timeout: Seconds | None = None,
        until: Until | None = None,
        positions: MessagePositions | None = None,
    ) -> Pending:
        """Wait until `sent >= position`, or for 0 and below until at most `-position` bytes are in flight.

        With another `until` it is `acked` or `confirmed` that has to come so far. The call always settles
        with a result. `wait(0)` waits for the header block as well. `positions` are those of messages, if it
        counts by them.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked" where the platform can't tell.
            ConfirmedUnknownError: `until` is "confirmed" where nothing confirms.
        """
        checked = checked_position(position)
        deadline = self._deadline(now, timeout)
        until = self.settings.default_window_until if until is None else until
        wait = Wait(checked, deadline, until if until == "sent" else self._track(until), positions)
        self.count_swept()
        if self.state > LAST_LIVE or reached(wait, self, self.head_stage):
            return self._ended_call(wait, Call.WAIT)
        return self._await(wait)

    def follow(
        self,
        source: Source,
        now: float,
        timeout: Seconds | None = None,
        window: WindowSize | None = None,
        headers: HeaderSource | None = None,
        until: Until | None = None,
        until_draining: bool = False,
    ) -> Pending:
        """Send what a feed publishes until it is closed; the call settles with `None` when all of it is sent.

        With `until_draining` it goes on as if the feed were closed once the server drains.

        The next payload is sent when all before it has come as far as `until`, or already when it fits into
        `window`. The window "auto" follows the path and counts until acked, or confirmed if `until` says so.
        Without a timeout it goes on for ever. Where body bytes are dropped by rule it ends at once.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked", or `window` "auto", where the platform can't tell.
            ConfirmedUnknownError: `until` is "confirmed" where nothing confirms.
            ContentLengthError: the response has a Content-Length, and a feed has none.
            ResponseStateError: it follows already; the next follow may begin when that has ended.
        """
        size = 0 if window is None else checked_window(window)
        if self.window is not None:
            size = self.window
        deadline = inf if timeout is None else now + checked_timeout(timeout)
        until = self.settings.default_window_until if until is None else until
        if until != "sent" or size == "auto":
            until = self._track(until, size)
        if size == "auto":
            follow = Follow(source, 0, deadline, until, self.along_path(until))
        else:
            follow = Follow(source, size, deadline, until)
        if self.state > LAST_WRITABLE:
            follow.settle(self._follow_cancelled())
            return follow
        if self.queue is not None and self.queue.any_follow is not None:
            raise ResponseStateError(
                "this response follows a feed already, and would never come to the second one: "
                "follow again when that call has returned"
            )
        self._begin_body(headers, now)
        self.lag_until = until
        if self.drops:
            return DONE
        if self.length is not None:
            raise ContentLengthError("a response with a content-length can't follow a feed, which has none")
        source.begin(self, self.host)
        follow.until_draining = until_draining
        if until_draining and self.draining:
            source.finish()
        return self._line_up(follow, now)

    def read(self, limit: int | None, now: float, timeout: Seconds | None = None) -> Read:
        """Read the next piece of the request's body, at most `limit` bytes; its value is `b""` at the end.

        A body that was whole before is read likewise. What ends the wait, and the errors, are those of
        `Request.read`.
        """
        if self.incoming is not None:
            return self.incoming.read(limit, now, timeout)
        read = Read(0, inf)
        read.answer(self.request.take_body(limit))
        return read

    def wait_draining(self, now: float, timeout: Seconds | None = None) -> DrainWait:
        """Wait until the server drains or the exchange is over; its result is whether that is so.

        Without a timeout it waits for ever. It holds up nothing: no write, no follow.

        Raises:
            TypeError, ValueError: a wrong timeout.
        """
        wait = DrainWait(inf if timeout is None else now + checked_timeout(timeout))
        if self.draining or self.state > LAST_LIVE:
            wait.tell(is_due=True)
            return wait
        wait.timer = self.timers.add(wait.deadline, lambda at: self.withdraw(wait, at))
        if self.drain_waits is None:
            self.drain_waits = []
        self.drain_waits.append(wait)
        self.host.wake()
        return wait

    def withdraw(self, pending: Pending, now: float) -> None:
        """End a call as a timeout would: its task was cancelled, or its time is up.

        What a read has brought already is there for the next one.
        """
        if isinstance(pending, Read) and self.incoming is not None:
            self.incoming.withdraw(pending, now)
            return
        if pending.settled:
            return
        if isinstance(pending, DrainWait):
            if self.drain_waits is not None:
                self.drain_waits.remove(pending)
            self.timers.cancel(pending.timer)
            pending.tell(is_due=False)
            return
        if isinstance(pending, Write):
            queue = self.queue
            assert queue is not None
            queue.remove(pending)
            self.keep_offered(pending)
            self.note_short(pending)
            self.settle_call(pending)
            # Who stood in line behind it may be accepted now.
            queue.advance(self, now, self._settle_write)
            self.host.wake()
        elif self.waits is not None:
            self.waits.withdraw(pending, self, self.head_stage)

    # Calls that don't ---------------------------------------------------------------------------------

    def write_informational(self, code: Integer, headers: HeaderSource | None, now: float) -> None:
        """Send an informational response (RFC 9110, 15.2), such as 103, ahead of the response. Doesn't wait.

        It is a hint: a client of HTTP/1.0, which knows none, and one that doesn't read get none.

        Raises:
            TypeError, ValueError: a code outside 102..199, or headers that can't be sent.
            ResponseStateError: the header block was given before.
        """
        head = interim_head(code, headers)
        if self.head_given:
            raise ResponseStateError("an informational response can't follow the header block")
        request = self.request
        if self.head is None and (request.version_major, request.version_minor) != (1, 0):
            self.carrier.send_interim(head, now)
            self.host.wake()

    def close(
        self, now: float, headers: HeaderSource | None = None, trailers: HeaderSource | None = None
    ) -> None:
        """End the response cleanly, also when a write fell short: the handler says that it knows.

        Bytes that are missing from a declared Content-Length cut it short all the same. Calling it again does
        nothing.

        Args:
            now: the time.
            headers: those of an empty answer, if none was begun.
            trailers: fields behind the body (RFC 9110, 6.5). They are left out where they can't go: on
                HTTP/1.1 if the client didn't send `TE: trailers` or the response has a Content-Length, and
                wherever there is no body.

        Raises:
            TypeError, ValueError: trailers that can't be sent; the response goes on.
        """
        fields = None if trailers is None else trailer_fields(trailers)
        if self.state <= LAST_WRITABLE and self.tunnel is None:
            self.leave_queue()
            self.last_short = 0
            if fields:
                self._give_trailers(fields, headers)
        self.finish(now, headers)

    def open_tunnel(
        self, receiver: Receiver, fields: HeaderSource, headers: HeaderSource | None, now: float
    ) -> None:
        """Accept what the request asks for in place of HTTP: from now on the body is raw bytes, both ways.

        `receiver` gets what the client sends, with what has come behind the request, and is told of the end.
        `fields` are those of the protocol that was agreed on, `headers` the handler's.

        Raises:
            TypeError, ValueError: headers that can't be sent.
            ResponseStateError: a header block was given before.
        """
        if self.head is not None:
            raise ResponseStateError("Unable to upgrade to WebSockets after sending HTTP headers")
        head = switching_head(101 if self.request.version_major == 1 else 200, fields, headers)
        self.state = next_state(self.state, ResponseEvent.WRITE_HEADER, head_given=self.head_given)
        self.head_given = True
        self._give_head(head, None)
        self.drops, self.tunnel = False, receiver
        self.host.wake()
        self.carrier.tunnel_opened(self, now)

    def end_tunnel(self, now: float) -> None:
        """End a tunnel cleanly: what was accepted is flushed."""
        if self.state <= LAST_WRITABLE:
            self.leave_queue()
            self.last_short = 0
            self._end(now)

    def stats(self, now: float) -> SendStats:
        """Return where the exchange stands."""
        self.count_swept()
        return SendStats(
            current=self.current,
            sent=self.sent,
            acked=self.acked,
            confirmed=self.confirmed,
            cancelled=self.state in GIVEN_UP,
            headers_were_sent=self.head_stage >= HeadStage.SENT,
            lag=self.lag(now),
            stalled_by=self.stalled_by(),
        )

    # How a handler ends -------------------------------------------------------------------------------

    def finish(self, now: float, headers: HeaderSource | None = None) -> None:
        """End the response as the handler returned nothing: flush, and end cleanly or cut short.

        `headers` are those of an empty answer, if none was begun.
        """
        if self.state > LAST_WRITABLE:
            return
        if self.tunnel is not None:
            self.tunnel.finish(now)
            return
        if self.head is None:
            head = response_head(200, headers)
            self._give_head(head, 0 if head.content_length is None else head.content_length)
        if self.queue is not None:
            self.leave_queue()
        self._end(now)

    def respond(self, response: Response, now: float) -> None:
        """End the response with what the handler returned; see `answer`."""
        self.answer(response.status, response.headers, response.body, now)

    def answer(self, status: Integer, headers: HeaderSource | None, body: bytes | str, now: float) -> None:
        """End the response with a whole one, or append `body` to what was begun.

        Raises:
            TypeError, ValueError: it isn't one; nothing of it is sent.
            ContentLengthError: its body and the declared length disagree; nothing of it is sent.
        """
        data = body if type(body) is bytes else body_bytes(body)
        size = len(data)
        head = response_head(status, headers)
        if self.state is not _OPEN or size > _SHORT or not self.begin_whole(head, data, size, now):
            self._answer_apart(head, data, size, now)

    def _answer_apart(self, head: ResponseHead, data: bytes, size: int, now: float) -> None:
        """Do what `answer` does of a response that is not ordinary, or to what was begun."""
        if self.state > LAST_WRITABLE:
            return
        if self.tunnel is not None:
            raise ResponseStateError("a WebSocket was accepted: its handler must return None")
        if self.head is None:
            declared = head.content_length
            if declared is not None and declared != size:
                self._check_declared(head, size)
            self._give_head(head, size if declared is None else declared)
        elif self.length is not None:
            self.check_length(size)
        if self.queue is not None:
            self.leave_queue()
        if size:
            self._calls += 1
            self.last_whole = self._calls
            # With "auto" it is the payload: there is nothing to choose later.
            window = self.settings.default_send_window if self.window is None else self.window
            if self.drops or window == "auto" or self.current - self.sent + size <= window:
                self.accept(data, now)
                if self.drops and self.waits is not None:
                    self.settle_waits()
            else:
                self._line_up(Write(data, window, inf), now)
        self._end(now)

    def fail(self, now: float, cause: Cause = RAISED) -> None:
        """End the response as the handler raised: an answer of ours if nothing was committed, else cut short.

        After the end it changes nothing.
        """
        if self.state > LAST_WRITABLE:
            return
        if self.tunnel is not None:
            self.tunnel.fail(now, cause)
            return
        if self.head_stage >= HeadStage.COMMITTED or self.offered:
            self.leave_queue()
            self._cut(cause, now)
            return
        self._answer_instead(_ERROR_HEAD, HANDLER_ERROR, cause, now)

    def refuse(self, status: int, reason: str, now: float) -> None:
        """End the response as the request can't be served: an answer of ours if nothing was committed.

        Else it is reset. After the end it changes nothing.
        """
        if self.state > LAST_WRITABLE:
            return
        cause = Cause(EndKind.REFUSED, reason, status)
        if self.head_stage >= HeadStage.COMMITTED or self.offered:
            self.reset(now, cause)
            return
        head = response_head(status, {"content-type": "text/plain; charset=utf-8"})
        self._answer_instead(head, reason.encode(), cause, now)

    def _answer_instead(self, head: ResponseHead, body: bytes, cause: Cause, now: float) -> None:
        """Answer in place of the handler, of which nothing is committed."""
        self.drop_all()
        self.leave_queue()
        if self.waits is not None:
            self.waits.cancel_header_writes(self, self.head_stage)
        self.cause = cause
        self.substitute = body
        self._give_head(head, len(body))
        self._flush(ResponseEvent.END, now)

    # What feeds tell (`FollowOwner`) ------------------------------------------------------------------

    def feed_closed(self, now: float) -> None:
        """Note that the feed which is followed has closed."""
        if self.queue is not None:
            self.queue.advance(self, now, self._settle_write)
        # Who stood in line behind it may have been accepted.
        self.host.wake()

    def follow_failed(self, error: BaseException, now: float) -> None:
        """End the follow: what a function of the user's raised, that says what is wanted, is raised by it."""
        queue = self.queue
        if queue is None or (follow := queue.any_follow) is None:
            return
        queue.remove(follow)
        self._settle_write(follow, of_users(error, "keys"))
        queue.advance(self, now, self._settle_write)
        # Who stood in line behind it may have been accepted.
        self.host.wake()

    def count_swept(self) -> None:
        """Count what a sweep has sent, if one does."""
        if self.queue is not None and (source := self.queue.following) is not None:
            self.settle_books(source)

    def settle_books(self, source: Source) -> None:
        """Count what a sweep has sent of `source`."""
        body, wire, at = source.take_books()
        if wire:
            self.current += body
            self.committed += body
            self.sent += body
            if at > self.moved_at:
                self.moved_at = at
            self.carrier.swept(wire)

    def sweep_fell_short(self, taken: int, now: float) -> None:
        """Note that the kernel took only `taken` wire bytes of a payload that a sweep has sent."""
        self.carrier.fell_short(taken, now)

    # Inside -------------------------------------------------------------------------------------------

    def _deadline(self, now: float, timeout: Seconds | None) -> float:
        return now + (self.settings.default_send_timeout if timeout is None else checked_timeout(timeout))

    def _begin_body(self, headers: HeaderSource | None, now: float) -> None:
        if self.head is None:
            head = response_head(200, headers)
            self._give_head(head, head.content_length)
            self.head_given = True
            self.state = _STREAMING
        if self.stalls is not None:
            self.stalls.begin(now)
        self.host.wake()

    def _give_trailers(self, fields: Fields, headers: HeaderSource | None) -> None:
        if self.head is None:
            # Its length isn't declared, so that something can come behind it.
            head = response_head(200, headers)
            self._give_head(head, head.content_length)
        if not self.drops:
            self.trailers = fields

    def _give_head(self, head: ResponseHead, length: int | None) -> None:
        if self.settings.headers is not None:
            head = with_defaults(head, self.settings.headers)
        self.head, self.head_stage = head, HeadStage.BEGUN
        # What a bodiless response declares is what the handler says of another one (RFC 9110, 8.6).
        self.length = head.content_length if head.bodiless else length
        self.drops = head.bodiless or self.request.method == "HEAD"

    def _check_declared(self, head: ResponseHead, size: int) -> None:
        declared = head.content_length
        if declared is None or declared == size or head.bodiless or self.request.method == "HEAD":
            return
        raise ContentLengthError(
            f"content-length is {declared}, and the body that was returned has {size} bytes; "
            "nothing of it is sent"
        )

    def _take_now(self, data: bytes, room: float, until: Until, now: float) -> bool:
        """Accept a body whole if nobody waits before it and it fits; return whether it did."""
        if self.queue is not None and len(self.queue):
            return False
        size = len(data)
        if self.length is not None:
            self.check_length(size)
        reached = self.sent if until == "sent" else self.reached(until)
        if not self.drops and self.current - reached + size > room:
            return False
        if size:
            self._calls += 1
            self.last_whole = self._calls
            self.accept(data, now)
            if self.drops and self.waits is not None:
                # Dropped bytes count as sent, and no kernel will say so.
                self.settle_waits()
        self.host.wake()
        return True

    def _write_along_path(self, data: bytes, deadline: float, until: Until, now: float) -> Pending:
        path = self.along_path(until)
        if self._take_now(data, path.limit(len(data)), until, now):
            return DONE
        path.refused(now)
        return self._line_up(Write(data, 0, deadline, until, path), now)

    def _line_up(self, write: Write, now: float) -> Write:
        write.timer = self.timers.add(write.deadline, lambda at: self._time_out(write, at))
        if self.queue is None:
            self.queue = WriterQueue()
        queue = self.queue
        self._calls += 1
        write.order, write.began = self._calls, now
        queue.append(write)
        if len(queue) == 1:
            queue.advance(self, now, self._settle_write)
        if self.confirming is not None:
            self.confirming.look()
        self.host.wake()
        return write

    def _time_out(self, write: Write, now: float) -> None:
        if (note := self.host.note_timeout) is not None:
            note()
        self.withdraw(write, now)

    def _await(self, wait: Wait | HeaderWrite) -> Pending:
        self._step_out()
        if self.waits is None:
            self.waits = Waits(self.timers)
        wait.timer = self.timers.add(wait.deadline, lambda now: self.withdraw(wait, now))
        self.waits.pending.append(wait)
        if self.confirming is not None:
            self.confirming.look()
        return wait

    def _ended_call(self, pending: Pending, call: Call) -> Pending:
        """Settle a call at once: the exchange is over, or what it waits for is there already."""
        over = self.state > (LAST_LIVE if call is Call.WAIT else LAST_WRITABLE)
        met = isinstance(pending, Wait) and reached(pending, self, self.head_stage)
        sent = self.head_stage >= HeadStage.SENT
        pending.settle(encode(call, cancelled=over, headers_were_sent=sent, reached=met))
        return pending

    def _follow_cancelled(self) -> SendResult:
        sent = self.head_stage >= HeadStage.SENT
        return encode(Call.WAIT, cancelled=True, headers_were_sent=sent)

    def _end(self, now: float) -> None:
        if self.last_short > self.last_whole:
            self._cut(FELL_SHORT, now)
        elif self.length is not None and self.current < self.length and self._is_too_short():
            told = f"content-length is {self.length}, and {self.current} bytes were written"
            self._cut(Cause(EndKind.SHORT_BODY, told), now)
        else:
            self.state = ResponseState.ENDED
            if self.incoming is not None:
                self.incoming.abandon("its handler is done", now)
            self.carrier.exchange_ended(self, now)
            self.host.wake()

    def _cut(self, cause: Cause, now: float) -> None:
        self.cause = cause
        self._flush(ResponseEvent.CUT, now)
        if self.state is ResponseState.CUTTING:
            # Perhaps there is nothing left to flush.
            self.check_flushed(now)

    def _flush(self, event: ResponseEvent, now: float) -> None:
        self.state = next_state(self.state, event, head_given=True)
        if self.incoming is not None:
            self.incoming.abandon("its handler is done", now)
        self.carrier.exchange_ended(self, now)
        self.host.wake()
