"""An application: a handler with its settings, for any driver to run."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from httpng_core.address import PYTHON_DEFAULT_LISTEN, ListenAddress
from httpng_core.config import Settings, check_before_handlers, parse_settings, refuse_lua_keys
from httpng_core.connection import Connection, ProtocolName
from httpng_core.date import DateSource
from httpng_core.dispatch import handler_of
from httpng_core.exchange import Exchange
from httpng_core.files import Files
from httpng_core.handlers import Handler, Runner, as_handler
from httpng_core.listen import parse_listen
from httpng_core.request import UNKNOWN_ADDRESS, Address
from httpng_core.sites import Site, parse_sites


class Application:
    """Handlers and the settings they are served with. It holds no state of a running server.

    Attributes:
        sites: who has which paths.
        handler: how the handler of a request is started.
        settings: the checked settings.
        listen: where to listen, unless the front door is told otherwise.
        on_shutdown: set by a server that runs this application: call it to have the server shut down.
    """

    def __init__(
        self, handler: object = None, *, sites: object = None, listen: object = None, **cfg: object
    ) -> None:
        """Checks everything that can be checked before it runs.

        Args:
            handler: `async def handler(req, io)`, a plain `def handler(req)` that returns its
                response, or a generator function `handler(req, io)` that yields its calls. Or the
                name of a directory, whose files are served. It is the same as a last site with the path "/".
            sites: a list of `{"path": ..., "handler": ...}`, of which the first that takes a path has it.
            listen: where to listen, "ADDR:PORT" or several of these.
            **cfg: the settings, see the reference.

        Raises:
            ConfigError: a setting that is unknown or out of range, an address or a site that isn't one,
                no handler at all.
            TypeError: a handler takes other arguments.
        """
        self.listen: Sequence[ListenAddress] = parse_listen(listen, default=PYTHON_DEFAULT_LISTEN)
        refuse_lua_keys(cfg)
        check_before_handlers(cfg)
        self.sites: Sequence[Site] = parse_sites(sites, handler, _is_function)
        self.handler: Handler = handler_of(self.sites, as_handler)
        self.settings: Settings = parse_settings(cfg)
        self.on_shutdown: Callable[[], None] | None = None
        self._cfg = cfg

    def with_settings(self, **cfg: object) -> "Application":
        """The same application with some settings changed.

        Raises:
            ConfigError: see the constructor.
        """
        refuse_lua_keys(cfg)
        changed = copy(self)
        changed._cfg = {**self._cfg, **cfg}
        changed.settings = parse_settings(changed._cfg)
        return changed

    def runner(
        self,
        clock: Callable[[], float],
        *,
        start_async: Callable[[Exchange, Callable[..., Any]], None] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        files: Files | None = None,
    ) -> Runner:
        """What runs the handlers for one event loop, by its monotonic `clock`; directories need `files`."""
        return Runner(
            self.handler,
            clock=clock,
            access_log=self.settings.access_log,
            start_async=start_async,
            on_ready=on_ready,
            files=files,
        )

    @property
    def directories(self) -> list[str]:
        """The directories that are served, by their absolute names."""
        return [site.directory for site in self.sites if site.directory is not None]

    def connection(
        self,
        now: float,
        *,
        peer: Address = UNKNOWN_ADDRESS,
        ouraddr: Address = UNKNOWN_ADDRESS,
        date: DateSource = lambda: None,
        on_wake: Callable[[], None] = lambda: None,
        tells_acknowledged: bool = False,
        over_tls: bool = False,
        protocol: ProtocolName = "http/1.1",
    ) -> Connection:
        """A connection that starts at `now`; the arguments are those of `Connection`."""
        return Connection(
            self.settings,
            now,
            peer=peer,
            ouraddr=ouraddr,
            date=date,
            on_wake=on_wake,
            tells_acknowledged=tells_acknowledged,
            over_tls=over_tls,
            protocol=protocol,
        )


def _is_function(handler: object) -> bool:
    return callable(handler) or isinstance(handler, Handler)


def as_application(app: object, listen: object, cfg: dict[str, object]) -> Application:
    """`app` itself if it is an application, else one around the handler `app`.

    Raises:
        TypeError: settings beside an application, which has its own.
        ConfigError: see `Application`.
    """
    if not isinstance(app, Application):
        return Application(app, listen=listen, **cfg)
    if cfg:
        raise TypeError(
            f"an Application has its own settings: {', '.join(sorted(cfg))} can't be given beside"
        )
    return app
