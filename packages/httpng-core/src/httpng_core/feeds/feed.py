"""A feed: payloads published once, of which each follower gets what is still worth sending.

1. By the policy "latest" a follower has one payload pending for each key, the newest; a newer one takes
   the place of an older one that was not sent. So memory is bounded by the number of keys.
2. Which payload goes out is decided when the socket can take it. A payload in transmission is never torn
   or replaced, and a follower never gets an older value of a key after a newer one.
3. Publishing marks the followers and returns; those that are in step with each other are marked as one. A
   follower that is behind costs it next to nothing.
4. For each follower, published = delivered + skipped + merged + expired + pending, since it joined.
5. A feed has a part for each event loop that follows (`FeedLoop`). What is published waits in the inbox of
   each, where it is coalesced at once, and is taken in the thread of its loop.
"""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from math import inf

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Mark, Payload
from httpng_core.feeds.checks import (
    MAX_QUEUED,
    OnRemove,
    Overflow,
    Policy,
    check_for_latest,
    check_full_every,
    check_key,
    check_on_gap,
    check_options,
    checked_age,
    checked_payload,
)
from httpng_core.feeds.deltas import FULL_EVERY, Delta, asked_delta
from httpng_core.feeds.follower import Follower
from httpng_core.feeds.gaps import OnGap
from httpng_core.feeds.group import Group
from httpng_core.feeds.inbox import EveryInbox, LatestInbox
from httpng_core.feeds.keys import KeyFilter, checked_keys
from httpng_core.feeds.merging import Merge, asked_merge
from httpng_core.feeds.pace import Pace
from httpng_core.feeds.past import Past, progress_since
from httpng_core.feeds.per_loop import FeedLoop, FeedStatistics
from httpng_core.feeds.publishing import Publishing
from httpng_core.feeds.resume import Resume, checked_resume
from httpng_core.feeds.stats import FeedStats
from httpng_core.feeds.throttle import check_pace
from httpng_core.sending.host import Host


