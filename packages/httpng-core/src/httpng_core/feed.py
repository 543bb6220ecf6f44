"""A feed: payloads published once, of which each follower gets what is still worth sending.

1. By the policy "latest" a follower has one payload pending for each key, the newest; a newer one takes
   the place of an older one that was not sent. So memory is bounded by the number of keys.
2. Which payload goes out is decided when the socket can take it. A payload in transmission is never torn
   or replaced, and a follower never gets an older value of a key after a newer one.
3. Publishing marks the followers and returns; those that are in step with each other are marked as one. A
   follower that is behind costs it next to nothing.
4. For each follower, published = delivered + skipped + expired + pending, since it joined.
"""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Literal

from httpng_core.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.follower import FeedStats, Follower, OnGap
from httpng_core.response import body_bytes
from httpng_core.sweep import Lane, Sweep

Policy = Literal["latest", "every"]
"""What a feed keeps for a follower that is behind: the newest unsent payload of each key, or all of them."""

Overflow = Literal["close", "drop_oldest"]
"""What is done when more waits than may: the exchange is aborted, or the oldest payloads are skipped."""

MAX_QUEUED = 1 << 20
"""How many bytes may wait for a follower, unless a feed says otherwise."""


class Feed:
    """Latest values, or messages, for any number of followers; it belongs to one event loop.

    Only `publish_threadsafe` may be called from other threads.

    Attributes:
        clock: the clock by which payloads grow old.
        is_closed: whether it was closed.
        published: how many payloads were published.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        policy: Policy = "latest",
        max_queued: int = MAX_QUEUED,
        overflow: Overflow = "close",
    ) -> None:
        """Starts with nothing published.

        Args:
            clock: a monotonic clock, the one of the server.
            policy: "latest" keeps the newest unsent payload of each key for a follower that is behind;
                "every" all of them, within bounds.
            max_queued: with "every", how many bytes may wait for a follower.
            overflow: what is done about one for whom it would be more: "close" aborts its exchange,
                "drop_oldest" skips the oldest payloads.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        _check(policy, max_queued, overflow)
        self.clock = clock
        self.is_closed = False
        self.published = 0
        self._keeps_every = policy == "every"
        self._max_queued = max_queued
        self._drops_oldest = overflow == "drop_oldest"
        self._latest: dict[Hashable, Payload] = {}
        self._followers: dict[Follower, None] = {}
        self._apart: dict[Follower, None] = {}
        self._sweeps: dict[Callable[[Sweep], None], Sweep] = {}
        self._from_threads: deque[tuple[bytes, Hashable]] = deque()
        self._call_threadsafe: Callable[[Callable[[], None]], None] | None = None
        self._gone = (0, 0, 0)

    def publish(self, payload: bytes | str, key: Hashable = None) -> None:
        """Makes `payload` the newest value of `key`, for all that follow now or later. Never waits.

        Args:
            payload: the bytes, one at least; a `str` is sent as UTF-8. A follower gets it whole or not.
            key: what it is the value of, anything that can be a key of a dict.

        Raises:
            TypeError, ValueError: wrong arguments.
            RuntimeError: the feed is closed.
        """
        body = _checked(payload)
        hash(key)
        if self.is_closed:
            raise RuntimeError("the feed is closed")
        self._take_from_threads()
        self._publish(body, key)

    def publish_threadsafe(self, payload: bytes | str, key: Hashable = None) -> None:
        """Like `publish`, from any thread, soon; on a closed feed it does nothing.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        hash(key)
        self._from_threads.append((_checked(payload), key))
        if self._call_threadsafe is not None:
            self._call_threadsafe(self._take_from_threads)

    def close(self) -> None:
        """Nothing more will be published: followers end once they have what is pending. Again: nothing."""
        self._take_from_threads()
        self.is_closed = True
        for sweep in self._sweeps.values():
            sweep.dissolve()
        for follower in tuple(self._followers):
            follower.feed_closed()

    def get_stats(self) -> FeedStats:
        """What became of all that was published."""
        delivered, skipped, expired = self._gone
        for follower in self._followers:
            stats = follower.stats
            delivered += stats.delivered
            skipped += stats.skipped
            expired += stats.expired
        return FeedStats(
            published=self.published,
            followers=len(self._followers),
            delivered=delivered,
            skipped=skipped,
            expired=expired,
        )

    def follower(self, *, max_age: float | None = None, on_gap: OnGap | None = None) -> Follower:
        """A follower that has not joined yet, for `Exchange.follow`.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        return Follower(self, self._backlog(), max_age, on_gap)

    def join(
        self, follower: Follower, call_threadsafe: Callable[[Callable[[], None]], None] | None
    ) -> list[Payload]:
        """`follower` gets what is published from now on; tells what it starts with."""
        self._take_from_threads()
        self._call_threadsafe = call_threadsafe
        if not self.is_closed:
            self._followers[follower] = self._apart[follower] = None
        return list(self._latest.values())

    def leave(self, follower: Follower) -> None:
        """`follower` gets nothing more."""
        self._followers.pop(follower, None)
        self._apart.pop(follower, None)
        delivered, skipped, expired = self._gone
        stats = follower.stats
        self._gone = delivered + stats.delivered, skipped + stats.skipped, expired + stats.expired
        if not self._followers:
            # They hold drivers, that may have stopped.
            self._sweeps.clear()

    def delivered_late(self) -> None:
        """A follower that left with a payload offered has delivered it after all."""
        delivered, skipped, expired = self._gone
        self._gone = delivered + 1, skipped - 1, expired

    def sweep(self, lane: Lane) -> Sweep:
        """The sweep of those that share the event loop of `lane`."""
        sweep = self._sweeps.get(lane.schedule)
        if sweep is None:
            sweep = self._sweeps[lane.schedule] = Sweep(self._backlog(), self.clock, lane.schedule)
        return sweep

    def stepped_in(self, follower: Follower) -> None:
        """`follower` gets nothing for itself until it has stepped out."""
        del self._apart[follower]

    def stepped_out(self, follower: Follower) -> None:
        """`follower` gets what is published for itself."""
        self._apart[follower] = None

    def _backlog(self) -> LatestBacklog | EveryBacklog:
        if self._keeps_every:
            return EveryBacklog(self._max_queued, drops_oldest=self._drops_oldest)
        return LatestBacklog()

    def _publish(self, body: bytes, key: Hashable) -> None:
        payload = Payload(body, key, self.clock())
        self.published += 1
        if not self._keeps_every:
            # The order of the last publication, oldest first, is that in which they are sent to who joins.
            self._latest.pop(key, None)
            self._latest[key] = payload
        # First, as who steps out by this is apart then.
        for sweep in self._sweeps.values():
            sweep.add(payload)
        # A follower that overflows leaves meanwhile.
        for follower in tuple(self._apart):
            follower.add(payload)

    def _take_from_threads(self) -> None:
        waiting = self._from_threads
        while waiting:
            body, key = waiting.popleft()
            if not self.is_closed:
                self._publish(body, key)


def _checked(payload: Any) -> bytes:
    body = body_bytes(payload)
    if not body:
        raise ValueError("a payload needs at least one byte")
    return body


def _check(policy: str, max_queued: int, overflow: str) -> None:
    if policy not in ("latest", "every"):
        raise ValueError(f'policy must be "latest" or "every", not {policy!r}')
    if overflow not in ("close", "drop_oldest"):
        raise ValueError(f'overflow must be "close" or "drop_oldest", not {overflow!r}')
    if isinstance(max_queued, bool) or not isinstance(max_queued, int):
        raise TypeError(f"max_queued must be an integer, not {type(max_queued).__name__}")
    if max_queued < 1:
        raise ValueError(f"max_queued must be 1 or more bytes, not {max_queued}")
