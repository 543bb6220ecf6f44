"""Bulk: what streams have buffered is offered together, as HTTP/1.1's is, and can be taken back.

A frame of HTTP/2 is committed when it is made, as windows and states change with it. Not so here: DATA frames
of bytes that are buffered depend on nothing that went before but their two windows. So a vector of them is
offered, and those that the kernel begins to take are committed. The others were never made.
"""

from typing import Final

from httpng_core.http2.engine import frames
from httpng_core.http2.engine.frames import HEAD_SIZE
from httpng_core.http2.engine.session import Session
from httpng_core.http2.engine.stream_states import HALF_CLOSED_REMOTE
from httpng_core.http2.stream import Stream
from httpng_core.sending.body import Buffer
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.endpoint import Endpoint
from httpng_core.wire.offer_size import HUGE, LARGE
from httpng_core.wire.outbound import JOIN_BELOW
from httpng_core.wire.scheduler import Scheduler

_BEGUN: Final = HeadStage.BEGUN
_ROUND: Final = HUGE
"""How much is dealt out before all streams are looked at again."""
_LONG_ROUND: Final = 4 * HUGE
"""The same, if all streams take part, so that none can come into it."""


class Bulk:
    """What the streams of one connection have buffered, while its client is fast.

    Attributes:
        round: how many more bytes are dealt out among those who were able to send, before all are looked at.
    """

    __slots__ = ("_endpoint", "_scheduler", "_session", "_share", "_turns", "round")

    def __init__(self, endpoint: Endpoint, session: Session) -> None:
        self._endpoint = endpoint
        self._session = session
        self._scheduler: Scheduler[Stream] | None = None
        self.round = 0
        # How many streams began the round.
        self._share = 1
        # What is offered: of which stream, in which frames, how many body bytes; whether it ends with them.
        self._turns: list[tuple[Stream, Exchange, list[Buffer], int, bool]] = []

    @property
    def scheduler(self) -> Scheduler[Stream]:
        """Whose turn is next; that of the connection, also for what isn't bulk."""
        if self._scheduler is None:
            self._scheduler = Scheduler()
        return self._scheduler

    def begin(self, ready: list[Stream], *, are_all: bool) -> None:
        """Begin a round among those that can send; `are_all`: there are no other streams."""
        self.scheduler.begin(ready)
        self.round = _LONG_ROUND if are_all else _ROUND
        self._share = len(ready)

    def end_round(self) -> None:
        """Keep nothing of any stream."""
        self.round = 0
        self.scheduler.begin(())

    def offer(self, streams: dict[int, Stream], limit: int | None) -> None:
        """Offer what the next ones of the round have, `limit` bytes of bodies at most; else end the round.

        Each has one turn in an offer, and only streams of one urgency have: who is more urgent goes on.
        """
        session, scheduler, outbound = self._session, self.scheduler, self._endpoint.outbound
        left, window, most = outbound.size.limit, session.window, session.peer.max_frame
        if limit is not None:
            left = max(min(left, limit), 1)
            most = min(most, left)
        share = max(left // self._share, LARGE)
        parts: list[Buffer] = []
        turns: list[tuple[Stream, Exchange, list[Buffer], int, bool]] = []
        wire = 0
        while left > 0 and window > 0:
            stream = scheduler.next()
            if stream is None:
                break
            exchange = stream.exchange
            if exchange is None or stream.order not in streams or not has_bulk(stream, exchange):
                # It is over, or what is next has to be chosen.
                scheduler.sent(stream, 0, more=False)
                continue
            if turns and stream.urgency != turns[0][0].urgency:
                scheduler.sent(stream, 0, more=True)
                break
            room = min(stream.flow.window, window)
            if outbound.is_sealed:
                # It can't be taken back, so there are no more bytes than may be committed.
                room = min(room, left)
            bodies, size = _bodies(exchange, min(share, left) if stream.incremental else left, room, most)
            last = exchange.ends_after(size) and not exchange.trailers
            _add_frames(parts, stream.order, bodies, last)
            turns.append((stream, exchange, bodies, size, last))
            left -= size
            window -= size
            wire += size + HEAD_SIZE * len(bodies)
        if not turns:
            self.end_round()
            return
        self._turns = turns
        if wire <= JOIN_BELOW:
            parts = [b"".join(parts)]
        outbound.offer_batch(parts, wire, self.taken, self.commit)

    def taken(self, now: float) -> None:
        """Note that the kernel took all at once."""
        turns, self._turns = self._turns, []
        session, scheduler = self._session, self.scheduler
        for stream, _, bodies, size, last in turns:
            session.data_sent(stream.flow, len(bodies), size, last)
            self.round -= size
        for stream, exchange, _, size, last in turns:
            exchange.taken(False, size, last, now)
            if self.round > 0:
                scheduler.sent(stream, size, more=exchange.buffered > 0)
            else:
                stream.served += size
        if self.round <= 0 or not scheduler.has_next:
            self.end_round()

    def commit(self, size: int) -> int:
        """Commit the frames that begin before the first `size` bytes; return where they end."""
        turns, self._turns = self._turns, []
        session, scheduler, ledger = self._session, self.scheduler, self._endpoint.outbound.ledger
        at = 0
        for stream, exchange, bodies, offered, last in turns:
            sizes: list[int] = []
            for body in bodies:
                if at >= size:
                    break
                sizes.append(len(body))
                at += HEAD_SIZE + len(body)
            total, ends = sum(sizes), last and len(sizes) == len(bodies)
            stream.served += total
            if total < offered:
                scheduler.taken_back(stream)
            self.round -= total
            if not sizes:
                continue
            session.data_sent(stream.flow, len(sizes), total, ends)
            exchange.commit_offered(total, ends)
            ledger.push_frames(HEAD_SIZE, sizes, ends, exchange)
        if self.round <= 0:
            self.end_round()
            return at
        for stream, exchange, _, _, _ in turns:
            scheduler.sent(stream, 0, more=exchange.buffered > 0)
        return at


def has_bulk(stream: Stream, exchange: Exchange) -> bool:
    """Return whether a stream can send what it has buffered, and that comes next on it."""
    flow = stream.flow
    return (
        exchange.buffered > 0
        and exchange.head_stage is not _BEGUN
        and not stream.rest
        and flow.window > 0
        and flow.state <= HALF_CLOSED_REMOTE
    )


def _bodies(exchange: Exchange, limit: int, room: int, most: int) -> tuple[list[Buffer], int]:
    """Return the bodies of frames of at most `most` bytes, and their size: about `limit`, at most `room`."""
    bodies = exchange.frames(min(limit, room), most)
    size = sum(map(len, bodies))
    while size > room:
        # The last may be a little more than was asked for.
        size -= len(bodies.pop())
    if not bodies:
        body = exchange.peek(min(room, most))
        return [body], len(body)
    return bodies, size


def _add_frames(parts: list[Buffer], stream_id: int, bodies: list[Buffer], last: bool) -> None:
    sizes = list(map(len, bodies))
    size = sizes[0]
    # Mostly they are as long as may be, but for the last.
    made: list[Buffer] = [frames.data_head(size, stream_id, False)] * (2 * len(sizes))
    made[1::2] = bodies
    if sizes.count(size) < len(sizes):
        for number, other in enumerate(sizes):
            if other != size:
                made[2 * number] = frames.data_head(other, stream_id, False)
    if last:
        made[-2] = frames.data_head(sizes[-1], stream_id, True)
    parts += made