class Feed(Publishing):
    """Latest values, or messages, for any number of followers, in any number of event loops.

    With a `lock` every thread may publish, and followers may have several event loops.

    Attributes:
        clock: the clock by which payloads grow old.
        incarnation: what its ids begin with, up to the last full stop; `None`: it gives none.
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
        on_remove: OnRemove | None = None,
        snapshot_end: bytes | str | None = None,
        merge: Merge | None = None,
        delta: Delta | None = None,
        full_every: int = FULL_EVERY,
        resume: Resume | bool | None = None,
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
            on_remove: gets a key that `remove` takes away, and returns the payload that tells it, or `None`:
                nothing does.
            snapshot_end: a payload for each new follower, behind the values that it begins with. It never
                expires, and counts as published for that follower.
            merge: gets a payload that was not sent and a newer one of its key, and returns what is sent in
                place of both, where a newer one alone would be otherwise. It must not matter in which order
                several are put together, and it must not touch the feed. It runs in any thread that
                publishes, or where a follower is served. If it raises, the newer one is sent.
            delta: gets what a follower was sent last of a key, and a newer payload; returns what is sent in
                place of that, from which the client can tell that it is none and make it, or `None`: the
                payload is sent, as where there is nothing of the key yet or the delta would be longer. It
                must not touch the feed, and runs where a follower is served. If it raises, the payload is
                sent.
            full_every: after so many values of a key each follower is sent a whole one.
            resume: whether payloads get ids, by which clients come back: `True` as server-sent events have
                them, a `Resume` in another way. What that has sent first counts as published.
            lock: held while the feed is changed, for use in several threads; the same thread may enter it
                again while it holds it.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        check_options(policy, max_queued, overflow)
        check_for_latest(policy, on_remove, snapshot_end, merge, delta)
        check_full_every(full_every)
        self.clock = clock
        self.is_closed = False
        self.published = self._number = 0
        self._keeps_every = policy == "every"
        self._max_queued = max_queued
        self._drops_oldest = overflow == "drop_oldest"
        self._on_remove = on_remove
        self._merge = None if merge is None else asked_merge(merge)
        self._delta = None if delta is None else asked_delta(delta, full_every)
        end = b"" if snapshot_end is None else checked_payload(snapshot_end)
        self._begun = (Payload(end, Mark(), inf, removes=True),) if end else ()
        how = checked_resume(resume, merge)
        self._past = None if how is None else Past(how, max_queued, keeps_every=self._keeps_every)
        self.incarnation = None if self._past is None else self._past.incarnation
        self._has_lock = lock is not None
        self._lock = nullcontext() if lock is None else lock
        self._latest = {}
        self._loops = {}
        # What became of the payloads for followers that are gone: delivered, skipped, expired and merged.
        self._gone = (0, 0, 0, 0)

    def publish(self, payload: bytes | str, key: Hashable = None) -> None:
        """Make `payload` the newest value of `key`, for all that follow now or later. Never waits.

        Args:
            payload: the bytes, one at least; a `str` is sent as UTF-8. A follower gets it whole or not.
            key: what it is the value of, anything that can be a key of a dict.

        Raises:
            TypeError, ValueError: wrong arguments.
            RuntimeError: the feed is closed.
        """
        body = checked_payload(payload)
        check_key(key)
        if not self._publish(body, key):
            raise RuntimeError("the feed is closed")

    def publish_threadsafe(self, payload: bytes | str, key: Hashable = None) -> None:
        """Like `publish`, from any thread; on a closed feed it does nothing.

        Raises:
            TypeError, ValueError: wrong arguments.
            RuntimeError: the feed was made without a lock.
        """
        body = checked_payload(payload)
        check_key(key)
        if not self._has_lock:
            raise RuntimeError("a feed for several threads needs a lock: Feed(lock=threading.RLock(), ...)")
        self._publish(body, key)

    def remove(self, key: Hashable, payload: bytes | str | None = None) -> bool:
        """Take the value of `key` away: who follows from now on doesn't get it. Never waits.

        Those who follow already get `payload`, or what `on_remove` returns, as they would get a newer value:
        in place of one that was not sent. Where there is neither, a value that was not sent is skipped.

        Args:
            key: as for `publish`. One that has no value is left alone.
            payload: what tells it, `None`: what `on_remove` returns.

        Returns:
            Whether there was a value.

        Raises:
            TypeError, ValueError: wrong arguments, or `on_remove` returned no payload.
            RuntimeError: the feed is closed; or it keeps no values, by the policy "every".
        """
        check_key(key)
        body = None if payload is None else checked_payload(payload)
        self._check_removes()
        if body is None and self.has(key):
            body = self._told_of(key)
        return self._remove(key, body)

    def has(self, key: Hashable) -> bool:
        """Return whether there is a value of `key`; by the policy "every" there is none."""
        return key in self._latest

    def clear(self) -> None:
        """Take the values of all keys away, each as by `remove`, oldest first.

        Raises:
            TypeError, ValueError, RuntimeError: as `remove` does; keys may be left then.
        """
        for key in self.keys_to_clear():
            self.remove(key)

    def keys_to_clear(self) -> tuple[Hashable, ...]:
        """Return the keys that have a value, oldest first.

        Raises:
            RuntimeError: the feed is closed; or it keeps no values, by the policy "every".
        """
        self._check_removes()
        return tuple(self._latest)

    def close(self) -> None:
        """Close it: followers end once they have what is pending. A second call does nothing."""
        with self._lock:
            self.is_closed = True
            called = [loop for loop in self._loops.values() if loop.hand_close()]
        for loop in called:
            loop.call()

    def get_stats(self) -> FeedStats:
        """Return what became of all that was published; what other threads do just now may be missing."""
        with self._lock:
            delivered, skipped, expired, merged = self._gone
            followers = [follower for loop in self._loops.values() for follower in loop.followers]
        for follower in followers:
            stats = follower.stats
            delivered += stats.delivered
            skipped += stats.skipped
            expired += stats.expired
            merged += stats.merged
        return FeedStats(
            published=self.published,
            followers=len(followers),
            delivered=delivered,
            skipped=skipped,
            expired=expired,
            merged=merged,
        )

    def statistics(self) -> FeedStatistics:
        """Return what the feed keeps; what other threads are doing just now may be missing."""
        with self._lock:
            loops = tuple(loop.statistics() for loop in self._loops.values())
        waiting = sum(loop.handed for loop in loops)
        return FeedStatistics(values=len(self._latest), waiting=waiting, loops=loops)

    def knows(self, since: str) -> bool:
        """Return whether an id is one of this feed's, however long ago it was given."""
        return self._past is not None and self._past.knows(since)

    def follower(
        self,
        *,
        max_age: float | None = None,
        on_gap: OnGap | None = None,
        keys: KeyFilter | None = None,
        since: str | None = None,
        pace: Pace | None = None,
    ) -> Follower:
        """Return a follower that has not joined yet, for `Exchange.follow`; see there and `io.follow`.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        check_on_gap(on_gap)
        backlog = self._backlog()
        check_pace(pace, backlog)
        progress = progress_since(since, self._past)
        wanted = checked_keys(keys)
        return Follower(self, backlog, checked_age(max_age), on_gap, wanted, progress, pace)

    # What followers do --------------------------------------------------------------------------------

    def join(self, follower: Follower, host: Host) -> tuple[Group, list[Payload]]:
        """Have `follower` follow in the loop that calls this: in which group, and what it starts with."""
        with self._lock:
            loop = self._loops.get(host.call_in_loop)
            if loop is None:
                loop = self._new_loop(host)
                self._loops[host.call_in_loop] = loop
            # By the policy "every" the latest values are none.
            group = loop.join(follower, self._latest, self._number, is_closed=self.is_closed)
        try:
            # What is published meanwhile waits in the inbox: it is for this one as well.
            return group, [*loop.begin(follower, group), *self._begun]
        except BaseException:
            with self._lock:
                self._remove_from(loop, follower)
            raise

    def delivered_late(self) -> None:
        """Note that a follower that left with a payload offered has delivered it after all."""
        with self._lock:
            delivered, skipped, expired, merged = self._gone
            self._gone = delivered + 1, skipped - 1, expired, merged

    # Inside -------------------------------------------------------------------------------------------

    def _new_loop(self, host: Host) -> FeedLoop:
        inbox, left, merge, delta = self._inbox(), self._left, self._merge, self._delta
        return FeedLoop(host, self._lock, self.clock, self._backlog, inbox, left, merge, delta, self._past)

    def _backlog(self) -> LatestBacklog | EveryBacklog:
        if self._keeps_every:
            return EveryBacklog(self._max_queued, drops_oldest=self._drops_oldest)
        return LatestBacklog(resumes=self._past is not None)

    def _left(self, follower: Follower, loop: FeedLoop) -> None:
        """Count what became of all for a follower that is gone; a loop goes with its last one."""
        with self._lock:
            delivered, skipped, expired, merged = self._gone
            stats = follower.stats
            self._gone = (
                delivered + stats.delivered,
                skipped + stats.skipped,
                expired + stats.expired,
                merged + stats.merged,
            )
            self._remove_from(loop, follower)

    def _remove_from(self, loop: FeedLoop, follower: Follower) -> None:
        loop.remove(follower)
        if not len(loop) and self._loops.get(loop.call_in_loop) is loop:
            del self._loops[loop.call_in_loop]

    def _inbox(self) -> LatestInbox | EveryInbox:
        if self._keeps_every:
            return EveryInbox(self._max_queued, drops_oldest=self._drops_oldest)
        return LatestInbox()

    def _check_removes(self) -> None:
        if self._keeps_every:
            raise RuntimeError('a feed with the policy "every" keeps no values that could be removed')
        if self.is_closed:
            raise RuntimeError("the feed is closed")
