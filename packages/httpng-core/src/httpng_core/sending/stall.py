"""When an exchange has stalled: something has to move, and nothing has for a while."""

from collections.abc import Callable
from math import inf

from httpng_core.sending.queue import SendQueue
from httpng_core.timers import Timer, Timers


class StallWatch:
    """Aborts an exchange of which no byte moves for `timeout` seconds while some are in flight.

    It looks only when a stall could be due, so that bytes that move cost it nothing. A new `timeout`
    counts from the next look on.
    """

    __slots__ = ("_abort", "_began", "_moved_at", "_queue", "_timer", "_timers", "_waited_at", "timeout")

    def __init__(
        self,
        timeout: float,
        queue: SendQueue,
        timers: Timers,
        moved_at: Callable[[], float],
        abort: Callable[[float], None],
    ) -> None:
        """`moved_at()` tells when a byte moved last; `abort(now)` is called on a stall."""
        self.timeout = timeout
        self._queue = queue
        self._timers = timers
        self._moved_at = moved_at
        self._abort = abort
        self._began = 0.0
        self._timer: Timer | None = None
        self._waited_at: int | None = None

    def begin(self, now: float) -> None:
        """Watches from now on, if it doesn't already; an infinite `timeout` never does."""
        if self._timer is None and self.timeout < inf:
            self._began = now
            self._timer = self._timers.add(now + self.timeout, self._check)

    def stop(self) -> None:
        """The exchange is over."""
        self._timers.cancel(self._timer)

    def _check(self, now: float) -> None:
        """Aborts if nothing has moved; else looks again when that could be, if anything is in flight."""
        self._timer = None
        due = self._due(now)
        if due is None:
            return
        if due <= now:
            self._abort(now)
        else:
            self._timer = self._timers.add(due, self._check)

    def _due(self, now: float) -> float | None:
        """When it is a stall, or time to look again; `None`: nothing has to move."""
        if self._queue.is_moving:
            return max(self._began, self._moved_at()) + self.timeout
        source = self._queue.following
        if source is None:
            return None
        # A payload that waits may just have been published: it is a stall if the last look found one as well.
        before, self._waited_at = self._waited_at, self._queue.window.sent if source.size else None
        return now if self._waited_at is not None and self._waited_at == before else now + self.timeout
