"""One stream of HTTP/2: a request that comes in, then its exchange and what is framed of it, late.

What a frame is made of is committed at once: frames go out in the order in which h2 made them, so none
can be taken back. Hence one is made only when the socket can take it and both flow-control windows have
room.
"""

from math import inf
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes
from h2.stream import H2Stream

from httpng_core.http.priority import Priority
from httpng_core.http.response import ResponseHead
from httpng_core.http2.reference.hpack import content_length_field
from httpng_core.http2.reference.request import RequestHead
from httpng_core.http2.reference.wire import FIRST_WINDOW
from httpng_core.sending.body import Buffer
from httpng_core.sending.ends import Cause
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.holders import Holder
from httpng_core.sending.holdings import Holding, holding_of
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.states import ResponseState
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.endpoint import MAX_INTERIM
from httpng_core.wire.ledger import Span
from httpng_core.wire.scheduler import Entry

if TYPE_CHECKING:
    from httpng_core.http2.reference.lifetime import Lifetime

# RFC 9113, 8.2.2; `connection` and `transfer-encoding` are left out of every head.
_OF_A_CONNECTION = frozenset({b"keep-alive", b"proxy-connection", b"te", b"upgrade"})


class Stream(Entry):
    """A stream, the transport of its exchange, and an entry of the scheduler.

    Attributes:
        order: the stream id. See `Entry` for others.
        head: the head of its request.
        body: what has come of the body.
        size: how much that is, in bytes.
        credit: how much more may come.
        flow: the windows of both sides, as h2 keeps them.
        touched: when something of the request last came.
        grace_ends: until when the body may come as slowly as it likes.
        held: whether the rest of the body waits for credit.
        exchange: once the request is whole.
        closes: whether the handler asked for the connection to close after this.
        code: what a reset by the server says.
    """

    __slots__ = (
        "_flushes_since",
        "_owner",
        "_rest",
        "_rest_counts",
        "body",
        "closes",
        "code",
        "credit",
        "exchange",
        "flow",
        "grace_ends",
        "head",
        "held",
        "size",
        "touched",
    )

    def __init__(self, owner: "Lifetime", flow: H2Stream, head: RequestHead, now: float) -> None:
        self.order = flow.stream_id
        self.urgency, self.incremental = head.priority
        self.served = 0
        self.head = head
        self.flow = flow
        self.body: list[bytes] = []
        self.size = 0
        self.credit = 0
        self.touched = now
        self.grace_ends = inf
        self.held = False
        self.exchange: Exchange | None = None
        self.closes = False
        self.code = ErrorCodes.INTERNAL_ERROR
        self._owner = owner
        self._rest = memoryview(b"")
        self._rest_counts = False
        self._flushes_since: float | None = None
        self.host = owner.endpoint.host

    def prioritise(self, priority: Priority) -> None:
        """Note that the client changes its mind."""
        self.urgency, self.incremental = priority

    # What the exchange tells (`Transport`) ------------------------------------------------------------

    def send_interim(self, head: ResponseHead, now: float) -> None:
        """Send an informational response, unless the client doesn't read."""
        fields = [field for field in head.headers if field[0] not in _OF_A_CONNECTION]
        if self._owner.outbound.waiting <= MAX_INTERIM and not self.flow.closed:
            self._owner.h2.send_headers(self.order, [(b":status", b"%d" % head.status), *fields])
            self._owner.take_control(now)

    def track_acknowledged(self, exchange: Outgoing) -> bool:
        """Have acknowledgements told to the exchange."""
        return self._owner.endpoint.track_acknowledged(exchange)

    def has_company(self) -> bool:
        """Return whether the connection has other streams."""
        return len(self._owner.streams) > 1

    def closed_window(self) -> Holder | None:
        """Return the window that is shut, while the kernel has all that was framed."""
        if not self._owner.outbound.is_empty or self.window > 0:
            return None
        is_own = self.flow.outbound_flow_control_window <= 0
        return Holder.STREAM_WINDOW if is_own else Holder.CONNECTION_WINDOW

    def exchange_ended(self, exchange: Outgoing, now: float) -> None:
        """Note that the handler is done: from now on no progress for `stall_timeout` is the end."""
        self._flushes_since = now
        self._owner.stream_flushes(now, exchange.settings.stall_timeout)

    def exchange_over(self, exchange: Outgoing, now: float) -> None:
        """Note that the exchange is complete, cancelled or given up."""
        self._owner.stream_over(self, now)

    def holding(self) -> Holding | None:
        """Return what is held for the request that comes in, or for its exchange; `None`: nothing is."""
        if self.exchange is None:
            return Holding(self.size, self.touched, self._give_up) if self.size else None
        return holding_of(self.exchange, len(self._rest), self._give_up)

    def _give_up(self, now: float, cause: Cause) -> None:
        self._owner.give_up(self, now, cause)

    # Time ---------------------------------------------------------------------------------------------

    @property
    def is_flushing(self) -> bool:
        """Whether the handler is done."""
        return self._flushes_since is not None

    def due(self) -> float:
        """When the client has taken too long with this stream; infinity: it needn't do anything."""
        if self.exchange is None:
            if self.held:
                return inf
            owner = self._owner
            return min(self.touched + owner.settings.body_timeout, max(self.grace_ends, owner.bodies_due()))
        if self._flushes_since is None:
            return inf
        moved = max(self._flushes_since, self.exchange.moved_at)
        if self.window > 0 or not (self._rest or self.exchange.has_frame):
            # It isn't the client's window that holds it: what others on the connection get counts as well.
            moved = max(moved, self._owner.outbound.moved_at)
        return moved + self.exchange.settings.stall_timeout

    @property
    def needs_credit(self) -> bool:
        """Whether the client may soon be held up by our window, and has more to come."""
        if self.credit >= FIRST_WINDOW // 2 or not self.flow.open:
            return False
        return self.head.length is None or self.head.length > self.size + self.credit

    # Sending ------------------------------------------------------------------------------------------

    @property
    def window(self) -> int:
        """How many body bytes the client's flow control allows; it may be negative."""
        return min(self.flow.outbound_flow_control_window, self._owner.h2.outbound_flow_control_window)

    @property
    def can_send(self) -> bool:
        """Whether a frame could be made now."""
        exchange = self.exchange
        if exchange is None:
            return False
        if self._rest:
            return self.window > 0
        if not exchange.has_frame:
            return False
        return self.window > 0 or exchange.head_stage is HeadStage.BEGUN or exchange.ends_after(0)

    def send(self, limit: int, now: float) -> list[Buffer]:
        """Commit the header block if it is due, and one DATA frame with at most `limit` body bytes."""
        exchange = self.exchange
        assert exchange is not None
        if exchange.queue is not None:
            # Code of the user's may run in this, and end the exchange.
            exchange.choose(now)
            if self.exchange is not exchange or not self.can_send:
                return []
        made: list[Buffer] = [self._send_head(exchange)] if exchange.head_stage is HeadStage.BEGUN else []
        room = min(limit, self.window, self._owner.h2.max_outbound_frame_size)
        counts, piece = self._next_piece(exchange, room, now) if room > 0 else (True, b"")
        ends = not self._rest and exchange.ends_after(0)
        if piece or ends:
            made += self._send_data(exchange, piece, counts=counts, ends=ends)
        return made

    def _send_head(self, exchange: Exchange) -> bytes:
        wire, head = self._owner.outbound.ledger, exchange.head
        assert head is not None
        self.closes = head.close
        if exchange.substitute and exchange.request.method != "HEAD":
            self._rest, self._rest_counts = memoryview(exchange.substitute), False
        ends = exchange.ends_after(0) and not self._rest
        last = ends and not exchange.trailers
        frames = self._owner.h2.head_frames(self.flow, self._block(exchange, head), ends=last)
        exchange.commit_frames(head=True, size=0, end=ends)
        wire.push_span(len(frames), Span.HEAD, exchange)
        if ends and not last:
            return frames + self._trailers(exchange)
        if ends:
            wire.push_span(0, Span.END, exchange)
        return frames

    def _trailers(self, exchange: Exchange) -> bytes:
        """Commit the trailers, which end the stream."""
        fields = [field for field in exchange.trailers if field[0] not in _OF_A_CONNECTION]
        h2, wire = self._owner.h2, self._owner.outbound.ledger
        frames = h2.head_frames(self.flow, h2.encoder.encode(fields), ends=True)
        wire.push(len(frames))
        wire.push_span(0, Span.END, exchange)
        return frames

    def _block(self, exchange: Exchange, head: ResponseHead) -> bytes:
        fields = [(b":status", b"%d" % head.status)]
        fields += [field for field in head.headers if field[0] not in _OF_A_CONNECTION]
        date = None if head.has_date else self._owner.endpoint.date()
        if date is not None:
            fields.append((b"date", date))
        block = self._owner.h2.encoder.encode(fields)
        # A 205 has no content, whatever the handler declared (RFC 9110, 15.3.6).
        length = 0 if head.status == 205 else exchange.length
        return block if length is None or head.status == 204 else block + content_length_field(length)

    def _next_piece(self, exchange: Exchange, room: int, now: float) -> tuple[bool, Buffer]:
        """Body bytes, at most `room`, and whether they are the handler's. They are committed by this."""
        if not self._rest:
            body = exchange.next_body(room, now)
            exchange.commit_frames(head=False, size=len(body), end=False)
            if len(body) <= room:
                return True, body
            # A payload is committed as a whole, however small the windows are; other streams go between.
            self._rest, self._rest_counts = memoryview(body), True
        piece, self._rest = self._rest[:room], self._rest[room:]
        return self._rest_counts, piece

    def _send_data(self, exchange: Exchange, piece: Buffer, *, counts: bool, ends: bool) -> list[Buffer]:
        wire, size = self._owner.outbound.ledger, len(piece)
        last = ends and not exchange.trailers
        if ends and not last and not size:
            exchange.commit_frames(head=False, size=0, end=True)
            return [self._trailers(exchange)]
        head = self._owner.h2.data_head(self.flow, size, ends=last)
        wire.push(len(head))
        if size and counts:
            wire.push_span(size, Span.BODY, exchange)
        else:
            wire.push(size)
        if ends:
            exchange.commit_frames(head=False, size=0, end=True)
            if not last:
                return [head, piece, self._trailers(exchange)]
            wire.push_span(0, Span.END, exchange)
        return [head, piece] if size else [head]

    # The end ------------------------------------------------------------------------------------------

    @property
    def is_complete(self) -> bool:
        """Whether the exchange ended well."""
        return self.exchange is not None and self.exchange.state is ResponseState.CLOSED
