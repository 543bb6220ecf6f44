"""What became of the payloads for one follower of a feed: its counts."""

from typing import Any

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.broadcast import Broadcast
from httpng_core.feeds.pace import Pace
from httpng_core.feeds.places import Place
from httpng_core.feeds.publication import Publication
from httpng_core.feeds.stats import FollowStats


class Standing(Place):
    """Where a follower stands. Nothing is booked for it: any thread may ask.

    For each published = delivered + skipped + merged + expired + pending, since it joined. What was skipped
    is what is left.

    Attributes:
        lag_step: which step of what is done about one that lags it has come to, counted from 1; 0: none.
        dropped: for what reasons it is sent some keys no more.
    """

    __slots__ = (
        "_backlog",
        "_broadcast",
        "_counts",
        "_delivered",
        "_expired",
        "_held",
        "_joined_at",
        "_left_at",
        "_merged",
        "_pace",
        "dropped",
        "lag_step",
    )

    def __init__(self, backlog: LatestBacklog | EveryBacklog, pace: Pace | None) -> None:
        super().__init__()
        self._backlog = backlog
        # How fast it may go; `None`: it never had limits.
        self._pace = pace
        # Those of its group, while it takes in what is published.
        self._counts: Publication[Any] | None = None
        self._joined_at = self._left_at = 0
        self._delivered = self._expired = self._merged = 0
        # An older value of a key that is pending: it may be under way, and is merged if it was not.
        self._held: Payload | None = None
        self._broadcast: Broadcast | None = None
        self.lag_step = 0
        self.dropped: tuple[str, ...] = ()

    @property
    def stats(self) -> FollowStats:
        """Where it stands now."""
        pace = self._pace
        return FollowStats(
            delivered=self._delivered_by_now(),
            skipped=self._lost() - self._expired,
            expired=self._expired,
            pending=self._pending(),
            merged=self._merged_by_now(),
            max_rate=None if pace is None else pace.max_rate,
            max_bandwidth=None if pace is None else pace.max_bandwidth,
            lag_step=self.lag_step,
            dropped=self.dropped,
        )

    def _join(self, counts: Publication[Any], begins_with: int) -> None:
        """Count from now on, beginning with so many payloads."""
        self._counts = counts
        self._joined_at = counts.published - begins_with
        self._merged = -counts.merged

    def _take_leave(self) -> None:
        """Take over the counts of the group, which go on without it."""
        counts, self._counts = self._counts, None
        if counts is not None:
            self._left_at = counts.published
            self._merged += counts.merged

    def _lost(self) -> int:
        """Return how many were neither delivered nor merged, nor are they pending."""
        published = self._left_at if self._counts is None else self._counts.published
        settled = self._delivered_by_now() + self._merged_by_now() + self._pending()
        return published - self._joined_at - settled

    def _merged_by_now(self) -> int:
        merged = self._merged if self._counts is None else self._merged + self._counts.merged
        return merged if self._broadcast is None else merged + self._broadcast.merged

    def _delivered_by_now(self) -> int:
        return self._delivered + (0 if self._broadcast is None else self._broadcast.uncounted(self)[0])

    def _pending(self) -> int:
        if self._broadcast is not None:
            return self._broadcast.count_pending(self)
        return len(self._backlog) + (self._held is not None)
