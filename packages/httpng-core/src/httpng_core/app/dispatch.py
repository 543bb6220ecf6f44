"""Handlers of several sites behind one."""

from collections.abc import Callable, Iterator, Sequence

from httpng_core.app.directory import DirectoryHandler
from httpng_core.app.handlers import AsgiHandler
from httpng_core.app.router import Router
from httpng_core.app.runner import Runner
from httpng_core.app.served import Handler, StreamChoice, streams_body
from httpng_core.config.sites import NOT_FOUND, Site, SiteTable
from httpng_core.http.request import Request
from httpng_core.sending.exchange import Exchange


class SitesHandler:
    """Starts the handler of the site that a request is for; 404 where there is none.

    Attributes:
        handlers: those of all sites.
    """

    def __init__(self, handlers: Sequence[tuple[str, Handler]]) -> None:
        self._table = SiteTable([(path, (path, handler)) for path, handler in handlers])
        self.handlers = [handler for _, handler in handlers]

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Start the handler of the first site that takes the path."""
        found = self._table.find(exchange.request.path)
        if found is None:
            exchange.respond(NOT_FOUND, runner.clock())
        else:
            exchange.request.route, handler = found
            handler.start(exchange, runner)

    def streams(self, request: Request, otherwise: bool) -> bool:
        """Return what the first site that takes the path says; where there is none nobody reads a body."""
        found = self._table.find(request.path)
        return True if found is None else streams_body(found[1], request, otherwise)


def handler_of(sites: Sequence[Site], as_handler: Callable[[object], Handler]) -> Handler:
    """Return one handler for all sites; `as_handler` makes a handler of what a site has.

    Raises:
        TypeError: of `as_handler`.
    """

    def made(site: Site) -> Handler:
        if site.directory is None:
            handler = as_handler(site.handler)
            if isinstance(handler, AsgiHandler):
                handler.mount = site.path.rstrip("/")
            return handler if site.stream_body is None else StreamChoice(handler, site.stream_body)
        return DirectoryHandler(site.path, site.directory, index=site.index, dotfiles=site.dotfiles)

    handlers = [(site.path, made(site)) for site in sites]
    if [path for path, _ in handlers] == ["/"]:
        return handlers[0][1]
    return SitesHandler(handlers)


def asgi_handlers(handler: Handler) -> Iterator[AsgiHandler]:
    """Yield the ASGI and WSGI applications that `handler` may hand a request to."""
    if isinstance(handler, AsgiHandler):
        yield handler
    elif isinstance(handler, (SitesHandler, Router)):
        for one in handler.handlers:
            yield from asgi_handlers(one)
    elif isinstance(handler, StreamChoice):
        yield from asgi_handlers(handler.handler)
