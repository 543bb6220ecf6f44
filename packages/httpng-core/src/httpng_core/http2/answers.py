"""Answers that were given whole: those that are ready together go out together, in one pass.

A frame of HTTP/2 is committed when it is made, as windows and states change with it. Not so here: an answer
that fits into its windows, and ends its stream, is offered as HTTP/1.1's are. What is changed by it changes
when the kernel has begun to take it, and if it takes nothing, it was never made. That needs no question of
the socket, no span in the ledger, and no frame on its own.
"""

from struct import Struct
from typing import Final

from httpng_core.http.response import ResponseHead
from httpng_core.http2.blocks import head_block
from httpng_core.http2.engine import streams
from httpng_core.http2.engine.frames import DATA, END_HEADERS, END_STREAM, HEAD_SIZE, HEADERS
from httpng_core.http2.engine.session import Session
from httpng_core.http2.engine.stream_states import HALF_CLOSED_REMOTE
from httpng_core.http2.stream import Stream
from httpng_core.sending.host import DirectSend
from httpng_core.sending.states import ResponseState
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.endpoint import Endpoint

_ENDED: Final = ResponseState.ENDED
_BEGUN: Final = HeadStage.BEGUN
# The head of a frame but for the stream.
_START: Final = Struct(">HBBB")


