"""The response of one exchange as handlers hold it, whatever runs them."""

from collections.abc import Callable, Iterable
from types import EllipsisType
from typing import Any, Final

from httpng_core.app.websocket import GeneratorWebSocket, accepted
from httpng_core.config.settings import nearest_key
from httpng_core.config.types import Until, WindowSize
from httpng_core.errors import ResponseStateError
from httpng_core.feeds.feed import Feed
from httpng_core.feeds.follower import Follower
from httpng_core.feeds.gaps import OnGap
from httpng_core.feeds.keep_alive import COMMENT, kept_alive
from httpng_core.feeds.keys import KeyFilter
from httpng_core.feeds.ladder import LagStep
from httpng_core.feeds.lag import LAG_LIMITS, LagOptions, LagWatched, OnLag, checked_lag
from httpng_core.feeds.many import ManyFollower, follower_of
from httpng_core.feeds.pace import Limits, Priority, checked_pace
from httpng_core.feeds.stats import FollowStats
from httpng_core.http.response import HeaderSource, HeaderValue
from httpng_core.sending.calls import Pending
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.incoming import Incoming
from httpng_core.sending.results import SendStats

FIELDS: Final = ("headers", "send_window", "send_timeout", "window_until", "stall_timeout")
"""What a handler may assign to `io`."""


_assign: Final = object.__setattr__


def unknown_field(name: str) -> AttributeError:
    """Return the error for a field that `io` has not."""
    return AttributeError(f"io has no field {name}; the nearest known one is {nearest_key(name, FIELDS)}")


def any_thread() -> None:
    """Do nothing: whoever drives the exchange has one thread."""


class BaseIO:
    """The response of one exchange as its handler holds it: settings that each call reads when it starts.

    Attributes:
        headers: sent with the first `write`, or by `write_header` without headers of its own.
        send_window: the limit of bytes in flight, "auto": about as much as the path holds, counted until
            acknowledged; `None`: `default_send_window`.
        send_timeout: seconds that a call may take, `None`: `default_send_timeout`.
        window_until: "sent", "acked" or "confirmed": how far a byte must have come to be no longer in flight;
            `None`: `default_window_until`.
        stall_timeout: seconds without a byte moving, while some are in flight, after which the exchange is
            reset; `None`: never before the handler has returned.
    """

    # With `__dict__` for what few handlers assign: a dictionary costs as much as all of these.
    __slots__ = ("__dict__", "__weakref__", "_check_thread", "_clock", "_exchange", "headers")

    headers: dict[str, HeaderValue | list[HeaderValue]]
    send_window: WindowSize | None = None
    send_timeout: float | None = None
    window_until: Until | None = None
    stall_timeout: float | None = None
    _exchange: Exchange
    _clock: Callable[[], float]
    _check_thread: Callable[[], None]
    _follower: Follower | ManyFollower | None = None

    def __init__(
        self, exchange: Exchange, clock: Callable[[], float], check_thread: Callable[[], None] = any_thread
    ) -> None:
        """Hold `exchange`; `check_thread` raises in a thread that must not touch it."""
        # Past `__setattr__`, which is for what handlers assign.
        _assign(self, "headers", {})
        _assign(self, "_exchange", exchange)
        _assign(self, "_clock", clock)
        _assign(self, "_check_thread", check_thread)

    def __setattr__(self, name: str, value: object) -> None:
        """Set a field, or replace a method; refuse a name that no call would ever read.

        Raises:
            AttributeError: there is no such field; the message names the nearest one.
        """
        if name not in FIELDS and not name.startswith("_") and not hasattr(type(self), name):
            raise unknown_field(name)
        super().__setattr__(name, value)

    @property
    def draining(self) -> bool:
        """Whether the server stops, reloads or replaces this worker: the handler is to come to its end."""
        return self._exchange.draining

    def get_follow_stats(self) -> FollowStats | None:
        """Return what became of the payloads of the feed followed now, or last; `None` before that."""
        self._check_thread()
        return None if self._follower is None else self._follower.stats

    def get_send_stats(self) -> SendStats:
        """Return where the exchange stands: bytes accepted, sent and so on. Doesn't block."""
        self._check_thread()
        return self._exchange.stats(self._clock())

    def _accept(self, subprotocol: str | None, headers: Any) -> tuple[Any, ...]:
        """Accept the WebSocket that is asked for; return what a `BaseWebSocket` is made of."""
        self._check_thread()
        session = accepted(self._exchange, self._clock(), subprotocol, headers)
        return (
            session,
            self._clock,
            self._check_thread,
            self.send_window,
            self.send_timeout,
            self.window_until,
        )

    def _begin_header(self, code: int, headers: Any, timeout: float | None) -> Pending:
        self._check_thread()
        given = self.headers if headers is None else headers
        return self._exchange.write_header(code, given, self._clock(), self._timeout(timeout))

    def _begin_write(self, body: Any, timeout: float | None) -> Pending:
        self._check_thread()
        exchange = self._exchange
        if self.stall_timeout is not None or exchange.stalls is not None:
            exchange.stall_timeout = self.stall_timeout
        return exchange.write(
            body,
            self._clock(),
            self.send_timeout if timeout is None else timeout,
            self.send_window,
            self.headers,
            self.window_until,
        )

    def _begin_wait(self, position: int, timeout: float | None, until: Until | None) -> Pending:
        self._check_thread()
        until = self.window_until if until is None else until
        return self._exchange.wait(position, self._clock(), self._timeout(timeout), until)

    def _begin_draining(self, timeout: float | None) -> Pending:
        self._check_thread()
        return self._exchange.wait_draining(self._clock(), timeout)

    def _begin_follow(
        self,
        feed: Feed | Iterable[Feed],
        keys: KeyFilter | None,
        since: str | None,
        max_age: float | None,
        on_gap: OnGap | None,
        limits: Limits,
        keep_alive: tuple[float | None, bytes | str],
        on_lag: LagOptions,
        timeout: float | None,
        until_draining: bool,
    ) -> Pending:
        self._check_thread()
        if self._exchange.tunnel is not None:
            raise ResponseStateError("a WebSocket was accepted: use its follow")
        pace, lag = checked_pace(*limits), checked_lag(*on_lag)
        if lag is not None:
            pace = lag.of_pace(pace)
        follower = follower_of(feed, max_age=max_age, on_gap=on_gap, keys=keys, since=since, pace=pace)
        watched = follower if lag is None else LagWatched(follower, lag, self._clock)
        source = kept_alive(watched, self._exchange, *keep_alive)
        self._exchange.stall_timeout = self.stall_timeout
        pending = self._exchange.follow(
            source,
            self._clock(),
            timeout,
            self.send_window,
            self.headers,
            self.window_until,
            until_draining,
        )
        self._follower = follower
        return pending

    def set_follow_pace(
        self,
        *,
        max_rate: float | EllipsisType | None = ...,
        max_bandwidth: float | EllipsisType | None = ...,
        priority: Priority | EllipsisType | None = ...,
    ) -> None:
        """Change the limits of the follow that goes on; `None` takes one away. Doesn't block.

        What isn't given stays as it is. If no follow goes on, nothing happens.

        Args:
            max_rate: how many payloads of each key may be sent in a second.
            max_bandwidth: how many bytes may be sent in a second, in the mean.
            priority: as how many times as long as others some keys count to have waited.

        Raises:
            TypeError, ValueError: wrong arguments; nothing changes.
        """
        self._check_thread()
        if self._follower is not None:
            self._follower.set_pace(max_rate, max_bandwidth, priority)

    def abort(self) -> None:
        """Give the exchange up at once: what is in flight is lost, and the client can tell. Doesn't block."""
        self._check_thread()
        self._exchange.reset(self._clock())

    def _inform(self, code: int, headers: Any) -> None:
        self._check_thread()
        self._exchange.write_informational(code, headers, self._clock())

    def _end(self, trailers: HeaderSource | None = None) -> None:
        self._check_thread()
        self._exchange.close(self._clock(), self.headers, trailers)

    def _timeout(self, timeout: float | None) -> float | None:
        return self.send_timeout if timeout is None else timeout


