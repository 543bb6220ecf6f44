"""What became of all that the feeds of this process published, those that are gone included."""

from threading import RLock
from typing import Final
from weakref import WeakSet

from httpng_core import Feed, FeedStats, feeds_together


class FeedBooks:
    """Knows the feeds there are, and adds up what those told that are gone. For all threads."""

    def __init__(self) -> None:
        # One that may be taken again: a feed may go while this looks at others.
        self._lock = RLock()
        self._feeds: WeakSet[Feed] = WeakSet()
        self._gone = feeds_together(())

    def begin(self, feed: Feed) -> None:
        """Take note of a new feed."""
        with self._lock:
            self._feeds.add(feed)

    def end(self, feed: Feed) -> None:
        """Add up what a feed tells that goes: nobody follows it."""
        with self._lock:
            self._gone = feeds_together((self._gone, feed.get_stats()))

    def stats(self) -> FeedStats:
        """Return what became of all, so far."""
        with self._lock:
            # Those first: one that goes meanwhile is counted once.
            there = list(self._feeds)
            return feeds_together((self._gone, *(feed.get_stats() for feed in there)))


FEED_BOOKS: Final = FeedBooks()
"""Those of this process."""
