"""A feed as the response of an ASGI application, under this server or another.

1. Under this server the exchange follows the feed, as by `io.follow`: what a client gets next is chosen when
   its socket can take it.
2. Under another one a payload is chosen when that has taken the one before. So what waits is what the server
   keeps for a slow client, and no more; the bytes are the same. That needs asyncio.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from math import inf
from typing import Any

from httpng_core import (
    LAG_LIMITS,
    Cause,
    Confirmations,
    Feed,
    Host,
    KeyFilter,
    LagStep,
    OnGap,
    OnLag,
    Priority,
    Timers,
    sse_headers,
)
from httpng_core.languages import (
    COMMENT,
    KeepAlive,
    LagWatched,
    Watched,
    checked_lag,
    checked_pace,
    follower_of,
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class FeedResponse:
    """What an ASGI application answers with: a stream of what a feed publishes. It is an application itself.

    Litestar's handlers return it as it is; `httpng.starlette`, for FastAPI too, and `httpng.quart` have it as
    these frameworks want it.

    Attributes:
        headers: those of the response, names in lower case.
        raw_headers: the same as ASGI has them.
    """

    def __init__(
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
        until_draining: bool = True,
        confirmations: Confirmations | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with `feed`, or several.

        Args:
            feed: what to follow, as by `io.follow`; so are `keys`, `max_age` and `on_gap`.
            keys: which keys are wanted; `None`: all.
            since: the id up to which the client has had all. `None`: as its header `Last-Event-ID` says, if
                the feed gives ids; `""`: none, it begins anew.
            max_age: seconds after which a payload that was not sent is dropped; `None`: never.
            on_gap: called with the number of payloads that were lost.
            max_rate: how many payloads of each key may be sent in a second; so are the other limits as for
                `io.follow`, and what is done about lag. Under another server a client is looked at when that
                has taken a payload, and "close" ends the application with an error.
            max_bandwidth: how many bytes may be sent in a second, in the mean.
            priority: as how many times as long as others some keys count to have waited.
            keep_alive: after so many seconds without a byte a comment is sent, if nothing else is under way;
                under another server, if that has taken the payload before.
            keep_alive_comment: what is sent then.
            on_lag: called with the lag in seconds and whether the client is thinned from now on.
            lag_limits: from how many seconds of lag on it is thinned, and from how few it is current again.
            lag_policy: what is done about a client that lags.
            until_draining: whether the stream ends with what is pending when the server drains, so that the
                client comes back to the next one; under other servers it never does.
            confirmations: what the page is to confirm by: its first event is sent first, and what comes next
                is chosen when the page has confirmed what came before. Under other servers it does nothing.
            headers: more headers, or others, than `sse_headers()` has.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        self.headers = sse_headers() | {name.lower(): value for name, value in (headers or {}).items()}
        self.raw_headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()
        ]
        self._feeds = feed if isinstance(feed, Feed) else list(feed)
        self._since = since
        self._follow: dict[str, Any] = {
            "keys": keys,
            "max_age": max_age,
            "on_gap": on_gap,
            "max_rate": max_rate,
            "max_bandwidth": max_bandwidth,
            "priority": priority,
            "keep_alive": keep_alive,
            "keep_alive_comment": keep_alive_comment,
            "on_lag": on_lag,
            "lag_limits": lag_limits,
            "lag_policy": None if lag_policy is None else list(lag_policy),
        }
        self._until_draining = until_draining
        if confirmations is not None and not isinstance(confirmations, Confirmations):
            raise TypeError(f"confirmations must be what confirmations() returns, not {confirmations!r:.80}")
        self._confirmations = confirmations
        # A mistake is told now, not when the response has begun.
        _source_of(self._feeds, **self._follow)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Send the response."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if _io_of(scope) is not None:
            await self._send_all(scope, send)
            return
        # Another server says by `receive` that the client has gone.
        tasks = [
            asyncio.create_task(self._send_all(scope, send)),
            asyncio.create_task(_disconnected(receive)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def body(self, scope: MutableMapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Give the body piece by piece, for a framework that sends it: `b""` first, so that it begins."""
        yield b""
        since, io = self._since_in(scope), _io_of(scope)
        if scope["method"] == "HEAD":
            return
        if io is not None:
            if self._confirmations is not None:
                yield self._confirmations.event(io)
                io.window_until = "confirmed"
            await io.follow(self._feeds, since=since, until_draining=self._until_draining, **self._follow)
            return
        async with aclosing(_payloads(self._feeds, since=since, **self._follow)) as payloads:
            async for payload in payloads:
                yield payload

    async def _send_all(self, scope: MutableMapping[str, Any], send: Send) -> None:
        async with aclosing(self.body(scope)) as body:
            async for piece in body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _since_in(self, scope: MutableMapping[str, Any]) -> str | None:
        feeds = [self._feeds] if isinstance(self._feeds, Feed) else self._feeds
        if self._since is not None or all(feed.incarnation is None for feed in feeds):
            return self._since
        for name, value in scope["headers"]:
            if name == b"last-event-id":
                return bytes(value).decode("latin-1")
        return None


