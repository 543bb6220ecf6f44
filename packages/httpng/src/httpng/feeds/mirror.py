"""What of a broker's publications a feed has, and how many it has missed."""

import logging
from collections.abc import Set
from typing import Final

from httpng.feeds.session import BehindError, Entry, Restored
from httpng_driver import Feed

_log: Final = logging.getLogger("httpng")


class Mirror:
    """Takes what comes from a broker to a feed. For one thread.

    Attributes:
        seen: the number of the newest publication that is known.
        base: what the broker's numbers began with; 0: nothing has come yet.
        received: how many publications have come one by one.
        missed: how many haven't, and never will.
    """

    def __init__(self, feed: Feed, name: str, *, keeps_every: bool) -> None:
        """`name` is what the feed is called in the log."""
        self.seen = self.base = self.received = self.missed = 0
        self._feed = feed
        self._name = name
        self._keeps_every = keeps_every
        # Of each key that has a value: its number, and how many there were of the key.
        self._known: dict[str | None, tuple[int, int]] = {}
        # What was told to followers is never taken back: numbers begin behind it when the broker forgot some.
        self._floor = 0

    @property
    def keys(self) -> Set[str | None]:
        """The keys that have a value."""
        return self._known.keys()

    def restore(self, restored: Restored) -> None:
        """Take what the broker has after a time of which nothing came one by one."""
        if restored.is_new:
            if self.base:
                _log.error(
                    "feed %s: the broker has forgotten what was published; what it has now counts", self._name
                )
            self._floor = max(self._floor, self.seen)
            self._feed.mirror_from(max(restored.horizon, self._floor))
            self.seen = self._known_before(restored)
            self.base = restored.base
        if self._keeps_every:
            self._take_log(restored)
        else:
            self._take_values(restored)

    def take(self, entry: Entry, *, is_gapless: bool) -> None:
        """Take a publication as it comes.

        Raises:
            BehindError: one before it hasn't come, and may be missing.
        """
        if entry.number <= self.seen:
            return
        if entry.base != self.base:
            raise BehindError
        missing = entry.first - self.seen - 1
        if missing > 0 and is_gapless:
            raise BehindError
        self._lose(missing)
        self._lose(entry.count - 1, entry.key)
        self.received += 1
        self.seen = entry.number
        self._mirror(entry)

    # Inside -------------------------------------------------------------------------------------------

    def _known_before(self, restored: Restored) -> int:
        """Return up to which number nothing is to be taken of a broker that begins, or has begun anew."""
        if not self.base:
            return restored.horizon
        if self._keeps_every and restored.base != self.base:
            # What it was given since then is new for certain.
            return max(restored.horizon, restored.base)
        return restored.number

    def _take_log(self, restored: Restored) -> None:
        for entry in restored.entries:
            self.take(entry, is_gapless=False)
        self._lose(restored.number - self.seen)
        self.seen = restored.number

    def _take_values(self, restored: Restored) -> None:
        """Take the newest value of each key, and count what was missed if that can be known."""
        changed = [entry for entry in restored.entries if self._is_news(entry, restored)]
        if not restored.is_new:
            self._count_missed(restored.number - self.seen, changed)
        self.seen = restored.number
        for entry in changed:
            self._mirror(entry)
        for key in restored.gone:
            del self._known[key]
            self._remove(key, max(restored.number, self._floor))

    def _is_news(self, entry: Entry, restored: Restored) -> bool:
        known = self._known.get(entry.key)
        if known is None:
            # A client may have a key from another process that is removed by now.
            return entry.body is not None or entry.number > self.seen
        # A broker that has forgotten some may have given its number to another one.
        return restored.is_new or known[0] != entry.number

    def _count_missed(self, published: int, changed: list[Entry]) -> None:
        for entry in changed:
            known = self._known.get(entry.key, (0, 0))[1]
            # One that was removed meanwhile has begun anew. Without totals there is what it stands for.
            since = entry.total - known if entry.total > known else entry.total
            self._lose((since or entry.count) - 1, entry.key)
            published -= since or 1
        self._lose(published)

    def _mirror(self, entry: Entry) -> None:
        number = max(entry.number, self._floor, self.base)
        if entry.body is None:
            self._known.pop(entry.key, None)
            self._remove(entry.key, number)
            return
        if not self._keeps_every:
            total = entry.total or self._known.get(entry.key, (0, 0))[1] + entry.count
            self._known[entry.key] = entry.number, total
        self._feed.mirror(entry.body, entry.key, number)

    def _remove(self, key: str | None, number: int) -> None:
        try:
            self._feed.mirror_removal(key, number)
        except Exception:
            _log.exception("feed %s: on_remove raised for %r, whose removal isn't told", self._name, key)

    def _lose(self, count: int, *key: str | None) -> None:
        if count > 0:
            self.missed += count
            self._feed.lose(count, *key)
