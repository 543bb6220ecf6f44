"""Running handlers without a loop: generators step by step.

A generator handler yields the `Pending` of each call and gets its result back. It is stepped here,
synchronously, for as long as its calls have room; a Lua handler is such a generator. Coroutine
functions need an event loop: those go to the driver's `start_async`.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from contextvars import copy_context
from math import inf
from typing import Any

from httpng_core.app.access_log import AccessLog, confirmed_text
from httpng_core.app.files import Files
from httpng_core.app.io import any_thread
from httpng_core.app.limited_log import LimitedLog, shortened
from httpng_core.app.served import Served
from httpng_core.connection import Connection
from httpng_core.errors import is_handlers_error
from httpng_core.http.reading import GivenRead
from httpng_core.sending.answering import Answers
from httpng_core.sending.calls import Pending, Read, Turn
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.host import CallInLoop
from httpng_core.timers import Timers
from httpng_core.wire.events import ConnectionDropped, Event, ExchangeEnded, RequestReceived, TlsFailed

_log = logging.getLogger("httpng")
_access = logging.getLogger("httpng.access")

CALLS_PER_TURN = 64
"""After so many calls that had room a handler lets others run."""
SECONDS_PER_TURN = 0.005
"""After so long a handler lets others run."""

HandlerSteps = Generator[Pending | Awaitable[bytes], Any, object]


class Fiber:
    """One generator being stepped.

    Attributes:
        background: whether it is nobody's request.
    """

    def __init__(
        self,
        steps: HandlerSteps,
        runner: "Runner",
        ended: Callable[[object], None],
        background: bool = False,
    ) -> None:
        self.background = background
        self._steps = steps
        self._runner = runner
        self._ended = ended
        self._context = copy_context()
        self._pending: Pending | None = None

    def run(self) -> None:
        """Step until a call has to wait, the generator ends, or others have waited long enough."""
        clock = self._runner.clock
        until = clock() + SECONDS_PER_TURN
        for _ in range(CALLS_PER_TURN):
            if not self._step():
                return
            if clock() >= until:
                break
        self._runner.ready(self)

    def close(self) -> None:
        """Give the generator up: its `finally` blocks run now, and `ended` gets what they raise."""
        if self._pending is not None:
            self._pending.on_settle = None
        try:
            self._context.run(self._steps.close)
        except BaseException as error:
            if not is_handlers_error(error):
                raise
            self._ended(error)

    def _step(self) -> bool:
        """Take one step, and return whether the next can follow at once."""
        pending, self._pending = self._pending, None
        try:
            following = self._resume(pending)
        except StopIteration as stop:
            self._runner.forget(self)
            self._ended(stop.value)
            return False
        except BaseException as error:
            self._runner.forget(self)
            if not is_handlers_error(error):
                raise
            self._ended(error)
            return False
        return self._await(following)

    def _resume(self, pending: Pending | None) -> Pending | Awaitable[bytes]:
        if pending is None or isinstance(pending, Turn):
            return self._context.run(self._steps.send, None)
        try:
            result = pending.value if isinstance(pending, Read) else pending.result
        except Exception as error:
            return self._context.run(self._steps.throw, error)
        return self._context.run(self._steps.send, result)

    def _await(self, yielded: Pending | Awaitable[bytes]) -> bool:
        pending = yielded if isinstance(yielded, Pending) else _no_call(yielded)
        self._pending = pending
        if pending.settled:
            return True
        if isinstance(pending, Turn):
            self._runner.ready(self)
        else:
            pending.on_settle = lambda: self._runner.ready(self)
        return False


def _no_call(yielded: object) -> Pending:
    """Return a call that raises in the generator, where the mistake was made; unless a piece was read."""
    if isinstance(yielded, GivenRead):
        read = Read(0, inf)
        read.answer(yielded.piece)
        return read
    pending = Pending()
    pending.settle(None, TypeError(f"a handler yields its calls of io, not {type(yielded).__name__}"))
    return pending


def at_once(function: Callable[[], None]) -> None:
    """Call `function`, where there is one thread."""
    function()


class Runner:
    """Runs the handlers of one application for one event loop.

    Attributes:
        clock: the monotonic clock that every `now` is read from.
        requests: how many requests it has begun.
        answers: during `serve` what that was given.
        timers: deadlines of handlers that aren't of an exchange (sleeping fibers and the like).
        start_async: starts a coroutine function on an exchange; `None` where there is no event loop.
        start_asgi: starts an ASGI application likewise, given as its `AsgiHandler`.
        on_ready: called when a handler can go on, so `run` is due; it must only set a flag.
        files: opens static files; `None` where nothing reads any.
        lock: held while the loop works on its connections, if other threads may as well; else `None`.
        call_in_loop: calls a function in the thread of the loop: at once if called from there, else soon.
        ends: how often requests and exchanges have ended otherwise than completely, by `EndKind` with detail.
        check_thread: raises in a thread that isn't that of the loop; each call of a generator's `io` asks it.
    """

    def __init__(
        self,
        served: Served,
        *,
        clock: Callable[[], float],
        files: Files | None = None,
        start_async: Callable[[Exchange, Callable[..., Any]], None] | None = None,
        start_asgi: Callable[[Exchange, Any], None] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        lock: AbstractContextManager[object] | None = None,
        call_in_loop: CallInLoop = at_once,
        check_thread: Callable[[], None] = any_thread,
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        self.clock = clock
        self.timers = Timers()
        self.start_async = start_async
        self.start_asgi = start_asgi
        self.on_ready = on_ready
        self.files = files
        self.lock = lock
        self.call_in_loop = call_in_loop
        self.check_thread = check_thread
        self.requests = 0
        self.answers: Answers | None = None
        self.ends: dict[str, int] = {}
        self._served = served
        self._context = copy_context()
        self._strangers = LimitedLog(_log, clock, self.timers, self._look_at_timers)
        self._refused = LimitedLog(_access, clock, self.timers, self._look_at_timers)
        self._access = AccessLog(self._refused, wall_clock)
        self._ready: deque[Fiber] = deque()
        self._fibers: set[Fiber] = set()
        self._background = 0
        self._closed = False

    def _look_at_timers(self) -> None:
        # As it is read when it is called: a driver may set another one.
        self.on_ready()

    @property
    def is_busy(self) -> bool:
        """Whether a generator of a handler has not ended."""
        return len(self._fibers) > self._background

    @property
    def is_ready(self) -> bool:
        """Whether `run` has something to do."""
        return bool(self._ready)

    def serve(self, connection: Connection, answers: Answers | None = None) -> bool:
        """Take all events of a connection: start handlers, write the log; return whether any was started.

        With `answers`, ordinary responses that handlers return are added to that list in place of being sent.
        When other connections were served so as well, call `give_answers`; then look at all of them.
        """
        events, started = connection.events, False
        self.answers = answers
        try:
            while events:
                event = events.popleft()
                if isinstance(event, RequestReceived):
                    if self._served.state is not None:
                        event.exchange.request.state = self._served.state
                    # Before, as a handler may run here and now, and ask for the count.
                    self.requests += 1
                    # A context of its own for each request, whoever's work has led to this.
                    self._context.copy().run(self._served.handler.start, event.exchange, self)
                    started = True
                elif (
                    not isinstance(event, ExchangeEnded)
                    or event.outcome != "complete"
                    or event.cause
                    or event.exchange.settings.access_log
                ):
                    self.handle(event)
        finally:
            self.answers = None
        return started

    def start(self, exchange: Exchange) -> None:
        """Start the handler that is the right one now on an exchange, in a context of its own."""
        exchange.request.state, wake = self._served.state, exchange.host.wake
        self._context.copy().run(self._served.handler.start, exchange, self)
        # Its answer may be out, and nobody was told, as `serve` is called by who looks at the connection.
        wake()

    def handle(self, event: Event) -> None:
        """Act on one event."""
        if not isinstance(event, RequestReceived) and (not isinstance(event, ExchangeEnded) or event.cause):
            self.ends[event.end] = self.ends.get(event.end, 0) + 1
        if isinstance(event, RequestReceived):
            self.start(event.exchange)
        elif isinstance(event, ExchangeEnded):
            if event.outcome != "complete":
                self._log_end(event)
            if event.exchange.settings.access_log:
                self._access.ended(event)
        elif isinstance(event, TlsFailed):
            self._strangers.info("TLS with %s failed: %s", event.peer, event.reason)
        elif isinstance(event, ConnectionDropped):
            self._strangers.info("dropped a connection of %s: %s", event.peer, event.reason)
        else:
            self._strangers.info("refused a request of %s: %d %s", event.peer, event.status, event.reason)
            settings = self._served.configuration.settings
            if settings.access_log:
                self._access.refused(event, as_json=settings.access_log_format == "json")

    def _log_end(self, event: ExchangeEnded) -> None:
        """Log an end that isn't clean: its cause, the client, the request, the positions."""
        exchange = event.exchange
        request = exchange.request
        self._strangers.write(
            # A client that leaves is everyday life; what the server or its handlers gave up is not.
            logging.INFO if event.outcome == "cancelled" else logging.WARNING,
            f"{event.end}: ",
            '%s "%s %s" was %s: %s; current=%d sent=%d acked=%s%s end=%s',
            request.peer,
            shortened(request.method),
            shortened(request.path),
            event.outcome,
            event.cause,
            exchange.current,
            exchange.sent,
            "-" if exchange.acked is None else exchange.acked,
            confirmed_text(exchange.confirmed),
            event.end,
        )

    def spawn(
        self, steps: HandlerSteps, ended: Callable[[object], None], *, background: bool = False
    ) -> Fiber:
        """Run a generator at once, as far as it goes; `ended` gets what it returned or raised.

        One in the `background` is nobody's request, so nothing waits for its end. Once the runner is
        closed, what has to wait is given up: then `ended` is called only if it raises.
        """
        fiber = Fiber(steps, self, ended, background)
        self._fibers.add(fiber)
        self._background += background
        fiber.run()
        if self._closed and fiber in self._fibers:
            self.forget(fiber)
            fiber.close()
        return fiber

    def spawn_later(self, steps: HandlerSteps, ended: Callable[[object], None]) -> Fiber:
        """Like `spawn`, from the next `run` on."""
        fiber = Fiber(steps, self, ended)
        self._fibers.add(fiber)
        self.ready(fiber)
        return fiber

    def ready(self, fiber: Fiber) -> None:
        """Have the fiber go on in the next `run`."""
        self._ready.append(fiber)
        self.on_ready()

    def forget(self, fiber: Fiber) -> None:
        """Note that the fiber has ended."""
        if fiber in self._fibers:
            self._fibers.remove(fiber)
            self._background -= fiber.background

    def run(self) -> None:
        """Step each fiber that is ready now; those that get ready meanwhile wait for the next call."""
        for _ in range(len(self._ready)):
            fiber = self._ready.popleft()
            if fiber in self._fibers:
                fiber.run()

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` is due, or `None`."""
        return self.timers.next_deadline()

    def handle_timeout(self, now: float) -> None:
        """Wake what has slept until `now`."""
        self.timers.handle(now)

    def close(self) -> None:
        """Give up every generator that has not ended, and each that comes later."""
        self._closed = True
        self._strangers.close()
        self._refused.close()
        self._ready.clear()
        for fiber in tuple(self._fibers):
            self.forget(fiber)
            fiber.close()

    def close_handlers(self) -> None:
        """Give up every generator of a handler that has not ended."""
        for fiber in tuple(self._fibers):
            if not fiber.background:
                self.forget(fiber)
                fiber.close()
