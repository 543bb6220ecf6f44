"""A path between a scripted kernel and a client: a rate, a delay, and what a kernel keeps for it.

    path = ScriptedPath(delay=0.05, rate=250_000)
    client = loop.connect(path=path)
    loop.advance(1.0)
    path.arrivals                            # when how much had come to the client

The kernel takes bytes up to its low-water mark beyond what its congestion window has let go. They leave in
segments, one after the other at the rate, arrive after the delay, and are acknowledged after another.
"""

from collections import deque
from collections.abc import Callable

from httpng_core.timers import Timers

SEGMENT = 1448


class ScriptedPath:
    """A path to one client; times in seconds, sizes in bytes.

    Attributes:
        delay: from either end to the other; may be changed at any time, as may the rate.
        rate: bytes a second.
        acknowledged: how many bytes the client's TCP has acknowledged, as far as the kernel knows.
        arrivals: pairs of a time and how many bytes had come by then.
        on_arrival: called with bytes as they come.
    """

    def __init__(
        self, delay: float, rate: float, *, lowat: int = 16384, congestion_window: int = 1 << 20
    ) -> None:
        self.delay = delay
        self.rate = rate
        self.acknowledged = 0
        self.arrivals: list[tuple[float, int]] = []
        self.on_arrival: Callable[[bytes], None] = lambda data: None
        self._lowat = lowat
        self._congestion_limit = congestion_window
        self._congestion_window = 10 * SEGMENT
        self._unsent = bytearray()
        self._link: deque[bytes] = deque()
        self._let_go = 0
        self._arrived = 0
        self._timers = Timers()

    @property
    def room(self) -> int:
        """How many bytes the kernel takes now."""
        return max(self._lowat - len(self._unsent), 0)

    @property
    def is_writable(self) -> bool:
        """Whether the kernel would call the socket writable: it does so later than it takes bytes."""
        return len(self._unsent) < self._lowat / 2

    def take(self, data: bytes, now: float) -> None:
        """Take `data`, as the kernel."""
        self._unsent += data
        self._let_out(now)

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` is due, or `None`."""
        return self._timers.next_deadline()

    def handle_timeout(self, now: float) -> None:
        """Have what is due at `now` leave, arrive or be acknowledged."""
        self._timers.handle(now)

    def _let_out(self, now: float) -> None:
        """Give segments to the link as far as the congestion window lets them."""
        idle = not self._link
        while self._unsent and self._let_go - self.acknowledged < self._congestion_window:
            segment = bytes(self._unsent[:SEGMENT])
            del self._unsent[:SEGMENT]
            self._let_go += len(segment)
            self._link.append(segment)
        if idle and self._link:
            self._begin_segment(now)

    def _begin_segment(self, now: float) -> None:
        self._timers.add(now + len(self._link[0]) / self.rate, self._end_segment)

    def _end_segment(self, now: float) -> None:
        segment = self._link.popleft()
        self._timers.add(now + self.delay, lambda at: self._arrive(segment, at))
        if self._link:
            self._begin_segment(now)

    def _arrive(self, segment: bytes, now: float) -> None:
        self._arrived += len(segment)
        self.arrivals.append((now, self._arrived))
        self.on_arrival(segment)
        self._timers.add(now + self.delay, lambda at: self._acknowledge(len(segment), at))

    def _acknowledge(self, size: int, now: float) -> None:
        self.acknowledged += size
        self._congestion_window = min(self._congestion_window + size, self._congestion_limit)
        self._let_out(now)
