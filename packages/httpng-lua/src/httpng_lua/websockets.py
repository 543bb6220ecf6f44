"""The calls of WebSockets as Lua makes them: text and binary messages are both strings there."""

from collections.abc import Callable
from math import inf
from typing import Any, Final

from httpng_core import GeneratorIO, GeneratorWebSocket, HandshakeError, nearest_key
from httpng_core.languages import split_pairs
from httpng_lua.calls import ExchangeCalls, stats_values, until_of, whole, window_of
from httpng_lua.feeds import FeedCalls, since_of
from httpng_lua.handles import ExchangeHandle
from httpng_lua.receiving import LuaSocket
from httpng_lua.runtime import lua_text, text_of
from httpng_lua.steps import DONE, FAILED, Answer, guarded

_FIELDS: Final = ("send_window", "send_timeout", "window_until")
_SUBPROTOCOL: Final = "sec-websocket-protocol"
_INTERNAL_ERROR: Final = 1011


class WebSocketCalls:
    """What a handler may do with the WebSocket that it has accepted."""

    def __init__(self, calls: ExchangeCalls, feeds: FeedCalls) -> None:
        self._calls = calls
        self._feeds = feeds

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """Return the calls by the names that websocket.lua uses."""
        calls: dict[str, Callable[..., Answer]] = {
            "ws_accept": self._accept,
            "ws_send": self._send,
            "ws_wait": self._wait,
            "ws_receive": self._receive,
            "ws_take": self._take,
            "ws_follow": self._follow,
            "ws_close": self._close,
            "ws_fail": self._fail,
            "ws_end": self._end,
            "ws_stats": self._stats,
        }
        named = {name: self._calls.of_exchange(call) for name, call in calls.items()}
        return {**named, "ws_refuse_field": guarded(_refuse_field)}

    def _accept(self, handle: ExchangeHandle, headers: bytes | None) -> Answer:
        """Accept what the request asks for; return whether the client is there, and the subprotocol."""
        given = split_pairs(headers)
        named = [value for name, value in given if name.lower() == _SUBPROTOCOL]
        if len(named) > 1:
            raise ValueError(f"one subprotocol can be agreed on, not {len(named)}")
        # A client that says CLOSE with its handshake may have sent messages before it.
        is_there = not handle.exchange.is_over
        io = GeneratorIO(handle.exchange, self._calls.clock, _any_thread)
        try:
            ws = io.accept_websocket(
                subprotocol=named[0].decode("latin-1") if named else None,
                headers=[field for field in given if field[0].lower() != _SUBPROTOCOL],
            )
        except HandshakeError as error:
            if not handle.exchange.request.is_websocket:
                raise
            return FAILED, lua_text(str(error)), error.status, _lines(error.headers)
        handle.socket = LuaSocket(ws, handle.exchange)
        return DONE, is_there, named[0] if named else None

    def _send(
        self,
        handle: ExchangeHandle,
        message: bytes,
        is_binary: bool,
        timeout: float | None,
        window: float | bytes | None,
        until: bytes | None,
    ) -> Answer:
        ws, now = _prepared(handle, window, until), self._calls.clock()
        return self._calls.answer(handle, ws.send(message if is_binary else _text(message), timeout), now)

    def _wait(
        self, handle: ExchangeHandle, position: float, timeout: float | None, until: bytes | None
    ) -> Answer:
        pending = _socket(handle).ws.wait(int(position), timeout, until_of(until))
        return self._calls.answer(handle, pending, self._calls.clock())

    def _receive(self, handle: ExchangeHandle, timeout: float | None) -> Answer:
        """Wait for a message; `_take` has what it brings."""
        socket = _socket(handle)
        arrival = socket.arrival()
        if arrival.settled or timeout == 0:
            return self._take(handle)
        socket.is_receiving = True
        answer = self._calls.told_when_settled(handle, arrival, socket.stop_receiving)
        socket.limit(inf if timeout is None else self._calls.clock() + timeout)
        return answer

    def _take(self, handle: ExchangeHandle) -> Answer:
        """Return the message and its kind; without one why there is none."""
        has_ended, message = _socket(handle).take()
        code = self._calls.code()
        if message is None:
            return code, None, b"closed" if has_ended else b"timeout"
        return (code, message.encode(), b"text") if isinstance(message, str) else (code, message, b"binary")

    def _follow(
        self,
        handle: ExchangeHandle,
        feeds: bytes,
        is_binary: bool | None,
        keys: float | None,
        since: bytes | None,
        max_age: float | None,
        gap: float | None,
        max_rate: float | None,
        max_bandwidth: float | None,
        priority: float | None,
        lags: bool,
        timeout: float | None,
        until_draining: bool | None,
        window: float | bytes | None,
        until: bytes | None,
    ) -> Answer:
        ws, now = _prepared(handle, window, until), self._calls.clock()
        on_lag, lag_limits, lag_policy = self._feeds.paces.lag_options(lags)
        pending = ws.follow(
            self._feeds.numbered(feeds),
            binary=bool(is_binary),
            keys=self._feeds.wanted(keys),
            since=since_of(since),
            max_age=max_age,
            on_gap=self._feeds.on_gap(gap, handle.home),
            max_rate=max_rate,
            max_bandwidth=max_bandwidth,
            priority=self._feeds.paces.priority(priority),
            on_lag=on_lag,
            lag_limits=lag_limits,
            lag_policy=lag_policy,
            timeout=timeout,
            until_draining=bool(until_draining),
        )
        return self._calls.answer(handle, pending, now)

    def _close(
        self, handle: ExchangeHandle, code: float | None, reason: bytes | None, timeout: float | None
    ) -> Answer:
        """Close, and wait until the exchange is over."""
        given = 1000 if code is None else whole(code)
        told = "" if reason is None else _text(reason, "close reason isn't UTF-8")
        pending = _socket(handle).ws.close(given, told, timeout)
        if pending.settled:
            return (self._calls.code(),)

        def forget() -> None:
            pending.on_settle = None

        return self._calls.told_when_settled(handle, pending, forget)

    def _fail(self, handle: ExchangeHandle) -> Answer:
        """Close as the function that takes the messages has raised."""
        _socket(handle).ws.close(_INTERNAL_ERROR)
        return (DONE,)

    def _end(self, handle: ExchangeHandle) -> Answer:
        ws = _socket(handle).ws
        return ws.close_code, ws.close_reason.encode()

    def _stats(self, handle: ExchangeHandle) -> Answer:
        return stats_values(_socket(handle).ws.get_send_stats())


def _socket(handle: ExchangeHandle) -> LuaSocket:
    if handle.socket is None:
        raise TypeError("websocket is invalid")
    return handle.socket


def _prepared(
    handle: ExchangeHandle, window: float | bytes | None, until: bytes | None
) -> GeneratorWebSocket:
    """Return the WebSocket with the fields that its Lua side has now."""
    ws = _socket(handle).ws
    ws.send_window = None if window is None else window_of(window)
    ws.window_until = until_of(until)
    return ws


def _lines(fields: dict[str, str]) -> bytes | None:
    """Return headers as they cross the boundary; `None` for none."""
    return "\n".join(part for field in fields.items() for part in field).encode() or None


def _text(given: bytes, wrong: str = "a text message isn't UTF-8: use send_binary") -> str:
    try:
        return given.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{wrong} (byte {error.start + 1})") from None


def _refuse_field(name: bytes) -> Answer:
    nearest = nearest_key(text_of(name), _FIELDS)
    raise AttributeError(f"a WebSocket has no field {text_of(name)}; the nearest known one is {nearest}")


def _any_thread() -> None:
    """Do nothing: who calls holds the lock of the exchange's loop."""
