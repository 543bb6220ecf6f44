"""The Lua handler: a request goes in as plain values, what the handler returned comes back so."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from httpng_core import Address, Exchange, Request, Response, Runner, end_exchange
from httpng_core.languages import (
    ONE_THREAD,
    Answers,
    DirectSend,
    ResponseHead,
    log_handler_error,
    response_head,
)
from httpng_lua.calls import ends_of, pairs
from httpng_lua.fibers import Fibers
from httpng_lua.handles import Exchanges
from httpng_lua.runtime import LuaFunction
from httpng_lua.steps import DONE, Answer, Ended, Failed

_RETIRED: Final[Answer] = (None,)
_MOST_ENDS: Final = 1024
_MOST_HEADS: Final = 256
_SHORT: Final = 512


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
        # The ends of connections as Lua gets them, by the identity of the first, which this keeps.
        self._ends: dict[int, tuple[Address, Address, bytes]] = {}

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
                # Who serves its connection looks at that afterwards.
                self._begun(exchange, runner, answer, None, exchange.host.direct_send)

    def streams(self, request: Request, otherwise: bool) -> bool:
        """Return whether a request's body is streamed: what was said, unless a route knows better."""
        return self._routes_stream(self._router, request, otherwise) if self._router else otherwise

    def _begin(self, exchange: Exchange, home: Runner) -> Answer:
        if self.retired:
            return _RETIRED
        request = exchange.request
        values = request.plain_values()
        lines, body = values[0], values[5]
        number = ends = None
        if self._takes_io or lines is None or body is None:
            number = self._exchanges.add(exchange, home, self._held)
        if lines is not None:
            known = self._ends.get(id(request.peer))
            if known is None or known[0] is not request.peer or known[1] is not request.ouraddr:
                ends = self._new_ends(request)
            else:
                ends = known[2]
        if body:
            # Lua has it, and the exchange stays for as long as its `io` may be asked about.
            request.body = b""
        return self._fibers.enter(home, self._serve, (self.number, number, ends, *values))

    def _new_ends(self, request: Request) -> bytes:
        """Return what Lua gets as the ends of a connection that isn't one of the last."""
        if len(self._ends) >= _MOST_ENDS:
            self._ends.clear()
        peer, ours = request.peer, request.ouraddr
        told = ends_of(peer, ours)
        self._ends[id(peer)] = peer, ours, told
        return told

    def _begun(
        self,
        exchange: Exchange,
        runner: Runner,
        answer: Answer,
        error: Exception | None,
        send: DirectSend | None = None,
    ) -> None:
        if error is not None:
            # Lua is out of memory: even that is this exchange's trouble alone.
            end_exchange(exchange, error, runner.clock())
        elif answer is _RETIRED:
            runner.start(exchange)
        elif answer[1] == DONE:
            _, _, status, body, lines = answer
            _answer(exchange, status, body, lines, runner.clock(), send, runner.answers)
        else:
            self._fibers.follow(
                runner, answer[0], answer[1:], lambda outcome: _end(exchange, outcome, runner.clock())
            )


def _end(exchange: Exchange, outcome: object, now: float) -> None:
    if isinstance(outcome, Failed) and outcome.told is not None and exchange.head is None:
        fields = (("content-type", b"text/plain; charset=utf-8"), *pairs(outcome.fields))
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
        _answer(exchange, status, body, lines, now)
    else:
        end_exchange(exchange, outcome, now)


def _answer(
    exchange: Exchange,
    status: float | None,
    body: bytes,
    lines: bytes | None,
    now: float,
    send: DirectSend | None = None,
    answers: Answers | None = None,
) -> None:
    if status is None:
        end_exchange(exchange, None, now, pairs(lines))
        return
    try:
        head = _heads.get((status, lines)) or _new_head(int(status), lines)
        exchange.answer_with(head, body, now, send, answers)
    except Exception:
        # Nothing of it was sent: once more, by who tells what is wrong with it.
        end_exchange(exchange, Response(status=int(status), headers=pairs(lines), body=body), now)


# Most handlers send the same few each time.
_heads: dict[tuple[float, bytes | None], ResponseHead] = {}


def _new_head(status: int, lines: bytes | None) -> ResponseHead:
    head = response_head(status, pairs(lines))
    if lines is None or len(lines) < _SHORT:
        if len(_heads) >= _MOST_HEADS:
            _heads.clear()
        _heads[status, lines] = head
    return head
