"""The part of a feed that belongs to one event loop: the followers whose connections are served there.

A feed has a branch for each loop that follows it, for as long as somebody does. What is published waits in
the inbox of each, and is taken out in the thread of its loop, so much in a turn; so nothing else here is ever
touched by two threads at once.
"""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.broadcast import Sweep
from httpng_core.feeds.follower import Follower
from httpng_core.feeds.inbox import EveryInbox, LatestInbox
from httpng_core.sending.host import Host

Latest = dict[Hashable, Payload]
"""The newest payload of each key, in the order of their publication."""

_WORK_PER_TURN: Final = 2048
"""How much is taken out of an inbox in one turn: a payload counts 1, and each follower that is given it 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLoopStatistics:
    """What a feed keeps for the followers of one event loop. A snapshot.

    Attributes:
        followers: how many follow there.
        in_step: how many of these have had the same, and share what comes next.
        values: how many payloads are kept for those that join.
        handed: how many payloads wait for the thread of the loop.
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
        published: how many payloads have come here, or were replaced on their way.
        call_in_loop: see `Host`; each loop has its own.
    """

    def __init__(
        self,
        host: Host,
        lock: AbstractContextManager[object],
        clock: Callable[[], float],
        backlog: Callable[[], LatestBacklog | EveryBacklog],
        inbox: LatestInbox | EveryInbox,
        left: Callable[[Follower, "Branch"], None],
    ) -> None:
        """`backlog` makes that of one follower; `left` is called with one that leaves, and calls `remove`."""
        self.clock = clock
        self.is_closed = False
        self.published = 0
        self.call_in_loop = host.call_in_loop
        self._call_soon = host.call_soon
        self._lock = lock
        self._new_backlog = backlog
        self._keeps_latest = isinstance(inbox, LatestInbox)
        self._left = left
        # Those that a follower begins with: no newer ones than have come here, for the rest is on its way.
        self._latest: Latest = {}
        self._followers: dict[Follower, None] = {}
        self._apart: dict[Follower, None] = {}
        self._sweeps: dict[Callable[[Sweep], None], Sweep] = {}
        # These are changed with the lock held, in any thread.
        self._inbox = inbox
        self._is_called = False
        self._closes = False
        self._overrun: dict[Follower, None] = {}
        self._lost = 0

    def __len__(self) -> int:
        """Return how many follow here."""
        return len(self._followers)

    @property
    def followers(self) -> tuple[Follower, ...]:
        """Those who follow here. Any thread may ask."""
        return tuple(self._followers)

    # What is done in any thread: the feed holds its lock in all but `call` ----------------------------

    def hand(self, payload: Payload) -> bool:
        """Have followers be told of a payload; return whether `call` has to be called for that."""
        if not self._followers:
            return False
        lost = self._inbox.put(payload)
        if lost:
            self._overrun.update(self._followers)
            self._lost += lost
        return self._must_call()

    def hand_close(self) -> bool:
        """Have followers end after all that was handed before; return whether `call` has to be called."""
        self._closes = True
        return self._must_call()

    def start_from(self, published: int, latest: Latest, *, is_closed: bool) -> None:
        """Take over where the feed stands, as nobody follows here yet."""
        self.published = published
        self.is_closed = is_closed
        self._latest = latest.copy()

    def call(self) -> None:
        """Have what was handed taken, in the thread of the loop: at once if this is it."""
        if self.call_in_loop is None:
            self._take()
        else:
            self.call_in_loop(self._take)

    # What is done in the thread of the loop -----------------------------------------------------------

    def join(self, follower: Follower) -> list[Payload]:
        """Have `follower` get what is published from now on; return what it starts with."""
        if not self.is_closed:
            self._followers[follower] = self._apart[follower] = None
        return list(self._latest.values())

    def leave(self, follower: Follower) -> None:
        """Have `follower` get nothing more."""
        self._left(follower, self)

    def remove(self, follower: Follower) -> None:
        """Note that `follower` has left."""
        self._followers.pop(follower, None)
        self._apart.pop(follower, None)
        if not self._followers:
            # They hold drivers, that may have stopped.
            self._sweeps.clear()
            self._latest.clear()

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

    def statistics(self) -> FeedLoopStatistics:
        """Return what is kept for this loop."""
        sweeps = tuple(self._sweeps.values())
        return FeedLoopStatistics(
            followers=len(self._followers),
            in_step=len(self._followers) - len(self._apart),
            values=len(self._latest),
            handed=len(self._inbox),
            drivers=len(sweeps),
            scheduled=sum(sweep.is_scheduled for sweep in sweeps),
            places=sum(sweep.places for sweep in sweeps),
        )

    # Inside -------------------------------------------------------------------------------------------

    def _must_call(self) -> bool:
        must, self._is_called = not self._is_called, True
        return must

    def _take(self) -> None:
        """Take what was handed, as much as one turn may; the rest in the next."""
        work = 0
        try:
            while work < _WORK_PER_TURN or self._call_soon is None:
                with self._lock:
                    handed, overrun, lost = self._inbox.take(), self._overrun, self._lost
                    self._overrun, self._lost = {}, 0
                    if handed is None and not lost:
                        break
                work += 1 + len(self._apart)
                if lost:
                    self._overflow(overrun, lost)
                if handed is not None:
                    self._add(*handed)
        finally:
            self._go_on()

    def _go_on(self) -> None:
        """Come back if there is more, else close if that was handed, and wait to be called."""
        soon = self._call_soon
        with self._lock:
            more = len(self._inbox) > 0 or self._lost > 0
            self._is_called = more and soon is not None
            closes, self._closes = self._closes and not more, self._closes and more
        if more and soon is not None:
            soon(self._take)
        if closes:
            self._close()

    def _add(self, payload: Payload, count: int) -> None:
        if not self._followers:
            return  # It was on its way when all had left.
        self.published += count
        if payload.removes:
            self._latest.pop(payload.key, None)
        elif self._keeps_latest:
            keep(self._latest, payload)
        if not payload.body:
            self._discard(payload)
            return
        # First, as who steps out by this is apart then.
        for sweep in self._sweeps.values():
            sweep.add(payload)
        # A follower that overflows leaves meanwhile.
        for follower in tuple(self._apart):
            follower.add(payload)

    def _discard(self, removal: Payload) -> None:
        for sweep in self._sweeps.values():
            sweep.discard(removal)
        for follower in tuple(self._apart):
            follower.discard(removal.key)

    def _overflow(self, overrun: dict[Follower, None], lost: int) -> None:
        """Reset those who followed when more was handed than may wait for each of them."""
        self.published += lost
        for follower in overrun:
            if follower in self._followers:
                follower.overflow()

    def _close(self) -> None:
        """Nothing more will be published: followers end once they have what is pending."""
        self.is_closed = True
        for sweep in self._sweeps.values():
            sweep.dissolve()
        for follower in tuple(self._followers):
            follower.feed_closed()
