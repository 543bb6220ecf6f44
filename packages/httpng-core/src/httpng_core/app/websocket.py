"""A WebSocket as handlers hold it, whatever runs them."""

from collections.abc import Callable, Iterable
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final

from httpng_core.config.settings import nearest_key
from httpng_core.config.types import Until, WindowSize
from httpng_core.feeds.feed import Feed
from httpng_core.feeds.follower import Follower
from httpng_core.feeds.gaps import OnGap
from httpng_core.feeds.keys import KeyFilter
from httpng_core.feeds.ladder import LagStep
from httpng_core.feeds.lag import LAG_LIMITS, LagOptions, LagWatched, OnLag, checked_lag
from httpng_core.feeds.many import ManyFollower, follower_of
from httpng_core.feeds.pace import Limits, Priority, checked_pace
from httpng_core.feeds.stats import FollowStats
from httpng_core.http.response import HeaderSource
from httpng_core.sending.calls import Pending, TakenLater
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.results import SendStats

if TYPE_CHECKING:
    from httpng_core.websocket.session import WebSocket as Session

FIELDS: Final = ("send_window", "send_timeout", "window_until")
"""What a handler may assign to a WebSocket."""


def accepted(
    exchange: Exchange, now: float, subprotocol: str | None, headers: HeaderSource | None
) -> "Session":
    """Accept the WebSocket that a request asks for.

    Raises:
        ImportError: wsproto isn't installed.
        HandshakeError, ResponseStateError, TypeError, ValueError: see `accept_websocket`.
    """
    try:
        # Who has no WebSockets needs no wsproto.
        from httpng_core.websocket.session import WebSocket as Session
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("wsproto"):
            raise
        raise ImportError("WebSockets need wsproto: install httpng-core[websocket]") from error
    return Session(exchange, now, subprotocol, headers)


class BaseWebSocket:
    """A WebSocket as its handler holds it: settings that each call reads when it starts.

    Attributes:
        send_window: the limit of bytes of messages in flight, as `io.send_window`, which it begins with.
        send_timeout: seconds that a call may take, as `io.send_timeout`, likewise.
        window_until: "sent", "acked" or "confirmed", as `io.window_until`, likewise.
    """

    send_window: WindowSize | None
    send_timeout: float | None
    window_until: Until | None
    _session: "Session"
    _clock: Callable[[], float]
    _check_thread: Callable[[], None]
    _follower: Follower | ManyFollower | None = None

    def __init__(
        self,
        session: "Session",
        clock: Callable[[], float],
        check_thread: Callable[[], None],
        send_window: WindowSize | None = None,
        send_timeout: float | None = None,
        window_until: Until | None = None,
    ) -> None:
        """Hold what was accepted; `check_thread` raises in a thread that must not touch it."""
        self._session = session
        self._clock = clock
        self._check_thread = check_thread
        self.send_window = send_window
        self.send_timeout = send_timeout
        self.window_until = window_until

    def __setattr__(self, name: str, value: object) -> None:
        """Set a field; refuse a name that no call would ever read.

        Raises:
            AttributeError: there is no such field; the message names the nearest one.
        """
        if name not in FIELDS and not name.startswith("_"):
            nearest = nearest_key(name, FIELDS)
            raise AttributeError(f"a WebSocket has no field {name}; the nearest known one is {nearest}")
        super().__setattr__(name, value)

    @property
    def subprotocol(self) -> str | None:
        """What was agreed on, or `None`."""
        return self._session.subprotocol

    @property
    def close_code(self) -> int | None:
        """Why it was closed; `None` while it is open.

        The client's code, or ours where the client broke the protocol or a limit; 1005 if the client gave
        none; 1006 if it is gone without a closing handshake.
        """
        return self._session.close_code

    @property
    def close_reason(self) -> str:
        """The text that goes with the code; often empty."""
        return self._session.close_reason

    def get_send_stats(self) -> SendStats:
        """Return where it stands, in bytes of messages as they were passed. Doesn't block.

        Of a message that goes out compressed nothing counts as sent before all of it is.
        """
        self._check_thread()
        return self._session.stats(self._clock())

    def get_follow_stats(self) -> FollowStats | None:
        """Return what became of the payloads of the feed followed now, or last; `None` before that."""
        self._check_thread()
        return None if self._follower is None else self._follower.stats

    def set_follow_pace(
        self,
        *,
        max_rate: float | EllipsisType | None = ...,
        max_bandwidth: float | EllipsisType | None = ...,
        priority: Priority | EllipsisType | None = ...,
    ) -> None:
        """Change the limits of the follow that goes on; see `io.set_follow_pace`. Doesn't block.

        Raises:
            TypeError, ValueError: wrong arguments; nothing changes.
        """
        self._check_thread()
        if self._follower is not None:
            self._follower.set_pace(max_rate, max_bandwidth, priority)

    def abort(self) -> None:
        """Give the exchange up at once: what is in flight is lost, and the client can tell. Doesn't block."""
        self._check_thread()
        self._session.exchange.reset(self._clock())

    def _begin_send(self, message: Any, timeout: float | None) -> Pending:
        self._check_thread()
        return self._session.send(
            message, self._clock(), self._timeout(timeout), self.send_window, self.window_until
        )

    def _begin_wait(self, position: int, timeout: float | None, until: Until | None) -> Pending:
        self._check_thread()
        until = self.window_until if until is None else until
        return self._session.wait(position, self._clock(), self._timeout(timeout), until)

    def _begin_follow(
        self,
        feed: Feed | Iterable[Feed],
        binary: bool,
        keys: KeyFilter | None,
        since: str | None,
        max_age: float | None,
        on_gap: OnGap | None,
        limits: Limits,
        on_lag: LagOptions,
        timeout: float | None,
        until_draining: bool,
    ) -> Pending:
        self._check_thread()
        pace, lag = checked_pace(*limits), checked_lag(*on_lag)
        follower = follower_of(
            feed,
            max_age=max_age,
            on_gap=on_gap,
            keys=keys,
            since=since,
            pace=pace if lag is None else lag.of_pace(pace),
            call="ws.follow",
        )
        pending = self._session.follow(
            follower if lag is None else LagWatched(follower, lag, self._clock),
            self._clock(),
            timeout,
            self.send_window,
            self.window_until,
            binary=binary,
            until_draining=until_draining,
        )
        self._follower = follower
        return pending

    def _begin_close(self, code: int, reason: str, timeout: float | None) -> Pending:
        self._check_thread()
        return self._session.close(self._clock(), code, reason, timeout)

    def _timeout(self, timeout: float | None) -> float | None:
        return self.send_timeout if timeout is None else timeout


