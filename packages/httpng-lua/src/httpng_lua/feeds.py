"""The calls of feeds as Lua makes them: a feed is a number there, and so is its function `on_gap`."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, cast

from httpng_core import (
    FULL_EVERY,
    MAX_QUEUED,
    Feed,
    FeedStats,
    KeyFilter,
    Keys,
    OnGap,
    Overflow,
    Policy,
    Resume,
    Runner,
    feeds_together,
)
from httpng_core.languages import (
    COMMENT,
    LagWatched,
    Later,
    checked_lag,
    checked_pace,
    follower_of,
    kept_alive,
    split_pairs,
    unknown_key,
)
from httpng_lua.calls import ExchangeCalls, until_of, whole, window_of
from httpng_lua.fibers import Fibers, as_answer
from httpng_lua.handles import ExchangeHandle
from httpng_lua.paces import PaceCalls
from httpng_lua.runtime import LuaScriptError, Runtime, text_of
from httpng_lua.steps import DONE, FAILED, Answer, guarded
from httpng_lua.values import delta_of, merge_of


class _GateLock:
    """The lock for feeds, whoever gives it: they are made before a driver gives its own."""

    def __init__(self, fibers: Fibers) -> None:
        self._fibers = fibers

    def __enter__(self) -> None:
        self._fibers.lock.data_lock.__enter__()

    def __exit__(self, *error: object) -> None:
        self._fibers.lock.data_lock.__exit__(None, None, None)


class FeedCalls:
    """The feeds of one script, for as long as Lua holds them.

    Attributes:
        paces: the limits of those who follow them.
    """

    def __init__(self, calls: ExchangeCalls, fibers: Fibers) -> None:
        self._calls = calls
        self._fibers = fibers
        self._lock = _GateLock(fibers)
        self._by_number: dict[int, Feed] = {}
        # Those that Lua has let go of, and that are followed; and what those told that are gone.
        self._fading: list[Feed] = []
        self._gone = feeds_together(())
        self._keys: dict[int, Keys] = {}
        self._last = 0
        self.paces = PaceCalls(calls, self.wanted)
        self._gap: Callable[..., Any]
        self._listed: tuple[Hashable, ...] = ()

    def statistics(self) -> tuple[FeedStats, ...]:
        """Return what became of all that each feed published."""
        return tuple(feed.get_stats() for feed in self._by_number.values())

    def numbered(self, feeds: bytes) -> list[Feed]:
        """Return the feeds of these numbers."""
        return [self._by_number[int(float(number))] for number in feeds.split()]

    def together(self) -> FeedStats:
        """Return what became of all that the feeds published, those that are gone included."""
        there = [*self._by_number.values(), *self._fading]
        return feeds_together((self._gone, *(feed.get_stats() for feed in there)))

    def connect(self, runtime: Runtime) -> None:
        """Look for the functions `on_gap` in `runtime` from now on."""
        self._gap = runtime.function("gap")

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """Return the calls by the names that feed.lua uses."""
        calls: Mapping[str, Callable[..., Answer]] = {
            "feed": self._feed,
            "publish": self._publish,
            "remove_key": self._remove,
            "list_keys": self._list_keys,
            "close_feed": self._close,
            "follow": self._calls.of_exchange(self._follow),
            "keys": self._new_keys,
            "add_key": self._add_key,
            "discard_key": self._discard_key,
            "refuse_option": _refuse,
        }
        return {name: guarded(call) for name, call in calls.items()} | {
            "feed_has": self._has,
            "feed_knows": self._knows,
            "listed_key": self._listed_key,
            "feed_stats": self._stats,
            "forget_feed": self._forget,
            "forget_keys": self._forget_keys,
            "has_key": self._has_key,
        }

    def _feed(
        self,
        policy: bytes | None,
        max_queued: float | None,
        overflow: bytes | None,
        snapshot_end: bytes | None,
        merge: bytes | None,
        delta: bytes | None,
        full_every: float | None,
        resumes: bool,
        *resume: Any,
    ) -> Answer:
        feed = Feed(
            clock=self._calls.clock,
            policy=cast(Policy, _word(policy, "latest")),
            max_queued=MAX_QUEUED if max_queued is None else whole(max_queued),
            overflow=cast(Overflow, _word(overflow, "close")),
            snapshot_end=snapshot_end,
            merge=merge_of(merge),
            delta=delta_of(delta),
            full_every=FULL_EVERY if full_every is None else whole(full_every),
            resume=_resume(*resume) if resumes else None,
            lock=self._lock,
        )
        self._last += 1
        self._by_number[self._last] = feed
        return DONE, self._last

    def _publish(self, number: float, payload: bytes, key: bytes | float | bool | None) -> Answer:
        self._by_number[int(number)].publish(payload, _key(key))
        return (DONE,)

    def _has(self, number: float, key: bytes | float | bool | None) -> bool:
        return self._by_number[int(number)].has(_key(key))

    def _knows(self, number: float, since: bytes) -> bool:
        return self._by_number[int(number)].knows(since.decode("latin-1"))

    def _remove(self, number: float, key: bytes | float | bool | None, payload: bytes | None) -> Answer:
        return DONE, self._by_number[int(number)].remove(_key(key), payload)

    def _list_keys(self, number: float) -> Answer:
        """Have the keys of a feed at hand for `listed_key`, and return how many there are."""
        self._listed = self._by_number[int(number)].keys_to_clear()
        return DONE, len(self._listed)

    def _listed_key(self, place: float) -> Hashable:
        key = self._listed[int(place) - 1]
        return key[0] if isinstance(key, tuple) else key

    def _close(self, number: float) -> Answer:
        self._by_number[int(number)].close()
        return (DONE,)

    def _stats(self, number: float) -> Answer:
        stats = self._by_number[int(number)].get_stats()
        return stats.published, stats.followers, stats.delivered, stats.skipped, stats.expired, stats.merged

    def _forget(self, number: float) -> None:
        """Forget a feed that Lua has let go of; its followers go on."""
        self._fading.append(self._by_number.pop(int(number)))
        self._count_gone()

    def _count_gone(self) -> None:
        """Add up what those have told of that Lua has let go, and that nobody follows any more."""
        fading, self._fading = self._fading, []
        for feed in fading:
            stats = feed.get_stats()
            if stats.followers:
                self._fading.append(feed)
            else:
                self._gone = feeds_together((self._gone, stats))

    def _follow(
        self,
        handle: ExchangeHandle,
        feeds: bytes,
        keys: float | None,
        since: bytes | None,
        max_age: float | None,
        gap: float | None,
        max_rate: float | None,
        max_bandwidth: float | None,
        priority: float | None,
        keep_alive: float | None,
        comment: bytes | None,
        lags: bool,
        timeout: float | None,
        until_draining: bool | None,
        window: float | bytes | None,
        until: bytes | None,
        stall: float | None,
        headers: bytes | None,
    ) -> Answer:
        now, exchange = self._calls.clock(), handle.exchange
        on_gap = self.on_gap(gap, handle.home)
        pace = checked_pace(max_rate, max_bandwidth, self.paces.priority(priority))
        lag = checked_lag(*self.paces.lag_options(lags))
        if lag is not None:
            pace = lag.of_pace(pace)
        follower = follower_of(
            self.numbered(feeds),
            max_age=max_age,
            on_gap=on_gap,
            keys=self.wanted(keys),
            since=since_of(since),
            pace=pace,
        )
        source: Any = follower if lag is None else LagWatched(follower, lag, self._calls.clock)
        exchange.stall_timeout = stall
        pending = exchange.follow(
            kept_alive(source, exchange, keep_alive, COMMENT if comment is None else comment),
            now,
            timeout,
            window_of(window),
            split_pairs(headers),
            until_of(until),
            until_draining=bool(until_draining),
        )
        handle.follower = follower
        return self._calls.answer(handle, pending, now)

    def wanted(self, keys: float | None) -> KeyFilter | None:
        """Return the keys by their number; a negative one: they are those for good."""
        if keys is None:
            return None
        return self._keys[int(keys)] if keys > 0 else frozenset(self._keys[-int(keys)])

    def _new_keys(self) -> Answer:
        self._last += 1
        self._keys[self._last] = Keys()
        return DONE, self._last

    def _add_key(self, number: float, key: bytes | float | bool | None) -> Answer:
        self._keys[int(number)].add(_key(key))
        return (DONE,)

    def _discard_key(self, number: float, key: bytes | float | bool | None) -> Answer:
        self._keys[int(number)].discard(_key(key))
        return (DONE,)

    def _has_key(self, number: float, key: bytes | float | bool | None) -> bool:
        return _key(key) in self._keys[int(number)]

    def _forget_keys(self, number: float) -> None:
        """Forget keys that Lua has let go of; those that follow by them go on."""
        del self._keys[int(number)]

    def on_gap(self, gap: float | None, home: Runner) -> OnGap | None:
        """Call a function of Lua's by number, in no fiber: a frame is made while nothing in Lua runs."""
        if gap is None:
            return None

        def on_gap(lost: int) -> bytes | Later | None:
            later = Later()

            def asked(answer: Answer, error: Exception | None) -> None:
                later.answer(*_notice_or_error(answer, error))

            answer = self._fibers.lock.ask(home, lambda: as_answer(self._gap(gap, lost)), asked)
            return later if answer is None else _notice(answer)

        return on_gap


