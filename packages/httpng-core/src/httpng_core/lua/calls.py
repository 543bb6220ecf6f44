"""The calls of `io` as Lua makes them: plain values in, a code and its value out. None of them waits."""

from collections.abc import Callable, Mapping
from typing import Any

from httpng_core.exchange import Exchange
from httpng_core.lua.handles import Exchanges, Waits
from httpng_core.lua.steps import DONE, TURN, WAIT, Answer, Budget, guarded
from httpng_core.pending import Pending
from httpng_core.results import body_bytes_sent, cancelled, headers_were_sent, reached

FlatHeaders = list[tuple[bytes, bytes]]


class ExchangeCalls:
    """What a handler may do with its exchange.

    Attributes:
        clock: the clock that every `now` is read from.
    """

    def __init__(
        self, clock: Callable[[], float], budget: Budget, exchanges: Exchanges, waits: Waits
    ) -> None:
        self.clock = clock
        self._budget = budget
        self._exchanges = exchanges
        self._waits = waits

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """The calls by the names that io.lua uses."""
        calls: Mapping[str, Callable[..., Answer]] = {
            "write": self._write,
            "write_header": self._write_header,
            "begin_header": self._begin_header,
            "await_header": self._await_header,
            "wait": self._wait,
            "close": self._close,
            "cancel_late": self._cancel_late,
            **{helper.__name__: _helper(helper) for helper in _HELPERS},
        }
        return {name: guarded(call) for name, call in calls.items()} | {"stats": self._stats}

    def exchange(self, number: float) -> Exchange:
        """The exchange of that number."""
        return self._exchanges[number].exchange

    def answer(self, exchange: Exchange, pending: Pending, now: float) -> Answer:
        """What a call of `exchange` brought, or that it waits."""
        if not pending.settled:
            return WAIT, self._waits.add(pending, lambda late: exchange.withdraw(late, self.clock()))
        result = plain(pending.result)
        return (TURN if self._budget.is_spent(now) else DONE), result

    def _write(
        self,
        number: float,
        body: bytes,
        timeout: float | None,
        window: float | bytes | None,
        until: bytes | None,
        stall: float | None,
        *headers: bytes,
    ) -> Answer:
        now, exchange = self.clock(), self.exchange(number)
        exchange.stall_timeout = stall
        pending = exchange.write(body, now, timeout, window_of(window), pairs(headers), until_of(until))
        return self.answer(exchange, pending, now)

    def _write_header(self, number: float, status: float, timeout: float | None, *headers: bytes) -> Answer:
        now, exchange = self.clock(), self.exchange(number)
        pending = exchange.write_header(int(status), pairs(headers), now, timeout)
        return self.answer(exchange, pending, now)

    def _begin_header(self, number: float, status: float, timeout: float | None, *headers: bytes) -> Answer:
        """`write_header` of the old form, which waits only when its body has been written."""
        handle = self._exchanges[number]
        handle.header = handle.exchange.write_header(int(status), pairs(headers), self.clock(), timeout)
        return (DONE,)

    def _await_header(self, number: float) -> Answer:
        handle = self._exchanges[number]
        header, handle.header = handle.header, None
        assert header is not None
        return self.answer(handle.exchange, header, self.clock())

    def _wait(self, number: float, position: float, timeout: float | None, until: bytes | None) -> Answer:
        now, exchange = self.clock(), self.exchange(number)
        return self.answer(exchange, exchange.wait(int(position), now, timeout, until_of(until)), now)

    def _close(self, number: float, *headers: bytes) -> Answer:
        self.exchange(number).close(self.clock(), pairs(headers))
        return (DONE,)

    def _cancel_late(self, number: float, result: int) -> Answer:
        """Gives the exchange up because a call of the old form timed out, unless it is over already."""
        if not cancelled(result):
            self.exchange(number).cancel(self.clock())
        return (DONE,)

    def _stats(self, number: float) -> Answer:
        stats = self.exchange(number).stats(self.clock())
        return (
            stats.current,
            stats.sent,
            stats.cancelled,
            stats.headers_were_sent,
            stats.acked,
            stats.lag,
        )


_HELPERS = (cancelled, headers_were_sent, body_bytes_sent, reached)


def _helper(read: Callable[[Any], object]) -> Callable[..., Answer]:
    return lambda result: (DONE, read(whole(result)))


def pairs(flat: tuple[bytes, ...]) -> FlatHeaders:
    """Headers from name, value, name, value ..."""
    return list(zip(flat[::2], flat[1::2], strict=True))


def plain(result: int | None) -> int | None:
    """A result without its class, which lupa would hand over as an object."""
    return None if result is None else int(result)


def until_of(until: bytes | None) -> Any:
    """How far a byte must come, as Lua wrote it; the exchange checks it."""
    return None if until is None else until.decode("latin-1")


def window_of(window: float | bytes | None) -> Any:
    """A send window as Lua wrote it; the exchange checks it."""
    return window.decode() if isinstance(window, bytes) else whole(window)


def whole(number: float | None) -> Any:
    """A number as an integer where it is one: Lua 5.4 has whole numbers of both kinds, as 65536.0."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
