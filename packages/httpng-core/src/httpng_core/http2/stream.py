"""One stream of HTTP/2: a request that comes in, then its exchange and what is framed of it, late.

What a frame is made of is committed at once: a frame of HTTP/2 changes windows, so none can be taken back.
Hence one is made only when the socket can take it and both flow-control windows have room.
"""

from math import inf
from typing import Final, Protocol

from httpng_core.config.settings import Settings
from httpng_core.http.priority import Priority
from httpng_core.http.response import ResponseHead
from httpng_core.http2.blocks import CONTINUE, head_block, interim_block, trailer_block
from httpng_core.http2.engine import streams
from httpng_core.http2.engine.errors import INTERNAL_ERROR
from httpng_core.http2.engine.session import Session
from httpng_core.http2.engine.stream_states import HALF_CLOSED_REMOTE
from httpng_core.http2.tunnel import TunnelInflow
from httpng_core.sending.body import Buffer
from httpng_core.sending.ends import Cause
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.holders import Holder
from httpng_core.sending.holdings import Holding, holding_of
from httpng_core.sending.host import Host
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.endpoint import MAX_INTERIM, Endpoint
from httpng_core.wire.scheduler import Entry

BODY_WINDOW: Final = 256 * 1024
"""How much of a body may be on its way once it gets more credit than the first."""
_BEGUN: Final = HeadStage.BEGUN


class StreamOwner(Protocol):
    """What a stream needs of the protocol.

    Attributes:
        endpoint: our end of the connection.
        session: makes frames.
        settings: timeouts.
    """

    endpoint: Endpoint
    session: Session
    settings: Settings

    def stream_flushes(self, now: float, stall_timeout: float) -> None:
        """Note that the handler of an exchange is done, and no progress for so long is its end."""

    def stream_over(self, stream: "Stream", now: float) -> None:
        """Note that the exchange reached a final state."""

    def bodies_due(self) -> float:
        """Return when the bodies of all requests together have come too slowly."""

    def note_control(self, now: float) -> None:
        """Note that control frames may wait."""

    def give_up(self, stream: "Stream", now: float, cause: Cause) -> None:
        """End the exchange of a stream, or the request that comes in, which isn't at fault."""


