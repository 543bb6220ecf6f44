"""The numbers of what waits for a follower, the lowest of them at hand."""

from heapq import heapify, heappop, heappush
from typing import Final

_SLACK: Final = 64


class Owed:
    """Numbers that come and go in any order; each is there once. 0 stands for what isn't counted."""

    __slots__ = ("_heap", "_numbers")

    def __init__(self) -> None:
        self._numbers: set[int] = set()
        # Those that have gone are left in it until they come to the top, or are the most of it.
        self._heap: list[int] = []

    def add(self, number: int) -> None:
        """Add one; if it is there already, do nothing."""
        numbers = self._numbers
        if not number or number in numbers:
            return
        numbers.add(number)
        heappush(self._heap, number)
        if len(self._heap) > 2 * len(numbers) + _SLACK:
            self._heap = list(numbers)
            heapify(self._heap)

    def discard(self, number: int) -> None:
        """Take one away; if it isn't there, do nothing."""
        self._numbers.discard(number)

    def lowest(self, without: int) -> int | None:
        """Return the lowest other than `without`; `None` if there is none."""
        lowest = self._top()
        if lowest is None or lowest != without:
            return lowest
        self._numbers.discard(heappop(self._heap))
        lowest = self._top()
        self._numbers.add(without)
        heappush(self._heap, without)
        return lowest

    def clear(self) -> None:
        """Forget all."""
        self._numbers.clear()
        self._heap.clear()

    def _top(self) -> int | None:
        heap, numbers = self._heap, self._numbers
        while heap and heap[0] not in numbers:
            heappop(heap)
        return heap[0] if heap else None
