"""One response as a protocol sees it: what is to be framed, and what became of the frames.

A handler's calls are in `exchange.py`. Nothing here calls back into a protocol, apart from the two words of
`Transport` that say how far the end has come.
"""

from typing import Final

from httpng_core.errors import is_handlers_error
from httpng_core.http.trailers import Fields
from httpng_core.sending.body import Buffer
from httpng_core.sending.calls import Follow, Message, Write
from httpng_core.sending.checks import checked_window
from httpng_core.sending.ends import ABORTED, CLIENT_FIN, CLIENT_GONE, Cause, EndKind
from httpng_core.sending.holders import Holder
from httpng_core.sending.host import NO_HOST
from httpng_core.sending.life import ResponseLife
from httpng_core.sending.states import LAST_LIVE, LAST_WRITABLE, ResponseEvent, ResponseState, next_state
from httpng_core.sending.transport import NO_TRANSPORT
from httpng_core.sending.waits import HeadStage

_STREAMING: Final = ResponseState.STREAMING
_ENDED: Final = ResponseState.ENDED
_CUTTING: Final = ResponseState.CUTTING


class Outgoing(ResponseLife):
    """One request and its response, as far as protocols need them; see `ResponseLife` for what it has."""

    __slots__ = ()

    # What there is to frame ---------------------------------------------------------------------------

    @property
    def has_frame(self) -> bool:
        """Whether there is something to frame: the head, body bytes, a payload of a feed, or the end."""
        if self.state > LAST_LIVE or self.head is None:
            return False
        if self.buffered or self.head_stage is HeadStage.BEGUN or self.ends_after(0):
            return True
        queue = self.queue
        return queue is not None and (queue.draws(self) or queue.can_choose(self))

    @property
    def draws_from_writer(self) -> bool:
        """Whether the next frame would be accepted from a caller that still waits."""
        return self.queue is not None and self.state <= LAST_LIVE and self.queue.draws(self)

    def ends_after(self, size: int) -> bool:
        """Return whether nothing follows the next `size` body bytes.

        The handler is done and nothing is left; or the response is complete on the wire then, though its
        handler still runs: bodies are dropped by rule, or the declared Content-Length is reached.
        """
        if self._end_committed or self.buffered > size:
            return False
        state = self.state
        if state is _ENDED:
            return self.queue is None or len(self.queue) == 0
        if state is not _STREAMING:
            return False
        return self.drops or (self.length is not None and self.committed + size >= self.length)

    def choose(self, now: float) -> None:
        """Choose the payload of a feed that goes next, if that is what goes next. Call it before framing.

        Code of the user's may run in this (`on_gap`), which may end the exchange and the connection.
        """
        queue = self.queue
        if queue is None or self.state > LAST_LIVE or not queue.can_choose(self):
            return
        try:
            queue.choose(self, now)
        except BaseException as error:
            self._choice_failed(error, now)
        if self.queue is queue and self.state <= LAST_LIVE:
            queue.advance(self, now, self._settle_write)

    def next_body(self, limit: int, now: float) -> Buffer:
        """Return body bytes for the next frame, at most `limit`, but a chosen payload whole. It has a queue.

        A long write's are accepted by this.
        """
        queue = self.queue
        assert queue is not None, "without one, peek"
        if not self.buffered and queue.chosen:
            self.offered_follow, self._offered_at = queue.chooser, queue.chosen_at
            return queue.chosen
        if queue.draws(self):
            queue.draw(self, limit, now)
        return self.peek(limit)

    def stalled_by(self) -> Holder | None:
        """Return who holds what is on its way; "handler" if nothing is, `None` if that can't be told."""
        if self.state > LAST_LIVE:
            return None
        queue = self.queue
        source = None if queue is None else queue.following
        waits = queue is not None and len(queue) > 0 and (source is None or source.size > 0)
        is_owed = self.sent < self.current or waits or HeadStage.NONE < self.head_stage < HeadStage.SENT
        if is_owed and (closed := self.transport.closed_window()) is not None:
            return closed
        look = None if self.host.look is None else self.host.look()
        held = None if look is None else look.holder()
        if self.sent < self.current:
            return held
        if waits:
            return held if look is not None and look.notsent else Holder.SEND_WINDOW
        if is_owed or (held is not None and self.sent and not self.transport.shares):
            return held
        return Holder.HANDLER if self.state <= LAST_WRITABLE else held

    def set_window(self, size: object, now: float) -> None:
        """Have this send window from now on, in bytes, whatever its handler says: an operator does.

        It is that of calls that wait, too. What was accepted beyond it stays so. After the end it changes
        nothing.

        Raises:
            TypeError, ValueError: it is no number of bytes.
        """
        checked = checked_window(size)
        if checked == "auto":
            raise ValueError('the window that an operator sets is a number of bytes, not "auto"')
        if self.state > LAST_LIVE:
            return
        self.window = checked
        if self.queue is not None:
            if (source := self.queue.following) is not None:
                source.step_out()
            self.queue.set_limit(checked)
            self.queue.advance(self, now, self._settle_write)
        self.transport.wake()

    # What became of the frames ------------------------------------------------------------------------

    def refused(self) -> None:
        """Note that the kernel took nothing of the frames that were offered."""
        self.offered, self.offered_follow = False, None

    def commit_frames(self, *, head: bool, size: int, end: bool) -> None:
        """Note that the kernel took a part of frames with the head, `size` body bytes and the end."""
        self.offered = False
        if head:
            self.head_stage = HeadStage.COMMITTED
        if end:
            self._end_committed = True
        follow = self.offered_follow
        if follow is not None:
            self.offered_follow = None
            self._take_chosen(follow, size)
        elif size:
            self.commit(size)

    def commit_offered(self, size: int, end: bool) -> None:
        """Note that the kernel has, or may have, a part of frames with so many buffered bytes, and the end.

        So they must go out. The exchange may have been given up since they were offered.
        """
        if end:
            self._end_committed = True
        if self.buffered:
            self.commit(size)
        else:
            self.committed += size

    def taken(self, head: bool, size: int, end: bool, now: float) -> None:
        """Note that the kernel took whole frames at once: what `commit_frames` and `paid` say, in one."""
        self.offered = False
        if self.path is not None or self.confirming is not None or self.offered_follow is not None:
            self.commit_frames(head=head, size=size, end=end)
            self.paid(head=head, size=size, end=end, now=now)
            return
        self.moved_at = now
        if head:
            self.head_stage, self.first_sent = HeadStage.SENT, now
        if size and (size != self.buffered or self.queue is not None or self._lag_book is not None):
            self._pay_buffered(size, now)
        elif size:
            if now - self._lag_since > self.largest_lag + 0.001:
                self.note_lag(now)
            self.buffered, self.pieces, self._offset = 0, None, 0
            self.committed += size
            self.sent += size
        if end:
            self._end_committed = True
            # A handler may have raised while the kernel was asked.
            self.state = ResponseState.CUT if self.state is _CUTTING else ResponseState.CLOSED
            self.tell_over(now)
        else:
            if self.state is _CUTTING:
                self.check_flushed(now)
            if self.waits is not None and self.waits.pending:
                self.settle_waits()
        if self.queue is not None and self.state is _STREAMING:
            self._step_in()

    def _pay_buffered(self, size: int, now: float) -> None:
        """Commit the first `size` buffered bytes, and count them as sent."""
        self.commit(size)
        self.pay(size, now)
        if self.queue is not None:
            self.queue.advance(self, now, self._settle_write)

    def paid(self, *, head: bool, size: int, end: bool, now: float) -> None:
        """Note that the TCP/IP stack has the whole header block, `size` more body bytes, or the end."""
        self.moved_at = now
        if head:
            self.head_stage, self.first_sent = HeadStage.SENT, now
        if end and self.state is _ENDED and self.queue is None and self.path is None:
            # The ordinary end: the handler is done, and nothing is left to wait for.
            if size and now - self._lag_since > self.largest_lag + 0.001:
                self.note_lag(now)
            self.sent += size
            self.state = ResponseState.CLOSED
            self.tell_over(now)
            return
        if size:
            self.pay(size, now)
            if self.queue is not None:
                self.queue.advance(self, now, self._settle_write)
        if end or self.state is _CUTTING:
            self.check_flushed(now, complete=end)
        waits = self.waits
        if waits is not None and waits.pending:
            self.settle_waits()
        if self.queue is not None and self.state is _STREAMING:
            self._step_in()

    def acknowledged(self, *, head: bool, size: int, now: float) -> None:
        """Note that the client's TCP has the header block, or `size` more body bytes."""
        self.moved_at = now
        if head and self.head_stage is HeadStage.SENT:
            self.head_stage = HeadStage.ACKED
        if size:
            if self.queue is not None:
                self.queue.note_refusal(self, "acked")
            self.acknowledge(size, now)
            if self.queue is not None:
                self.queue.advance(self, now, self._settle_write)
        if self.waits is not None and self.waits.pending:
            self.settle_waits()

    def acknowledgements_lost(self, now: float) -> None:
        """Note that acknowledgements can't be told any more: `acked` is unknown and waits for it settle."""
        self.forget_acked()
        if self.queue is not None:
            self.queue.advance(self, now, self._settle_write)
        if self.waits is not None:
            self.waits.forget_acked(self, self.head_stage)

    def check_flushed(self, now: float, *, complete: bool = False) -> None:
        """End the exchange if it is `complete`, or cut short and all that was accepted before is sent."""
        if self.state > LAST_LIVE:
            return
        if not complete and (self.buffered or self.sent < self.current or self.head_stage < HeadStage.SENT):
            return
        self.state = next_state(self.state, ResponseEvent.FLUSHED, head_given=True)
        self.tell_over(now)

    # The end ------------------------------------------------------------------------------------------

    def cancel(self, now: float, cause: Cause = CLIENT_GONE) -> None:
        """Settle everything pending at once and drop what was not committed: the client is gone."""
        self._give_up(ResponseEvent.CANCEL, cause, now)

    def reset(self, now: float, cause: Cause = ABORTED) -> None:
        """Give the exchange up: what is in flight is lost, and what has come can't pass for complete."""
        self._give_up(ResponseEvent.RESET, cause, now)

    def half_closed(self, now: float) -> None:
        """Note that the client sends no more; whether that cancels is `cancel_on_half_close`.

        A tunnel decides for itself.
        """
        if self.tunnel is not None:
            self.tunnel.receive_eof(now)
            return
        if LAST_WRITABLE < self.state <= LAST_LIVE:
            return
        rule, incoming = self.settings.cancel_on_half_close, self.incoming
        if incoming is not None and not incoming.is_complete:
            self.cancel(now, Cause(EndKind.CLIENT_FIN, "the client has gone before its request was whole"))
            return
        if incoming is not None and incoming.held and rule == "streaming":
            # It came with the request, of which the handler hasn't seen the end.
            return
        if rule == "always" or (rule == "streaming" and self.head is not None):
            self.cancel(now, CLIENT_FIN)

    def body_ended(self, trailers: Fields, now: float) -> None:
        """Note that all of the request's body has come, if it comes in while the handler runs."""
        if (incoming := self.incoming) is not None:
            incoming.end(trailers, now)
            self.request.give_trailers(incoming.trailers)

    def tell_over(self, now: float) -> None:
        """Tell all who have to know that a final state was reached, and let go of what others own."""
        if self.stalls is not None:
            self.stalls.stop()
            self.stalls = None
        if self.queue is not None:
            self.leave_queue()
        if self.waits is not None:
            self.settle_waits()
        incoming = self.incoming
        if incoming is not None:
            incoming.abandon(self.cause.text or "the response is complete", now)
        if self.drain_waits is not None:
            self.tell_draining()
        if self.confirming is not None:
            self.confirming.end()
        if self.tunnel is not None:
            tunnel, self.tunnel = self.tunnel, None
            tunnel.over(now)
        if self.on_over is not None:
            callback, self.on_over = self.on_over, None
            callback()
        transport, host = self.transport, self.host
        # Who keeps the exchange keeps nothing of its connection.
        self.transport, self.host = NO_TRANSPORT, NO_HOST
        transport.exchange_over(self, now)
        if incoming is not None:
            incoming.let_go()
        host.wake()

    # Inside -------------------------------------------------------------------------------------------

    def _take_chosen(self, follow: Write, size: int) -> None:
        if isinstance(follow, Follow):
            follow.source.taken()
        else:
            assert isinstance(follow, Message)
            follow.accept(self.current)
        self.accept_committed(size, self._offered_at)
        queue = self.queue
        assert queue is not None
        if self.confirming is not None:
            self.confirming.took(queue.chosen, self.current)
        if follow.order > self.last_whole:
            # A follow that delivered a payload counts as a write that was accepted whole.
            self.last_whole = follow.order
        queue.chosen = b""

    def _choice_failed(self, error: BaseException, now: float) -> None:
        """Settle the follow whose `on_gap` raised, unless that has ended the exchange before."""
        queue = self.queue
        if not is_handlers_error(error):
            raise error
        if queue is not None and (follow := queue.follow) is not None and not follow.settled:
            queue.remove(follow)
            self._settle_write(follow, of_users(error, "on_gap"))

    def _give_up(self, event: ResponseEvent, cause: Cause, now: float) -> None:
        if self.state > LAST_LIVE:
            return
        self.state = next_state(self.state, event, head_given=self.head is not None)
        self.cause = cause
        self.note_lag(now)
        self.drop_all()
        self.tell_over(now)


def of_users(error: BaseException, name: str) -> Exception:
    """Return what a call raises as the function of the user's that it was given as `name` raised `error`."""
    if isinstance(error, Exception):
        return error
    wrapped = RuntimeError(f"{name} raised {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped
