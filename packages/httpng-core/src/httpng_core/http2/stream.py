"""One stream of HTTP/2: a request that comes in, then its exchange. What is framed of it is in `framing`."""

from math import inf
from typing import TYPE_CHECKING, Final

from httpng_core.http.priority import Priority
from httpng_core.http.response import ResponseHead
from httpng_core.http2.at_once import StreamSend
from httpng_core.http2.blocks import CONTINUE, interim_block
from httpng_core.http2.engine import streams
from httpng_core.http2.engine.errors import INTERNAL_ERROR
from httpng_core.http2.framing import Framing
from httpng_core.http2.tunnel import TunnelInflow
from httpng_core.sending.ends import Cause
from httpng_core.sending.holders import Holder
from httpng_core.sending.holdings import Holding, holding_of
from httpng_core.sending.host import DirectSend
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.endpoint import MAX_INTERIM

if TYPE_CHECKING:
    from httpng_core.http2.intake import Intake

BODY_WINDOW: Final = 256 * 1024
"""How much of a body may be on its way once it gets more credit than the first."""


class Stream(Framing):
    """A stream, and the transport of its exchange.

    Attributes:
        order: the stream id. See `Entry` and `Framing` for others.
        length: the declared Content-Length of the request; negative without one.
        body: what has come of the body.
        size: how much that is, in bytes.
        unpaid: how much of it has not been given back as credit.
        touched: when something of the request last came.
        grace_ends: until when the body may come as slowly as it likes.
        held: whether the rest of the body waits for credit.
        code: what a reset by the server says.
        flushes_since: when the handler was done; `None` while it runs.
        expects_continue: whether the client waits for a 100 before it sends the body.
        inflow: what comes into the tunnel that the request asks for, if it does.
        owner: the protocol.
    """

    # Set by `gather`, as most requests have no body.
    length: int
    body: list[bytes]
    size: int
    unpaid: int
    touched: float
    grace_ends: float
    held: bool

    __slots__ = (
        "body",
        "code",
        "expects_continue",
        "flushes_since",
        "grace_ends",
        "held",
        "inflow",
        "length",
        "owner",
        "size",
        "touched",
        "unpaid",
    )

    def __init__(self, owner: "Intake", flow: streams.Stream, priority: Priority) -> None:
        self.order = flow.stream_id
        self.urgency, self.incremental = priority
        self.served = 0
        self.flow = flow
        self.exchange = None
        self.closes = False
        self.code = INTERNAL_ERROR
        self.flushes_since: float | None = None
        self.expects_continue = False
        self.inflow: TunnelInflow | None = None
        self.host = owner.endpoint.host
        self.owner = owner
        self._session = owner.session
        self._endpoint = owner.endpoint
        self.rest = b""
        self._rest_counts = False

    def gather(self, length: int, now: float) -> None:
        """Have ready what is needed to gather the body, which comes before the exchange begins."""
        self.length = length
        self.body = []
        self.size = self.unpaid = 0
        self.touched = now
        self.held = False

    # What the exchange tells (`Transport`) ------------------------------------------------------------

    def wake(self) -> None:
        """Note that there may be something new to frame, and tell the driver."""
        self.owner.active[self.order] = self
        self.host.wake()

    def send_interim(self, head: ResponseHead, now: float) -> None:
        """Send an informational response, unless the client doesn't read."""
        session = self._session
        if session.control_size + self.owner.endpoint.outbound.waiting <= MAX_INTERIM:
            session.push_head(self.order, interim_block(head), False)
            self.owner.note_control(now)

    def track_acknowledged(self, exchange: Outgoing) -> bool:
        """Have acknowledgements told to the exchange."""
        return self.owner.endpoint.track_acknowledged(exchange)

    def send_whole(
        self, exchange: Outgoing, head: ResponseHead, data: bytes, now: float, send: DirectSend
    ) -> int:
        """Give a whole response to the kernel; return how many wire bytes that has left, -1: it wasn't asked.

        It is asked if there is no other stream, that may have something to send as well.
        """
        return self.owner.send_whole(self, head, data, now, send)

    def was_cut(self, left: int, now: float) -> None:
        """Go on with what `send_whole` has left, as if it had been offered as always."""
        self.owner.whole_was_cut(self, left, now)

    def has_company(self) -> bool:
        """Return whether the connection has other streams."""
        return len(self.owner.streams) > 1

    def closed_window(self) -> Holder | None:
        """Return the window that is shut, while the kernel has all that was framed."""
        if not self.owner.endpoint.outbound.is_empty:
            return None
        if self.flow.window <= 0:
            return Holder.STREAM_WINDOW
        return Holder.CONNECTION_WINDOW if self._session.window <= 0 else None

    def tunnel_opened(self, exchange: Outgoing, now: float) -> None:
        """Hand over what the client has sent before the tunnel was there."""
        assert self.inflow is not None
        self.inflow.open(exchange, now)
        self.tunnel_resumed(exchange, now)

    def tunnel_resumed(self, exchange: Outgoing, now: float) -> None:
        """Give credit back for what was handed over, if more is wanted."""
        if self.inflow is not None and (size := self.inflow.credit(exchange)):
            self._session.consume_stream(self.order, size)
            self.owner.note_control(now)

    def broadcast_by(self) -> DirectSend | None:
        """Return what a broadcast may send payloads by: they are framed for each follower."""
        outbound, send, can_take = self._endpoint.outbound, self.host.direct_send, self.host.can_take
        if send is None or can_take is None or self.rest:
            return None
        if not outbound.is_empty or outbound.ledger.tracks or self.room <= 0:
            return None
        return StreamSend(outbound, self._session, self.flow, send, can_take).send

    def fell_short(self, taken: int, now: float) -> None:
        """Frame the payload of which a broadcast has sent a part."""
        exchange = self.exchange
        if taken and exchange is not None:
            exchange.choose(now)
            self.commit_broadcast(~taken, now)
        self.host.wake()

    def lose(self, now: float, cause: Cause) -> None:
        """Give up the connection: whatever came next on it would pass for the rest of a frame."""
        self.owner.reset_all(now, cause)

    def exchange_ended(self, exchange: Outgoing, now: float) -> None:
        """Note that the handler is done: from now on no progress for `stall_timeout` is the end."""
        self.flushes_since = now
        self.owner.stream_flushes(self, exchange, now)

    def exchange_over(self, exchange: Outgoing, now: float) -> None:
        """Note that the exchange is complete, cancelled or given up."""
        self.owner.stream_over(self, now)

    # What a body that is read while it comes in tells (`Transport`) -----------------------------------

    def body_awaited(self, now: float) -> None:
        """Ask for the body if the client waits for that, and let more of it be on its way."""
        exchange, session = self.exchange, self._session
        if self.expects_continue:
            self.expects_continue = False
            if exchange is not None and exchange.head_stage < HeadStage.COMMITTED:
                session.push_head(self.order, CONTINUE, False)
        # The handler is faster than the client: what it allows is what bounds it.
        session.widen_stream(self.order, BODY_WINDOW)
        self.owner.note_control(now)

    def body_consumed(self, size: int, now: float) -> None:
        """Give the client credit for as much."""
        self._session.consume_stream(self.order, size)
        self.owner.note_control(now)

    def holding(self) -> Holding | None:
        """Return what is held for the request that comes in, or for its exchange; `None`: nothing is."""
        exchange = self.exchange
        if exchange is None:
            return Holding(self.size, self.touched, self._give_up) if self.size else None
        kept = len(self.rest) + (0 if self.inflow is None else self.inflow.held)
        return holding_of(exchange, kept, self._give_up)

    def _give_up(self, now: float, cause: Cause) -> None:
        self.owner.give_up(self, now, cause)

    # Time ---------------------------------------------------------------------------------------------

    def due(self) -> float:
        """Return when the client has taken too long; infinity: it needn't do anything."""
        exchange = self.exchange
        if exchange is None:
            if self.held:
                return inf
            owner = self.owner
            return min(self.touched + owner.settings.body_timeout, max(self.grace_ends, owner.bodies_due()))
        if self.flushes_since is None:
            return inf
        moved = max(self.flushes_since, exchange.moved_at)
        if self.room > 0 or not (self.rest or exchange.has_frame):
            # It isn't the client's window that holds it: what others on the connection get counts as well.
            moved = max(moved, self.owner.endpoint.outbound.moved_at)
        return moved + exchange.settings.stall_timeout
