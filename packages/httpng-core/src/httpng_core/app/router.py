"""A router: a handler that finds the handler of a request by its route."""

import inspect
from collections.abc import Callable

from httpng_core.app.handlers import AsyncHandler, as_handler, end_exchange
from httpng_core.app.handlers import check_awaited as check_function
from httpng_core.app.route_table import NoMatch, RouteTable
from httpng_core.app.runner import Runner
from httpng_core.app.served import Handler, StreamChoice, streams_body
from httpng_core.config.settings import Interface
from httpng_core.errors import is_handlers_error
from httpng_core.http.request import Request
from httpng_core.sending.exchange import Exchange


def check_awaited(handler: object, interface: Interface = "auto") -> None:
    """Check that a handler, of a site or of a route, can be run where coroutines are awaited.

    A driver with an event loop does this at its start, and before it takes another configuration. Elsewhere a
    function that takes `io` may be of any kind that the driver's `start_async` can run.

    Raises:
        ConfigError: it takes `io` and isn't async.
    """
    if isinstance(handler, StreamChoice):
        handler = handler.handler
    if isinstance(handler, Router):
        handler.check_awaited()
        return
    try:
        made = as_handler(handler, interface)
    except TypeError:
        # The name of a directory, or a function of Lua's.
        return
    if isinstance(made, AsyncHandler):
        check_function(made.function)


class Router:
    """Routes and their handlers, of any kind and mixed; a handler itself.

    Routes may be added and deleted while it serves: requests that arrive after that see it. A request that
    no route takes is answered with 404, or with 405 and the methods there are.
    """

    def __init__(self) -> None:
        """Make a router without routes."""
        self._table: RouteTable[Handler] = RouteTable()
        self._before: list[Callable[[Request], object]] = []

    def route(
        self,
        path: str,
        handler: object,
        *,
        method: str | None = None,
        host: str | None = None,
        name: str | None = None,
        stream_body: bool | None = None,
    ) -> None:
        """Add a route. Static paths beat those with placeholders, whatever their order.

        Args:
            path: begins with a slash, and may have placeholders: ":id" takes one segment or a part of it,
                "*rest" at the end the rest of the path. The handler finds them in `req.stash`.
            handler: in any of the forms of a handler, another router among them.
            method: "GET" takes HEAD too; `None`: all methods.
            host: of the request, without a port; `None`: any.
            name: for `delete`.
            stream_body: whether the handler starts before the request's body is in; `None`: as the site of
                the router, or the setting `stream_bodies`, says. A plain `def handler(req)` gets it whole.

        Raises:
            ValueError: a path that can't be, a name that is taken.
            TypeError: the handler isn't one.
        """
        made = as_handler(handler)
        if stream_body is not None:
            made = StreamChoice(made, stream_body)
        self._table.add(path, made, method=method, host=host, name=name)

    def delete(self, name: str) -> None:
        """Delete the route of that name; its handlers that run go on.

        Raises:
            ValueError: there is none.
        """
        self._table.delete(name)

    def before(self, function: Callable[[Request], object]) -> None:
        """Have a function called before the handler of any route, in the order in which they were given.

        Args:
            function: takes the request, and must not block. `None` lets the request pass; anything else is
                the response, as if the handler had returned it. What it raises is an error of the handler.
                Where bodies are streamed it is called when the head is in.

        Raises:
            TypeError: it is no function, or an async one.
        """
        given: object = function
        if not callable(given) or inspect.iscoroutinefunction(given):
            raise TypeError("before must be a plain function that takes (req)")
        self._before.append(function)

    @property
    def handlers(self) -> list[Handler]:
        """The handlers of all routes there are now."""
        return list(self._table.handlers())

    def check_awaited(self) -> None:
        """Check that the handlers of all routes can be run where coroutines are awaited.

        Raises:
            ConfigError: one takes `io` and isn't async.
        """
        for handler in self._table.handlers():
            check_awaited(handler)

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Start the handler of the request's route, or answer that there is none."""
        request = exchange.request
        found = self._table.find(request.method, request.host, request.path)
        if isinstance(found, NoMatch):
            exchange.respond(found.response(), runner.clock())
            return
        if found.stash:
            exchange.request = request.with_stash({**request.stash, **found.stash})
        exchange.request.route = found.path
        returned = self._answer_before(exchange.request)
        if returned is None:
            found.handler.start(exchange, runner)
        else:
            end_exchange(exchange, returned, runner.clock())

    def streams(self, request: Request, otherwise: bool) -> bool:
        """Return what the request's route says; where there is none nobody reads a body."""
        found = self._table.find(request.method, request.host, request.path)
        return True if isinstance(found, NoMatch) else streams_body(found.handler, request, otherwise)

    def _answer_before(self, request: Request) -> object:
        try:
            for function in self._before:
                returned = function(request)
                if returned is not None:
                    return returned
        except BaseException as error:
            if not is_handlers_error(error):
                raise
            return error
        return None
