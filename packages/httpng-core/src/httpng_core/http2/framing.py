"""What is framed of one stream of HTTP/2: the head, body bytes, trailers, late.

What a frame is made of is committed at once: a frame of HTTP/2 changes windows, so none can be taken back.
Hence one is made only when the socket can take it and both flow-control windows have room.
"""

from typing import Final

from httpng_core.http2.blocks import head_block, trailer_block
from httpng_core.http2.engine import streams
from httpng_core.http2.engine.frames import MAX_FRAME
from httpng_core.http2.engine.session import Session
from httpng_core.http2.engine.stream_states import HALF_CLOSED_REMOTE
from httpng_core.sending.body import Buffer
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.endpoint import Endpoint
from httpng_core.wire.scheduler import Entry

_BEGUN: Final = HeadStage.BEGUN


class Framing(Entry):
    """The half of a stream that makes frames; an entry of the scheduler.

    Attributes:
        flow: its windows and state, as the engine keeps them.
        exchange: once the request is whole.
        closes: whether the handler asked for the connection to close after this.
        rest: what is left of bytes that are committed as a whole; whether they are the handler's is apart.
    """

    __slots__ = ("_endpoint", "_rest_counts", "_session", "closes", "exchange", "flow", "rest")

    # Set by `Stream`, for the sake of a call.
    flow: streams.Stream
    exchange: Exchange | None
    closes: bool
    rest: Buffer
    _rest_counts: bool
    _session: Session
    _endpoint: Endpoint

    # What can be sent ---------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many body bytes the client's windows allow; it may be negative."""
        window, shared = self.flow.window, self._session.window
        return window if window < shared else shared

    def can_send(self) -> bool:
        """Return whether a frame could be made now."""
        exchange = self.exchange
        assert exchange is not None
        has_room = self.flow.window > 0 and self._session.window > 0
        if self.rest:
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
        if exchange is not None and exchange.queue is not None and not self.rest:
            return not exchange.queue.can_choose(exchange) and self.can_send()
        return self.can_send()

    def choose(self, now: float) -> bool:
        """Choose the payload of a feed if one is next; return whether there is still something to send.

        Code of the user's may run in this, and end the exchange. Nothing is being framed meanwhile.
        """
        exchange = self.exchange
        assert exchange is not None
        if exchange.queue is None or self.rest:
            return True
        exchange.choose(now)
        return self.exchange is exchange and self.can_send()

    def send(self, made: list[Buffer], limit: int, now: float) -> int:
        """Add the head if it is due, and one DATA frame with at most `limit` body bytes; return the size."""
        exchange = self.exchange
        assert exchange is not None
        if self.rest:
            return self._send_rest(exchange, made, limit)
        is_first = exchange.head_stage is _BEGUN
        if is_first and exchange.substitute and exchange.request.method != "HEAD":
            self.rest, self._rest_counts = exchange.substitute, False
        session = self._session
        room = min(limit, self.flow.window, session.window, session.peer.max_frame)
        body: Buffer = b""
        if room > 0 and not self.rest:
            body = exchange.peek(room) if exchange.queue is None else exchange.next_body(room, now)
        size = len(body)
        if size > room:
            return self._send_payload(exchange, made, body, room)
        ends = not self.rest and exchange.ends_after(size if exchange.offered_follow is None else 0)
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
        self._endpoint.outbound.ledger.push_frame(head, prefix, size, last, exchange)
        if ends and not last:
            self._add_trailers(exchange, made)
        return head + prefix + size

    def send_many(self, made: list[Buffer], limit: int) -> int:
        """Add DATA frames of what is buffered, about `limit` body bytes, without copying large pieces.

        Return how many bytes that is; 0 if one frame holds what is next.
        """
        exchange, session = self.exchange, self._session
        if self.rest or exchange is None or exchange.head_stage is _BEGUN:
            return 0
        room, sizes, total = self.room, [], 0
        bodies = exchange.frames(min(limit, room), session.peer.max_frame)
        for body in bodies:
            size = len(body)
            if total + size > room:
                # The last may be a little more than was asked for.
                break
            total += size
            sizes.append(size)
        if not total:
            return 0
        ends = exchange.ends_after(total)
        exchange.commit_frames(head=False, size=total, end=ends)
        last = ends and not exchange.trailers
        for body, head in zip(bodies, session.data_frame_heads(self.order, sizes, last), strict=False):
            made.append(head)
            made.append(body)
        self._endpoint.outbound.ledger.push_frames(9, sizes, last, exchange)
        if ends and not last:
            self._add_trailers(exchange, made)
        return total + 9 * len(sizes)

    # What a broadcast of followers sends --------------------------------------------------------------

    def commit_broadcast(self, taken: int, now: float) -> None:
        """Commit the frame of a payload, which was chosen again, of which `taken` wire bytes are sent."""
        outbound = self._endpoint.outbound
        made: list[Buffer] = []
        self.send(made, MAX_FRAME, now)
        assert made, "a part of a payload is out, and the rest is nowhere"
        outbound.queue([b"".join(made)])
        outbound.moved_at = now
        outbound.accepted(taken, now)

    # Inside -------------------------------------------------------------------------------------------

    def _add_trailers(self, exchange: Exchange, made: list[Buffer]) -> None:
        """Add the trailers, which end the stream."""
        frames = self._session.send_head(self.order, trailer_block(exchange.trailers), True)
        made.append(frames)
        self._endpoint.outbound.ledger.push_frame(0, len(frames), 0, True, exchange)

    def _block(self, exchange: Exchange) -> bytes:
        head = exchange.head
        assert head is not None
        self.closes = head.close
        date = None if head.has_date else self._endpoint.date()
        return head_block(head, date, exchange.length)

    def _send_payload(self, exchange: Exchange, made: list[Buffer], body: Buffer, room: int) -> int:
        """Commit a payload as a whole, however small the windows are; other streams go between its frames."""
        total = 0
        is_first = exchange.head_stage is _BEGUN
        exchange.commit_frames(head=is_first, size=len(body), end=False)
        if is_first:
            head = self._session.send_head(self.order, self._block(exchange), False)
            total = len(head)
            self._endpoint.outbound.ledger.push_frame(total, 0, 0, False, exchange)
            made.append(head)
        self.rest, self._rest_counts = body, True
        return total + self._send_rest(exchange, made, room)

    def _send_rest(self, exchange: Exchange, made: list[Buffer], limit: int) -> int:
        session, ledger = self._session, self._endpoint.outbound.ledger
        size = min(limit, self.flow.window, session.window, session.peer.max_frame)
        rest = memoryview(self.rest)
        piece, self.rest = rest[:size], rest[size:]
        size = len(piece)
        ends = not self.rest and exchange.ends_after(0)
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
