"""Limits of follows as Lua gives them: keys with priorities come one by one."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from httpng_core import LAG_LIMITS, FollowStats, KeyFilter, LagStep, OnLag, Priority
from httpng_core.languages import checked_lag
from httpng_lua.calls import ExchangeCalls, whole
from httpng_lua.handles import ExchangeHandle
from httpng_lua.runtime import text_of
from httpng_lua.steps import DONE, Answer, guarded


class PaceCalls:
    """The limits of the follows of one script."""

    def __init__(self, calls: ExchangeCalls, wanted: Callable[[float | None], KeyFilter | None]) -> None:
        """`wanted` returns keys by their number."""
        self._calls = calls
        self._wanted = wanted
        self._priorities: dict[int, dict[Hashable, int]] = {}
        self._last = 0
        # What the follow that begins next does about lag: Lua gives it step by step.
        self._on_lag: OnLag | None = None
        self._lag_limits = LAG_LIMITS
        self._lag_policy: list[LagStep] = []

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """Return the calls by the names that pace.lua uses."""
        calls: Mapping[str, Callable[..., Answer]] = {
            "new_priority": self._new,
            "add_priority": self._add,
            "set_follow_pace": self._calls.of_exchange(self._set),
            "add_lag_step": self._add_lag_step,
            "check_lag": self._check_lag,
        }
        return {name: guarded(call) for name, call in calls.items()} | {
            "follow_stats": self._calls.of_exchange(self._stats),
            "new_lag": self._new_lag,
        }

    def priority(self, number: float | None) -> Priority | None:
        """Return what has that number, which is taken by this."""
        return None if number is None else self._priorities.pop(int(number))

    def lag_options(self, lags: bool) -> tuple[OnLag | None, tuple[float, float], list[LagStep]]:
        """Return what the follow that begins now does about lag, as `io.follow` gets it."""
        return (self._on_lag, self._lag_limits, self._lag_policy) if lags else (None, LAG_LIMITS, [])

    def _new_lag(
        self, thinned: bytes | None, current: bytes | None, most: float | None, least: float | None
    ) -> None:
        def on_lag(lag: float, is_thinned: bool) -> bytes | None:
            return thinned if is_thinned else current

        self._on_lag = None if thinned is None and current is None else on_lag
        self._lag_limits = (
            LAG_LIMITS[0] if most is None else most,
            LAG_LIMITS[1] if least is None else least,
        )
        self._lag_policy = []

    def _add_lag_step(
        self,
        after: float | None,
        action: bytes | None,
        until: float | None,
        max_rate: float | None,
        keys: float | None,
        reason: bytes | None,
        mark: bytes | None,
        left: bytes | None,
    ) -> Answer:
        # What isn't given is refused there.
        seconds: Any = after
        told: Any = None if action is None else text_of(action)
        why = "" if reason is None else text_of(reason)
        step = LagStep(seconds, told, until, max_rate, self._wanted(keys), why, mark, left)
        self._lag_policy.append(step)
        return (DONE,)

    def _check_lag(self) -> Answer:
        checked_lag(self._on_lag, self._lag_limits, self._lag_policy)
        return (DONE,)

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
            stats.lag_step,
            "\n".join(stats.dropped).encode() or None,
        )

    def _new(self) -> Answer:
        self._last += 1
        self._priorities[self._last] = {}
        return DONE, self._last

    def _add(self, number: float, key: bytes | float | bool, value: float) -> Answer:
        # Here true is 1, as a key; in Lua it is not.
        self._priorities[int(number)][(key,) if isinstance(key, bool) else key] = whole(value)
        return (DONE,)


def _stats_of(handle: ExchangeHandle) -> FollowStats | None:
    if handle.socket is not None:
        return handle.socket.ws.get_follow_stats()
    return None if handle.follower is None else handle.follower.stats


def _change(given: Any) -> Any:
    """Return what Lua gives as what is to change: nothing leaves it as it is, false takes it away."""
    return ... if given is None else None if given is False else given
