"""Deadlines of one owner in order: a heap that forgets what was cancelled and stays small.

It holds absolute times in seconds and reads no clock: time is an argument.
"""

import heapq
from collections.abc import Callable
from math import inf


class Timer:
    """One deadline. Cancel it with `Timers.cancel`."""

    __slots__ = ("action", "deadline")

    def __init__(self, deadline: float, action: Callable[[float], None]) -> None:
        self.deadline = deadline
        self.action: Callable[[float], None] | None = action


class Timers:
    """A set of deadlines, each with an action that gets the time at which it ran.

    Attributes:
        heap: the deadlines, those that were cancelled among them; to be looked at only.
    """

    __slots__ = ("_count", "_live", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._live = 0

    def __len__(self) -> int:
        """Return how many deadlines are still to come."""
        return self._live

    def add(self, deadline: float, action: Callable[[float], None]) -> Timer | None:
        """Call `action(now)` from the first `handle` at or after `deadline`; infinity adds nothing."""
        if deadline == inf:
            return None
        timer = Timer(deadline, action)
        # The count keeps the order of equal deadlines and two timers from being compared.
        self._count += 1
        heapq.heappush(self.heap, (deadline, self._count, timer))
        self._live += 1
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Forget a timer; one that has run, or `None`, does nothing."""
        if timer is None or timer.action is None:
            return
        timer.action = None
        self._live -= 1
        if len(self.heap) > 2 * self._live + 16:
            self._compact()

    def next_deadline(self) -> float | None:
        """Return the earliest deadline, or `None`."""
        heap = self.heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def handle(self, now: float) -> None:
        """Run what was due at `now`, in order; what an action adds waits for the next call."""
        due = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            due.append(heapq.heappop(self.heap)[2])
        for timer in due:
            self._run(timer, now)

    def _run(self, timer: Timer, now: float) -> None:
        action, timer.action = timer.action, None
        if action is not None:
            self._live -= 1
            action(now)

    def _compact(self) -> None:
        # Cancelled timers are the rule (most writes are in time), so they must not pile up.
        self.heap = [entry for entry in self.heap if entry[2].action is not None]
        heapq.heapify(self.heap)