def _resume(
    id_line: bytes | None = None,
    first: bytes | bool | None = None,
    gap: bytes | bool | None = None,
    least: float | None = None,
    most: float | None = None,
    max_replay: float | None = None,
) -> Resume:
    """Return how clients come back; what is `None` is as it is by itself, and `False` nothing."""
    given: dict[str, Any] = {
        name: None if text is False else text_of(text)
        for name, text in (("id_line", id_line), ("first", first), ("gap", gap))
        if text is not None and text is not True
    }
    if least is not None:
        given["retry"] = least if most is None else (least, most)
    return Resume(**given, max_replay=None if max_replay is None else whole(max_replay))


def _notice(answer: Answer) -> bytes | None:
    code, notice = answer
    if code == FAILED:
        raise LuaScriptError(f"on_gap: {text_of(notice)}")
    return cast("bytes | None", notice)


def _notice_or_error(answer: Answer, error: Exception | None) -> tuple[bytes | None, Exception | None]:
    try:
        return (None, error) if error is not None else (_notice(answer), None)
    except LuaScriptError as failure:
        return None, failure


def _key(key: bytes | float | bool | None) -> Hashable:
    # Here true is 1, as a key; in Lua it is not.
    return (key,) if isinstance(key, bool) else key


def since_of(given: bytes | None) -> str | None:
    """Return the id of an event, as its header had it."""
    return None if given is None else given.decode("latin-1")


def _word(given: bytes | None, default: str) -> str:
    return default if given is None else text_of(given)


def _refuse(name: bytes, *known: bytes) -> Answer:
    raise unknown_key(text_of(name), map(text_of, known))
