"""Running handlers without a loop: plain functions at once, generators step by step.

A generator handler yields the `Pending` of each call and gets its result back. It is stepped here,
synchronously, for as long as its calls have room; a Lua handler is such a generator. Coroutine
functions need an event loop: those go to the driver's `start_async`.
"""

import inspect
import logging
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from httpng_core.config import Settings
from httpng_core.events import Event, ExchangeEnded, RequestReceived, TlsFailed
from httpng_core.exchange import Exchange
from httpng_core.feed import Feed
from httpng_core.files import Files
from httpng_core.follower import CallInLoop, Follower, FollowStats, OnGap
from httpng_core.pending import Pending, Turn
from httpng_core.request import Request
from httpng_core.response import HeaderValue, Response
from httpng_core.results import SendStats
from httpng_core.timers import Timers
from httpng_core.tls.connection import AnyConnection
from httpng_core.window import Until, WindowSize

_log = logging.getLogger("httpng")
_access = logging.getLogger("httpng.access")

CALLS_PER_TURN = 64
"""After so many calls that had room a handler lets others run."""
SECONDS_PER_TURN = 0.005
"""After so long a handler lets others run."""

_FIELDS = frozenset({"status", "headers", "body"})

HandlerSteps = Generator[Pending, Any, object]


class BaseIO:
    """The response of one exchange as its handler holds it: settings that each call reads when it starts.

    Attributes:
        headers: sent with the first `write`, or by `write_header` without headers of its own.
        send_window: the limit of bytes in flight, "auto": about as much as the path holds, counted until
            acknowledged; `None`: `default_send_window`.
        send_timeout: seconds that a call may take, `None`: `default_send_timeout`.
        window_until: "sent" or "acked": how far a byte must have come to be no longer in flight; `None`:
            `default_window_until`.
        stall_timeout: seconds without a byte moving, while some are in flight, after which the exchange is
            aborted; `None`: never before the handler has returned.
    """

    def __init__(self, exchange: Exchange, clock: Callable[[], float]) -> None:
        self.headers: dict[str, HeaderValue | list[HeaderValue]] = {}
        self.send_window: WindowSize | None = None
        self.send_timeout: float | None = None
        self.window_until: Until | None = None
        self.stall_timeout: float | None = None
        self._exchange = exchange
        self._clock = clock
        self._follower: Follower | None = None

    def get_follow_stats(self) -> FollowStats | None:
        """What became of the payloads of the feed that is followed, or was last; `None` before that."""
        return None if self._follower is None else self._follower.stats

    def get_send_stats(self) -> SendStats:
        """Where the exchange stands: bytes accepted, sent and so on. Doesn't block."""
        return self._exchange.stats(self._clock())

    def _begin_header(self, code: int, headers: Any, timeout: float | None) -> Pending:
        given = self.headers if headers is None else headers
        return self._exchange.write_header(code, given, self._clock(), self._timeout(timeout))

    def _begin_write(self, body: Any, timeout: float | None) -> Pending:
        self._exchange.stall_timeout = self.stall_timeout
        return self._exchange.write(
            body, self._clock(), self._timeout(timeout), self.send_window, self.headers, self.window_until
        )

    def _begin_wait(self, position: int, timeout: float | None, until: Until | None) -> Pending:
        until = self.window_until if until is None else until
        return self._exchange.wait(position, self._clock(), self._timeout(timeout), until)

    def _begin_follow(
        self, feed: Feed, max_age: float | None, on_gap: OnGap | None, timeout: float | None
    ) -> Pending:
        follower = feed.follower(max_age=max_age, on_gap=on_gap)
        self._exchange.stall_timeout = self.stall_timeout
        pending = self._exchange.follow(
            follower, self._clock(), timeout, self.send_window, self.headers, self.window_until
        )
        self._follower = follower
        return pending

    def _end(self) -> None:
        self._exchange.close(self._clock(), self.headers)

    def _timeout(self, timeout: float | None) -> float | None:
        return self.send_timeout if timeout is None else timeout


