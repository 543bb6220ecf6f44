"""What was published for an event loop and has not come there yet: coalesced at once, taken in portions.

1. Whoever publishes puts payloads in, in any thread; only the thread of the loop takes them out. Both hold
   the lock of the feed.
2. By the policy "latest" one payload waits for each key, the newest, in the place of the first.
3. By the policy "every" at most `max_queued` bytes wait. What is beyond that would be too much for each
   follower as well: the oldest go, or the inbox overflows.
4. Each that waits stands for as many as were published in its place, so that none is lost from the count, and
   knows how many of these were merged. That is done before: nothing of the user's runs with the lock held.
   What goes by the policy "every" is counted for each key, as followers may want some keys alone.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final

from httpng_core.feeds.backlog import Mark, Payload

ANY_KEY: Final = Mark()
"""In place of a key: nobody knows of which one a lost payload was."""

Handed = tuple[Payload, int, int, int]
"""A payload; how many publications it stands for, itself among them; how many of these were merged; the
number of the first."""
Lost = dict[Hashable, int]
"""How many payloads of which keys."""


class LatestInbox:
    """The newest payload of each key."""

    __slots__ = ("_last", "_lost", "_waiting")

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, Handed] = OrderedDict()
        self._last = 0
        self._lost: Lost = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def get(self, key: Hashable) -> Payload | None:
        """Return what a newer payload of a key would take the place of."""
        waiting = self._waiting.get(key)
        return None if waiting is None else waiting[0]

    def put(self, payload: Payload, merged: Payload | None = None) -> bool:
        """Add a payload; return whether that was too much for those who follow in this loop: never.

        `merged` is put in its place, where there is one, and in that of what waits.
        """
        before = self._waiting.get(payload.key)
        # What tells of nothing but that the key is gone was not published.
        count = 1 if payload.body else 0
        number = self._last = payload.number
        if before is None:
            self._waiting[payload.key] = payload, count, 0, number
        elif merged is None:
            self._waiting[payload.key] = payload, before[1] + count, before[2], before[3]
        else:
            self._waiting[payload.key] = merged, before[1] + count, before[2] + 1, before[3]
        return False

    def lose(self, key: Hashable, count: int) -> None:
        """Note that so many payloads of a key will not come."""
        self._lost[key] = self._lost.get(key, 0) + count

    def take_lost(self) -> Lost:
        """Take the count of what will not come, noted since it was taken last: nothing of what waits goes."""
        lost, self._lost = self._lost, {}
        return lost

    def take(self) -> Handed | None:
        """Take the one that has waited longest."""
        return self._waiting.popitem(last=False)[1] if self._waiting else None

    def taken_until(self) -> int:
        """Return the number of the newest before which none waits, or has been replaced by one that does."""
        for waiting in self._waiting.values():
            return waiting[3] - 1
        return self._last


class EveryInbox:
    """Every payload, with at most `max_queued` bytes."""

    __slots__ = ("_drops_oldest", "_last", "_lost", "_max_queued", "_queued", "_waiting")

    def __init__(self, max_queued: int, *, drops_oldest: bool) -> None:
        self._max_queued = max_queued
        self._drops_oldest = drops_oldest
        self._waiting: deque[Payload] = deque()
        self._queued = 0
        self._last = 0
        self._lost: Lost = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def put(self, payload: Payload, merged: Payload | None = None) -> bool:
        """Add a payload; return whether that was too much for those who follow in this loop."""
        self._waiting.append(payload)
        self._last = payload.number
        self._queued += len(payload.body)
        while self._queued > self._max_queued and len(self._waiting) > 1:
            if not self._drops_oldest:
                while self._waiting:
                    self._lose()
                return True
            self._lose()
        return False

    def lose(self, key: Hashable, count: int) -> None:
        """Note that so many payloads of a key will not come."""
        self._lost[key] = self._lost.get(key, 0) + count

    def take_lost(self) -> Lost:
        """Take the count of what went since it was taken last."""
        lost, self._lost = self._lost, {}
        return lost

    def take(self) -> Handed | None:
        """Take the one that has waited longest."""
        if not self._waiting:
            return None
        payload = self._waiting.popleft()
        self._queued -= len(payload.body)
        return payload, 1, 0, payload.number

    def taken_until(self) -> int:
        """Return the number of the newest before which none waits."""
        return self._waiting[0].number - 1 if self._waiting else self._last

    def _lose(self) -> None:
        payload = self._waiting.popleft()
        self._queued -= len(payload.body)
        self.lose(payload.key, 1)
