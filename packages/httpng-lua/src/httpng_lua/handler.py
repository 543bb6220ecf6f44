"""The Lua handler: a request goes in as plain values, what the handler returned comes back so."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from httpng_core import Exchange, Request, Runner, end_exchange
from httpng_core.languages import ONE_THREAD, answer_plain, log_handler_error, split_pairs
from httpng_lua.fibers import Fibers
from httpng_lua.handles import Exchanges
from httpng_lua.runtime import LuaFunction
from httpng_lua.steps import DONE, Answer, Ended, Failed

_RETIRED: Final[Answer] = (None,)


class LuaHandler:
    """Starts a handler of the script's on an exchange, in a fiber of its own.

    Attributes:
        number: what Lua knows the function by.
        retired: a later cfg has taken its place, and Lua has let the function go.
    """

    def __init__(
        self,
        function: LuaFunction,
        serve: Callable[..., Any],
        held: Callable[[], bytes],
        fibers: Fibers,
        exchanges: Exchanges,
        routes_stream: Callable[[int, Request, bool], bool],
    ) -> None:
        """Take functions of Lua's, asked for before: this may be made within a call from there.

        `routes_stream` tells of a router whether the route of a request streams its body.
        """
        self.retired = False
        self.number = function.number
        self._takes_io = function.takes_io
        self._router = function.router
        self._routes_stream = routes_stream
        self._serve = serve
        self._held = held
        self._fibers = fibers
        self._exchanges = exchanges

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Run the handler up to its first wait; one that never waits costs no generator.

        If it is retired by then, whatever has this request now is started in its place.
        """
        answer: Answer | None
        lock = self._fibers.lock
        try:
            if lock is ONE_THREAD:
                answer = self._begin(exchange, runner)
            elif lock.enter():
                try:
                    answer = self._begin(exchange, runner)
                finally:
                    lock.leave()
            else:
                job, done = partial(self._begin, exchange, runner), partial(self._begun, exchange, runner)
                answer = lock.call(runner, job, done)
        except Exception as error:
            self._begun(exchange, runner, (), error)
        else:
            if answer is not None:
                self._begun(exchange, runner, answer, None, is_start=True)

    def streams(self, request: Request, otherwise: bool) -> bool:
        """Return whether a request's body is streamed: what was said, unless a route knows better."""
        return self._routes_stream(self._router, request, otherwise) if self._router else otherwise

    def _begin(self, exchange: Exchange, home: Runner) -> Answer:
        if self.retired:
            return _RETIRED
        request = exchange.request
        values = request.plain_values()
        lines, body = values[1], values[6]
        number = None
        if self._takes_io or lines is None or body is None:
            number = self._exchanges.add(exchange, home, self._held)
        if body:
            # Lua has it, and the exchange stays for as long as its `io` may be asked about.
            request.body = b""
        return self._fibers.enter(home, self._serve, (self.number, number, *values))

    def _begun(
        self,
        exchange: Exchange,
        runner: Runner,
        answer: Answer,
        error: Exception | None,
        *,
        is_start: bool = False,
    ) -> None:
        if error is not None:
            # Lua is out of memory: even that is this exchange's trouble alone.
            end_exchange(exchange, error, runner.clock())
        elif answer is _RETIRED:
            runner.start(exchange)
        elif answer[1] == DONE:
            _, _, status, body, lines = answer
            answer_plain(exchange, runner, status, body, lines, is_start)
        else:
            self._fibers.follow(
                runner, answer[0], answer[1:], lambda outcome: _end(exchange, outcome, runner)
            )


def _end(exchange: Exchange, outcome: object, runner: Runner) -> None:
    now = runner.clock()
    if isinstance(outcome, Failed) and outcome.told is not None and exchange.head is None:
        fields = (("content-type", b"text/plain; charset=utf-8"), *split_pairs(outcome.fields))
        exchange.answer(int(outcome.status), fields, outcome.told, now)
    elif isinstance(outcome, Failed):
        broken = None if exchange.incoming is None else exchange.incoming.error
        if broken is None:
            exchange.fail(now)
        else:
            exchange.refuse(broken.status, str(broken), now)
        log_handler_error(exchange, outcome.message)
    elif isinstance(outcome, Ended):
        status, body, lines = outcome.values
        answer_plain(exchange, runner, status, body, lines, False)
    else:
        end_exchange(exchange, outcome, now)
