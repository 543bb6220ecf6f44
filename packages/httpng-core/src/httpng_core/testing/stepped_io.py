"""Async handlers without an event loop: stepped as generators are, as long as they await only their `io`.

For tests: `httpng_core.testing.Loopback` runs `async def` handlers with it.
"""

from collections.abc import Callable, Generator, Iterable
from types import coroutine
from typing import Any

from httpng_core.app.handlers import end_exchange
from httpng_core.app.io import BaseIO, GeneratorBody
from httpng_core.app.runner import Runner
from httpng_core.config.types import Until
from httpng_core.feeds.feed import Feed
from httpng_core.feeds.gaps import OnGap
from httpng_core.feeds.keep_alive import COMMENT
from httpng_core.feeds.keys import KeyFilter
from httpng_core.feeds.ladder import LagStep
from httpng_core.feeds.lag import LAG_LIMITS, OnLag
from httpng_core.feeds.pace import Priority
from httpng_core.sending.calls import Pending
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.results import SendResult

_Call = Generator[Pending, Any, Any]


class SteppedIO(BaseIO):
    """`io` with the calls of the async one; each yields its `Pending` to whoever steps the handler."""

    def __init__(self, exchange: Exchange, clock: Callable[[], float]) -> None:
        super().__init__(exchange, clock)
        self._over = Pending()
        exchange.on_over = lambda: self._over.settle(None)

    @coroutine
    def write_header(self, code: int, headers: Any = None, timeout: float | None = None) -> _Call:
        """See `Exchange.write_header`."""
        return (yield self._begin_header(code, headers, timeout))

    @coroutine
    def write(self, body: bytes | str, timeout: float | None = None) -> _Call:
        """See `Exchange.write`."""
        return (yield self._begin_write(body, timeout))

    @coroutine
    def wait(self, pos: int, timeout: float | None = None, until: Until | None = None) -> _Call:
        """See `Exchange.wait`."""
        result: SendResult = yield self._begin_wait(pos, timeout, until)
        return result

    @coroutine
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
    ) -> _Call:
        """See `Exchange.follow`."""
        limits = (max_rate, max_bandwidth, priority)
        keep, lag = (keep_alive, keep_alive_comment), (on_lag, lag_limits, lag_policy)
        return (
            yield self._begin_follow(
                feed, keys, since, max_age, on_gap, limits, keep, lag, timeout, until_draining
            )
        )

    @coroutine
    def wait_draining(self, timeout: float | None = None) -> _Call:
        """See `Exchange.wait_draining`."""
        return (yield self._begin_draining(timeout))

    @coroutine
    def write_informational(self, code: int, headers: Any = None) -> _Call:
        """See `Exchange.write_informational`."""
        self._inform(code, headers)
        return
        yield

    @coroutine
    def close(self, trailers: Any = None) -> _Call:
        """End the response cleanly."""
        self._end(trailers)
        return
        yield

    @coroutine
    def wait_cancelled(self) -> _Call:
        """Wait until the exchange is over."""
        yield self._over


class SteppedBody(GeneratorBody):
    """What reads the body of a stepped handler's request."""

    def read(self, limit: int | None, timeout: float | None) -> "_SteppedRead":
        """See `Request.read`."""
        return _SteppedRead(super().read(limit, timeout))


class _SteppedRead:
    """A read that yields its `Pending` to whoever steps the handler."""

    def __init__(self, read: Pending) -> None:
        self._read = read

    def __await__(self) -> Generator[Any, Any, bytes]:
        piece: bytes = yield self._read
        return piece


def step_async(runner: Runner, exchange: Exchange, function: Callable[..., Any]) -> None:
    """Start a coroutine function on an exchange; it ends as any handler does."""
    io = SteppedIO(exchange, runner.clock)
    if exchange.incoming is not None:
        body = SteppedBody(exchange.incoming, runner.clock, runner.check_thread)
        exchange.request.source = body.read
    runner.spawn(
        function(exchange.request, io),
        lambda returned: end_exchange(exchange, returned, runner.clock(), io.headers),
    )
