"""Whose frames go next: which streams can send, and how a send is dealt out among them."""

from typing import Final

from httpng_core.http2.bulk import has_bulk
from httpng_core.http2.engine.frames import MAX_FRAME
from httpng_core.http2.engine.stream_states import HALF_CLOSED_REMOTE
from httpng_core.http2.intake import Intake
from httpng_core.http2.lifetime import Phase
from httpng_core.http2.stream import Stream
from httpng_core.sending.body import Buffer
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.states import ResponseState
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.outbound import JOIN_BELOW

_OPEN: Final = Phase.OPEN
_BEGUN: Final = HeadStage.BEGUN
_STREAMING: Final = ResponseState.STREAMING
_FEW: Final = 8
"""Of so many streams each is looked at, to tell whether a connection rests."""


class Dealing(Intake):
    """The half of the protocol that deals out frames. See `Http2`."""

    __slots__ = ()

    def _queue(self, made: list[Buffer], limit: int, now: float) -> None:
        outbound = self.endpoint.outbound
        outbound.moved_at = now
        # Below this, one copy costs less than a vectored send.
        if len(made) > 1 and (limit <= JOIN_BELOW or len(made) > 64):
            made = [b"".join(made)]
        outbound.queue(made)

    def _has_more(self) -> bool:
        """Return whether there is something to send besides the answers that wait.

        If it is nothing but bulk, and the client is fast, a round of that has begun.
        """
        bulk, waiting, size = self.bulk, self.answers.waiting, self.endpoint.outbound.size
        if bulk.round and not waiting:
            return True
        can_offer = size.frame > MAX_FRAME and not waiting and self.session.window > 0
        idle: list[int] = []
        ready: list[Stream] = []
        has_other = False
        for stream in self.active.values():
            exchange = stream.exchange
            if exchange is None or _is_idle(stream, exchange):
                idle.append(stream.order)
            elif can_offer and has_bulk(stream, exchange):
                ready.append(stream)
            elif exchange.is_whole and exchange.head_stage is _BEGUN and waiting:
                continue
            elif stream.can_send():
                has_other = True
                break
        for order in idle:
            del self.active[order]
        if ready and not has_other:
            bulk.begin(ready, are_all=len(ready) == len(self.streams))
        return has_other or len(ready) > 0

    def _is_bulk(self) -> bool:
        """Return whether what goes next is bulk, of a round that has begun."""
        if self.session.control or self.answers.waiting:
            return False
        if self.bulk.round:
            return True
        return self.endpoint.outbound.size.frame > MAX_FRAME and self._has_more() and self.bulk.round > 0

    def _rests(self) -> bool:
        """Return whether there is nothing to do but to read, as nothing is to be sent."""
        streams, outbound = self.streams, self.endpoint.outbound
        if self._phase is not _OPEN or self._goes_on or self._flushing or outbound.ledger.tracks:
            return False
        if len(streams) > _FEW:
            # It would cost more to find out than it spares.
            return False
        for stream in streams.values():
            exchange = stream.exchange
            if (
                exchange is None
                or exchange.buffered
                or exchange.queue is not None
                or exchange.stalls is not None
                or exchange.incoming is not None
                or exchange.tunnel is not None
                or stream.inflow is not None
            ):
                return False
        return True

    def _ready(self, now: float) -> list[Stream]:
        """Return the streams that can send. Code of users runs in this, not while frames are made."""
        ready = []
        has_chosen, has_window = False, self.session.window > 0
        for stream in self._candidates():
            exchange = stream.exchange
            if exchange is None or exchange.head is None:
                continue
            if exchange.buffered:
                # What was accepted goes first, so there is nothing to choose.
                if exchange.head_stage is _BEGUN or (has_window and stream.flow.window > 0):
                    ready.append(stream)
                continue
            if _is_idle(stream, exchange) or not stream.can_send():
                continue
            if exchange.queue is not None:
                has_chosen = True
                if not stream.choose(now):
                    continue
            ready.append(stream)
        if has_chosen:
            # What ran may have ended any of them.
            return [stream for stream in ready if stream.order in self.streams and stream.can_send()]
        return ready

    def _candidates(self) -> list[Stream]:
        """Return the streams that may have something to frame: whole answers that wait go by frames now."""
        for stream in self.answers.waiting:
            if stream.order in self.streams:
                self.active[stream.order] = stream
        return list(self.active.values())

    def _send_one(self, stream: Stream, made: list[Buffer], limit: int, now: float) -> None:
        while True:
            exchange = stream.exchange
            size = 0
            if exchange is not None and exchange.buffered > MAX_FRAME:
                size = stream.send_many(made, limit)
            if not size:
                size = stream.send(made, limit, now)
            limit -= size
            if limit <= 0 or not size or stream.flow.state > HALF_CLOSED_REMOTE or not stream.can_go_on:
                return

    def _deal(self, ready: list[Stream], made: list[Buffer], limit: int, now: float) -> None:
        if self.bulk.round:
            self.bulk.end_round()
        if len(ready) == 1:
            self._send_one(ready[0], made, limit, now)
            return
        scheduler = self.bulk.scheduler
        scheduler.begin(ready)
        # A client that is fast has more of each in one go.
        is_fast = self.endpoint.outbound.size.frame > MAX_FRAME
        while limit > 0:
            stream = scheduler.next()
            if stream is None:
                break
            size = self._send_turn(stream, made, limit, now, is_fast) if stream.can_send() else 0
            limit -= size
            scheduler.sent(stream, size, more=size > 0 and stream.can_go_on)
        self.bulk.end_round()

    def _send_turn(self, stream: Stream, made: list[Buffer], limit: int, now: float, is_fast: bool) -> int:
        exchange, size = stream.exchange, 0
        if is_fast and exchange is not None and exchange.buffered > MAX_FRAME:
            size = stream.send_many(made, limit)
        return size or stream.send(made, limit, now)


def _is_idle(stream: Stream, exchange: Exchange) -> bool:
    """Return whether an exchange has nothing to send, and `Stream.wake` is called before it has."""
    return exchange.head is None or (
        not exchange.buffered
        and exchange.state is _STREAMING
        and (exchange.queue is None or not exchange.queue.is_waited_in)
        and exchange.head_stage is not _BEGUN
        and not stream.rest
    )