class GeneratorWebSocket(BaseWebSocket):
    """What a generator handler gets: each call returns a `Pending` to `yield`."""

    def send(self, message: str | bytes, timeout: float | None = None) -> Pending:
        """Send a message; see `send` of an async handler's."""
        return self._begin_send(message, timeout)

    def receive(self) -> Pending:
        """Yield it to get the next message, or `None` when no more will come."""
        self._check_thread()
        session, clock = self._session, self._clock
        call = TakenLater(lambda: session.take(clock()))
        arrival = session.inbox.arrival()
        if arrival.settled:
            call.settle(None)
        else:
            arrival.on_settle = lambda: call.settle(None)
        return call

    def wait(self, pos: int, timeout: float | None = None, until: Until | None = None) -> Pending:
        """Wait for a position; see `wait` of an async handler's."""
        return self._begin_wait(pos, timeout, until)

    def follow(
        self,
        feed: Feed | Iterable[Feed],
        *,
        binary: bool = False,
        keys: KeyFilter | None = None,
        since: str | None = None,
        max_age: float | None = None,
        on_gap: OnGap | None = None,
        max_rate: float | None = None,
        max_bandwidth: float | None = None,
        priority: Priority | None = None,
        on_lag: OnLag | None = None,
        lag_limits: tuple[float, float] = LAG_LIMITS,
        lag_policy: Iterable[LagStep] | None = None,
        timeout: float | None = None,
        until_draining: bool = False,
    ) -> Pending:
        """Send what a feed publishes; see `follow` of an async handler's."""
        limits, lag = (max_rate, max_bandwidth, priority), (on_lag, lag_limits, lag_policy)
        return self._begin_follow(
            feed, binary, keys, since, max_age, on_gap, limits, lag, timeout, until_draining
        )

    def close(self, code: int = 1000, reason: str = "", timeout: float | None = None) -> Pending:
        """Yield it to close and wait for the end; see `close` of an async handler's."""
        return self._begin_close(code, reason, timeout)
