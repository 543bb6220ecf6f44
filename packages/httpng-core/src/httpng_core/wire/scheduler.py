"""Whose frame is next, among exchanges that share a connection. Numbers only: no bytes, no protocol.

1. A lower urgency goes first (RFC 9218, 4.1).
2. Of one urgency, incremental ones share by bytes: next is the one that has been served least.
3. Of those that aren't incremental one at a time takes part, the oldest (RFC 9218, 10).
4. Who had nothing to send gets no credit for that time: it joins as if it had been served as much as
   the one served last.
"""

import heapq
from collections.abc import Iterable
from typing import Generic, TypeVar

from httpng_core.compiled import mypyc_attr
from httpng_core.sending.transport import Transport

URGENCIES = 8


@mypyc_attr(allow_interpreted_subclasses=True)
class Entry(Transport):
    """One that wants frames; streams, each of which frames an exchange, derive from it.

    Attributes:
        order: a number of its own; the oldest has the lowest.
        urgency: 0 .. 7, 0 goes first.
        incremental: whether it is of use in part, so shares with others.
        served: how many bytes it was served, and what it was lifted by; the scheduler's.
    """

    __slots__ = ("incremental", "order", "served", "urgency")
    order: int
    urgency: int
    incremental: bool
    served: int


E = TypeVar("E", bound=Entry)


class Scheduler(Generic[E]):
    """Deals out frames in rounds: `begin` with those that can send now, then `next` and `sent` in turn."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, E]] = []
        self._behind: dict[int, list[tuple[int, E]]] = {}
        self._reached = [0] * URGENCIES

    def begin(self, entries: Iterable[E]) -> None:
        """Start a round."""
        heap: list[tuple[int, int, int, E]] = []
        reached = self._reached
        self._heap, self._behind = heap, {}
        for entry in entries:
            if entry.incremental:
                urgency = entry.urgency
                served = reached[urgency]
                if entry.served < served:
                    entry.served = served
                heap.append((urgency, entry.served, entry.order, entry))
            else:
                heapq.heappush(self._behind.setdefault(entry.urgency, []), (entry.order, entry))
        heapq.heapify(heap)
        for urgency in self._behind:
            self._join_oldest(urgency)

    @property
    def has_next(self) -> bool:
        """Whether anybody is left in this round."""
        return len(self._heap) > 0

    def next(self) -> E | None:
        """Return whose frame is next; `None` if nobody is left in this round."""
        if not self._heap:
            return None
        _, served, _, entry = heapq.heappop(self._heap)
        self._reached[entry.urgency] = served
        return entry

    def sent(self, entry: E, size: int, *, more: bool) -> None:
        """Note that the one that was next was served `size` bytes; `more`: it can send more in this round."""
        entry.served += size
        if more:
            self._join(entry)
        elif not entry.incremental:
            self._join_oldest(entry.urgency)

    def taken_back(self, entry: E) -> None:
        """Note that one that was next was not served, or not all that it had: its claim holds."""
        if entry.served < self._reached[entry.urgency]:
            self._reached[entry.urgency] = entry.served

    def _join(self, entry: E) -> None:
        entry.served = max(entry.served, self._reached[entry.urgency])
        heapq.heappush(self._heap, (entry.urgency, entry.served, entry.order, entry))

    def _join_oldest(self, urgency: int) -> None:
        if behind := self._behind.get(urgency):
            self._join(heapq.heappop(behind)[1])
