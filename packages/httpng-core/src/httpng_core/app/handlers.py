"""What may be a handler, told by its form, and how each kind is started and its response ended."""

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from httpng_core.app.handler_errors import log_handler_error
from httpng_core.app.io import GeneratorBody, GeneratorIO
from httpng_core.app.runner import HandlerSteps, Runner
from httpng_core.app.served import Handler
from httpng_core.config.settings import Interface
from httpng_core.errors import BodyError, ConfigError, HandshakeError, HttpngError, is_handlers_error
from httpng_core.http.request import Request
from httpng_core.http.response import Response
from httpng_core.sending.answering import Answers
from httpng_core.sending.ends import Cause, EndKind
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.host import DirectSend

_log = logging.getLogger("httpng")

_FIELDS = frozenset({"status", "headers", "body"})


class FunctionHandler:
    """A plain `def handler(req)`, run in place: it costs no task."""

    def __init__(self, function: Callable[[Request], object]) -> None:
        self._function = function

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Run the function and send what it returns."""
        try:
            returned = self._function(exchange.request)
        except BaseException as error:
            if not is_handlers_error(error):
                raise
            returned = error
        # Who serves its connection looks at that afterwards.
        end_exchange(exchange, returned, runner.clock(), None, exchange.host.direct_send, runner.answers)

    def streams(self, request: Request, otherwise: bool) -> bool:
        """Return false: a plain function can't wait, so it gets bodies whole."""
        return False


class GeneratorHandler:
    """A generator function `handler(req, io)` that yields the `Pending` of each call."""

    def __init__(self, function: Callable[[Request, GeneratorIO], HandlerSteps]) -> None:
        self._function = function

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Step the generator."""
        io = GeneratorIO(exchange, runner.clock, runner.check_thread)
        if exchange.incoming is not None:
            body = GeneratorBody(exchange.incoming, runner.clock, runner.check_thread)
            exchange.request.source = body.read
        runner.spawn(
            self._function(exchange.request, io),
            lambda returned: end_exchange(exchange, returned, runner.clock(), io.headers),
        )


class AsyncHandler:
    """A coroutine function `handler(req, io)`, left to the driver's event loop.

    Attributes:
        function: the function; for a driver that awaits nothing it may be of another kind.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Hand the function to the driver."""
        if runner.start_async is None:
            error = RuntimeError("an async handler needs a backend: httpng-asyncio or httpng-trio")
            end_exchange(exchange, error, runner.clock())
        else:
            runner.start_async(exchange, self.function)


class AsgiHandler:
    """An ASGI or WSGI application, left to the driver.

    Attributes:
        app: the application.
        is_wsgi: whether it is one of WSGI.
        mount: the path of its site, without a slash at the end; empty for "/".
    """

    def __init__(self, app: Callable[..., Any], *, is_wsgi: bool = False) -> None:
        self.app = app
        self.is_wsgi = is_wsgi
        self.mount = ""

    def streams(self, request: Request, otherwise: bool) -> bool:
        """Return true: an application pulls the body, whatever it does with it."""
        return True

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Hand the application to the driver."""
        if runner.start_asgi is None:
            error = RuntimeError("an ASGI application needs a backend: httpng-asyncio or httpng-trio")
            end_exchange(exchange, error, runner.clock())
        else:
            runner.start_asgi(exchange, self)


def as_handler(handler: Any, interface: Interface = "auto") -> Handler:
    """Tell how a handler is run, by its form, or by what `interface` says that functions are.

    Raises:
        TypeError: it isn't callable, takes neither `(req)`, `(req, io)` nor what an ASGI or WSGI application
            takes, or is an async generator.
    """
    if not callable(handler):
        # Ours can't be called, and an ASGI application may well have a `start` of its own.
        if isinstance(handler, Handler):
            return handler
        raise TypeError("handler is not a function")
    if interface in ("asgi", "wsgi"):
        return AsgiHandler(handler, is_wsgi=interface == "wsgi")
    if interface == "auto" and not inspect.isgeneratorfunction(handler):
        if _is_asgi(handler):
            return AsgiHandler(handler)
        _refuse_asgi2(handler)
        if _names(handler)[1:2] == ["start_response"]:
            return AsgiHandler(handler, is_wsgi=True)
    return _as_native(handler)


def _as_native(handler: Callable[..., Any]) -> Handler:
    forms = (handler, type(handler).__call__)
    if any(map(inspect.isasyncgenfunction, forms)):
        raise TypeError(f"handler {_name(handler)} is async and has a yield: it must await the calls of io")
    steps = any(map(inspect.isgeneratorfunction, forms))
    if _takes(handler, 2):
        return GeneratorHandler(handler) if steps else AsyncHandler(handler)
    if steps or any(map(inspect.iscoroutinefunction, forms)):
        form = "has a yield" if steps else "is async"
        raise TypeError(f"handler {_name(handler)} {form}: it must take (req, io)")
    if _takes(handler, 1):
        return FunctionHandler(handler)
    raise TypeError(f"handler {_name(handler)} must take (req, io), or (req) to return a response")


def checked_lifespan(lifespan: Any) -> Callable[[], Any]:
    """Return what an application is to enter at the start of its server.

    Raises:
        TypeError: it can't be called without arguments, or is no async context manager's factory.
    """
    if inspect.isasyncgenfunction(lifespan) or inspect.iscoroutinefunction(lifespan):
        raise TypeError(
            f"lifespan {_name(lifespan)} needs @contextlib.asynccontextmanager above it, and a yield"
        )
    if not _takes(lifespan, 0):
        raise TypeError(f"lifespan {_name(lifespan)} must take no arguments")
    return cast(Callable[[], Any], lifespan)