class GeneratorIO(BaseIO):
    """What a generator handler gets: each call returns a `Pending` to `yield`."""

    def write_header(self, code: int, headers: Any = None, timeout: float | None = None) -> Pending:
        """See `Exchange.write_header`; `headers=None` sends `io.headers`, `{}` sends none."""
        return self._begin_header(code, headers, timeout)

    def write(self, body: bytes | str, timeout: float | None = None) -> Pending:
        """See `Exchange.write`."""
        return self._begin_write(body, timeout)

    def wait(self, pos: int, timeout: float | None = None, until: Until | None = None) -> Pending:
        """See `Exchange.wait`."""
        return self._begin_wait(pos, timeout, until)

    def follow(
        self,
        feed: Feed,
        *,
        max_age: float | None = None,
        on_gap: OnGap | None = None,
        timeout: float | None = None,
    ) -> Pending:
        """See `Exchange.follow`; `max_age` and `on_gap` as for an async handler."""
        return self._begin_follow(feed, max_age, on_gap, timeout)

    def close(self) -> None:
        """Ends the response cleanly. Doesn't block."""
        self._end()


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
        self._pending: Pending | None = None

    def run(self) -> None:
        """Steps until a call has to wait, the generator ends, or others have waited long enough."""
        clock = self._runner.clock
        until = clock() + SECONDS_PER_TURN
        for _ in range(CALLS_PER_TURN):
            if not self._step():
                return
            if clock() >= until:
                break
        self._runner.ready(self)

    def close(self) -> None:
        """Gives the generator up: its `finally` blocks run now, and what they raise is logged."""
        if self._pending is not None:
            self._pending.on_settle = None
        try:
            self._steps.close()
        except Exception as error:
            _log.error("handler error while it was given up", exc_info=error)

    def _step(self) -> bool:
        """One step; tells whether the next can follow at once."""
        pending, self._pending = self._pending, None
        try:
            following = self._resume(pending)
        except StopIteration as stop:
            self._runner.forget(self)
            self._ended(stop.value)
            return False
        except Exception as error:
            self._runner.forget(self)
            self._ended(error)
            return False
        return self._await(following)

    def _resume(self, pending: Pending | None) -> Pending:
        if pending is None or isinstance(pending, Turn):
            return self._steps.send(None)
        try:
            result = pending.result
        except Exception as error:
            return self._steps.throw(error)
        return self._steps.send(result)

    def _await(self, pending: Pending) -> bool:
        if not isinstance(pending, Pending):
            pending = _no_call(pending)
        self._pending = pending
        if pending.settled:
            return True
        if isinstance(pending, Turn):
            self._runner.ready(self)
        else:
            pending.on_settle = lambda: self._runner.ready(self)
        return False


def _no_call(yielded: object) -> Pending:
    """A call that raises in the generator, where the mistake was made."""
    pending = Pending()
    pending.settle(None, TypeError(f"a handler yields its calls of io, not {_type(yielded)}"))
    return pending


@runtime_checkable
class Handler(Protocol):
    """A handler by kind: how it is started on an exchange."""

    def start(self, exchange: Exchange, runner: "Runner") -> None:
        """Starts the handler; it may run to its end within this call."""


def at_once(function: Callable[[], None]) -> None:
    """`CallInLoop` where there is one thread."""
    function()


class Served(Protocol):
    """What a runner serves; both may be replaced while it runs."""

    @property
    def handler(self) -> Handler:
        """How the handler of a request is started."""

    @property
    def settings(self) -> Settings:
        """The settings."""


class Runner:
    """Runs the handlers of one application for one event loop.

    Attributes:
        clock: the monotonic clock that every `now` is read from.
        timers: deadlines of handlers that aren't of an exchange (sleeping fibers and the like).
        start_async: starts a coroutine function on an exchange; `None` where there is no event loop.
        on_ready: called when a handler can go on, so `run` is due; it must only set a flag.
        files: where static files come from; `None` where nothing reads any.
        lock: held while the loop works on its connections, if other threads may as well; else `None`.
        call_in_loop: calls a function in the thread of the loop: at once if called from there, else soon.
    """

    def __init__(
        self,
        served: Served,
        *,
        clock: Callable[[], float],
        files: Files | None = None,
        start_async: Callable[[Exchange, Callable[..., Any]], None] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        lock: AbstractContextManager[object] | None = None,
        call_in_loop: CallInLoop = at_once,
    ) -> None:
        self.clock = clock
        self.timers = Timers()
        self.start_async = start_async
        self.on_ready = on_ready
        self.files = files
        self.lock = lock
        self.call_in_loop = call_in_loop
        self._served = served
        self._ready: deque[Fiber] = deque()
        self._fibers: set[Fiber] = set()
        self._background = 0
        self._closed = False

    @property
    def is_busy(self) -> bool:
        """Whether a generator of a handler has not ended."""
        return len(self._fibers) > self._background

    @property
    def is_ready(self) -> bool:
        """Whether `run` has something to do."""
        return bool(self._ready)

    def serve(self, connection: AnyConnection) -> None:
        """Takes all events of a connection: starts handlers, writes the access log."""
        while (event := connection.next_event()) is not None:
            self.handle(event)

    def start(self, exchange: Exchange) -> None:
        """Starts the handler that is the right one now on an exchange."""
        self._served.handler.start(exchange, self)

    def handle(self, event: Event) -> None:
        """Acts on one event."""
        if isinstance(event, RequestReceived):
            self.start(event.exchange)
        elif isinstance(event, ExchangeEnded):
            if self._served.settings.access_log:
                _log_access(event)
        elif isinstance(event, TlsFailed):
            _log.info("TLS with %s failed: %s", event.peer.host, event.reason)
        else:
            _log.info("refused a request: %d %s", event.status, event.reason)

    def spawn(
        self, steps: HandlerSteps, ended: Callable[[object], None], *, background: bool = False
    ) -> Fiber:
        """Runs a generator at once, as far as it goes; `ended` gets what it returned or raised.

        One in the `background` is nobody's request, so nothing waits for its end. Once the runner is
        closed, what has to wait is given up.
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
        """The fiber can go on in the next `run`."""
        self._ready.append(fiber)
        self.on_ready()

    def forget(self, fiber: Fiber) -> None:
        """The fiber has ended."""
        if fiber in self._fibers:
            self._fibers.remove(fiber)
            self._background -= fiber.background

    def run(self) -> None:
        """Steps each fiber that is ready now; those that get ready meanwhile wait for the next call."""
        for _ in range(len(self._ready)):
            fiber = self._ready.popleft()
            if fiber in self._fibers:
                fiber.run()

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is due, or `None`."""
        return self.timers.next_deadline()

    def handle_timeout(self, now: float) -> None:
        """Wakes what has slept until `now`."""
        self.timers.handle(now)

    def close(self) -> None:
        """Gives up every generator that has not ended, and each that comes later."""
        self._closed = True
        self._ready.clear()
        for fiber in tuple(self._fibers):
            self.forget(fiber)
            fiber.close()

    def close_handlers(self) -> None:
        """Gives up every generator of a handler that has not ended."""
        for fiber in tuple(self._fibers):
            if not fiber.background:
                self.forget(fiber)
                fiber.close()


