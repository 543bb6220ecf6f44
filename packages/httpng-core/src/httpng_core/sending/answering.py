"""How a handler ends its response: with an answer, with what it wrote, or with an error."""

from math import inf
from typing import Final

from httpng_core.config.types import Integer
from httpng_core.errors import ContentLengthError, ResponseStateError
from httpng_core.http.response import (
    HeaderSource,
    Response,
    ResponseHead,
    body_bytes,
    response_head,
    with_defaults,
)
from httpng_core.http.trailers import Fields
from httpng_core.sending.calls import Write
from httpng_core.sending.ends import FELL_SHORT, RAISED, Cause, EndKind
from httpng_core.sending.host import DirectSend
from httpng_core.sending.queueing import Queueing
from httpng_core.sending.states import LAST_WRITABLE, ResponseEvent, ResponseState, next_state
from httpng_core.sending.waits import HeadStage

HANDLER_ERROR: Final = b"Path handler execution error"
_ERROR_HEAD: Final = response_head(500, {"content-type": "text/plain; charset=utf-8"})
_OPEN: Final = ResponseState.OPEN
_STREAMING: Final = ResponseState.STREAMING
_SHORT: Final = 16 * 1024
"""A body up to this is framed at once with its head."""


class Answering(Queueing):
    """An exchange that is answered. See `Exchange`."""

    __slots__ = ()

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

    def answer(
        self,
        status: Integer,
        headers: HeaderSource | None,
        body: bytes | str,
        now: float,
        send: DirectSend | None = None,
        answers: "Answers | None" = None,
    ) -> None:
        """End the response with a whole one, or append `body` to what was begun.

        With `send`, as in `Host.direct_send`, an ordinary response goes to the kernel in this very call.
        Whoever gives it looks at the connection afterwards: `Host.wake` isn't called, unless there is more
        to do than to read, and to heed `next_deadline`.

        With `answers` an ordinary response isn't given at all: it is added to that list, for `answer_with`.

        Raises:
            TypeError, ValueError: it isn't one; nothing of it is sent.
            ContentLengthError: its body and the declared length disagree; nothing of it is sent.
        """
        data = body if type(body) is bytes else body_bytes(body)
        # What follows is `answer_with`, without the call.
        size = len(data)
        head = response_head(status, headers)
        if answers is not None and self._may_wait(head, size):
            answers.append((self, head, data))
        elif self.state is not _OPEN or size > _SHORT or not self.begin_whole(head, data, size, now, send):
            self._answer_apart(head, data, size, now)

    def answer_with(
        self,
        head: ResponseHead,
        data: bytes,
        now: float,
        send: DirectSend | None = None,
        answers: "Answers | None" = None,
    ) -> None:
        """Do what `answer` does, with a status and headers that `response_head` has checked before.

        Raises:
            ContentLengthError: the body and the declared length disagree; nothing of it is sent.
        """
        size = len(data)
        if answers is not None and self._may_wait(head, size):
            answers.append((self, head, data))
        elif self.state is not _OPEN or size > _SHORT or not self.begin_whole(head, data, size, now, send):
            self._answer_apart(head, data, size, now)

    def _may_wait(self, head: ResponseHead, size: int) -> bool:
        """Return whether a whole response is short, and can't be refused by the time it is given."""
        declared = head.content_length
        return (
            self.state is _OPEN
            and size <= _SHORT
            and (declared is None or declared == size)
            and self.tunnel is None
        )

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
        """Answer with an error, as the handler raised; if something was committed, cut the response short.

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

    def cut_off(self, last: bytes, now: float, cause: Cause) -> None:
        """End it cut short, where it can be with `last` as the last of its body."""
        if self.tunnel is None and self.head_stage >= HeadStage.COMMITTED and self.state <= LAST_WRITABLE:
            self.accept(last, now)
        self.fail(now, cause)

    def refuse(self, status: int, reason: str, now: float) -> None:
        """Answer with an error, as the request can't be served, if nothing was committed.

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

    # Inside -------------------------------------------------------------------------------------------

    def _begin_body(self, headers: HeaderSource | None, now: float) -> None:
        if self.head is None:
            head = response_head(200, headers)
            self._give_head(head, head.content_length)
            self.head_given = True
            self.state = _STREAMING
        if self.stalls is not None:
            self.stalls.begin(now)
        self.transport.wake()

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
            self.transport.exchange_ended(self, now)
            self.transport.wake()

    def _cut(self, cause: Cause, now: float) -> None:
        self.cause = cause
        self._flush(ResponseEvent.CUT, now)
        # Perhaps there is nothing left to flush.
        self.check_flushed(now)

    def _flush(self, event: ResponseEvent, now: float) -> None:
        self.state = next_state(self.state, event, head_given=True)
        if self.incoming is not None:
            self.incoming.abandon("its handler is done", now)
        self.transport.exchange_ended(self, now)
        self.transport.wake()


Answers = list[tuple[Answering, ResponseHead, bytes]]
"""Responses that handlers have returned and that aren't given yet: whose, with what head and body."""
