"""Followers of one event loop that want the same keys of a feed.

1. What is published counts for a group if its keys are wanted there. Gaps and counts are about those alone.
2. Those in step share a broadcast, as the followers of a whole feed do.
3. A key that is wanted from now on counts as published when its latest value was given; what is pending of
   one that is wanted no more counts as never published.
"""

from collections.abc import Callable, Hashable

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.follower import Follower
from httpng_core.feeds.keys import Keys, Predicate
from httpng_core.feeds.publication import Publication


class Group(Publication[Follower]):
    """Followers that want the same. See `Publication`.

    Attributes:
        keys: what they want, `None`: all; of `Keys`, what they are given in this loop by now is in `given`.
        given: the keys that are wanted, if they are known beforehand.
        followers: those who follow.
        watcher: what `Keys` call when they change.
    """

    def __init__(
        self,
        keys: "frozenset[Hashable] | Keys | Predicate | None",
        clock: Callable[[], float],
        backlog: Callable[[], LatestBacklog | EveryBacklog],
        left: Callable[[Follower, "Group"], None],
        *,
        is_closed: bool,
    ) -> None:
        """`backlog` makes that of one follower; `left` is called with one that leaves, and calls `remove`."""
        super().__init__(clock, backlog, left, is_closed=is_closed)
        self.keys = keys
        self.given = set(keys) if isinstance(keys, (frozenset, Keys)) else set[Hashable]()
        self.followers: dict[Follower, None] = {}
        self.watcher: Callable[[Hashable], None] | None = None

    def wants(self, key: Hashable) -> bool:
        """Return whether a key is wanted; raises what a function of the user's does."""
        if self.keys is None:
            return True
        return bool(self.keys(key)) if callable(self.keys) else key in self.given

    # What followers do --------------------------------------------------------------------------------

    def join(self, follower: Follower) -> None:
        """Have `follower` get what is published from now on."""
        self.followers[follower] = self._apart[follower] = None

    def remove(self, follower: Follower) -> None:
        """Note that `follower` has left."""
        self.followers.pop(follower, None)
        self._apart.pop(follower, None)
        if not self.followers:
            # They hold drivers, that may have stopped.
            self._broadcasts.clear()

    # What is published --------------------------------------------------------------------------------

    def add(self, payload: Payload, count: int, merged: int) -> None:
        """Note one more payload. It stands for `count` of its key, `merged` of which went into others."""
        self.published += merged
        self.merged += merged
        self.skip(count - merged - bool(payload.body))
        if not payload.body:
            self._discard(payload)
            return
        self.published += 1
        # First, as who steps out by this is apart then.
        for broadcast in self._broadcasts.values():
            broadcast.add(payload)
        # A follower that overflows leaves meanwhile.
        for follower in tuple(self._apart):
            follower.add(payload)

    def skip(self, count: int) -> None:
        """Note payloads that have not come here: who may be told of a gap is, ahead of the next one."""
        self.published += count
        if count:
            for broadcast in self._broadcasts.values():
                broadcast.tell_gap()

    def want(self, key: Hashable, payload: Payload | None) -> None:
        """Have all be given what is published of a key, beginning with its latest value."""
        self.given.add(key)
        if payload is not None:
            self._dissolve()
            for follower in tuple(self.followers):
                follower.give(payload)

    def want_no_more(self, key: Hashable) -> None:
        """Have all be given nothing more of a key."""
        self.given.discard(key)
        self._dissolve()
        for follower in tuple(self.followers):
            follower.take_back(key)

    def close(self) -> None:
        """Note that nothing more will be published: followers end once they have what is pending."""
        self.is_closed = True
        self._dissolve()
        for follower in tuple(self.followers):
            follower.feed_closed()

    # Inside -------------------------------------------------------------------------------------------

    def _dissolve(self) -> None:
        for broadcast in self._broadcasts.values():
            broadcast.dissolve()

    def _discard(self, removal: Payload) -> None:
        for broadcast in self._broadcasts.values():
            broadcast.discard(removal)
        for follower in tuple(self._apart):
            follower.discard(removal.key)