class FunctionHandler:
    """A plain `def handler(req)`, run in place: it costs no task."""

    def __init__(self, function: Callable[[Request], object]) -> None:
        self._function = function

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Runs the function and sends what it returns."""
        try:
            returned = self._function(exchange.request)
        except Exception as error:
            returned = error
        end_exchange(exchange, returned, runner.clock())


class GeneratorHandler:
    """A generator function `handler(req, io)` that yields the `Pending` of each call."""

    def __init__(self, function: Callable[[Request, GeneratorIO], HandlerSteps]) -> None:
        self._function = function

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Steps the generator."""
        io = GeneratorIO(exchange, runner.clock)
        runner.spawn(
            self._function(exchange.request, io),
            lambda returned: end_exchange(exchange, returned, runner.clock(), io.headers),
        )


class AsyncHandler:
    """A coroutine function `handler(req, io)`, left to the driver's event loop."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Hands the function to the driver."""
        if runner.start_async is None:
            error = RuntimeError("an async handler needs a backend: httpng-asyncio or httpng-trio")
            end_exchange(exchange, error, runner.clock())
        else:
            runner.start_async(exchange, self._function)


def as_handler(handler: Any) -> Handler:
    """Tells by its form how a handler is run.

    Raises:
        TypeError: it isn't callable, or takes neither `(req)` nor `(req, io)`.
    """
    if isinstance(handler, Handler):
        return handler
    if not callable(handler):
        raise TypeError("handler is not a function")
    forms = (handler, type(handler).__call__)
    steps = any(map(inspect.isgeneratorfunction, forms))
    if _takes(handler, 2):
        return GeneratorHandler(handler) if steps else AsyncHandler(handler)
    if _takes(handler, 1) and not steps and not any(map(inspect.iscoroutinefunction, forms)):
        return FunctionHandler(handler)
    raise TypeError(f"handler {_name(handler)} must take (req, io), or (req) to return a response")


def end_exchange(exchange: Exchange, returned: object, now: float, headers: Any = None) -> None:
    """Ends an exchange with what its handler returned, or raised (an exception as `returned`).

    A handler's mistake never gets past this: it is logged and answered with 500, or an abort.
    """
    try:
        if isinstance(returned, BaseException):
            raise returned
        if returned is None:
            exchange.finish(now, headers)
        else:
            exchange.respond(as_response(returned, headers), now)
    except Exception as error:
        request = exchange.request
        _log.error("handler error on %s %s", request.method, request.path, exc_info=error)
        exchange.fail(now)


def as_response(returned: object, headers: Any = None) -> Response:
    """The response that a handler returned: a `Response`, a mapping with its fields, or a body.

    Raises:
        TypeError: anything else.
        ValueError: a mapping with a key that a response hasn't.
    """
    if isinstance(returned, Response):
        return returned
    if isinstance(returned, (bytes, str)):
        return Response(headers=headers, body=returned)
    if not isinstance(returned, Mapping):
        raise TypeError(f"a handler must return None, a body, a dict or a Response, not {_type(returned)}")
    status, given, body = returned.get("status"), returned.get("headers"), returned.get("body")
    if not returned.keys() <= _FIELDS:
        unknown = sorted(str(key) for key in returned if key not in _FIELDS)
        raise ValueError(f"a response has status, headers and body, not {', '.join(unknown)}")
    return Response(
        status=200 if status is None else status, headers=given, body=b"" if body is None else body
    )


def _takes(handler: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(handler).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


def _name(handler: object) -> str:
    return getattr(handler, "__qualname__", repr(handler))


def _type(value: object) -> str:
    return type(value).__name__


def _log_access(event: ExchangeEnded) -> None:
    exchange = event.exchange
    stats = exchange.stats(exchange.started)
    request, status = exchange.request, exchange.head.status if exchange.head else 0
    _access.info(
        '%s "%s %s" status=%d current=%d sent=%d acked=%s seconds=%.3f %s',
        request.peer.host,
        request.method,
        request.path,
        status,
        stats.current,
        stats.sent,
        "-" if stats.acked is None else stats.acked,
        event.seconds,
        event.outcome,
    )
