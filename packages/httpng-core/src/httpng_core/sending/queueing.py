"""Who waits for room or for positions: the line of an exchange's calls, and what a feed tells it."""

from httpng_core.config.types import Seconds, Until
from httpng_core.sending.calls import DONE, DrainWait, HeaderWrite, Pending, Read, Source, Wait, Write
from httpng_core.sending.checks import checked_timeout
from httpng_core.sending.ends import Cause
from httpng_core.sending.outgoing import of_users
from httpng_core.sending.queue import WriterQueue
from httpng_core.sending.results import Call, SendResult, encode_result
from httpng_core.sending.states import LAST_LIVE, LAST_WRITABLE
from httpng_core.sending.tracking import Tracking
from httpng_core.sending.waits import HeadStage, Waits, reached


class Queueing(Tracking):
    """An exchange whose calls stand in line. See `Exchange`."""

    __slots__ = ()

    # What feeds tell (`FollowOwner`) ------------------------------------------------------------------

    def feed_closed(self, now: float) -> None:
        """Note that the feed which is followed has closed."""
        if self.queue is not None:
            self.queue.advance(self, now, self._settle_write)
        # Who stood in line behind it may have been accepted.
        self.transport.wake()

    def follow_failed(self, error: BaseException, now: float) -> None:
        """End the follow: what a function of the user's raised, that says what is wanted, is raised by it."""
        queue = self.queue
        if queue is None or (follow := queue.any_follow) is None:
            return
        queue.remove(follow)
        self._settle_write(follow, of_users(error, "keys"))
        queue.advance(self, now, self._settle_write)
        # Who stood in line behind it may have been accepted.
        self.transport.wake()

    def count_broadcast(self) -> None:
        """Count what a broadcast has sent, if one does."""
        if self.queue is not None and (source := self.queue.following) is not None:
            self.settle_counts(source)

    def settle_counts(self, source: Source) -> None:
        """Count what a broadcast has sent of `source`."""
        body, wire, at = source.take_counts()
        if wire:
            self.current += body
            self.committed += body
            self.sent += body
            if at > self.moved_at:
                self.moved_at = at
            self.transport.broadcast_sent(wire)

    def broadcast_fell_short(self, taken: int, now: float) -> None:
        """Note that the kernel took only `taken` wire bytes of a payload that a broadcast has sent."""
        self.transport.fell_short(taken, now)

    def broadcast_lost(self, now: float, cause: Cause, *, is_cut: bool) -> None:
        """Give the client up, as what a broadcast has sent isn't known: a part of a frame if `is_cut`."""
        transport = self.transport
        self.reset(now, cause)
        if is_cut:
            transport.lose(now, cause)

    # Inside -------------------------------------------------------------------------------------------

    def _deadline(self, now: float, timeout: Seconds | None) -> float:
        return now + (self.settings.default_send_timeout if timeout is None else checked_timeout(timeout))

    def _take_now(self, data: bytes, room: float, until: Until, now: float) -> bool:
        """Accept a body whole if nobody waits before it and it fits; return whether it did."""
        if self.queue is not None and len(self.queue):
            return False
        size = len(data)
        if self.length is not None:
            self.check_length(size)
        reached = self.sent if until == "sent" else self.reached(until)
        if not self.drops and self.current - reached + size > room:
            return False
        if size:
            self._calls += 1
            self.last_whole = self._calls
            self.accept(data, now)
            if self.drops and self.waits is not None:
                # Dropped bytes count as sent, and no kernel will say so.
                self.settle_waits()
        self.transport.wake()
        return True

    def _write_along_path(self, data: bytes, deadline: float, until: Until, now: float) -> Pending:
        path = self.along_path(until)
        if self._take_now(data, path.limit(len(data)), until, now):
            return DONE
        path.refused(now)
        return self._line_up(Write(data, 0, deadline, until, path), now, has_room=False)

    def _line_up(self, write: Write, now: float, *, has_room: bool = True) -> Write:
        """Have `write` wait in line; unless it is known to have no room it may have its turn at once."""
        write.timer = self.timers.add(write.deadline, lambda at: self._time_out(write, at))
        if self.queue is None:
            self.queue = WriterQueue()
        queue = self.queue
        self._calls += 1
        write.order, write.began = self._calls, now
        queue.append(write)
        if has_room and len(queue) == 1:
            queue.advance(self, now, self._settle_write)
        if self.confirming is not None:
            self.confirming.look()
        self.transport.wake()
        return write

    def _time_out(self, write: Write, now: float) -> None:
        if (note := self.host.note_timeout) is not None:
            note()
        self.withdraw(write, now)

    def _await(self, wait: Wait | HeaderWrite) -> Pending:
        self._step_out()
        if self.waits is None:
            self.waits = Waits(self.timers)
        wait.timer = self.timers.add(wait.deadline, lambda now: self.withdraw(wait, now))
        self.waits.pending.append(wait)
        if self.confirming is not None:
            self.confirming.look()
        return wait

    def withdraw(self, pending: Pending, now: float) -> None:
        """End a call as a timeout would: its task was cancelled, or its time is up.

        What a read has brought already is there for the next one.
        """
        if isinstance(pending, Read) and self.incoming is not None:
            self.incoming.withdraw(pending, now)
            return
        if pending.settled:
            return
        if isinstance(pending, DrainWait):
            assert self.drain_waits is not None
            self.drain_waits.remove(pending)
            self.timers.cancel(pending.timer)
            pending.tell(is_due=False)
            return
        if isinstance(pending, Write):
            queue = self.queue
            assert queue is not None
            queue.remove(pending)
            self.keep_offered(pending)
            self.note_left(pending)
            self.settle_call(pending)
            # Who stood in line behind it may be accepted now.
            queue.advance(self, now, self._settle_write)
            self.transport.wake()
        elif self.waits is not None:
            self.waits.withdraw(pending, self, self.head_stage)

    def _ended_call(self, pending: Pending, call: Call) -> Pending:
        """Settle a call at once: the exchange is over, or what it waits for is there already."""
        over = self.state > (LAST_LIVE if call is Call.WAIT else LAST_WRITABLE)
        met = isinstance(pending, Wait) and reached(pending, self, self.head_stage)
        sent = self.head_stage >= HeadStage.SENT
        pending.settle(encode_result(call, cancelled=over, headers_were_sent=sent, reached=met))
        return pending

    def _follow_cancelled(self) -> SendResult:
        sent = self.head_stage >= HeadStage.SENT
        return encode_result(Call.WAIT, cancelled=True, headers_were_sent=sent)
