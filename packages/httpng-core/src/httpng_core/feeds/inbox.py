"""What was published for an event loop and has not come there yet: coalesced at once, taken in portions.

1. Whoever publishes puts payloads in, in any thread; only the thread of the loop takes them out. Both hold
   the lock of the feed.
2. By the policy "latest" one payload waits for each key, the newest, in the place of the first.
3. By the policy "every" at most `max_queued` bytes wait. What is beyond that would be too much for each
   follower as well: the oldest go, or the inbox overflows.
4. Each that waits stands for as many as were published in its place, so that none is lost from the count.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable

from httpng_core.feeds.backlog import Payload

Handed = tuple[Payload, int]
"""A payload, and how many publications it stands for: those that it has replaced, and itself."""


class LatestInbox:
    """The newest payload of each key."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, Handed] = OrderedDict()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def put(self, payload: Payload) -> int:
        """Add a payload; return how many are lost for all that follow in this loop: never one."""
        before = self._waiting.get(payload.key)
        # What tells of nothing but that the key is gone was not published.
        count = 1 if payload.body else 0
        self._waiting[payload.key] = payload, count if before is None else before[1] + count
        return 0

    def take(self) -> Handed | None:
        """Take the one that has waited longest."""
        return self._waiting.popitem(last=False)[1] if self._waiting else None

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()


class EveryInbox:
    """Every payload, with at most `max_queued` bytes."""

    __slots__ = ("_drops_oldest", "_max_queued", "_queued", "_skipped", "_waiting")

    def __init__(self, max_queued: int, *, drops_oldest: bool) -> None:
        self._max_queued = max_queued
        self._drops_oldest = drops_oldest
        self._waiting: deque[Payload] = deque()
        self._queued = 0
        self._skipped = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def put(self, payload: Payload) -> int:
        """Add a payload; return how many are lost if that is too much for all that follow in this loop."""
        waiting = self._waiting
        waiting.append(payload)
        self._queued += len(payload.body)
        while self._queued > self._max_queued and len(waiting) > 1:
            if not self._drops_oldest:
                lost = len(waiting)
                self.clear()
                return lost
            self._queued -= len(waiting.popleft().body)
            self._skipped += 1
        return 0

    def take(self) -> Handed | None:
        """Take the one that has waited longest."""
        if not self._waiting:
            return None
        payload, count = self._waiting.popleft(), self._skipped + 1
        self._queued -= len(payload.body)
        self._skipped = 0
        return payload, count

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
        self._queued = self._skipped = 0
