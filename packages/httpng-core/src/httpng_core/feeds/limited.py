"""A follower that has limits, or is given some: how fast it may go, and which of its keys go first."""

from collections.abc import Callable, Hashable
from math import inf

from httpng_core.errors import is_handlers_error
from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Mark, Payload
from httpng_core.feeds.keys import Predicate
from httpng_core.feeds.pace import Pace
from httpng_core.feeds.paced import PacedBacklog
from httpng_core.feeds.resume import Progress
from httpng_core.feeds.standing import Standing
from httpng_core.feeds.throttle import Throttle, check_pace, paced
from httpng_core.sending import calls


class Limited(Standing):
    """A follower's limits, and what it needs for them of the exchange that it is for.

    Attributes:
        progress: where it stands, if its feed gives ids.
    """

    __slots__ = ("_clock", "_dropped", "_owner", "_since", "_throttle", "_wake", "progress")

    def __init__(
        self, backlog: LatestBacklog | EveryBacklog, pace: Pace | None, progress: Progress | None = None
    ) -> None:
        super().__init__(backlog, pace)
        self.progress = progress
        self._owner: calls.FollowOwner | None = None
        self._wake: Callable[[], None] = lambda: None
        self._clock: Callable[[], float] = lambda: 0.0
        # What keeps it to its limits, if it ever had any.
        self._throttle: Throttle | None = None
        # Says which keys it is sent no more, as it lagged; and since when it follows.
        self._dropped: Predicate | None = None
        self._since = -inf

    def set_pace(self, max_rate: object, max_bandwidth: object, priority: object) -> None:
        """Have other limits from now on; `...` leaves one as it is.

        Raises:
            TypeError, ValueError: one of them is none, or not for the feed's policy.
        """
        pace = self.pace_with(max_rate, max_bandwidth, priority)
        self.check_pace(pace)
        self.go_by(pace)

    def pace_with(self, max_rate: object, max_bandwidth: object, priority: object) -> Pace:
        """Return the limits that it has, with these changes."""
        return (self._pace or Pace()).with_changes(max_rate, max_bandwidth, priority)

    def check_pace(self, pace: Pace) -> None:
        """Raise if these are no limits for the feed's policy."""
        check_pace(pace, self._backlog)

    def go_by(self, pace: Pace, shared: Pace | None = None) -> Pace:
        """Go by other limits from now on, those of `shared` if others do as well; return by which it does."""
        if self._owner is None:
            return pace
        self.step_out()
        if shared is not None:
            self._pace = shared
        elif self._pace is None:
            self._pace = pace
        else:
            self._pace.change(pace, self._clock())
        self._keep_to(self._pace)
        self._wake()
        return self._pace

    # What is done about one that lags -----------------------------------------------------------------

    @property
    def has_dropped(self) -> bool:
        """Whether there are keys that it is sent no more."""
        return self._dropped is not None

    def lower(self, max_rate: float | None) -> None:
        """Send no more of each key than so many in a second, whatever its limits; `None`: as they say."""
        pace = self._pace = self._pace or Pace()
        pace.lowered = max_rate
        self.step_out()
        self._keep_to(pace)
        self._wake()

    def conflate(self, *, conflates: bool) -> None:
        """Keep the newest payload of each key alone, or again what the feed's policy says."""
        if self._owner is not None and isinstance(self._backlog, EveryBacklog):
            self.step_out()
            self._backlog.conflate(conflates=conflates)

    def drop_keys(self, dropped: Predicate, reason: str) -> None:
        """Send nothing more of some keys: they count as never published for this one."""
        self.dropped = (*self.dropped, reason)
        before = self._dropped
        self._dropped = dropped if before is None else lambda key: before(key) or dropped(key)
        if self.progress is not None:
            # Who comes back with an id gets what was dropped.
            self.progress.hold()
        if self._owner is None:
            return
        self.step_out()
        for key in {payload.key: None for payload in self._backlog.payloads()}:
            if self._is_dropped(key):
                self.take_back(key)

    def take_back(self, key: Hashable) -> None:
        """Have nothing more of a key be pending: it counts as never published for this one."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """Note that a function that says what is wanted has raised."""
        raise NotImplementedError

    def _is_dropped(self, key: Hashable) -> bool:
        if self._dropped is None or isinstance(key, Mark):
            return False
        try:
            return bool(self._dropped(key))
        except BaseException as error:
            if not is_handlers_error(error):
                raise
            self.fail(error)
            return True

    def _refuses(self, payload: Payload) -> bool:
        """Return whether a payload is of a key that was dropped; then it was never published for this one."""
        is_dropped = self._is_dropped(payload.key)
        self._joined_at += is_dropped
        return is_dropped

    # How long it has waited ---------------------------------------------------------------------------

    @property
    def waits_since(self) -> float:
        """Since when the payload waits that has waited longest of those that may go; infinity: none does."""
        if self._broadcast is not None or not len(self._backlog):
            return inf
        if isinstance(self._backlog, PacedBacklog):
            return self._backlog.waits_since()
        first = self._backlog.first()
        # What was published before it came is no lag of its own.
        return inf if first is None else max(first.at, self._since)

    def look_again(self) -> None:
        """Have it looked at when it may send what it may not send now."""
        if self._throttle is not None:
            self._throttle.arm()

    def step_out(self) -> None:
        """Note that it is served for itself, with what is pending."""
        raise NotImplementedError

    def _first(self) -> Payload | None:
        """Return the payload that goes next, if one may go now."""
        return self._backlog.first() if self._throttle is None else self._throttle.first()

    def _unsent(self, key: Hashable) -> Payload | None:
        """Return what a newer payload of a key would be merged with."""
        backlog = self._backlog
        assert isinstance(backlog, LatestBacklog), "only a feed that keeps the latest merges"
        return backlog.get(key)

    def _keep_to(self, pace: Pace) -> None:
        if self._throttle is not None:
            self._throttle.stop()
        assert self._owner is not None
        self._backlog = paced(self._backlog, pace, self._clock)
        self._throttle = Throttle(pace, self._backlog, self._clock, self._owner.timers, self._wake)
        self._throttle.arm()
