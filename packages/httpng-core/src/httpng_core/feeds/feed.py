"""A feed: payloads published once, of which each follower gets what is still worth sending.

1. By the policy "latest" a follower has one payload pending for each key, the newest; a newer one takes
   the place of an older one that was not sent. So memory is bounded by the number of keys.
2. Which payload goes out is decided when the socket can take it. A payload in transmission is never torn
   or replaced, and a follower never gets an older value of a key after a newer one.
3. Publishing marks the followers and returns; those that are in step with each other are marked as one. A
   follower that is behind costs it next to nothing.
4. For each follower, published = delivered + skipped + expired + pending, since it joined.
5. Each event loop has its own branch of the feed. What is published is handed to the branches in order, each
   in the thread of its loop.
"""

from collections import deque
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.follower import FeedStats, Follower, OnGap
from httpng_core.feeds.per_loop import Branch, FeedLoopStatistics, Latest, Totals, keep
from httpng_core.http.response import body_bytes
from httpng_core.sending.host import CallInLoop

Policy = Literal["latest", "every"]
"""What a feed keeps for a follower that is behind: the newest unsent payload of each key, or all of them."""

Overflow = Literal["close", "drop_oldest"]
"""What is done when more waits than may: the exchange is reset, or the oldest payloads are skipped."""

MAX_QUEUED = 1 << 20
"""How many bytes may wait for a follower, unless a feed says otherwise."""

_NOTHING: Totals = (0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatistics:
    """What a feed keeps. A snapshot; what became of all that was published is `Feed.get_stats`.

    Attributes:
        values: how many payloads are kept for those that join.
        waiting: how many payloads of other threads the feed has not taken up yet.
        loops: what it keeps for the followers of each event loop that followed it.
    """

    values: int
    waiting: int
    loops: tuple[FeedLoopStatistics, ...]


class Feed:
    """Latest values, or messages, for any number of followers, in any number of event loops.

    One thread publishes; others use `publish_threadsafe`, or all do with a `lock`.

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
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        """Start with nothing published.

        Args:
            clock: a monotonic clock, the one of the server.
            policy: "latest" keeps the newest unsent payload of each key for a follower that is behind;
                "every" all of them, within bounds.
            max_queued: with "every", how many bytes may wait for a follower.
            overflow: what is done about one for whom it would be more: "close" resets its exchange,
                "drop_oldest" skips the oldest payloads.
            lock: held while the feed is changed, for use in several threads; the same thread may enter it
                again while it holds it.

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
        self._lock = nullcontext() if lock is None else lock
        self._latest: Latest = {}
        self._branches: dict[CallInLoop | None, Branch] = {}
        self._from_threads: deque[tuple[bytes, Hashable]] = deque()

    def publish(self, payload: bytes | str, key: Hashable = None) -> None:
        """Make `payload` the newest value of `key`, for all that follow now or later. Never waits.

        Args:
            payload: the bytes, one at least; a `str` is sent as UTF-8. A follower gets it whole or not.
            key: what it is the value of, anything that can be a key of a dict.

        Raises:
            TypeError, ValueError: wrong arguments.
            RuntimeError: the feed is closed.
        """
        body = _checked(payload)
        hash(key)
        with self._lock:
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
        for branch in tuple(self._branches.values())[:1]:
            branch.call(self._take_from_threads)

    def close(self) -> None:
        """Nothing more will be published: followers end once they have what is pending. Again: nothing."""
        with self._lock:
            self._take_from_threads()
            self.is_closed = True
            for branch in tuple(self._branches.values()):
                branch.hand(branch.close)

    def get_stats(self) -> FeedStats:
        """Return what became of all that was published; what other threads do just now may be missing."""
        branches = tuple(self._branches.values())
        delivered, skipped, expired = map(
            sum, zip(_NOTHING, *(branch.totals() for branch in branches), strict=True)
        )
        return FeedStats(
            published=self.published,
            followers=sum(map(len, branches)),
            delivered=delivered,
            skipped=skipped,
            expired=expired,
        )

    def statistics(self) -> FeedStatistics:
        """Return what the feed keeps; what other threads are doing just now may be missing."""
        return FeedStatistics(
            values=len(self._latest),
            waiting=len(self._from_threads),
            loops=tuple(branch.statistics() for branch in tuple(self._branches.values())),
        )

    def follower(self, *, max_age: float | None = None, on_gap: OnGap | None = None) -> Follower:
        """Return a follower that has not joined yet, for `Exchange.follow`.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        return Follower(self, self._backlog(), max_age, on_gap)

    def join(self, follower: Follower, call_in_loop: CallInLoop | None) -> tuple[Branch, list[Payload]]:
        """Have `follower` follow in the loop that calls this: its branch, and what it starts with."""
        with self._lock:
            branch = self._branches.get(call_in_loop)
            if branch is None:
                branch = self._branches[call_in_loop] = Branch(
                    self.clock, self._backlog, not self._keeps_every, call_in_loop
                )
            # Now that other threads find a branch, which they tell that there is something to take.
            self._take_from_threads()
            if not len(branch):
                branch.start_from(self.published, self._latest, is_closed=self.is_closed)
            # Not after the lock: what is published then is for this one as well.
            return branch, branch.join(follower)

    def _backlog(self) -> LatestBacklog | EveryBacklog:
        if self._keeps_every:
            return EveryBacklog(self._max_queued, drops_oldest=self._drops_oldest)
        return LatestBacklog()

    def _publish(self, body: bytes, key: Hashable) -> None:
        payload = Payload(body, key, self.clock())
        self.published += 1
        if not self._keeps_every:
            keep(self._latest, payload)
        for branch in tuple(self._branches.values()):
            if len(branch):
                branch.hand(partial(branch.add, payload, self.published))

    def _take_from_threads(self) -> None:
        with self._lock:
            while self._from_threads:
                body, key = self._from_threads.popleft()
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