class Stream(Entry):
    """A stream, the carrier of its exchange, and an entry of the scheduler.

    Attributes:
        order: the stream id. See `Entry` for others.
        flow: its windows and state, as the engine keeps them.
        length: the declared Content-Length of the request; negative without one.
        body: what has come of the body.
        size: how much that is, in bytes.
        unpaid: how much of it has not been given back as credit.
        touched: when something of the request last came.
        grace_ends: until when the body may come as slowly as it likes.
        held: whether the rest of the body waits for credit of ours.
        exchange: once the request is whole.
        closes: whether the handler asked for the connection to close after this.
        code: what a reset of ours says.
        flushes_since: when the handler was done; `None` while it runs.
        expects_continue: whether the client waits for a 100 before it sends the body.
        inflow: what comes into the tunnel that the request asks for, if it does.
    """

    __slots__ = (
        "_owner",
        "_rest",
        "_rest_counts",
        "_session",
        "body",
        "closes",
        "code",
        "exchange",
        "expects_continue",
        "flow",
        "flushes_since",
        "grace_ends",
        "held",
        "host",
        "inflow",
        "length",
        "size",
        "touched",
        "unpaid",
    )

    def __init__(
        self, owner: StreamOwner, flow: streams.Stream, length: int, priority: Priority, now: float
    ) -> None:
        self.order = flow.stream_id
        self.urgency, self.incremental = priority
        self.served = 0
        self.flow = flow
        self.length = length
        self.body: list[bytes] = []
        self.size = 0
        self.unpaid = 0
        self.touched = now
        self.grace_ends = inf
        self.held = False
        self.exchange: Exchange | None = None
        self.closes = False
        self.code = INTERNAL_ERROR
        self.flushes_since: float | None = None
        self.expects_continue = False
        self.inflow: TunnelInflow | None = None
        self.host: Host = owner.endpoint.host
        self._owner = owner
        self._session = owner.session
        # What is left of bytes that are committed as a whole, and whether they are the handler's.
        self._rest: Buffer = b""
        self._rest_counts = False

    # What the exchange tells (`Carrier`) --------------------------------------------------------------

    def send_interim(self, head: ResponseHead, now: float) -> None:
        """Send an informational response, unless the client doesn't read."""
        session = self._session
        if session.control_size + self._owner.endpoint.outbound.waiting <= MAX_INTERIM:
            session.push_head(self.order, interim_block(head), False)
            self._owner.note_control(now)

    def track_acknowledged(self, exchange: Outgoing) -> bool:
        """Have acknowledgements told to the exchange."""
        return self._owner.endpoint.track_acknowledged(exchange)

    shares: Final = True

    def closed_window(self) -> Holder | None:
        """Return the window that is shut, while the kernel has all that was framed."""
        if not self._owner.endpoint.outbound.is_empty:
            return None
        if self.flow.window <= 0:
            return Holder.STREAM_WINDOW
        return Holder.CONNECTION_WINDOW if self._session.window <= 0 else None

    def tunnel_opened(self, exchange: Outgoing, now: float) -> None:
        """Hand over what the client has sent before the tunnel was there."""
        if self.inflow is not None:
            self.inflow.open(exchange, now)
            self.tunnel_resumed(exchange, now)

    def tunnel_resumed(self, exchange: Outgoing, now: float) -> None:
        """Give credit back for what was handed over, if more is wanted."""
        if self.inflow is not None and (size := self.inflow.credit(exchange)):
            self._session.consume_stream(self.order, size)
            self._owner.note_control(now)

    def can_sweep(self) -> bool:
        """Return false: followers of a feed in step get the same bytes, and each stream has its own."""
        return False

    def swept(self, size: int) -> None:
        """Do nothing: nothing is swept."""

    def fell_short(self, taken: int, now: float) -> None:
        """Do nothing: nothing is swept."""

    def exchange_ended(self, exchange: Outgoing, now: float) -> None:
        """Note that the handler is done: from now on no progress for `stall_timeout` is the end."""
        self.flushes_since = now
        self._owner.stream_flushes(now, exchange.settings.stall_timeout)

    def exchange_over(self, exchange: Outgoing, now: float) -> None:
        """Note that the exchange is complete, cancelled or given up."""
        self._owner.stream_over(self, now)

    # What a body that is read while it comes in tells (`BodyOwner`) ------------------------------------

    def body_awaited(self, now: float) -> None:
        """Ask for the body if the client waits for that, and let more of it be on its way."""
        exchange, session = self.exchange, self._session
        if self.expects_continue:
            self.expects_continue = False
            if exchange is not None and exchange.head_stage < HeadStage.COMMITTED:
                session.push_head(self.order, CONTINUE, False)
        # The handler is faster than the client: what it allows is what bounds it.
        session.widen_stream(self.order, BODY_WINDOW)
        self._owner.note_control(now)

    def body_consumed(self, size: int, now: float) -> None:
        """Give the client credit for as much."""
        self._session.consume_stream(self.order, size)
        self._owner.note_control(now)

    def body_failed(self, now: float) -> None:
        """Do nothing: the end of the exchange resets the stream."""

    def holding(self) -> Holding | None:
        """Return what is held for the request that comes in, or for its exchange; `None`: nothing is."""
        exchange = self.exchange
        if exchange is None:
            return Holding(self.size, self.touched, self._give_up) if self.size else None
        kept = len(self._rest) + (0 if self.inflow is None else self.inflow.held)
        return holding_of(exchange, kept, self._give_up)

    def _give_up(self, now: float, cause: Cause) -> None:
        self._owner.give_up(self, now, cause)

    # Time ---------------------------------------------------------------------------------------------

    def due(self) -> float:
        """Return when the client has taken too long; infinity: it needn't do anything."""
        exchange = self.exchange
        if exchange is None:
            if self.held:
                return inf
            owner = self._owner
            return min(self.touched + owner.settings.body_timeout, max(self.grace_ends, owner.bodies_due()))
        if self.flushes_since is None:
            return inf
        moved = max(self.flushes_since, exchange.moved_at)
        if self.room > 0 or not (self._rest or exchange.has_frame):
            # It isn't the client's window that holds it: what others on the connection get counts as well.
            moved = max(moved, self._owner.endpoint.outbound.moved_at)
        return moved + exchange.settings.stall_timeout

    # Sending ------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many body bytes the client's windows allow; it may be negative."""
        window, shared = self.flow.window, self._session.window
        return window if window < shared else shared

    def can_send(self) -> bool:
        """Return whether a frame could be made now."""
        exchange = self.exchange
        if exchange is None:
            return False
        has_room = self.flow.window > 0 and self._session.window > 0
        if self._rest:
            return has_room
        # The first two are enough for most, and spare a call.
        if exchange.head_stage is not _BEGUN and not exchange.buffered and not exchange.has_frame:
            return False
        return has_room or exchange.head_stage is _BEGUN or exchange.ends_after(0)

    @property
    def can_go_on(self) -> bool:
        """Whether more can be sent at once, after a frame: without code of the user's, which chooses."""
        if self.flow.state > HALF_CLOSED_REMOTE:
            return False
        exchange = self.exchange
        if exchange is not None and exchange.queue is not None and not self._rest:
            return not exchange.queue.can_choose(exchange) and self.can_send()
        return self.can_send()

    def choose(self, now: float) -> bool:
        """Choose the payload of a feed if one is next; return whether there is still something to send.

        Code of the user's may run in this, and end the exchange. Nothing is being framed meanwhile.
        """
        exchange = self.exchange
        if exchange is None:
            return False
        if exchange.queue is None or self._rest:
            return True
        exchange.choose(now)
        return self.exchange is exchange and self.can_send()

    def send(self, made: list[Buffer], limit: int, now: float) -> int:
        """Add the head if it is due, and one DATA frame with at most `limit` body bytes; return the size."""
        exchange = self.exchange
        assert exchange is not None
        if self._rest:
            return self._send_rest(exchange, made, limit)
        is_first = exchange.head_stage is _BEGUN
        if is_first and exchange.substitute and exchange.request.method != "HEAD":
            self._rest, self._rest_counts = exchange.substitute, False
        session = self._session
        room = min(limit, self.flow.window, session.window, session.peer.max_frame)
        body: Buffer = b""
        if room > 0 and not self._rest:
            body = exchange.peek(room) if exchange.queue is None else exchange.next_body(room, now)
        size = len(body)
        if size > room:
            return self._send_payload(exchange, made, body, room)
        ends = not self._rest and exchange.ends_after(size if exchange.offered_follow is None else 0)
        exchange.commit_frames(head=is_first, size=size, end=ends)
        # Trailers end the stream, if there are any.
        last = ends and not exchange.trailers
        head = prefix = 0
        if is_first:
            block = self._block(exchange)
            if size and last:
                frames = session.send_whole(self.order, block, size)
                head, prefix = len(frames) - 9, 9
            else:
                frames = session.send_head(self.order, block, last and not size)
                head = len(frames)
            made.append(frames)
        if not prefix and (size or (last and not is_first)):
            made.append(session.data_frame_head(self.order, size, last))
            prefix = 9
        if size:
            made.append(body)
        self._owner.endpoint.outbound.ledger.push_frame(head, prefix, size, last, exchange)
        if ends and not last:
            self._add_trailers(exchange, made)
        return head + prefix + size

    def send_many(self, made: list[Buffer], limit: int) -> int:
        """Add DATA frames of what is buffered, about `limit` body bytes, without copying large pieces.

        Return how many bytes that is; 0 if one frame holds what is next.
        """
        exchange, session = self.exchange, self._session
        if self._rest or exchange is None or exchange.head_stage is _BEGUN:
            return 0
        ledger = self._owner.endpoint.outbound.ledger
        total = 0
        for body in exchange.frames(min(limit, self.room), session.peer.max_frame):
            size = len(body)
            if size > self.room:
                # The last may be a little more than was asked for.
                break
            ends = exchange.ends_after(size)
            exchange.commit_frames(head=False, size=size, end=ends)
            last = ends and not exchange.trailers
            made.append(session.data_frame_head(self.order, size, last))
            made.append(body)
            ledger.push_frame(0, 9, size, last, exchange)
            total += 9 + size
            if ends:
                if not last:
                    self._add_trailers(exchange, made)
                break
        return total

    def _add_trailers(self, exchange: Exchange, made: list[Buffer]) -> None:
        """Add the trailers, which end the stream."""
        frames = self._session.send_head(self.order, trailer_block(exchange.trailers), True)
        made.append(frames)
        self._owner.endpoint.outbound.ledger.push_frame(0, len(frames), 0, True, exchange)

    def _block(self, exchange: Exchange) -> bytes:
        head = exchange.head
        assert head is not None
        self.closes = head.close
        date = None if head.has_date else self._owner.endpoint.date()
        return head_block(head, date, exchange.length)

    def _send_payload(self, exchange: Exchange, made: list[Buffer], body: Buffer, room: int) -> int:
        """Commit a payload as a whole, however small the windows are; other streams go between its frames."""
        total = 0
        is_first = exchange.head_stage is _BEGUN
        exchange.commit_frames(head=is_first, size=len(body), end=False)
        if is_first:
            head = self._session.send_head(self.order, self._block(exchange), False)
            total = len(head)
            self._owner.endpoint.outbound.ledger.push_frame(total, 0, 0, False, exchange)
            made.append(head)
        self._rest, self._rest_counts = body, True
        return total + self._send_rest(exchange, made, room)

    def _send_rest(self, exchange: Exchange, made: list[Buffer], limit: int) -> int:
        session, ledger = self._session, self._owner.endpoint.outbound.ledger
        size = min(limit, self.flow.window, session.window, session.peer.max_frame)
        rest = memoryview(self._rest)
        piece, self._rest = rest[:size], rest[size:]
        size = len(piece)
        ends = not self._rest and exchange.ends_after(0)
        last = ends and not exchange.trailers
        made.append(session.data_frame_head(self.order, size, last))
        made.append(piece)
        if ends:
            exchange.commit_frames(head=False, size=0, end=True)
        if self._rest_counts:
            ledger.push_frame(0, 9, size, last, exchange)
        else:
            ledger.push_frame(0, 9 + size, 0, last, exchange)
        if ends and not last:
            self._add_trailers(exchange, made)
        return 9 + size
