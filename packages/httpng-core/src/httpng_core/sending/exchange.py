"""One request and its response: the calls of a handler.

Every method takes the time as an argument; none blocks. Calls that can't end at once return a `Pending` that
settles later: when the kernel has taken bytes, at a deadline, or at the end. What a protocol frames of the
response is in `outgoing.py`, how a handler ends it in `answering.py`.
"""

from math import inf

from httpng_core.config.types import Integer, Seconds, Until, WindowSize
from httpng_core.errors import ContentLengthError, ResponseStateError
from httpng_core.http.interim import interim_head
from httpng_core.http.response import HeaderSource, body_bytes, response_head, switching_head
from httpng_core.http.trailers import trailer_fields
from httpng_core.sending.answering import Answering
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
from httpng_core.sending.checks import checked_position, checked_timeout, checked_window
from httpng_core.sending.messages import MessagePositions
from httpng_core.sending.results import Call, SendStats
from httpng_core.sending.states import GIVEN_UP, LAST_LIVE, LAST_WRITABLE, ResponseEvent, next_state
from httpng_core.sending.tunnel import Tunnel
from httpng_core.sending.waits import HeadStage, reached


class Exchange(Answering):
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
        self.transport.wake()
        return self._await(HeaderWrite(deadline))

    def write(
        self,
        body: bytes | str | bytearray | memoryview,
        now: float,
        timeout: Seconds | None = None,
        window: WindowSize | float | None = None,
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
            until = self._track(until)
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
        return self._line_up(Write(data, room, now + wait_for, until), now, has_room=False)

    def write_message(
        self,
        frame: bytes,
        head: int,
        size: int,
        positions: MessagePositions,
        now: float,
        timeout: Seconds | None = None,
        window: WindowSize | float | None = None,
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
            until = self._track(until)
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
            self.transport.wake()
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
        self.count_broadcast()
        if self.state > LAST_LIVE or reached(wait, self, self.head_stage):
            return self._ended_call(wait, Call.WAIT)
        return self._await(wait)

    def follow(
        self,
        source: Source,
        now: float,
        timeout: Seconds | None = None,
        window: WindowSize | float | None = None,
        headers: HeaderSource | None = None,
        until: Until | None = None,
        until_draining: bool = False,
        positions: MessagePositions | None = None,
    ) -> Pending:
        """Send what a feed publishes until it is closed; the call settles with `None` when all of it is sent.

        With `until_draining` it goes on as if the feed were closed once the server drains. Where payloads go
        out as messages, `window` counts by `positions`, those of messages, as that of `write_message` does.

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
            until = self._track(until)
        if size == "auto":
            follow = Follow(source, 0, deadline, until, self.along_path(until))
        else:
            follow = Follow(source, size, deadline, until, None, positions)
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
            self.transport.send_interim(head, now)
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
        self, tunnel: Tunnel, fields: HeaderSource, headers: HeaderSource | None, now: float
    ) -> None:
        """Accept what the request asks for in place of HTTP: from now on the body is raw bytes, both ways.

        `tunnel` gets what the client sends, with what has come behind the request, and is told of the end.
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
        self.drops, self.tunnel = False, tunnel
        self.transport.wake()
        self.transport.tunnel_opened(self, now)
        if self.draining and self.tunnel is tunnel:
            # Nobody was there to be told when the drain began.
            tunnel.drain(now)

    def end_tunnel(self, now: float) -> None:
        """End a tunnel cleanly: what was accepted is flushed."""
        if self.state <= LAST_WRITABLE:
            self.leave_queue()
            self.last_short = 0
            self._end(now)

    def stats(self, now: float) -> SendStats:
        """Return where the exchange stands."""
        self.count_broadcast()
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