class FeedResetError(RuntimeError):
    """A client was too slow for a feed: more waited for it than may (`max_queued`), or it lagged for long."""


class _Owner:
    """What a follower has in place of an exchange.

    Attributes:
        timers: when it is to be looked at.
        changed: set when something became pending, or nothing will any more.
        last: what is to be sent before it ends.
        error: why it can't go on.
    """

    def __init__(self) -> None:
        self.timers = Timers()
        self.changed = asyncio.Event()
        self.last = b""
        self.error: BaseException | None = None

    async def wait(self, now: float, until: float) -> None:
        """Wait until something has changed, or it is to be looked at, or for a time."""
        due = self.timers.next_deadline()
        wake_at = until if due is None else min(due, until)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if wake_at == inf else max(wake_at - now, 0)):
                await self.changed.wait()

    # What followers do: see `FollowOwner`.

    def reset(self, now: float, cause: Cause) -> None:
        """Note that the client can't be served any more."""
        self.follow_failed(FeedResetError(cause.text), now)

    def feed_closed(self, now: float) -> None:
        """Note that nothing more will become pending."""
        self.changed.set()

    def follow_failed(self, error: BaseException, now: float) -> None:
        """Note that a function of the user's has raised."""
        self.error = error
        self.changed.set()

    def cut_off(self, last: bytes, now: float, cause: Cause) -> None:
        """Note that the client lags too much."""
        self.last = last
        self.reset(now, cause)

    def settle_counts(self, source: object) -> None:
        """Do nothing: it is in step with nobody."""

    def broadcast_fell_short(self, taken: int, now: float) -> None:
        """Do nothing: likewise."""

    def broadcast_lost(self, now: float, cause: Cause, *, is_cut: bool) -> None:
        """Do nothing: likewise."""


@dataclass(frozen=True, slots=True)
class _CallInLoop:
    """Calls a function in the thread of a loop. Equal for one loop, whose followers belong together."""

    loop: asyncio.AbstractEventLoop

    def __call__(self, function: Callable[[], None]) -> None:
        try:
            is_here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            is_here = False
        if is_here:
            function()
        else:
            self.loop.call_soon_threadsafe(function)


async def _payloads(feeds: Any, **follow: Any) -> AsyncGenerator[bytes, None]:
    """Give one payload after the other, each chosen when it is asked for."""
    (source, clock, keep), owner = _source_of(feeds, **follow), _Owner()
    idle_at = inf if keep is None else clock() + keep.seconds
    loop = asyncio.get_running_loop()

    def soon(function: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(function)

    source.begin(owner, Host(owner.changed.set, call_in_loop=_CallInLoop(loop), call_soon=soon))
    try:
        while owner.error is None:
            owner.changed.clear()
            owner.timers.handle(clock())
            payload = source.offer() if source.size else b""
            if payload:
                source.taken()
            elif source.ended and owner.error is None:
                return
            elif keep is not None and not source.size and clock() >= idle_at:
                payload = keep.comment
            if payload:
                yield payload
                # Now the server has taken it.
                idle_at = inf if keep is None else clock() + keep.seconds
            elif not source.size:
                await owner.wait(clock(), idle_at)
        if owner.last:
            yield owner.last
        raise owner.error
    finally:
        source.end()


def _source_of(
    feeds: Any,
    *,
    max_rate: float | None,
    max_bandwidth: float | None,
    priority: Priority | None,
    keep_alive: float | None,
    keep_alive_comment: bytes | str,
    on_lag: OnLag | None,
    lag_limits: tuple[float, float],
    lag_policy: list[LagStep] | None,
    **follow: Any,
) -> tuple[Watched, Callable[[], float], KeepAlive | None]:
    """Return what follows, the clock that it goes by, and what keeps it alive."""
    keep = None if keep_alive is None else KeepAlive(keep_alive, keep_alive_comment)
    pace, lag = checked_pace(max_rate, max_bandwidth, priority), checked_lag(on_lag, lag_limits, lag_policy)
    follower = follower_of(feeds, pace=pace if lag is None else lag.of_pace(pace), **follow)
    clock = feeds.clock if isinstance(feeds, Feed) else feeds[0].clock
    return (follower if lag is None else LagWatched(follower, lag, clock)), clock, keep


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _io_of(scope: MutableMapping[str, Any]) -> Any:
    return (scope.get("extensions") or {}).get("httpng", {}).get("io")
