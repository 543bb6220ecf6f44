"""The calls of `io` as Lua makes them: plain values in, a code and its value out. None of them waits."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from httpng_core import (
    FELL_SHORT,
    Address,
    Exchange,
    Pending,
    ReadTimeoutError,
    RequestCancelled,
    Runner,
    SendResult,
    SendStats,
    body_bytes_sent,
    cancelled,
    headers_were_sent,
    reached,
)
from httpng_core.languages import split_ends, split_field_lines, split_pairs, unknown_field
from httpng_lua.handles import ExchangeHandle, Exchanges, Waits
from httpng_lua.runtime import lua_text, text_of
from httpng_lua.steps import DONE, FAILED, TURN, WAIT, Answer, Budget, guarded

_MOST_LINES: Final = 65536
"""So many bytes of header lines come in a request of HTTP/2; of HTTP/1.1 as many as `shuttle_size` lets."""

Calls = dict[str, Callable[..., Any]]


class ExchangeCalls:
    """What a handler may do with its exchange.

    Attributes:
        clock: the clock that every `now` is read from.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        budget: Budget,
        exchanges: Exchanges,
        waits: Waits,
        home: Callable[[], Runner],
        shuttle_size: Callable[[], int],
    ) -> None:
        """`home` tells what runs the fiber that calls, `shuttle_size` how long a head may be."""
        self.clock = clock
        self._budget = budget
        self._exchanges = exchanges
        self._waits = waits
        self._home = home
        self._shuttle_size = shuttle_size

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """Return the calls by the names that io.lua uses."""
        calls: Mapping[str, Callable[..., Answer]] = {
            "write": self._write,
            "write_header": self._write_header,
            "begin_header": self._begin_header,
            "await_header": self._await_header,
            "wait": self._wait,
            "wait_draining": self._wait_draining,
            "write_informational": self._write_informational,
            "close": self._close,
            "abort": self._abort,
            "read": self._read,
            "take_read": self._take_read,
            "cancel_late": self._cancel_late,
        }
        helpers = {helper.__name__: guarded(_helper(helper)) for helper in _HELPERS}
        named = {name: self.of_exchange(call) for name, call in calls.items()}
        others: Calls = {"refuse_field": guarded(_refuse_field), "show_result": show_result}
        return (
            named
            | helpers
            | others
            | {
                "stats": self.of_exchange(self._stats),
                "request_rest": guarded(self._request_rest),
                "read_rest": guarded(self._read_rest),
                "trailers": self.of_exchange(self._trailers),
            }
        )

    def of_exchange(self, call: Callable[..., Answer]) -> Callable[..., Answer]:
        """Return the call for Lua: its exchange comes as a number, and is nobody else's meanwhile.

        An exception becomes a value, as with `guarded`.
        """
        exchanges = self._exchanges

        def called(number: float, *args: Any) -> Answer:
            try:
                handle = exchanges[number]
                lock = handle.home.lock
                if lock is None:
                    return call(handle, *args)
                with lock:
                    return call(handle, *args)
            except Exception as error:
                return FAILED, lua_text(str(error))

        return called

    def code(self) -> int:
        """Return with which code a call ends that need not wait, or has waited."""
        return TURN if self._budget.is_spent(self.clock()) else DONE

    def told_when_settled(
        self, handle: ExchangeHandle, pending: Pending, withdraw: Callable[[], None]
    ) -> Answer:
        """Return that a call waits which tells only that it has settled; see `wait_elsewhere`."""
        return WAIT, _wait(self._waits, handle.home, pending, self._home(), withdraw, lambda _: (None, None))

    def answer(self, handle: ExchangeHandle, pending: Pending, now: float) -> Answer:
        """Return what a call of an exchange brought, or that it waits."""
        if not pending.settled:
            return WAIT, self._wait_for(handle, pending)
        result = plain(pending.result)
        return (TURN if self._budget.is_spent(now) else DONE), result

    def _wait_for(self, handle: ExchangeHandle, pending: Pending) -> int:
        home, exchange = self._home(), handle.exchange
        if home is handle.home:
            return self._waits.add(pending, lambda late: exchange.withdraw(late, self.clock()), home)
        return wait_elsewhere(self._waits, handle.home, pending, home, self._withdrawn(exchange, pending))

    def _withdrawn(self, exchange: Exchange, pending: Pending) -> Callable[[], None]:
        def withdraw() -> None:
            if not pending.settled:
                exchange.withdraw(pending, self.clock())

        return withdraw

    def _write(
        self,
        handle: ExchangeHandle,
        body: bytes,
        timeout: float | None,
        window: float | bytes | None,
        until: bytes | None,
        stall: float | None,
        headers: bytes | None,
    ) -> Answer:
        now, exchange = self.clock(), handle.exchange
        if stall is not None or exchange.stall_timeout is not None:
            exchange.stall_timeout = stall
        pending = exchange.write(
            body,
            now,
            timeout,
            None if window is None else window_of(window),
            () if headers is None else split_pairs(headers),
            None if until is None else until_of(until),
        )
        return self.answer(handle, pending, now)

    def _write_header(
        self, handle: ExchangeHandle, status: float, timeout: float | None, headers: bytes | None
    ) -> Answer:
        now = self.clock()
        pending = handle.exchange.write_header(int(status), split_pairs(headers), now, timeout)
        return self.answer(handle, pending, now)

    def _begin_header(
        self, handle: ExchangeHandle, status: float, timeout: float | None, headers: bytes | None
    ) -> Answer:
        """Call `write_header` in the old form, which waits only when its body has been written."""
        handle.header = handle.exchange.write_header(int(status), split_pairs(headers), self.clock(), timeout)
        return (DONE,)

    def _await_header(self, handle: ExchangeHandle) -> Answer:
        header, handle.header = handle.header, None
        assert header is not None
        return self.answer(handle, header, self.clock())

    def _wait(
        self, handle: ExchangeHandle, position: float, timeout: float | None, until: bytes | None
    ) -> Answer:
        now = self.clock()
        pending = handle.exchange.wait(int(position), now, timeout, until_of(until))
        return self.answer(handle, pending, now)

    def _wait_draining(self, handle: ExchangeHandle, timeout: float | None) -> Answer:
        now = self.clock()
        return self.answer(handle, handle.exchange.wait_draining(now, timeout), now)

    def _write_informational(self, handle: ExchangeHandle, status: float, headers: bytes | None) -> Answer:
        handle.exchange.write_informational(int(status), split_pairs(headers), self.clock())
        return (DONE,)

    def _abort(self, handle: ExchangeHandle) -> Answer:
        handle.exchange.reset(self.clock())
        return (DONE,)

    def _close(self, handle: ExchangeHandle, headers: bytes | None, trailers: bytes | None = None) -> Answer:
        given = None if trailers is None else split_pairs(trailers)
        handle.exchange.close(self.clock(), split_pairs(headers), given)
        return (DONE,)

    def _read(self, handle: ExchangeHandle, timeout: float | None) -> Answer:
        """Read a piece of a body that comes in while the handler runs; `_take_read` has what it brings."""
        exchange = handle.exchange
        handle.read = read = exchange.read(None, self.clock(), timeout)
        if read.settled:
            return self._take_read(handle)

        def withdraw() -> None:
            exchange.withdraw(read, self.clock())

        return self.told_when_settled(handle, read, withdraw)

    def _take_read(self, handle: ExchangeHandle) -> Answer:
        """Return the piece; at the end nothing, and if that came early by what."""
        read, handle.read = handle.read, None
        assert read is not None
        code = self.code()
        try:
            return code, read.value or None
        except RequestCancelled:
            return code, None, b"cancelled"
        except ReadTimeoutError:
            return code, None, b"timeout"

    def _trailers(self, handle: ExchangeHandle) -> Answer:
        incoming = handle.exchange.incoming
        return (b"" if incoming is None else lines_of(incoming.trailers),)

    def _cancel_late(self, handle: ExchangeHandle, result: int) -> Answer:
        """Give the exchange up because a call of the old form timed out, unless it is over already."""
        if not cancelled(result):
            handle.exchange.cancel(self.clock(), FELL_SHORT)
        return (DONE,)

    def _stats(self, handle: ExchangeHandle) -> Answer:
        return stats_values(handle.exchange.stats(self.clock()))

    def _request_rest(self, number: float) -> Answer:
        """Return what a request has beside its plain fields, in the order of request.lua's `fill`."""
        request = self._exchanges[number].exchange.request
        # One text, however many: Lua takes some thousand arguments. No name or value has a line end in it.
        headers, trailers = lines_of(request.headers.raw), lines_of(request.trailers.raw)
        peer, ours = _address_values(request.peer), _address_values(request.ouraddr)
        return (DONE, request.is_websocket, *peer, *ours, headers, trailers)

    def _read_rest(self, lines: bytes, ends: bytes) -> Answer:
        """Return what `_request_rest` does, of a request whose header lines and ends Lua has.

        Raises:
            ValueError: a script has put others in their place.
        """
        most = max(_MOST_LINES, self._shuttle_size())
        if len(lines) > most:
            raise ValueError(f"header lines of {len(lines)} bytes: at most {most} come in a request")
        peer, ours = split_ends(ends)
        headers = lines_of(split_field_lines(lines))
        return DONE, False, *_address_values(peer), *_address_values(ours), headers, b""


