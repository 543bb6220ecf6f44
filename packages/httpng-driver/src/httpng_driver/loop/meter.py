"""What is counted of exchanges as they end, for metrics: histograms by route, status and the like.

One of these belongs to each loop, so nothing is locked; whoever reads it holds the lock of the loop. It is
there only where somebody asks for metrics.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final

from httpng_core import Timers

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds: what OpenTelemetry's conventions advise for `http.server.request.duration`."""
_FIRST: Final = BOUNDS[0]
_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
_MOST_KINDS: Final = 64
"""So many kinds of exchanges are summed up before they are put into the histograms."""
_OTHER: Final = "_OTHER"
"""Any other method: a client may make up as many as it likes."""

Key = tuple[str, int, str, int, bool, str]
"""Method, status, route, major version of HTTP, whether over TLS, and the end if it wasn't clean."""
Histogram = list[float]
"""How many there were below each of `BOUNDS`, and above all of them; then their sum."""


def known(method: str) -> str:
    """Return a method as metrics have it: as it is, unless it is none of those that there are."""
    return method if method in _METHODS else _OTHER


def histogram() -> Histogram:
    """Return an empty one."""
    return [0] * (len(BOUNDS) + 1) + [0.0]


class Meter:
    """What one loop has counted.

    A stream is a response whose length isn't declared. How long it takes is up to its handler, so streams are
    counted apart: they say nothing of how fast requests are answered.

    Attributes:
        requests, streams: how long exchanges took, from the request to the end.
        first_bytes: how long it took until the TCP/IP stack had the header block; of streams apart.
        lags: the longest that a byte of each exchange was in flight.
        timeouts: how many writes and follows have ended as their time was up.
        delays: how late the loop came to what was due.
    """

    __slots__ = (
        "_alike",
        "_alike_lag",
        "_alike_seconds",
        "_cause",
        "_cell",
        "_cells",
        "_head",
        "_https",
        "_kinds",
        "_major",
        "_method",
        "_route",
        "delays",
        "first_bytes",
        "lags",
        "requests",
        "streams",
        "timeouts",
    )

    def __init__(self) -> None:
        self.requests: dict[Key, Histogram] = {}
        self.streams: dict[Key, Histogram] = {}
        self.first_bytes = (histogram(), histogram())
        self.lags = histogram()
        self.delays = histogram()
        self.timeouts = 0
        # What the last one was like, and how many after it were just so and are not in the histograms yet.
        self._head: object = None
        self._cause: object = None
        self._route = self._method = ""
        self._https, self._major = False, 0
        self._cell = histogram()
        self._alike, self._alike_seconds, self._alike_lag = 0, 0.0, 0.0
        # The same of other kinds: how many, their seconds, their lags; and the histogram of each kind.
        self._kinds: dict[tuple[object, ...], list[float]] = {}
        self._cells: dict[tuple[object, ...], Histogram] = {}

    def ended(self, exchange: Any, now: float) -> None:
        """Count an exchange that is over."""
        request, head = exchange.request, exchange.head
        seconds = now - exchange.started
        if (
            head is self._head
            and request.route == self._route
            and request.method == self._method
            and request.https is self._https
            and seconds < _FIRST
            and exchange.first_sent == now
            and exchange.length is not None
            and exchange.cause is self._cause
            and request.version_major == self._major
        ):
            # As the one before, and at once: most of many are, and this is all that they cost.
            self._alike += 1
            self._alike_seconds += seconds
            self._alike_lag += exchange.largest_lag
            return
        kind = None
        is_clean = not exchange.cause.text
        if is_clean and seconds < _FIRST and exchange.first_sent == now and exchange.length is not None:
            kind = (head, request.route, request.method, request.https, request.version_major)
            sums = self._kinds.get(kind)
            if sums is not None:
                # As one of the kinds before.
                sums[0] += 1
                sums[1] += seconds
                sums[2] += exchange.largest_lag
                return
        self._count(exchange, now)
        if kind is not None:
            if len(self._kinds) >= _MOST_KINDS:
                self.settle()
            self._kinds[kind] = [0, 0.0, 0.0]
            self._cells[kind] = self._cell

    def settle(self) -> None:
        """Put those that were alike where they belong, before anything is read."""
        self._settle_alike()
        for kind, (count, seconds, lag) in self._kinds.items():
            self._add_alike(self._cells[kind], count, seconds, lag)
        self._kinds.clear()
        self._cells.clear()

    def _settle_alike(self) -> None:
        if self._alike:
            self._add_alike(self._cell, self._alike, self._alike_seconds, self._alike_lag)
            self._alike, self._alike_seconds, self._alike_lag = 0, 0.0, 0.0

    def _add_alike(self, cell: Histogram, count: float, seconds: float, lag: float) -> None:
        for of_kind, total in ((cell, seconds), (self.first_bytes[0], seconds), (self.lags, lag)):
            of_kind[0] += count
            of_kind[-1] += total

    def _count(self, exchange: Any, now: float) -> None:
        self._settle_alike()
        request, head, cause, started = exchange.request, exchange.head, exchange.cause, exchange.started
        status = 0 if head is None else head.status
        key = (known(request.method), status, request.route, request.version_major, request.https)
        is_stream = exchange.length is None and not exchange.drops
        cells = self.streams if is_stream else self.requests
        of_end = (*key, cause.label if cause.text else "")
        cell = cells.get(of_end)
        if cell is None:
            cell = cells[of_end] = histogram()
        self._cell = cell
        _add(cell, now - started)
        if exchange.first_sent:
            _add(self.first_bytes[is_stream], exchange.first_sent - started)
        _add(self.lags, exchange.largest_lag)
        if not is_stream and not cause.text:
            self._head, self._cause, self._route, self._method = head, cause, request.route, request.method
            self._https, self._major = request.https, request.version_major
        else:
            self._head = None

    def timed_out(self) -> None:
        """Count a write or a follow that has ended as its time was up."""
        self.timeouts += 1

    def late(self, seconds: float) -> None:
        """Count how late the loop came."""
        _add(self.delays, seconds)


def _add(cell: Histogram, seconds: float) -> None:
    cell[bisect_left(BOUNDS, seconds)] += 1
    cell[-1] += seconds


class LagWatch:
    """Measures how late the loop of a hub is: whatever holds it up, holds all of its clients up."""

    EVERY: Final = 0.5

    __slots__ = ("_due", "_meter", "_timers")

    def __init__(self, timers: Timers, clock: Callable[[], float], meter: Meter) -> None:
        """Measure from now on, as long as the timers are heeded."""
        self._timers = timers
        self._meter = meter
        self._begin(clock())

    def _begin(self, now: float) -> None:
        self._due = now + self.EVERY
        self._timers.add(self._due, self._tick)

    def _tick(self, now: float) -> None:
        self._meter.late(max(now - self._due, 0.0))
        self._begin(now)
