"""When an exchange has stalled: something has to move, and nothing has for a while."""

from collections.abc import Callable
from math import inf

from httpng_core.timers import Timer, Timers


class StallWatch:
    """Calls `stalled` when no byte moves for `timeout` seconds while some have to.

    It looks only when a stall could be due, so that bytes that move cost it nothing. A new `timeout`
    counts from the next look on.
    """

    __slots__ = ("_due", "_stalled", "_timer", "_timers", "began", "timeout", "waited_at")

    def __init__(
        self,
        timeout: float,
        timers: Timers,
        due: Callable[[float], float | None],
        stalled: Callable[[float], None],
    ) -> None:
        """Make a watch that is not running yet.

        Args:
            timeout: seconds; infinity: it never runs.
            timers: of the connection.
            due: gets the time; returns when it is a stall or time to look again, `None` if nothing has to
                move.
            stalled: gets the time; called on a stall.
        """
        self.timeout = timeout
        self.began = 0.0
        self.waited_at: int | None = None
        self._timers = timers
        self._due = due
        self._stalled = stalled
        self._timer: Timer | None = None

    def begin(self, now: float) -> None:
        """Watch from now on, if it doesn't already."""
        if self._timer is None and self.timeout < inf:
            self.began = now
            self._timer = self._timers.add(now + self.timeout, self._check)

    def stop(self) -> None:
        """Watch no more: the exchange is over."""
        self._timers.cancel(self._timer)

    def _check(self, now: float) -> None:
        self._timer = None
        due = self._due(now)
        if due is None:
            return
        if due <= now:
            self._stalled(now)
        else:
            self._timer = self._timers.add(due, self._check)
