"""WebSockets of async handlers: the calls awaited, the messages iterated over."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from httpng_core import (
    LAG_LIMITS,
    BaseWebSocket,
    Feed,
    KeyFilter,
    LagStep,
    OnGap,
    OnLag,
    Pending,
    Priority,
    SendResult,
    Until,
)

Awaited = Callable[[Pending], Awaitable[SendResult | None]]
"""Waits until a call has settled, and returns its result."""


class WebSocket(BaseWebSocket):
    """A WebSocket that was accepted: `async for message in ws` gives text as `str`, binary as `bytes`.

    A slow or vanished client never raises: that is a result, and the end of the messages. `timeout` is in
    seconds, else `ws.send_timeout`, else `default_send_timeout`. A call whose task is cancelled ends as on a
    timeout.

    Attributes:
        send_window: the limit of bytes of messages in flight, as `io.send_window`, which it begins with.
        send_timeout: seconds that a call may take, as `io.send_timeout`, likewise.
        window_until: "sent", "acked" or "confirmed", as `io.window_until`, likewise.
    """

    _settled: Awaited
    _until_ended: Callable[[Pending], Awaitable[None]]

    def __init__(
        self, settled: Awaited, until_ended: Callable[[Pending], Awaitable[None]], *of_base: Any
    ) -> None:
        """Hold what `io.accept_websocket` has accepted."""
        super().__init__(*of_base)
        self._settled = settled
        self._until_ended = until_ended

    async def send(self, message: str | bytes, timeout: float | None = None) -> SendResult | None:
        """Send a message, whole or not at all: text for a `str`, else binary.

        It waits while more than the send window would be in flight. A message is dropped if it isn't accepted
        in time; one that is longer than the window is accepted when its first byte is passed to the TCP/IP
        stack, and what is left of it goes out even if the time is up.

        Args:
            message: the message.
            timeout: seconds.

        Returns:
            `None` when it was accepted and nothing more is to be waited for; else a result, whose
            `body_bytes_sent` is 0 if the message was dropped, or its length if it goes out.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        return await self._settled(self._begin_send(message, timeout))

    async def receive(self) -> str | bytes | None:
        """Wait for the next message; `None` when no more will come: `close_code` tells why.

        A task that is cancelled meanwhile has lost nothing: the next call goes on. While nobody takes
        messages, the client is held up once `ws_max_queue` of them wait.

        Raises:
            RuntimeError: another `receive` waits.
        """
        self._check_thread()
        session = self._session
        # First this: who is cancelled here has taken nothing.
        await self._settled(_DONE)
        while (message := session.take(self._clock())) is None:
            arrival = session.inbox.arrival()
            if arrival.settled:
                return None
            try:
                await self._until_ended(arrival)
            finally:
                session.inbox.forget(arrival)
        return message

    def __aiter__(self) -> "WebSocket":
        return self

    async def __anext__(self) -> str | bytes:
        message = await self.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def wait(self, pos: int, timeout: float | None = None, until: Until | None = None) -> SendResult:
        """Wait until `sent >= pos`, or for `pos <= 0` until at most `-pos` bytes of messages are in flight.

        As `io.wait`, in bytes of messages as they were passed. With `until="confirmed"` the client's program
        must have answered a PING that was sent behind them.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked" where the platform can't tell.
        """
        result = await self._settled(self._begin_wait(pos, timeout, until))
        assert result is not None
        return result

    async def follow(
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
    ) -> SendResult | None:
        """Send what `feed` publishes until it is closed, each payload as a message; see `io.follow`.

        What `on_gap` and `on_lag` return, and the marks of `lag_policy`, are messages of their own. Nothing
        of it is compressed.

        Args:
            feed: what to follow, a feed or several. Of several each in turn has its payload sent.
            binary: whether the messages are binary; else text, and each payload must be UTF-8.
            keys: what is wanted of it, `None`: all keys; as for `io.follow`.
            since: the id up to which the client has had all, as for `io.follow`. An id is in the message of
                its payload, in front.
            max_age: seconds after which a payload that was not sent is dropped; `None`: never.
            on_gap: called with the number of payloads that were skipped or expired.
            max_rate: how many payloads of each key may be sent in a second; see `io.follow`.
            max_bandwidth: how many bytes may be sent in a second, in the mean.
            priority: as how many times as long as others some keys count to have waited.
            on_lag: called with the lag in seconds and whether the client is thinned from now on.
            lag_limits: from how many seconds of lag on it is thinned, and from how few it is current again.
            lag_policy: what is done about a client that lags, each step from more seconds on: `LagStep`.
            timeout: seconds after which to stop; `None`: never.
            until_draining: whether to stop as well when the server drains (`io.draining`); what is pending
                then is sent still. Without it the WebSocket is closed with 1012 then.

        Returns:
            `None` when the feed was closed, or the server drains, and all of it is sent; else a result as of
            `wait`.

        Raises:
            TypeError, ValueError: wrong arguments, or a payload that isn't UTF-8.
        """
        limits, lag = (max_rate, max_bandwidth, priority), (on_lag, lag_limits, lag_policy)
        return await self._settled(
            self._begin_follow(
                feed, binary, keys, since, max_age, on_gap, limits, lag, timeout, until_draining
            )
        )

    async def close(self, code: int = 1000, reason: str = "", timeout: float | None = None) -> None:
        """Close, and wait until the exchange is over; again: wait for that.

        What was accepted goes out first, and calls that wait for room end as cancelled. If the client hasn't
        read all and answered within `timeout` (`ws_close_timeout`), the exchange is given up. Messages that
        come meanwhile are dropped. Cancelling the wait changes nothing of this.

        Args:
            code: 1000, another one that a server may send, or 3000 to 4999.
            reason: a text of at most 123 bytes.
            timeout: seconds.

        Raises:
            TypeError, ValueError: wrong arguments.
        """
        await self._until_ended(self._begin_close(code, reason, timeout))


def _done() -> Pending:
    pending = Pending()
    pending.settle(None)
    return pending


_DONE = _done()
