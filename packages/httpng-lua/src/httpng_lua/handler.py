"""The Lua handler: a request goes in as plain values, what the handler returned comes back so."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from httpng_core import Exchange, Response, Runner, end_exchange
from httpng_lua.calls import pairs
from httpng_lua.fibers import Fibers
from httpng_lua.handles import Exchanges
from httpng_lua.steps import DONE, Answer, Ended, Failed

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
        held: Callable[[], bytes],
        fibers: Fibers,
        exchanges: Exchanges,
    ) -> None:
        """Take functions of Lua's, asked for before: this may be made within a call from there."""
        self.retired = False
        self.number = number
        self._serve = serve
        self._held = held
        self._fibers = fibers
        self._exchanges = exchanges

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Run the handler up to its first wait; one that never waits costs no generator.

        If it is retired by then, whatever has this request now is started in its place.
        """
        gate = self._fibers.gate
        try:
            if gate.enter():
                try:
                    answer: Answer | None = self._begin(exchange, runner)
                finally:
                    gate.leave()
            else:
                job, done = partial(self._begin, exchange, runner), partial(self._begun, exchange, runner)
                answer = gate.call(runner, job, done)
        except Exception as error:
            self._begun(exchange, runner, (), error)
        else:
            if answer is not None:
                self._begun(exchange, runner, answer, None)

    def _begin(self, exchange: Exchange, home: Runner) -> Answer:
        if self.retired:
            return _RETIRED
        number = self._exchanges.add(exchange, home, self._held)
        request = exchange.request
        path, body = request.path, request.whole_body
        query = request.query if "?" in path else None
        if body:
            # Lua has it, and the exchange stays for as long as its `io` may be asked about.
            exchange.request = request.without_body()
        return self._fibers.enter(
            home,
            self._serve,
            self.number,
            number,
            request.method.encode(),
            path.encode(),
            None if query is None else query.encode(),
            request.host.encode(),
            body,
            request.https or None,
            request.version_major,
            request.version_minor,
        )

    def _begun(self, exchange: Exchange, runner: Runner, answer: Answer, error: Exception | None) -> None:
        if error is not None:
            # Lua is out of memory: even that is this exchange's trouble alone.
            end_exchange(exchange, error, runner.clock())
        elif answer == _RETIRED:
            runner.start(exchange)
        elif answer[1] == DONE:
            _answer(exchange, answer[2:], runner.clock())
        else:
            self._fibers.follow(
                runner, answer[0], answer[1:], lambda outcome: _end(exchange, outcome, runner.clock())
            )


def _end(exchange: Exchange, outcome: object, now: float) -> None:
    if isinstance(outcome, Failed) and outcome.told is not None and exchange.head is None:
        fields = (("content-type", b"text/plain; charset=utf-8"), *pairs(outcome.fields))
        exchange.answer(int(outcome.status), fields, outcome.told, now)
    elif isinstance(outcome, Failed):
        request = exchange.request
        _log.error("handler error on %s %s: %s", request.method, request.path, outcome.message)
        broken = None if exchange.incoming is None else exchange.incoming.error
        if broken is None:
            exchange.fail(now)
        else:
            exchange.refuse(broken.status, str(broken), now)
    elif isinstance(outcome, Ended):
        _answer(exchange, outcome.values, now)
    else:
        end_exchange(exchange, outcome, now)


def _answer(exchange: Exchange, values: Answer, now: float) -> None:
    status, body, lines = values
    headers = pairs(lines)
    if status is None:
        end_exchange(exchange, None, now, headers)
        return
    try:
        exchange.answer(int(status), headers, body, now)
    except Exception:
        # Nothing of it was sent: once more, by who tells what is wrong with it.
        end_exchange(exchange, Response(status=int(status), headers=headers, body=body), now)