class Answers:
    """The answers of one connection that wait to go out.

    Attributes:
        waiting: the streams that have one, as they came; it may have gone out, or be of no use any more.
    """

    __slots__ = (
        "_block_size",
        "_bodies",
        "_body_size",
        "_endpoint",
        "_flows",
        "_head",
        "_heads",
        "_last",
        "_middle",
        "_offered",
        "_parts",
        "_session",
        "_start",
        "waiting",
    )

    def __init__(self, endpoint: Endpoint, session: Session) -> None:
        self._endpoint = endpoint
        self._session = session
        self.waiting: list[Stream] = []
        # What is offered: streams, their flows, the sizes of their header blocks with framing, their frames.
        self._offered: list[Stream] = []
        self._flows: list[streams.Stream] = []
        self._heads: list[int] = []
        self._parts: list[bytes] = []
        self._bodies = self._body_size = 0
        # The last header block that was made, with framing, and of what: many an answer has the same.
        self._head: ResponseHead | None = None
        self._last: tuple[int, bytes | None] = (-1, None)
        self._start = self._middle = b""
        self._block_size = 0

    def offer(self, limit: int) -> None:
        """Offer those that wait, about `limit` bytes of them. What can't go whole is left to go by frames."""
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        if not self._make(waiting, limit, in_order=False):
            # More than may go now, or of several urgencies: then as they would take turns.
            waiting.sort(key=_turn)
            self._make(waiting, limit, in_order=True)
        if self._offered:
            wire = b"".join(self._parts)
            self._endpoint.outbound.offer_batch([wire], len(wire), self.taken, self.commit)

    def send(self, stream: Stream, head: ResponseHead, data: bytes, now: float, send: DirectSend) -> int:
        """Give the kernel the answer of the only stream; return how many bytes that has left, -1: not asked.

        What the steps from `offer` to `taken` do is done in one go, if the connection rests.
        """
        endpoint, session, flow, exchange = self._endpoint, self._session, stream.flow, stream.exchange
        outbound, size = endpoint.outbound, len(data)
        if (
            exchange is None
            or not endpoint.at_rest
            or outbound.size.is_slow
            or head.close
            or endpoint.eof
            or outbound.ledger.tracks
            or not outbound.is_empty
            or session.control
            or size > flow.window
            or size > session.window
            or flow.state != HALF_CLOSED_REMOTE
            or stream.inflow is not None
        ):
            return -1
        date = endpoint.date()
        if (head is not self._head or self._last != (size, date)) and not self._frame(head, size, date):
            return -1
        order = stream.order.to_bytes(4, "big")
        if size:
            wire = b"".join((self._start, order, self._middle, order, data))
        else:
            wire = self._start + order + self._middle
        if len(wire) >= outbound.size.limit:
            return -1
        left = outbound.send_at_once(wire, now, send)
        if left:
            self._flows, self._bodies, self._body_size = [flow], 1 if size else 0, size
            self._heads, self._parts = [self._block_size], [wire]
            return left
        session.end_one(flow, size)
        exchange.sent_whole(head, size, now)
        return 0

    def was_cut(self, stream: Stream, left: int, now: float) -> None:
        """Go on with what `send` has left, as if it had been offered as always."""
        outbound = self._endpoint.outbound
        self.waiting.remove(stream)
        self._offered = [stream]
        wire = self._parts[0]
        outbound.offer_batch([wire], len(wire), self.taken, self.commit)
        outbound.was_cut(left, now)

    def forget(self, stream: Stream) -> None:
        """Note that the answer of a stream is of no use any more."""
        if stream in self.waiting:
            self.waiting.remove(stream)

    def leave_out_framed(self) -> None:
        """Forget those of which frames were made meanwhile, and those that are gone."""
        self.waiting = [
            stream
            for stream in self.waiting
            if (exchange := stream.exchange) is not None
            and exchange.state is _ENDED
            and exchange.head_stage is _BEGUN
        ]

    def taken(self, now: float) -> None:
        """Note that the kernel took all at once."""
        offered, self._offered = self._offered, []
        self._session.end_whole(self._flows, self._bodies, self._body_size)
        offered[0].owner.answers_taken(offered, now)

    def commit(self, size: int) -> int:
        """Commit those that begin before the first `size` bytes, and have the others wait again."""
        offered, self._offered = self._offered, []
        ledger = self._endpoint.outbound.ledger
        at = done = 0
        for stream, flow, head in zip(offered, self._flows, self._heads, strict=True):
            if at >= size:
                break
            exchange = stream.exchange
            assert exchange is not None
            body = exchange.current
            prefix = HEAD_SIZE if body else 0
            self._session.end_one(flow, body)
            exchange.commit_whole()
            ledger.push_frame(head, prefix, body, True, exchange)
            at += head + prefix + body
            done += 1
        self.waiting = offered[done:] + self.waiting
        return at

    def _make(self, waiting: list[Stream], limit: int, *, in_order: bool) -> bool:
        """Make the frames of what can go; return whether it may go so, as nobody has to wait for another."""
        session = self._session
        offered: list[Stream] = []
        flows: list[streams.Stream] = []
        heads: list[int] = []
        parts: list[bytes] = []
        bodies, total, window = 0, 0, session.window
        urgency = waiting[0].urgency
        date = self._endpoint.date()
        # What is framed already is for answers of this head and size.
        framed, framed_size = (self._head, self._last[0]) if self._last[1] == date else (None, -1)
        start, middle, block_size = self._start, self._middle, self._block_size
        for number, stream in enumerate(waiting):
            exchange, flow = stream.exchange, stream.flow
            if exchange is None or exchange.state is not _ENDED or exchange.head_stage is not _BEGUN:
                continue
            size, head = exchange.buffered, exchange.head
            if (
                size > flow.window
                or total + size > window
                or flow.state != HALF_CLOSED_REMOTE
                or ((head is not framed or size != framed_size) and not self._frame(head, size, date))
            ):
                # It goes by frames.
                exchange.is_whole = False
                stream.owner.active[stream.order] = stream
                continue
            if head is not framed or size != framed_size:
                framed, framed_size = head, size
                start, middle, block_size = self._start, self._middle, self._block_size
            limit -= block_size + size
            if not in_order and (limit < 0 or stream.urgency != urgency):
                return False
            if limit < 0 and offered:
                self.waiting = waiting[number:]
                break
            order = stream.order.to_bytes(4, "big")
            if size:
                pieces = exchange.pieces
                assert pieces is not None
                parts += (start, order, middle, order, pieces[0])
                total += size
                bodies += 1
            else:
                parts += (start, order, middle)
            if head is not None and head.close:
                stream.closes = True
            offered.append(stream)
            flows.append(flow)
            heads.append(block_size)
        self._offered, self._flows, self._heads, self._parts = offered, flows, heads, parts
        self._bodies, self._body_size = bodies, total
        return True

    def _frame(self, head: ResponseHead | None, size: int, date: bytes | None) -> bool:
        """Have ready what frames of this head, and a body of `size` bytes, begin with, but for the stream."""
        assert head is not None
        session = self._session
        block = head_block(head, None if head.has_date else date, size)
        length = len(block)
        if length > session.peer.max_frame or size > session.peer.max_frame or session.must_empty_table:
            return False
        self._head, self._last = head, (size, date)
        flags = END_HEADERS if size else END_HEADERS | END_STREAM
        self._start = _START.pack(length >> 8, length & 0xFF, HEADERS, flags)
        self._middle = block
        if size:
            self._middle += _START.pack(size >> 8, size & 0xFF, DATA, END_STREAM)
        self._block_size = HEAD_SIZE + length
        return True


def _turn(stream: Stream) -> tuple[int, int]:
    return stream.urgency, stream.order
