"""Limits of follows as Lua gives them: keys with priorities come one by one."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from httpng_core import LAG_LIMITS, FollowStats, OnLag, Priority
from httpng_core.languages import checked_lag
from httpng_lua.calls import ExchangeCalls, whole
from httpng_lua.handles import ExchangeHandle
from httpng_lua.steps import DONE, Answer, guarded


class PaceCalls:
    """The limits of the follows of one script."""

    def __init__(self, calls: ExchangeCalls) -> None:
        self._calls = calls
        self._priorities: dict[int, dict[Hashable, int]] = {}
        self._last = 0

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """Return the calls by the names that pace.lua uses."""
        calls: Mapping[str, Callable[..., Answer]] = {
            "new_priority": self._new,
            "add_priority": self._add,
            "set_follow_pace": self._calls.of_exchange(self._set),
        }
        return {name: guarded(call) for name, call in calls.items()} | {
            "follow_stats": self._calls.of_exchange(self._stats)
        }

    def priority(self, number: float | None) -> Priority | None:
        """Return what has that number, which is taken by this."""
        return None if number is None else self._priorities.pop(int(number))

    def _set(
        self,
        handle: ExchangeHandle,
        max_rate: float | bool | None,
        max_bandwidth: float | bool | None,
        priority: float | bool | None,
    ) -> Answer:
        """Change what is given; false takes a limit away."""
        keys: Any = self.priority(priority) if isinstance(priority, (int, float)) and priority else priority
        rate, bandwidth, first = _change(max_rate), _change(max_bandwidth), _change(keys)
        if handle.socket is not None:
            ws = handle.socket.ws
            ws.set_follow_pace(max_rate=rate, max_bandwidth=bandwidth, priority=first)
        elif handle.follower is not None:
            handle.follower.set_pace(rate, bandwidth, first)
        return (DONE,)

    def _stats(self, handle: ExchangeHandle) -> Answer:
        stats = _stats_of(handle)
        if stats is None:
            return (None,)
        return (
            stats.delivered,
            stats.skipped,
            stats.expired,
            stats.pending,
            stats.merged,
            stats.max_rate,
            stats.max_bandwidth,
        )

    def _new(self) -> Answer:
        self._last += 1
        self._priorities[self._last] = {}
        return DONE, self._last

    def _add(self, number: float, key: bytes | float | bool, value: float) -> Answer:
        # Here true is 1, as a key; in Lua it is not.
        self._priorities[int(number)][(key,) if isinstance(key, bool) else key] = whole(value)
        return (DONE,)


def lag_of(
    thinned: bytes | None, current: bytes | None, most: float | None, least: float | None
) -> tuple[OnLag, tuple[float, float]] | None:
    """Return what tells a client of its lag, and when; `None`: nothing does.

    Raises:
        ValueError: wrong limits.
    """
    if thinned is None and current is None:
        return None
    limits = (LAG_LIMITS[0] if most is None else most, LAG_LIMITS[1] if least is None else least)
    return checked_lag(lambda lag, is_thinned: thinned if is_thinned else current, limits)


def _stats_of(handle: ExchangeHandle) -> FollowStats | None:
    if handle.socket is not None:
        return handle.socket.ws.get_follow_stats()
    return None if handle.follower is None else handle.follower.stats


def _change(given: Any) -> Any:
    """Return what Lua gives as what is to change: nothing leaves it as it is, false takes it away."""
    return ... if given is None else None if given is False else given
