"""When the bytes in flight were accepted."""

from collections import deque
from math import inf
from typing import Final


class LagBook:
    """When the bytes in flight were accepted: stamps that bytes share, so that the book stays small.

    1. Bytes accepted within a millisecond share a stamp.
    2. When the book is full, neighbours share one, over at most a 64th of the time that the book spans.
    3. The lag of bytes that share a stamp is told too long, by what they differ; never too short.
    """

    RESOLUTION: Final = 0.001
    MAX_STAMPS: Final = 256

    __slots__ = ("_stamps",)

    def __init__(self) -> None:
        self._stamps: deque[tuple[int, float]] = deque()

    def __len__(self) -> int:
        """Return how many stamps the book holds."""
        return len(self._stamps)

    def accept(self, position: int, now: float) -> None:
        """Note that the bytes up to `position` were accepted at `now`, those before it earlier."""
        stamps = self._stamps
        if stamps and now - stamps[-1][1] < self.RESOLUTION:
            stamps[-1] = (position, stamps[-1][1])
            return
        stamps.append((position, now))
        if len(stamps) > self.MAX_STAMPS:
            self._merge((now - stamps[0][1]) * 4 / self.MAX_STAMPS)

    def pay(self, position: int) -> None:
        """Note that the bytes up to `position` are no longer in flight."""
        stamps = self._stamps
        while stamps and stamps[0][0] <= position:
            stamps.popleft()

    @property
    def since(self) -> float:
        """When the oldest byte in flight was accepted; infinity: none is in flight."""
        return self._stamps[0][1] if self._stamps else inf

    def lag(self, now: float) -> float:
        """Return the seconds that the oldest byte in flight has waited, to the millisecond."""
        return round(max(now - self._stamps[0][1], 0.0), 3) if self._stamps else 0.0

    def _merge(self, within: float) -> None:
        # A stamp stands for the time until the next one, so that is what must not grow too long.
        first, *others = self._stamps
        ends = [stamp for _, stamp in others[1:]] + [inf]
        merged = deque([first])
        for (position, stamp), end in zip(others, ends, strict=True):
            if end - merged[-1][1] <= within:
                merged[-1] = (position, merged[-1][1])
            else:
                merged.append((position, stamp))
        self._stamps = merged
