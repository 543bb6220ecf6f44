"""The part of a feed that belongs to one event loop: the followers whose connections are served there.

A feed has a branch for each loop that follows it. What is published is handed to each in the thread of its
loop, in order; so nothing here is ever touched by two threads at once.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.broadcast import Sweep
from httpng_core.feeds.follower import Follower
from httpng_core.sending.host import CallInLoop, Host

Totals = tuple[int, int, int]
"""Payloads delivered, skipped and expired."""
Latest = dict[Hashable, Payload]
"""The newest payload of each key, in the order of their publication."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLoopStatistics:
    """What a feed keeps for the followers of one event loop. A snapshot.

    Attributes:
        followers: how many follow there.
        in_step: how many of these have had the same, and share what comes next.
        values: how many payloads are kept for those that join.
        handed: how many payloads, and other news, wait for the thread of the loop.
        drivers: how many drivers are known that send to followers in step: one, or none.
        scheduled: how many of these were asked to send.
        places: how many places they look at, those of followers that are gone included.
    """

    followers: int
    in_step: int
    values: int
    handed: int
    drivers: int
    scheduled: int
    places: int


def keep(latest: Latest, payload: Payload) -> None:
    """Put a payload into the place of an older one of its key."""
    latest.pop(payload.key, None)
    latest[payload.key] = payload


class Branch:
    """The followers of a feed in one event loop.

    Attributes:
        clock: the clock by which payloads grow old.
        is_closed: whether the feed was closed.
        published: the number of the payload that came last; they are counted from 1.
        gone: what became of the payloads for followers that are gone.
        call_in_loop: calls a function in the thread of the loop, at once if that is where it is called;
            `None`: there is one thread.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        backlog: Callable[[], LatestBacklog | EveryBacklog],
        keeps_latest: bool,
        call_in_loop: CallInLoop | None,
    ) -> None:
        """`backlog` makes that of one follower, who begins with the latest values if `keeps_latest`."""
        self.clock = clock
        self.is_closed = False
        self.published = 0
        self.gone: Totals = (0, 0, 0)
        self.call_in_loop = call_in_loop
        self._new_backlog = backlog
        self._keeps_latest = keeps_latest
        # Those that a follower begins with: no newer ones than have come here, for the rest is on its way.
        self._latest: Latest = {}
        self._followers: dict[Follower, None] = {}
        self._apart: dict[Follower, None] = {}
        self._sweeps: dict[Callable[[Sweep], None], Sweep] = {}
        self._handed: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        """Return how many follow here."""
        return len(self._followers)

    def call(self, function: Callable[[], None]) -> None:
        """Have `function` called in the thread of the loop."""
        if self.call_in_loop is None:
            function()
        else:
            self.call_in_loop(function)

    def hand(self, function: Callable[[], None]) -> None:
        """Have `function` called in the thread of the loop, after all that was handed before.

        What was handed in other threads may be on its way yet, when that of the loop hands something.
        """
        self._handed.append(function)
        self.call(self._take_handed)

    def start_from(self, published: int, latest: Latest, *, is_closed: bool) -> None:
        """Take over where the feed stands, as nothing was handed here while nobody followed."""
        self.published = published
        self.is_closed = is_closed
        self._latest = latest.copy()

    def join(self, follower: Follower) -> list[Payload]:
        """Have `follower` get what is published from now on; return what it starts with."""
        if not self.is_closed:
            self._followers[follower] = self._apart[follower] = None
        return list(self._latest.values())

    def leave(self, follower: Follower) -> None:
        """Have `follower` get nothing more."""
        self._followers.pop(follower, None)
        self._apart.pop(follower, None)
        delivered, skipped, expired = self.gone
        stats = follower.stats
        self.gone = delivered + stats.delivered, skipped + stats.skipped, expired + stats.expired
        if not self._followers:
            # They hold drivers, that may have stopped.
            self._sweeps.clear()
            self._latest.clear()

    def delivered_late(self) -> None:
        """Note that a follower that left with a payload offered has delivered it after all."""
        delivered, skipped, expired = self.gone
        self.gone = delivered + 1, skipped - 1, expired

    def sweep(self, host: Host) -> Sweep:
        """Return the sweep of those that share the event loop of `host`."""
        ready = host.feed_ready
        assert ready is not None
        sweep = self._sweeps.get(ready)
        if sweep is None:
            sweep = self._sweeps[ready] = Sweep(self._new_backlog(), self.clock, ready)
        return sweep

    def stepped_in(self, follower: Follower) -> None:
        """Have `follower` get nothing for itself until it has stepped out."""
        del self._apart[follower]

    def stepped_out(self, follower: Follower) -> None:
        """Have `follower` get what is published for itself."""
        self._apart[follower] = None

    def add(self, payload: Payload, number: int) -> None:
        """One more was published."""
        if number <= self.published or not self._followers:
            return  # It was on its way when all had left; who follows now has begun with it.
        self.published = number
        if self._keeps_latest:
            keep(self._latest, payload)
        # First, as who steps out by this is apart then.
        for sweep in self._sweeps.values():
            sweep.add(payload)
        # A follower that overflows leaves meanwhile.
        for follower in tuple(self._apart):
            follower.add(payload)

    def close(self) -> None:
        """Nothing more will be published: followers end once they have what is pending."""
        self.is_closed = True
        for sweep in self._sweeps.values():
            sweep.dissolve()
        for follower in tuple(self._followers):
            follower.feed_closed()

    def statistics(self) -> FeedLoopStatistics:
        """Return what is kept for this loop."""
        sweeps = tuple(self._sweeps.values())
        return FeedLoopStatistics(
            followers=len(self._followers),
            in_step=len(self._followers) - len(self._apart),
            values=len(self._latest),
            handed=len(self._handed),
            drivers=len(sweeps),
            scheduled=sum(sweep.is_scheduled for sweep in sweeps),
            places=sum(sweep.places for sweep in sweeps),
        )

    def totals(self) -> Totals:
        """Return the payloads delivered, skipped and expired, for all that ever followed here."""
        delivered, skipped, expired = self.gone
        for follower in tuple(self._followers):
            stats = follower.stats
            delivered += stats.delivered
            skipped += stats.skipped
            expired += stats.expired
        return delivered, skipped, expired

    def _take_handed(self) -> None:
        while self._handed:
            self._handed.popleft()()
