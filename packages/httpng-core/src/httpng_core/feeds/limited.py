"""A follower that has limits, or is given some: how fast it may go, and which of its keys go first."""

from collections.abc import Callable
from math import inf

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.pace import Pace
from httpng_core.feeds.paced import PacedBacklog
from httpng_core.feeds.standing import Standing
from httpng_core.feeds.throttle import Throttle, check_pace, paced
from httpng_core.sending import calls


class Limited(Standing):
    """A follower's limits, and what it needs for them of the exchange that it is for."""

    __slots__ = ("_clock", "_owner", "_throttle", "_wake")

    def __init__(self, backlog: LatestBacklog | EveryBacklog, pace: Pace | None) -> None:
        super().__init__(backlog, pace)
        self._owner: calls.FollowOwner | None = None
        self._wake: Callable[[], None] = lambda: None
        self._clock: Callable[[], float] = lambda: 0.0
        # What keeps it to its limits, if it ever had any.
        self._throttle: Throttle | None = None

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

    @property
    def waits_since(self) -> float:
        """Since when the payload waits that has waited longest of those that may go; infinity: none does."""
        if self._sweep is not None or not len(self._backlog):
            return inf
        if isinstance(self._backlog, PacedBacklog):
            return self._backlog.waits_since()
        first = self._backlog.first()
        return inf if first is None else first.at

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

    def _keep_to(self, pace: Pace) -> None:
        if self._throttle is not None:
            self._throttle.stop()
        assert self._owner is not None
        self._backlog = paced(self._backlog, pace, self._clock)
        self._throttle = Throttle(pace, self._backlog, self._clock, self._owner.timers, self._wake)
        self._throttle.arm()
