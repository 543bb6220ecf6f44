"""The positions of one response body, the arithmetic of its send window, and its lag.

Numbers only: no bytes, no time, no protocol. All positions count body bytes as the handler passed
them. The rules, in the words of the specification:

1. `acked <= sent <= committed <= current`, and no position ever falls.
2. *In flight* is `current - sent`, or `current - acked` where a window counts until acked.
3. A body fits when `in flight + its length <= send window`.
4. Where `acked` is not known, or no longer, in flight counts from `sent`.
"""

from collections import deque
from math import inf
from typing import Literal

Until = Literal["sent", "acked"]
"""How far a byte must have come to be no longer in flight."""

WindowSize = int | Literal["auto"]
"""A send window as a handler gives it: body bytes, or "auto", which follows the path."""


class SendWindow:
    """Positions of one exchange: `current`, `committed`, `sent` and, if it is tracked, `acked`, in bytes."""

    __slots__ = ("acked", "committed", "current", "sent")

    def __init__(self) -> None:
        self.current = 0
        self.committed = 0
        self.sent = 0
        self.acked: int | None = None

    def reached(self, until: Until) -> int:
        """The position up to which bytes are no longer in flight."""
        return self.sent if until == "sent" or self.acked is None else self.acked

    @property
    def in_flight(self) -> int:
        """Bytes accepted from the handler that the TCP/IP stack has not taken."""
        return self.current - self.sent

    def in_flight_until(self, until: Until) -> int:
        """Bytes accepted from the handler that have not come as far as `until`."""
        return self.current - self.reached(until)

    def fits(self, size: int, limit: float, until: Until = "sent") -> bool:
        """Tells whether `size` more bytes keep within a send window of `limit` bytes."""
        return self.current - self.reached(until) + size <= limit

    def accept(self, size: int) -> None:
        """The handler handed over `size` bytes."""
        self.current += size

    def commit(self, size: int) -> None:
        """`size` bytes were framed into wire bytes of which the kernel has taken some."""
        self.committed += size
        if self.committed > self.current:
            raise AssertionError(f"committed {self.committed} of {self.current} accepted bytes")

    def pay(self, size: int) -> None:
        """The kernel said that it took `size` more body bytes."""
        self.sent += size
        if self.sent > self.committed:
            raise AssertionError(f"sent {self.sent} of {self.committed} committed bytes")

    def acknowledge(self, size: int) -> None:
        """The client's TCP acknowledged `size` more body bytes; nothing where `acked` isn't tracked."""
        if self.acked is None:
            return
        self.acked += size
        if self.acked > self.sent:
            raise AssertionError(f"{self.acked} acknowledged of {self.sent} sent bytes")

    def accept_dropped(self, size: int) -> None:
        """Accepts bytes that never go on the wire (HEAD, 204, 304): by rule they count as sent."""
        self.current += size
        self.committed += size
        self.sent += size
        if self.acked is not None:
            self.acked += size


class CommitSize:
    """How many bytes to frame at once: small while the client is slow, larger once it keeps up.

    1. It is 16 KiB at first.
    2. After four full frames that were taken whole in a row it is 64 KiB.
    3. At the first refusal it is 16 KiB again, and `is_cautious` until rule 2 applies the next time.
    4. One that doesn't grow is small and cautious always.

    A frame of which the kernel took a part must go out whole whatever the handler wants by then, so
    this bounds what can't be taken back. 64 KiB is enough for a fast client: larger frames were
    measured to leave long committed tails when it stalls.

    While cautious, the socket is asked before each frame: Linux calls a socket writable while less than half
    of `TCP_NOTSENT_LOWAT` waits in it, but its `send()` refuses only at the whole.
    """

    SMALL = 16 * 1024
    LARGE = 64 * 1024
    _FRAMES_TO_GROW = 4

    __slots__ = ("_grows", "_taken_whole", "is_cautious", "value")

    def __init__(self, *, grows: bool = True) -> None:
        self.value = self.SMALL
        self.is_cautious = not grows
        self._grows = grows
        self._taken_whole = 0

    def taken(self, offered: int, taken: int) -> None:
        """The kernel took `taken` of `offered` wire bytes."""
        if taken < offered:
            self.value, self._taken_whole = self.SMALL, 0
            self.is_cautious = True
        elif self._grows and offered >= self.value:
            self._taken_whole += 1
            if self._taken_whole >= self._FRAMES_TO_GROW:
                self.value = self.LARGE
                self.is_cautious = False


class LagBook:
    """When the bytes in flight were accepted: stamps that bytes share, so that the book stays small.

    1. Bytes accepted within a millisecond share a stamp.
    2. When the book is full, neighbours share one, over at most a 64th of the time that the book spans.
    3. The lag of bytes that share a stamp is told too long, by what they differ; never too short.
    """

    RESOLUTION = 0.001
    MAX_STAMPS = 256

    __slots__ = ("_stamps",)

    def __init__(self) -> None:
        self._stamps: deque[tuple[int, float]] = deque()

    def __len__(self) -> int:
        """How many stamps the book holds."""
        return len(self._stamps)

    def accept(self, position: int, now: float) -> None:
        """The bytes up to `position` were accepted at `now`, those before it earlier."""
        stamps = self._stamps
        if stamps and now - stamps[-1][1] < self.RESOLUTION:
            stamps[-1] = (position, stamps[-1][1])
            return
        stamps.append((position, now))
        if len(stamps) > self.MAX_STAMPS:
            self._merge((now - stamps[0][1]) * 4 / self.MAX_STAMPS)

    def pay(self, position: int) -> None:
        """The bytes up to `position` are no longer in flight."""
        stamps = self._stamps
        while stamps and stamps[0][0] <= position:
            stamps.popleft()

    def clear(self) -> None:
        """Nothing is in flight any more."""
        self._stamps.clear()

    def lag(self, now: float) -> float:
        """Seconds that the oldest byte in flight has waited, to the millisecond."""
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