def check_awaited(function: Callable[..., Any]) -> None:
    """Check that what takes `(req, io)` and has no yield is a coroutine function.

    Raises:
        ConfigError: it isn't, and an event loop would have nothing to await.
    """
    written = _as_written(function)
    # What isn't written in Python can't be told.
    if not inspect.isfunction(written) or inspect.iscoroutinefunction(written):
        return
    signature = inspect.signature(function)
    bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    takes = signature.replace(parameters=bare, return_annotation=signature.empty)
    name = "handler" if written.__name__ == "<lambda>" else written.__name__
    known_as = getattr(function, "__qualname__", written.__qualname__)
    raise ConfigError(
        f"handler {known_as}{takes} isn't async, yet takes io: write "
        f"'async def {name}(req, io)' to use io, or 'def {name}(req)' to return a response"
    )


def _as_written(function: Any) -> object:
    """Return the function that a partial, a method, a decorator or a callable object comes down to."""
    while True:
        if isinstance(function, partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif inspect.isroutine(function) or inspect.isclass(function):
            return function
        else:
            function = type(function).__call__


def end_exchange(
    exchange: Exchange,
    returned: object,
    now: float,
    headers: Any = None,
    send: DirectSend | None = None,
    answers: Answers | None = None,
) -> None:
    """End an exchange with what its handler returned, or raised (an exception as `returned`).

    A handler's mistake never gets past this: it is logged, and answered with 500 or cut short. For `send`
    and `answers` see `Exchange.answer`.
    """
    try:
        if returned is None:
            exchange.finish(now, headers)
        elif type(returned) is dict:
            status, given, body = _parts(returned)
            exchange.answer(status, given, body, now, send, answers)
        elif isinstance(returned, HandshakeError) and exchange.head is None:
            # The client's mistake, not the handler's.
            fields = {"content-type": "text/plain; charset=utf-8", **returned.headers}
            exchange.answer(returned.status, fields, str(returned), now)
        elif isinstance(returned, BaseException):
            if isinstance(returned, BodyError):
                _refuse(exchange, returned, now)
                return
            exchange.fail(now, Cause(EndKind.HANDLER_ERROR, f"the handler raised {type(returned).__name__}"))
            log_handler_error(exchange, error=returned)
        else:
            response = as_response(returned, headers)
            exchange.answer(response.status, response.headers, response.body, now, send, answers)
    except BaseException as error:
        # Code of the user's may run in this: what was returned may be a mapping of their own.
        if not is_handlers_error(error):
            raise
        told = f"the handler returned what can't be sent: {error}"
        exchange.fail(now, Cause(EndKind.HANDLER_ERROR, told))
        if isinstance(error, (TypeError, ValueError, HttpngError)):
            # The traceback would be ours alone.
            log_handler_error(exchange, error)
        else:
            log_handler_error(exchange, error=error)


def give_answers(answers: Answers, now: float) -> None:
    """Give the responses in `answers`, in that order, and empty it.

    Each goes to the kernel at once, as with `send` of `Exchange.answer`: whoever calls looks at the
    connections afterwards.
    """
    for exchange, head, data in answers:
        try:
            exchange.answer_with(head, data, now, exchange.host.direct_send)
        except Exception as error:
            # A defect, that must not take the others with it.
            assert isinstance(exchange, Exchange)
            end_exchange(exchange, error, now)
    answers.clear()


def as_response(returned: object, headers: Any = None) -> Response:
    """Return the response that a handler returned: a `Response`, a mapping with its fields, or a body.

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
    status, given, body = _parts(returned)
    return Response(status=status, headers=given, body=body)


def _parts(returned: Mapping[Any, Any]) -> tuple[Any, Any, Any]:
    """Return the status, headers and body of a mapping that a handler returned."""
    if type(returned) is dict and len(returned) == 3:
        try:
            status, given, body = returned["status"], returned["headers"], returned["body"]
            return 200 if status is None else status, given, b"" if body is None else body
        except KeyError:
            pass  # One of the three is unknown.
    status, given, body = returned.get("status"), returned.get("headers"), returned.get("body")
    for key in returned:
        if key not in _FIELDS:
            unknown = sorted(str(key) for key in returned if key not in _FIELDS)
            raise ValueError(
                f"a response has status, headers and body, not {', '.join(unknown)}: "
                "to send a dict as JSON, return Response(json=...)"
            )
    return 200 if status is None else status, given, b"" if body is None else body


def _refuse(exchange: Exchange, error: BodyError, now: float) -> None:
    """End an exchange whose handler let pass that its request wasn't read to its end: the client's fault."""
    # Nobody looks at it, and it leads to frames that lead to the error.
    error.__traceback__ = None
    if not exchange.is_over:
        request = exchange.request
        _log.info(
            "refused %s %s of %s: %d %s", request.method, request.path, request.peer, error.status, error
        )
        exchange.refuse(error.status, str(error), now)


def _takes(handler: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(handler).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


def _names(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's parameters; none where they can't be told."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _is_asgi(handler: Callable[..., Any]) -> bool:
    """Return whether a function looks like an ASGI application: async, or by the names of its arguments."""
    if not _takes(handler, 3) or _takes(handler, 2):
        return False
    return any(map(inspect.iscoroutinefunction, (handler, type(handler).__call__))) or (
        _names(handler) == ["scope", "receive", "send"]
    )


def _refuse_asgi2(handler: Callable[..., Any]) -> None:
    if _names(handler) == ["scope"]:
        raise TypeError(
            f"{_name(handler)} takes (scope) alone, as an ASGI 2 application does, and httpng speaks ASGI 3: "
            "wrap it with asgiref.compatibility.guarantee_single_callable"
        )


def _name(handler: object) -> str:
    return getattr(handler, "__qualname__", repr(handler))


def _type(value: object) -> str:
    return type(value).__name__
