"""`io` of async handlers: the calls of a response, awaited."""

from collections.abc import Callable, Iterable
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from httpng_core import (
    LAG_LIMITS,
    BaseIO,
    Exchange,
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
from httpng_core import HeaderSource as _HeaderSource
from httpng_driver.handlers.driving import GONE, Driving
from httpng_driver.handlers.turn import LoopTurns, Turn
from httpng_driver.handlers.websocket import WebSocket

_assign: Final = object.__setattr__


class IO(BaseIO):
    """The response of one exchange.

    A slow or vanished client never raises: that is a result. Wrong arguments always do, first of all.
    `timeout` is in seconds, else `io.send_timeout`, else `default_send_timeout`; 0 takes what the socket
    takes now, infinity waits for ever. A call whose task is cancelled ends as on a timeout.

    Attributes:
        headers: sent with the first `write`, or by `write_header` without headers of its own.
        send_window: the limit of bytes in flight, `None`: `default_send_window`.
        send_timeout: seconds that a call may take, `None`: `default_send_timeout`.
        window_until: "sent", "acked" or "confirmed", `None`: `default_window_until`.
        stall_timeout: seconds without a byte moving, while some are in flight, after which the exchange is
            reset; `None`: never before the handler has returned.
    """

    __slots__ = ("_turns", "pump")

    pump: Driving
    _turn: Turn | None = None
    _turns: LoopTurns
    _over: anyio.Event | None = None

    async def write_header(
        self, code: int, headers: _HeaderSource | None = None, timeout: float | None = None
    ) -> SendResult | None:
        """Give the header block and wait until the TCP/IP stack has it.

        The block is never taken back: after a timeout it stays first in line. Writes need not wait for it.

        Args:
            code: the status code, 200 to 599.
            headers: the headers; `None` sends `io.headers`, `{}` sends none.
            timeout: seconds.

        Returns:
            `None` when the TCP/IP stack has the whole block, else what is known of it.

        Raises:
            TypeError, ValueError: wrong arguments, or a control character in a header; nothing is sent.
            ResponseStateError: the header block was given before.
        """
        return await self._settled(self._begin_header(code, headers, timeout))

    async def write(
        self, body: bytes | str | bytearray | memoryview, timeout: float | None = None
    ) -> SendResult | None:
        """Write body bytes, and wait while more than the send window would be in flight.

        A body that is no longer than the window is accepted whole or not at all. What was not accepted in
        time is not sent, ever: go on with the rest of it or with something newer. The first `write` without
        `write_header` sends status 200 with `io.headers`; an empty one sends just those.

        Args:
            body: the bytes; a `str` is sent as UTF-8.
            timeout: seconds.

        Returns:
            `None` when all was accepted; else a result whose `body_bytes_sent` tells how much was.

        Raises:
            TypeError, ValueError: wrong arguments.
            ContentLengthError: more than the declared Content-Length; nothing of this body is sent.
        """
        if timeout is None and sent_at_once(self, body):
            return None
        return await self._settled(self._begin_write(body, timeout))

    async def wait(self, pos: int, timeout: float | None = None, until: Until | None = None) -> SendResult:
        """Wait until `sent >= pos`, or for `pos <= 0` until at most `-pos` bytes are in flight.

        `wait(0)` waits until all is sent, the header block included. With `until="acked"` the client TCP must
        have the bytes, not just our TCP/IP stack: the next hop's kernel, which may be a proxy's. With
        "confirmed" its program must, whatever stands in between; a WebSocket's can tell.

        Args:
            pos: a position, or minus a number of bytes.
            timeout: seconds.
            until: "sent", "acked" or "confirmed"; `None`: `io.window_until`.

        Returns:
            Always a result; `reached` tells whether the position was.

        Raises:
            TypeError, ValueError: wrong arguments.
            AckedUnknownError: `until` is "acked" where the platform can't tell.
            ConfirmedUnknownError: `until` is "confirmed" where nothing confirms.
        """
        result = await self._settled(self._begin_wait(pos, timeout, until))
        assert result is not None
        return result

    async def follow(
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
        keep_alive_comment: bytes | str = ":\n\n",
        on_lag: OnLag | None = None,
        lag_limits: tuple[float, float] = LAG_LIMITS,
        lag_policy: Iterable[LagStep] | None = None,
        timeout: float | None = None,
        until_draining: bool = False,
    ) -> SendResult | None:
        """Send what `feed` publishes until it is closed, beginning with the latest value of each key.

        A client that is slow skips values: the next payload is chosen when all before it has come as far as
        `io.window_until`, or when it fits into `io.send_window`, if that was set; "auto" keeps about as much
        unacknowledged as the path holds. A payload that has begun to go out is sent whole. Writes meanwhile
        stand in line behind it.

        Args:
            feed: what to follow, a feed or several. Of several each in turn has its payload sent.
            keys: what is wanted of it, `None`: all keys. A set of keys; a function that gets a key and tells
                whether it is wanted, asked once for each key; or `Keys`, which may change meanwhile. What the
                function raises is raised here, one that is no `Exception` as the cause of a `RuntimeError`;
                who publishes doesn't notice.
            since: the id up to which the client has had all, as in its header `Last-Event-ID`, of a
                `Feed(resume=True)`: it gets what has changed since. If the feed doesn't know the id, it is
                told of a gap, and begins anew. `None` or empty: it begins anew.
            max_age: seconds after which a payload that was not sent is dropped; `None`: never.
            on_gap: called with the number of payloads that were skipped or expired since the last one that
                was sent; the bytes that it returns, if any, are sent before the next one.
            max_rate: how many payloads of each key may be sent in a second, `None`: any number. The newest is
                sent when the time comes. Not for feeds with the policy "every".
            max_bandwidth: how many bytes may be sent in a second, in the mean; `None`: any number.
            priority: as how many times as long as others some keys count to have waited, 1 to 100: the one
                that has waited longest is sent first. Not for feeds with the policy "every".
            keep_alive: after so many seconds without a byte a comment is sent, if nothing else is under way;
                `None`: none is. It waits for nothing: what there is to send takes its place.
            keep_alive_comment: what is sent then; by itself it is one of server-sent events.
            on_lag: called with the lag in seconds and whether the client is thinned from now on: once when it
                falls behind, and once when it is current again. The bytes that it returns, if any, are sent
                before all else. The lag is how long what may be sent next has waited at most.
            lag_limits: from how many seconds of lag on it is thinned, and from how few it is current again.
            lag_policy: what is done about a client that lags, each step from more seconds on: `LagStep`.
            timeout: seconds after which to stop; `None`: never, `io.send_timeout` doesn't apply.
            until_draining: whether to stop as well when the server drains (`io.draining`); what is pending
                then is sent still, and the handler can say goodbye.

        Returns:
            `None` when the feed was closed, or the server drains, and all that was pending is sent, or if the
            response has no body by rule; else a result as of `wait`: the time was up, or the exchange is
            over.

        Raises:
            TypeError, ValueError: wrong arguments.
            ContentLengthError: the response has a Content-Length.
            ResponseStateError: another follow of this response has not ended.
        """
        limits, keep = (max_rate, max_bandwidth, priority), (keep_alive, keep_alive_comment)
        lag = (on_lag, lag_limits, lag_policy)
        return await self._settled(
            self._begin_follow(feed, keys, since, max_age, on_gap, limits, keep, lag, timeout, until_draining)
        )

    async def write_informational(self, code: int, headers: _HeaderSource | None = None) -> None:
        """Send an informational response (RFC 9110, 15.2) ahead of the response. Doesn't wait for the client.

        It is a hint: a client of HTTP/1.0, which knows none, and one that doesn't read get none.

        Args:
            code: 102 to 199; 103 (RFC 8297) tells with Link headers what the response will need.
            headers: its headers; `io.headers` isn't sent.

        Raises:
            TypeError, ValueError: wrong arguments; nothing is sent.
            ResponseStateError: the header block was given before.
        """
        self._inform(code, headers)
        self.pump.push_now()

    async def close(self, trailers: _HeaderSource | None = None) -> None:
        """End the response cleanly, also if a write fell short: the handler says that it knows.

        Doesn't wait for the flush. Calling it again does nothing.

        Args:
            trailers: fields behind the body (RFC 9110, 6.5). They are left out where they can't go: on
                HTTP/1.1 if the client didn't send `TE: trailers` or the response has a Content-Length, and
                wherever there is no body.

        Raises:
            TypeError, ValueError: a field that can't be sent, or can't be a trailer; the response goes on.
        """
        self._end(trailers)
        self.pump.push_now()

    async def wait_draining(self, timeout: float | None = None) -> bool:
        """Wait until the handler is to come to its end: the server stops, reloads or replaces this worker.

        What still runs `shutdown_timeout` seconds later is cut. Writes and follows go on meanwhile.

        Args:
            timeout: seconds; `None`: for ever, `io.send_timeout` doesn't apply.

        Returns:
            True when the server drains, or the exchange is over; false: the time was up.

        Raises:
            TypeError, ValueError: a wrong timeout.
        """
        pending = self._begin_draining(timeout)
        await self._settled(pending)
        # Its result is no `SendResult`.
        return bool(pending.result)

    async def accept_websocket(
        self, *, subprotocol: str | None = None, headers: _HeaderSource | None = None
    ) -> WebSocket:
        """Accept the WebSocket that the request asks for (RFC 6455; on HTTP/2 RFC 8441). Doesn't wait.

        If the client is gone, so is the WebSocket: no message comes of it, and sends end as cancelled. When
        the handler returns it is closed, with 1000, or with 1011 if the last message was not sent or the
        handler raised.

        Args:
            subprotocol: one of those that the client offers, in its header sec-websocket-protocol.
            headers: more headers for the answer; `io.headers` aren't sent.

        Raises:
            HandshakeError: the request asks for none, or not as the RFCs say. A handler that lets it pass
                answers with 400 or 426.
            ResponseStateError: the response has begun.
            ImportError: wsproto isn't installed: it comes with the extra `websocket`.
            TypeError, ValueError: a subprotocol that isn't offered, or wrong headers.
        """
        ws = WebSocket(self._settled, self._until_ended, *self._accept(subprotocol, headers))
        self.pump.push_now()
        return ws

    async def _until_ended(self, pending: Pending) -> None:
        """Wait for something that no timeout of its own ends; cancelling the wait changes nothing of it."""
        self.pump.push_now()
        if not pending.settled:
            await self._turns.until_settled(pending)

    async def wait_cancelled(self) -> None:
        """Wait until the exchange is over: the client is gone, or the response is complete."""
        self._check_thread()
        if self._over is None:
            self._over = anyio.Event()
            if self._exchange.is_over:
                self._over.set()
            self._exchange.on_over = _both(self._exchange.on_over, self._over.set)
        await self._over.wait()

    async def _settled(self, pending: Pending) -> SendResult | None:
        if not pending.settled:
            await self._until_settled(pending)
            return pending.result
        if self._exchange.buffered >= self._turns.gathered:
            # More would go out in several offers anyway, and by then it would be out of the caches.
            self.pump.push_now()
        if self._turn is None:
            self._begin_turn()
        elif self._turn.is_over(self._clock, self._turns):
            # This handler had room for long enough: let others run.
            await checkpoint()
            self._begin_turn()
        return pending.result

    async def _until_settled(self, pending: Pending) -> None:
        # Ask the kernel in this very turn: often it has room, and a timeout of 0 means just that.
        self.pump.push_now()
        if not pending.settled and pending.deadline <= self._clock():
            self._exchange.withdraw(pending, self._clock())
        if pending.settled:
            await self._settled(pending)
            return
        self.pump.wake()
        try:
            await self._turns.until_settled(pending)
        except BaseException:
            self._exchange.withdraw(pending, self._clock())
            raise
        self._begin_turn()

    def _begin_turn(self) -> None:
        if self._turn is None:
            # Past `__setattr__` again.
            self.__dict__["_turn"] = Turn(self._clock, self._turns)
        else:
            self._turn.begin(self._clock, self._turns)


class _Blank(IO):
    """An `io` while it is made: what it holds is assigned past the check of what handlers assign."""

    __slots__ = ()

    __setattr__ = object.__setattr__  # type: ignore[assignment]


def io_of(
    exchange: Exchange,
    clock: Callable[[], float],
    pump: Driving,
    check_thread: Callable[[], None],
    turns: LoopTurns,
) -> IO:
    """Return the `io` of an exchange that `pump` drives; `check_thread` raises in other threads."""
    # `_assign` for each of them would take three times as long.
    io: IO = _Blank.__new__(_Blank)
    io.headers = {}
    io._exchange = exchange
    io._clock = clock
    io._check_thread = check_thread
    io.pump = pump
    io._turns = turns
    io.__class__ = IO
    return io


def let_go(io: IO) -> None:
    """Have the `io` of an exchange that is over let go of what has driven it."""
    _assign(io, "pump", GONE)


def sent_at_once(io: IO, body: object) -> bool:
    """Write the first piece in a turn of the loop, to the kernel at once; return whether that was done.

    What a handler writes more in the same turn is gathered, and goes out together.
    """
    turn, turns, exchange = io._turn, io._turns, io._exchange
    if (
        turn is None
        or turn.seen == turns.count
        or type(body) is not bytes
        or io.send_window is not None
        or io.window_until is not None
        or io.stall_timeout is not None
        or (send := exchange.host.direct_send) is None
    ):
        return False
    io._check_thread()
    with turns.lock:
        if not exchange.send_piece(body, (now := io._clock()), send):
            return False
    turn.begin_at(now, turns)
    turns.watch()
    return True


def _both(first: Callable[[], None] | None, second: Callable[[], None]) -> Callable[[], None]:
    """Return what calls both; `first` may be missing."""
    if first is None:
        return second

    def call() -> None:
        first()
        second()

    return call


async def until_settled(pending: Pending) -> None:
    """Wait until something of this loop has settled; cancelling the wait changes nothing of it."""
    if not pending.settled:
        settled = anyio.Event()
        pending.on_settle = settled.set
        await settled.wait()
