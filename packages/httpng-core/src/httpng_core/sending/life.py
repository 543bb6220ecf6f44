"""A response from its beginning to its end: what it has, and who waits for it."""

from collections import deque
from collections.abc import Callable
from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.config.types import Until
from httpng_core.http.request import Request
from httpng_core.http.response import ResponseHead
from httpng_core.http.trailers import Fields
from httpng_core.sending.auto_window import PathEstimate
from httpng_core.sending.body import ResponseBody
from httpng_core.sending.calls import DrainWait, Follow, Message, Write
from httpng_core.sending.confirming import Confirming
from httpng_core.sending.ends import CLEAN
from httpng_core.sending.incoming import Incoming
from httpng_core.sending.positions import LagBook
from httpng_core.sending.queue import WriterQueue
from httpng_core.sending.results import Call, encode_result
from httpng_core.sending.stall import StallWatch
from httpng_core.sending.states import LAST_LIVE, ResponseState
from httpng_core.sending.transport import Transport
from httpng_core.sending.tunnel import Tunnel
from httpng_core.sending.waits import HeadStage, Waits
from httpng_core.timers import Timers

_OPEN: Final = ResponseState.OPEN
_ALWAYS: Final = 1 << 62
"""No call has a number as high as this."""


class ResponseLife(ResponseBody):
    """One request and its response: where it stands. See `Outgoing`.

    Attributes:
        request: the request.
        settings: what the server ran with when the exchange began.
        state: where the response stands.
        head: the header block, once there is one.
        head_stage: how far it has come.
        substitute: an error's body, which goes out in place of the handler's; it isn't counted.
        started: when the request had come in.
        moved_at: when a byte last moved, or had to begin to.
        offered: whether a frame of it is offered to the kernel, which has not answered yet.
        is_whole: whether it was given in one go, and can be framed so until any of it is committed.
        cause: why it ended; `CLEAN` until it does otherwise.
        first_sent: when the TCP/IP stack had the header block; 0 before that.
        held: for how many seconds who was seen to hold its bytes, by name; `None` if nobody looked.
        transport: what frames it, until it is over.
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
        "transport",
        "tunnel",
        "waits",
        "window",
    )

    def __init__(
        self, request: Request, settings: Settings, timers: Timers, transport: Transport, started: float
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
        self.transport = transport
        self.host = transport.host
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
        self.tunnel: Tunnel | None = None
        self.window: int | None = None

    # Where it stands ----------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether a final state was reached."""
        return self.state > LAST_LIVE

    def _is_too_short(self) -> bool:
        if self.length is None or self.drops:
            return False
        waiting = 0 if self.queue is None else self.queue.rest
        return self.current + waiting < self.length

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
            self.transport.wake()
        if self.tunnel is not None and not is_told:
            # Its handler may wait for the client alone.
            self.tunnel.drain(now)

    def tell_draining(self) -> None:
        """Settle all who wait for the drain: it has begun, or there is nothing more to end."""
        waits, self.drain_waits = self.drain_waits, None
        for wait in waits or ():
            self.timers.cancel(wait.timer)
            wait.tell(is_due=True)

    # Who waits ----------------------------------------------------------------------------------------

    def leave_queue(self) -> None:
        """Settle all who wait for room as cancelled."""
        if self.queue is not None:
            for write in self.queue.clear():
                self.keep_offered(write)
                self.note_left(write)
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

    def note_left(self, write: Write) -> None:
        """Remember of a write that leaves the line whether all of it was accepted."""
        if write.rest:
            self.last_short = max(self.last_short, write.order)
        elif write.body:
            # Its caller waited only for the kernel to take the last of it, which is offered.
            self.last_whole = max(self.last_whole, write.order)

    def settle_waits(self) -> None:
        """Settle the waits for which the response has come far enough; all, if it is over."""
        assert self.waits is not None
        self.waits.settle_met(self, self.head_stage, over=self.state > LAST_LIVE)

    def settle_call(self, write: Write, *, cancelled: bool = False) -> None:
        """Settle a write or follow that was not accepted whole."""
        self._release(write)
        sent = self.head_stage >= HeadStage.SENT
        if isinstance(write, Follow):
            write.settle(encode_result(Call.WAIT, cancelled=cancelled, headers_were_sent=sent))
        else:
            write.settle(
                encode_result(
                    Call.WRITE, cancelled=cancelled, headers_were_sent=sent, body_bytes=write.reported
                )
            )

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

    def _step_in(self) -> None:
        """Let a broadcast send what is published next, if all before it is sent and nothing is tracked."""
        assert self.queue is not None
        if self.waits is not None and self.waits.pending:
            return
        if self.buffered or self.current > self.sent or self.acked is not None or self.confirming is not None:
            return
        if self.head_stage < HeadStage.SENT or (source := self.queue.following) is None:
            return
        host = self.host
        if host.direct_send is None or host.feed_ready is None:
            return
        transport = self.transport
        if (send := transport.broadcast_by()) is not None:
            source.step_in(host, send, chunks=transport.has_chunks)
