"""Handlers of several sites behind one."""

from collections.abc import Callable, Sequence

from httpng_core.errors import ConfigError
from httpng_core.exchange import Exchange
from httpng_core.handlers import Handler, Runner
from httpng_core.sites import NOT_FOUND, Site, SiteTable, is_directory


class SitesHandler:
    """Starts the handler of the site that a request is for; 404 where there is none."""

    def __init__(self, handlers: Sequence[tuple[str, Handler]]) -> None:
        self._table = SiteTable(handlers)

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Starts the handler of the first site that takes the path."""
        handler = self._table.find(exchange.request.path)
        if handler is None:
            exchange.respond(NOT_FOUND, runner.clock())
        else:
            handler.start(exchange, runner)


def handler_of(sites: Sequence[Site], as_handler: Callable[[object], Handler]) -> Handler:
    """One handler for all sites; `as_handler` makes one of what a site has.

    Raises:
        ConfigError: a directory, which is not supported yet.
        TypeError: of `as_handler`.
    """
    if any(is_directory(site.handler) for site in sites):
        raise ConfigError("static directories: not supported yet")
    handlers = [(site.path, as_handler(site.handler)) for site in sites]
    if [path for path, _ in handlers] == ["/"]:
        return handlers[0][1]
    return SitesHandler(handlers)
