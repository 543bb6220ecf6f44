"""When a response in which no byte moves is given up: `io.stall_timeout`."""

from math import inf

from httpng_core.sending.checks import checked_stall_timeout
from httpng_core.sending.ends import HANDLER_STALLED
from httpng_core.sending.stall import StallWatch
from httpng_core.sending.whole import Whole


class Stalling(Whole):
    """An exchange whose handler may say how long no byte may move."""

    __slots__ = ()

    @property
    def stall_timeout(self) -> float | None:
        """Seconds without a byte moving, while some are in flight, that reset the exchange; `None`: never.

        It is read by the next write. How far a byte must come to have moved is what `until` of that says.
        """
        return None if self.stalls is None or self.stalls.timeout == inf else self.stalls.timeout

    @stall_timeout.setter
    def stall_timeout(self, seconds: float | None) -> None:
        if seconds is None and self.stalls is None:
            return
        timeout = checked_stall_timeout(seconds)
        if self.stalls is not None:
            self.stalls.timeout = timeout
        elif timeout < inf:
            self.stalls = StallWatch(timeout, self.timers, self._stall_due, self._stalled)

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the exchange is reset, as things stand; infinity: never.

        What is sent need not move further, unless bytes are in flight until acked or confirmed.
        """
        if self.stalls is None or (self.lag_until == "sent" and not self._is_moving):
            return inf
        return self.stalls.timeout

    @property
    def _is_moving(self) -> bool:
        """Whether bytes are in flight, or a writer waits: something has to move."""
        if self.in_flight(self.lag_until) > 0:
            return True
        queue = self.queue
        return queue is not None and len(queue) > 0 and queue.following is None

    def _stall_due(self, now: float) -> float | None:
        """Return when it is a stall, or time to look again; `None`: nothing has to move."""
        assert self.stalls is not None
        if self._is_moving:
            return max(self.stalls.began, self.moved_at) + self.stalls.timeout
        source = None if self.queue is None else self.queue.following
        if source is None:
            return None
        # A payload that waits may just have been published: it is a stall if the last look found one as well.
        before, waited_at = self.stalls.waited_at, self.sent if source.size else None
        self.stalls.waited_at = waited_at
        return now if waited_at is not None and waited_at == before else now + self.stalls.timeout

    def _stalled(self, now: float) -> None:
        self.reset(now, HANDLER_STALLED)