def stats_values(stats: SendStats) -> Answer:
    """Return where an exchange or a WebSocket stands, in the order of io.lua's `stats_of`."""
    return (
        stats.current,
        stats.sent,
        stats.cancelled,
        stats.headers_were_sent,
        stats.acked,
        stats.lag,
        None if stats.stalled_by is None else stats.stalled_by.encode(),
        stats.confirmed,
    )


def lines_of(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Return header fields as they cross the boundary: name and value, a line each."""
    return b"".join([b"%b\n%b\n" % pair for pair in fields])


def _address_values(address: Address) -> tuple[bytes, int, bytes]:
    return address.host.encode("utf-8", "surrogateescape"), address.port, address.family.encode()


def wait_elsewhere(
    waits: Waits, there: Runner, pending: Pending, home: Runner, withdraw: Callable[[], None]
) -> int:
    """Return the number of a wait of a fiber that `home` runs, for what settles in the loop of `there`.

    Call it with the lock of `there` held. `withdraw` ends the call, in that loop, when nobody waits any more.
    """
    return _wait(waits, there, pending, home, withdraw, outcome_of)


def _wait(
    waits: Waits,
    there: Runner,
    pending: Pending,
    home: Runner,
    withdraw: Callable[[], None],
    outcome: Callable[[Pending], tuple[Any, Exception | None]],
) -> int:
    here = Pending()

    def settled() -> None:
        home.call_in_loop(arrived)

    def arrived() -> None:
        if not here.settled:
            here.settle(*outcome(pending))

    def give_up(late: Pending) -> None:
        # First this: what the other loop does may come back at once, if there is nobody in it any more.
        late.settle(None)
        there.call_in_loop(withdraw)

    pending.on_settle = settled
    return waits.add(here, give_up, home)


def outcome_of(pending: Pending) -> tuple[Any, Exception | None]:
    """Return what a settled call brought: a result, or an error to raise."""
    try:
        return pending.result, None
    except Exception as error:
        return None, error


_HELPERS = (cancelled, headers_were_sent, body_bytes_sent, reached)


def _helper(read: Callable[[Any], object]) -> Callable[..., Answer]:
    return lambda result: (DONE, read(whole(result)))


def show_result(value: float) -> bytes:
    """Return a result in words, for `tostring`."""
    call, told = SendResult(int(value)).described()
    fields = (f"{name}={str(field).lower()}" for name, field in told.items())
    return f"send_result of {call}: {', '.join(fields)}".encode()


def _refuse_field(name: bytes) -> Answer:
    raise unknown_field(text_of(name))


def plain(result: int | None) -> int | None:
    """Return a result without its class, which lupa would hand over as an object."""
    return None if result is None else int(result)


def until_of(until: bytes | None) -> Any:
    """Return how far a byte must come, as Lua wrote it; the exchange checks it."""
    return None if until is None else until.decode("latin-1")


def window_of(window: float | bytes | None) -> Any:
    """Return a send window as Lua wrote it; the exchange checks it."""
    return window.decode() if isinstance(window, bytes) else whole(window)


def whole(number: float | None) -> Any:
    """Return a number as an integer where it is one: Lua 5.4 has whole numbers of both kinds, as 65536.0."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
