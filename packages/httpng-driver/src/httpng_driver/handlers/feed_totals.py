"""What became of all that the feeds of this process published, those that are gone included."""

from collections import deque
from threading import Lock
from typing import Final
from weakref import WeakSet

from httpng_core import Feed, FeedStats, feeds_together


class FeedTotals:
    """Knows the feeds there are, and adds up what those told that are gone. For all threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._feeds: WeakSet[Feed] = WeakSet()
        self._gone = feeds_together(())
        self._going: deque[FeedStats] = deque()

    def begin(self, feed: Feed) -> None:
        """Take note of a new feed."""
        with self._lock:
            self._feeds.add(feed)

    def end(self, feed: Feed) -> None:
        """Take down what a feed tells that goes: nobody follows it.

        A collection may call this in any thread and at any point: so it waits for no lock that others hold.
        """
        self._going.append(feed.get_stats())

    def stats(self) -> FeedStats:
        """Return what became of all, so far."""
        with self._lock:
            # Those first: one that goes meanwhile is counted once.
            there = list(self._feeds)
            while self._going:
                self._gone = feeds_together((self._gone, self._going.popleft()))
            gone = self._gone
        # Each has a lock of its own, which is never waited for with ours in hand.
        return feeds_together((gone, *(feed.get_stats() for feed in there)))


FEED_TOTALS: Final = FeedTotals()
"""Those of this process."""
