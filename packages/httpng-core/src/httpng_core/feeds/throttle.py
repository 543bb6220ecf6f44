"""What keeps a follower to its limits: what it may send now, and a timer for when it may send more."""

from collections.abc import Callable
from math import inf

from httpng_core.feeds.backlog import EveryBacklog, LatestBacklog, Payload
from httpng_core.feeds.pace import Pace
from httpng_core.feeds.paced import PacedBacklog
from httpng_core.timers import Timer, Timers


def check_pace(pace: Pace | None, backlog: LatestBacklog | EveryBacklog) -> None:
    """Raise if these are no limits for what waits for a follower."""
    if pace is not None and pace.orders and isinstance(backlog, EveryBacklog):
        raise ValueError(
            'max_rate and priority are for feeds with the policy "latest": with "every" payloads go in order'
        )


def paced(
    backlog: LatestBacklog | EveryBacklog, pace: Pace, clock: Callable[[], float]
) -> LatestBacklog | EveryBacklog:
    """Return a backlog that goes by `pace` with what waits in another; the same, if it does."""
    if isinstance(backlog, PacedBacklog):
        backlog.pace_changed(pace)
        return backlog
    if not (pace.orders or pace.tells_lag) or isinstance(backlog, EveryBacklog):
        return backlog
    ordered = PacedBacklog(pace, clock, resumes=backlog.resumes)
    ordered.take_over(backlog)
    return ordered


class Throttle:
    """The limits of one follower at work.

    Attributes:
        backlog: what waits for it.
        size: how many bytes are offered.
    """

    __slots__ = ("_clock", "_pace", "_timer", "_timers", "_wake", "backlog", "size")

    def __init__(
        self,
        pace: Pace,
        backlog: LatestBacklog | EveryBacklog,
        clock: Callable[[], float],
        timers: Timers,
        wake: Callable[[], None],
    ) -> None:
        self._pace = pace
        self._clock = clock
        self._timers = timers
        self._timer: Timer | None = None
        self._wake = wake
        self.backlog = backlog
        self.size = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit now."""
        return self._pace.is_limited

    def first(self) -> Payload | None:
        """Return the payload that is to be sent next, if one may be now."""
        payload = self.backlog.first()
        return payload if payload is not None and self._pace.may_go(self._clock()) else None

    def sent(self, payload: Payload) -> None:
        """Note that what is offered was sent, or has begun to be; `payload` is not dropped yet."""
        self._pace.sent(self.size, self._clock(), waits=len(self.backlog) > 1)
        if isinstance(self.backlog, PacedBacklog):
            self.backlog.sent(payload)

    def arm(self) -> None:
        """Have the follower looked at again when it may send what it may not send now."""
        if not len(self.backlog) or self.first() is not None:
            return
        due = self._due()
        timer = self._timer
        if timer is not None and timer.deadline <= due:
            return
        self._timers.cancel(timer)
        self._timer = self._timers.add(due, self._ring)

    def stop(self) -> None:
        """Look no more."""
        self._timers.cancel(self._timer)
        self._timer = None

    def _due(self) -> float:
        if self.backlog.first() is not None:
            return self._pace.ready_at
        return self.backlog.next_due() if isinstance(self.backlog, PacedBacklog) else inf

    def _ring(self, now: float) -> None:
        self._timer = None
        self._wake()
        self.arm()
