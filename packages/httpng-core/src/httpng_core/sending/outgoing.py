"""One response as a protocol sees it: what is to be framed, and what became of the frames.

A handler's calls are in `exchange.py`. Nothing here calls back into a protocol, apart from the two words of
`Carrier` that say how far the end has come.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.config.types import Until
from httpng_core.errors import is_handlers_error
from httpng_core.http.request import Request
from httpng_core.http.response import ResponseHead
from httpng_core.http.trailers import Fields
from httpng_core.sending.auto_window import PathEstimate
from httpng_core.sending.body import Buffer, ResponseBody
from httpng_core.sending.calls import DrainWait, Follow, Message, Write
from httpng_core.sending.carrier import NO_CARRIER, Carrier
from httpng_core.sending.checks import checked_window
from httpng_core.sending.confirming import Confirming
from httpng_core.sending.ends import ABORTED, CLEAN, CLIENT_FIN, CLIENT_GONE, Cause, EndKind
from httpng_core.sending.holders import Holder
from httpng_core.sending.host import NO_HOST
from httpng_core.sending.incoming import Incoming
from httpng_core.sending.positions import LagBook
from httpng_core.sending.queue import WriterQueue
from httpng_core.sending.receiver import Receiver
from httpng_core.sending.results import Call, encode
from httpng_core.sending.stall import StallWatch
from httpng_core.sending.states import LAST_LIVE, LAST_WRITABLE, ResponseEvent, ResponseState, next_state
from httpng_core.sending.waits import HeadStage, Waits
from httpng_core.timers import Timers

_OPEN: Final = ResponseState.OPEN
_STREAMING: Final = ResponseState.STREAMING
_ENDED: Final = ResponseState.ENDED
_CUTTING: Final = ResponseState.CUTTING
_ALWAYS: Final = 1 << 62
"""No call has a number as high as this."""


class Outgoing(ResponseBody):
    """One request and its response, as far as protocols need them.

    Attributes:
        request: the request.
        settings: what the server ran with when the exchange began.
        state: where the response stands.
        head: the header block, once there is one.
        head_stage: how far it has come.
        substitute: a body of ours (an error's) that goes out in place of the handler's; it isn't counted.
        started: when the request had come in.
        moved_at: when a byte last moved, or had to begin to.
        offered: whether a frame of it is offered to the kernel, which has not answered yet.
        is_whole: whether it was given in one go, and can be framed so until any of it is committed.
        cause: why it ended; `CLEAN` until it does otherwise.
        first_sent: when the TCP/IP stack had the header block; 0 before that.
        held: for how many seconds who was seen to hold its bytes, by name; `None` if nobody looked.
        carrier: what frames it, until it is over.
        host: the driver's hooks.
        timers: those of its connection.
        on_over: called once when the exchange is over, in whatever way; it must only schedule.
        queue: who waits for room, if anybody ever did.
        waits: who waits for positions, if anybody ever did.
        last_whole, last_short: the numbers of the last call, of those with a body and of follows, that was
            accepted whole (of a follow, a payload), and of the last that ended short.
        head_given: whether the handler gave the header block, so that a second one is a mistake.
        offered_follow: the follow whose payload is offered, or is being framed; or the message that is.
        stalls: what resets it when no byte moves for `io.stall_timeout`.
        trailers: fields that go out behind the body, where the client takes them.
        incoming: the request's body, if it comes in while the handler runs.
        draining: whether the server has begun to drain: the handler is to come to its end.
        drain_waits: who waits for that, if anybody does.
        tunnel: what gets what the client sends, once that and the body are raw bytes; else `None`.
        window: the send window that an operator has set, in bytes; `None`: none did.
    """

    __slots__ = (
        "_calls",
        "_end_committed",
        "_offered_at",
        "carrier",
        "cause",
        "drain_waits",
        "draining",
        "first_sent",
        "head",
        "head_given",
        "head_stage",
        "held",
        "host",
        "incoming",
        "is_whole",
        "last_short",
        "last_whole",
        "moved_at",
        "offered",
        "offered_follow",
        "on_over",
        "queue",
        "request",
        "settings",
        "stalls",
        "started",
        "state",
        "substitute",
        "timers",
        "trailers",
        "tunnel",
        "waits",
        "window",
    )

    def __init__(
        self, request: Request, settings: Settings, timers: Timers, carrier: Carrier, started: float
    ) -> None:
        # Those of `ResponseBody`, here for the sake of a call.
        self.current = self.committed = self.sent = self.buffered = self._offset = 0
        self.acked: int | None = None
        self.confirmed: int | None = None
        self.confirming: Confirming | None = None
        self.length: int | None = None
        self.drops = False
        self.lag_until: Until = "sent"
        self.path: PathEstimate | None = None
        self.path_until: Until = "acked"
        self.pieces: deque[bytes] | None = None
        self._lag_since = 0.0
        self._lag_book: LagBook | None = None
        self.largest_lag = 0.0
        self.request = request
        self.settings = settings
        self.timers = timers
        self.carrier = carrier
        self.host = carrier.host
        self.started = self.moved_at = started
        self.state = _OPEN
        self.head: ResponseHead | None = None
        self.head_stage = HeadStage.NONE
        self.substitute = b""
        self.offered = self.is_whole = False
        self.cause = CLEAN
        self.first_sent = 0.0
        self.held: dict[str, float] | None = None
        self.on_over: Callable[[], None] | None = None
        self.queue: WriterQueue | None = None
        self.waits: Waits | None = None
        self._end_committed = False
        self._calls = 0
        self.last_whole = 0
        self.last_short = 0
        self.offered_follow: Write | None = None
        self._offered_at = 0.0
        self.head_given = False
        self.stalls: StallWatch | None = None
        self.incoming: Incoming | None = None
        self.trailers: Fields = ()
        self.draining = False
        self.drain_waits: list[DrainWait] | None = None
        self.tunnel: Receiver | None = None
        self.window: int | None = None

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

    @property
    def is_over(self) -> bool:
        """Whether a final state was reached."""
        return self.state > LAST_LIVE

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
        """Return body bytes for the next frame, at most `limit`, but a chosen payload whole.

        A long write's are accepted by this.
        """
        queue = self.queue
        if queue is not None:
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
        if is_owed and (closed := self.carrier.closed_window()) is not None:
            return closed
        look = None if self.host.look is None else self.host.look()
        held = None if look is None else look.holder()
        if self.sent < self.current:
            return held
        if waits:
            return held if look is not None and look.notsent else Holder.SEND_WINDOW
        if is_owed or (held is not None and self.sent and not self.carrier.shares):
            return held
        return Holder.HANDLER if self.state <= LAST_WRITABLE else held

    def set_window(self, size: int, now: float) -> None:
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
        self.host.wake()

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

    def taken(self, head: bool, size: int, end: bool, now: float) -> None:
        """Note that the kernel took whole frames at once: what `commit_frames` and `paid` say, in one."""
        self.offered = False
        followed = self.path is not None or self.confirming is not None
        if followed or self.offered_follow is not None or self.queue is not None:
            self.commit_frames(head=head, size=size, end=end)
            self.paid(head=head, size=size, end=end, now=now)
            return
        self.moved_at = now
        if head:
            self.head_stage, self.first_sent = HeadStage.SENT, now
        if size:
            if now - self._lag_since > self.largest_lag + 0.001:
                self.note_lag(now)
            if size == self.buffered:
                self.buffered, self.pieces, self._offset = 0, None, 0
                self.committed += size
            else:
                self.commit(size)
            self.sent += size
            if self._lag_book is not None:
                self._pay_lag()
        if end:
            self._end_committed = True
            self.state = ResponseState.CLOSED
            self.tell_over(now)
        elif self.state is _CUTTING:
            self.check_flushed(now)
        elif self.waits is not None and self.waits.pending:
            self.settle_waits()

    def paid(self, *, head: bool, size: int, end: bool, now: float) -> None:
        """Note that the TCP/IP stack has the whole header block, `size` more body bytes, or the end."""
        self.moved_at = now
        if head:
            self.head_stage, self.first_sent = HeadStage.SENT, now
        if end and self.state is _ENDED and self.queue is None and self.path is None:
            # The ordinary end: the handler is done, and nothing is left to wait for.
            lag = now - self._lag_since if size else 0.0
            self.largest_lag = lag if lag > self.largest_lag else self.largest_lag
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
            if waits.pending:
                return
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
        carrier, host = self.carrier, self.host
        # Who keeps the exchange keeps nothing of its connection.
        self.carrier, self.host = NO_CARRIER, NO_HOST
        carrier.exchange_over(self, now)
        if incoming is not None:
            incoming.let_go()
        host.wake()

    def drain(self, now: float) -> None:
        """Note that the server drains: who waits for that is told, and what follows until then ends."""
        if self.state > LAST_LIVE:
            return
        self.draining = True
        is_told = self.drain_waits is not None
        if is_told:
            self.tell_draining()
        if self.queue is not None and self.queue.finish_follows():
            is_told = True
            self.queue.advance(self, now, self._settle_write)
            self.host.wake()
        if self.tunnel is not None and not is_told:
            # Its handler may wait for the client alone.
            self.tunnel.drain(now)

    def tell_draining(self) -> None:
        """Settle all who wait for the drain: it has begun, or there is nothing more to end."""
        waits, self.drain_waits = self.drain_waits, None
        for wait in waits or ():
            self.timers.cancel(wait.timer)
            wait.tell(is_due=True)

    def leave_queue(self) -> None:
        """Settle all who wait for room as cancelled."""
        if self.queue is not None:
            for write in self.queue.clear():
                self.keep_offered(write)
                self.note_short(write)
                if write.accepted and write.rest:
                    # Whatever goes out behind it, something is missing in its middle.
                    self.last_short = _ALWAYS
                self.settle_call(write, cancelled=True)

    def keep_offered(self, write: Write) -> None:
        """Accept a message that is offered to the kernel, which may have taken of it: it leaves the line."""
        if isinstance(write, Message) and write is self.offered_follow and self.offered:
            self.offered_follow = None
            write.accept(self.committed)
            self.accept_offered(write.body, self._offered_at)

    def note_short(self, write: Write) -> None:
        """Remember that a write ends before all of it was accepted, if it does."""
        if write.rest and write.order > self.last_short:
            self.last_short = write.order

    def settle_waits(self) -> None:
        """Settle the waits for which the response has come far enough; all, if it is over."""
        if self.waits is not None:
            self.waits.settle_met(self, self.head_stage, over=self.state > LAST_LIVE)

    def settle_call(self, write: Write, *, cancelled: bool = False) -> None:
        """Settle a write or follow that was not accepted whole."""
        self._release(write)
        sent = self.head_stage >= HeadStage.SENT
        if isinstance(write, Follow):
            write.settle(encode(Call.WAIT, cancelled=cancelled, headers_were_sent=sent))
        else:
            write.settle(
                encode(Call.WRITE, cancelled=cancelled, headers_were_sent=sent, body_bytes=write.reported)
            )

    # Inside -------------------------------------------------------------------------------------------

    def _is_too_short(self) -> bool:
        if self.length is None or self.drops:
            return False
        waiting = 0 if self.queue is None else self.queue.rest
        return self.current + waiting < self.length

    def _settle_write(self, write: Write, error: Exception | None) -> None:
        """End a call of the queue: it is through, or its turn came and its length can't be."""
        self._release(write)
        if error is None and write.body and write.order > self.last_whole:
            self.last_whole = write.order
        write.settle(None, error)

    def _release(self, write: Write) -> None:
        self.timers.cancel(write.timer)
        if isinstance(write, Follow):
            write.source.end()

    def _take_chosen(self, follow: Write, size: int) -> None:
        if isinstance(follow, Follow):
            follow.source.taken()
        elif isinstance(follow, Message):
            follow.accept(self.current)
        self.accept_committed(size, self._offered_at)
        if self.confirming is not None and self.queue is not None:
            self.confirming.took(self.queue.chosen, self.current)
        if follow.order > self.last_whole:
            # A follow that delivered a payload counts as a write that was accepted whole.
            self.last_whole = follow.order
        if self.queue is not None:
            self.queue.chosen = b""

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

    def _step_in(self) -> None:
        """Let a sweep send what a feed publishes next, if all before it is sent and nothing is tracked."""
        assert self.queue is not None
        if self.buffered or self.current > self.sent or self.acked is not None or self.confirming is not None:
            return
        if self.head_stage < HeadStage.SENT or (source := self.queue.following) is None:
            return
        host = self.host
        if host.direct_send is not None and host.feed_ready is not None and self.carrier.can_sweep():
            source.step_in(host)


def of_users(error: BaseException, name: str) -> Exception:
    """Return what a call raises as the function of the user's that it was given as `name` raised `error`."""
    if isinstance(error, Exception):
        return error
    wrapped = RuntimeError(f"{name} raised {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped
