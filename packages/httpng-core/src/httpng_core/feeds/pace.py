"""How fast a follow may go, and which of its keys go first."""

from collections.abc import Hashable, Mapping
from math import inf
from typing import Final

from httpng_core.feeds.checks import check_key

Priority = Mapping[Hashable, int]
"""As how many times as long as others some keys count to have waited: 1 to 100. Of all others it is 1."""

Limits = tuple[float | None, float | None, Priority | None]
"""`max_rate`, `max_bandwidth` and `priority` as users give them."""

_LATE: Final = 0.1
"""A send that was due so many seconds ago, and had to wait for its turn, is as good as one in time."""
_MOST: Final = 100


class Pace:
    """The limits of one follow, of one feed or several.

    Attributes:
        max_bandwidth: how many bytes may be sent in a second, in the mean; `None`: any number.
        lowered: a `max_rate` that counts as well, for as long as the client lags; `None`: none does.
        ready_at: when the next payload may be sent, as far as `max_bandwidth` goes.
        tells_lag: whether somebody asks how long payloads have waited.
    """

    __slots__ = ("_priority", "_rate", "_waited", "lowered", "max_bandwidth", "ready_at", "tells_lag")

    def __init__(
        self,
        max_rate: float | None = None,
        max_bandwidth: float | None = None,
        priority: Priority | None = None,
    ) -> None:
        """Go as fast as these say.

        Raises:
            TypeError, ValueError: one of them is no limit.
        """
        self._rate = _checked("max_rate", max_rate, "payloads")
        self.lowered: float | None = None
        self.max_bandwidth = _checked("max_bandwidth", max_bandwidth, "bytes")
        self._priority = checked_priority(priority)
        self.ready_at = -inf
        self.tells_lag = False
        # Whether something had to wait for that.
        self._waited = False

    @property
    def max_rate(self) -> float | None:
        """How many payloads of each key may be sent in a second; `None`: any number."""
        if self._rate is None or self.lowered is None:
            return self.lowered if self._rate is None else self._rate
        return min(self._rate, self.lowered)

    @property
    def is_limited(self) -> bool:
        """Whether a follower goes otherwise than those that have no limits."""
        return self.max_rate is not None or self.max_bandwidth is not None or bool(self._priority)

    @property
    def orders(self) -> bool:
        """Whether keys are looked at one by one."""
        return self.max_rate is not None or bool(self._priority)

    @property
    def interval(self) -> float:
        """The seconds between two payloads of a key."""
        return 0.0 if self.max_rate is None else 1 / self.max_rate

    def priority_of(self, key: Hashable) -> int:
        """Return as how many times as long as others a key counts to have waited."""
        return self._priority.get(key, 1)

    def change(self, other: "Pace", now: float) -> None:
        """Go as fast as another says from now on. What was sent counts as if it had been sent so."""
        if self.max_bandwidth is not None and self.ready_at > now:
            before = self.max_bandwidth
            after = inf if other.max_bandwidth is None else other.max_bandwidth
            self.ready_at = now + (self.ready_at - now) * before / after
        self._rate, self.max_bandwidth = other._rate, other.max_bandwidth
        self._priority = other._priority

    def with_changes(
        self, max_rate: object = ..., max_bandwidth: object = ..., priority: object = ...
    ) -> "Pace":
        """Return one that says the same but for what is given.

        Raises:
            TypeError, ValueError: as when one is made.
        """
        given = (
            self._rate if max_rate is ... else max_rate,
            self.max_bandwidth if max_bandwidth is ... else max_bandwidth,
            self._priority if priority is ... else priority,
        )
        return Pace(*given)  # type: ignore[arg-type]  # It looks at them.

    def may_go(self, now: float) -> bool:
        """Return whether a payload may be sent, as far as `max_bandwidth` goes; if not, it has to wait."""
        if self.max_bandwidth is None or now >= self.ready_at:
            return True
        self._waited = True
        return False

    def sent(self, size: int, now: float, *, waits: bool) -> None:
        """Note that so many bytes were sent, or have begun to be; and whether more waits."""
        if self.max_bandwidth is None:
            return
        # Who waited, and got its turn a little late, goes on from when it was due: else the mean is less.
        begin = self.ready_at if self._waited and now - self.ready_at <= _LATE else now
        self.ready_at = max(begin, self.ready_at) + size / self.max_bandwidth
        self._waited = waits


def checked_pace(
    max_rate: float | None, max_bandwidth: float | None, priority: Priority | None
) -> Pace | None:
    """Return these limits; `None` if they are none.

    Raises:
        TypeError, ValueError: one of them is no limit.
    """
    if max_rate is None and max_bandwidth is None and priority is None:
        return None
    return Pace(max_rate, max_bandwidth, priority)


def checked_priority(priority: object) -> Priority:
    """Return a copy of what keys go first; raises if it is none."""
    if priority is None:
        return {}
    if not isinstance(priority, Mapping):
        raise TypeError(f"priority must be a dict of keys and numbers, or None, not {priority!r:.80}")
    for key, value in priority.items():
        check_key(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"the priority of {key!r:.40} must be an integer, not {value!r:.40}")
        if not 1 <= value <= _MOST:
            raise ValueError(f"the priority of {key!r:.40} must be 1 to {_MOST}, not {value}")
    return dict(priority)


def _checked(name: str, given: object, of: str) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(f"{name} must be a number of {of} in a second, or None, not {given!r:.80}")
    if not given > 0:
        raise ValueError(f"{name} must be more than 0 {of} in a second, not {given}")
    return None if given == inf else float(given)