class GeneratorIO(BaseIO):
    """What a generator handler gets: each call returns a `Pending` to `yield`."""

    def write_header(self, code: int, headers: Any = None, timeout: float | None = None) -> Pending:
        """See `Exchange.write_header`; `headers=None` sends `io.headers`, `{}` sends none."""
        return self._begin_header(code, headers, timeout)

    def write(self, body: bytes | str, timeout: float | None = None) -> Pending:
        """See `Exchange.write`."""
        return self._begin_write(body, timeout)

    def wait(self, pos: int, timeout: float | None = None, until: Until | None = None) -> Pending:
        """See `Exchange.wait`."""
        return self._begin_wait(pos, timeout, until)

    def follow(
        self,
        feed: Feed | Iterable[Feed],
        *,
        keys: KeyFilter | None = None,
        since: str | None = None,
        max_age: float | None = None,
        on_gap: OnGap | None = None,
        max_rate: float | None = None,
        max_bandwidth: float | None = None,
        priority: Priority | None = None,
        keep_alive: float | None = None,
        keep_alive_comment: bytes | str = COMMENT,
        on_lag: OnLag | None = None,
        lag_limits: tuple[float, float] = LAG_LIMITS,
        lag_policy: Iterable[LagStep] | None = None,
        timeout: float | None = None,
        until_draining: bool = False,
    ) -> Pending:
        """See `Exchange.follow`; what it hasn't is as for an async handler."""
        limits = (max_rate, max_bandwidth, priority)
        keep, lag = (keep_alive, keep_alive_comment), (on_lag, lag_limits, lag_policy)
        return self._begin_follow(
            feed, keys, since, max_age, on_gap, limits, keep, lag, timeout, until_draining
        )

    def wait_draining(self, timeout: float | None = None) -> Pending:
        """See `Exchange.wait_draining`; what comes of the `yield` is true, or false if the time was up."""
        return self._begin_draining(timeout)

    def write_informational(self, code: int, headers: HeaderSource | None = None) -> None:
        """See `Exchange.write_informational`. Doesn't block, and isn't yielded."""
        self._inform(code, headers)

    def close(self, trailers: HeaderSource | None = None) -> None:
        """End the response cleanly, with `trailers` behind its body; see `Exchange.close`. Doesn't block."""
        self._end(trailers)

    def accept_websocket(
        self, *, subprotocol: str | None = None, headers: HeaderSource | None = None
    ) -> GeneratorWebSocket:
        """Accept the WebSocket that the request asks for. Doesn't block: its calls are yielded."""
        return GeneratorWebSocket(*self._accept(subprotocol, headers))


class GeneratorBody:
    """What reads the body of a generator handler's request; each read is a `Pending` to `yield`."""

    def __init__(
        self, incoming: Incoming, clock: Callable[[], float], check_thread: Callable[[], None]
    ) -> None:
        self._incoming = incoming
        self._clock = clock
        self._check_thread = check_thread

    def read(self, limit: int | None, timeout: float | None) -> Any:
        """See `Request.read`."""
        self._check_thread()
        return self._incoming.read(limit, self._clock(), timeout)
