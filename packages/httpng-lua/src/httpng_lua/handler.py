"""The Lua handler: a request goes in as plain values, what the handler returned comes back so."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from httpng_core import Address, Exchange, Request, Response, Runner, end_exchange
from httpng_lua.calls import pairs
from httpng_lua.fibers import Fibers
from httpng_lua.handles import Exchanges
from httpng_lua.steps import Answer, Ended, Failed

_log = logging.getLogger("httpng")

_RETIRED: Final[Answer] = (None,)


class LuaHandler:
    """Starts a handler of the script's on an exchange, in a fiber of its own.

    Attributes:
        number: what Lua knows the function by.
        retired: a later cfg has taken its place, and Lua has let the function go.
    """

    def __init__(
        self,
        number: int,
        serve: Callable[..., Any],
        is_held: Callable[[int], bool],
        fibers: Fibers,
        exchanges: Exchanges,
    ) -> None:
        """Take functions of Lua's, asked for before: this may be made within a call from there."""
        self.retired = False
        self.number = number
        self._serve = serve
        self._is_held = is_held
        self._fibers = fibers
        self._exchanges = exchanges

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Run the handler up to its first wait; one that never waits costs no generator.

        If it is retired by then, whatever has this request now is started in its place.
        """

        def ended(outcome: object) -> None:
            _end(exchange, outcome, runner.clock())

        def begun(answer: Answer, error: Exception | None) -> None:
            if answer == _RETIRED:
                runner.start(exchange)
            elif error is not None:
                # Lua is out of memory: even that is this exchange's trouble alone.
                ended(error)
            else:
                fiber, *rest = answer
                self._fibers.follow(runner, fiber, tuple(rest), ended)

        try:
            answer = self._fibers.gate.call(runner, partial(self._begin, exchange, runner), begun)
        except Exception as error:
            begun((), error)
        else:
            if answer is not None:
                begun(answer, None)

    def _begin(self, exchange: Exchange, home: Runner) -> Answer:
        if self.retired:
            return _RETIRED
        number = self._exchanges.add(exchange, home, self._is_held)
        values = request_values(exchange.request)
        if exchange.request.body:
            # Lua has it, and the exchange stays for as long as its `io` may be asked about.
            exchange.request = exchange.request.without_body()
        return self._fibers.enter(home, self._serve, self.number, number, *values)


def request_values(request: Request) -> list[object]:
    """Return a request for Lua, in the order of handler.lua's `new_request`."""
    query = request.query
    values: list[object] = [
        request.method.encode(),
        request.path.encode(),
        None if query is None else query.encode(),
        request.host.encode(),
        request.body,
        request.https or None,
        request.is_websocket,
        request.version_major,
        request.version_minor,
        *_address_values(request.peer),
        *_address_values(request.ouraddr),
    ]
    # One text, however many: Lua takes some thousand arguments. No name or value has a line end in it.
    values.append(b"".join(b"%b\n%b\n" % pair for pair in request.headers.raw))
    return values


def _address_values(address: Address) -> tuple[bytes, int, bytes]:
    return address.host.encode(), address.port, address.family.encode()


def _end(exchange: Exchange, outcome: object, now: float) -> None:
    if isinstance(outcome, Failed):
        request = exchange.request
        _log.error("handler error on %s %s: %s", request.method, request.path, outcome.message)
        exchange.fail(now)
    elif isinstance(outcome, Ended):
        _answer(exchange, outcome.values, now)
    else:
        end_exchange(exchange, outcome, now)


def _answer(exchange: Exchange, values: Answer, now: float) -> None:
    status, body, lines = values
    headers = pairs(lines)
    if status is None:
        end_exchange(exchange, None, now, headers)
    else:
        end_exchange(exchange, Response(status=int(status), headers=headers, body=body), now)
