"""An application: a handler with its settings, for any driver to run."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Final

from httpng_core.app.control import Control
from httpng_core.app.dispatch import asgi_handlers, handler_of
from httpng_core.app.files import Files
from httpng_core.app.handlers import AsgiHandler, as_handler, checked_lifespan
from httpng_core.app.io import any_thread
from httpng_core.app.lifecycle import Lifecycle, ServerState, ServerVerb
from httpng_core.app.runner import Runner, at_once
from httpng_core.app.served import Handler, Served, streams_body
from httpng_core.app.state_lock import StateLock
from httpng_core.config.address import PYTHON_DEFAULT_LISTEN, ListenAddress
from httpng_core.config.configuration import Configuration, Language, first_configuration, reconfiguration
from httpng_core.config.settings import OWN_KEYS, Settings, parse_settings, refuse_asgi_keys, refuse_lua_keys
from httpng_core.config.sites import Site
from httpng_core.connection import Connection, ProtocolName, no_date
from httpng_core.errors import ConfigError
from httpng_core.feeds.stats import FeedStats, feeds_together
from httpng_core.http.address import UNKNOWN_ADDRESS, Address
from httpng_core.http.dates import DateSource
from httpng_core.http.request import Request
from httpng_core.sending.calls import Pending
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.host import NO_HOST, CallInLoop, Host
from httpng_core.tls.certificates import Certificates

_PYTHON: Final = Language(
    name="Python",
    listen=PYTHON_DEFAULT_LISTEN,
    is_function=lambda handler: callable(handler) or isinstance(handler, Handler),
)


class Application(Served):
    """Handlers and the settings they are served with. What it has may be replaced while a server runs it.

    Attributes:
        configuration: what was said, checked.
        handler: how the handler of a request is started.
        lifecycle: where the server stands, and what may be asked of it now.
        control: the server that runs this application; it sets this itself. `None` before that.
        lifespan: makes what is entered before the first request and left after the last; or `None`.
        state: what that gave, for `req.state`; whoever serves the application sets it.
        asgi_states: likewise what each ASGI application has put into its state, by the `id` of it.
        settings_again: gives anew what `override` was given, when a server is told to reload; or `None`. The
            command line sets it.
    """

    configuration: Configuration
    handler: Handler
    lifespan: Callable[[], AbstractAsyncContextManager[object]] | None
    state: object
    asgi_states: dict[int, dict[str, Any]]
    settings_again: Callable[[], Mapping[str, object]] | None
    _overrides: Mapping[str, object]

    def __init__(
        self, handler: object = None, *, sites: object = None, listen: object = None, **cfg: object
    ) -> None:
        """Check everything that can be checked before it runs.

        Args:
            handler: `async def handler(req, io)`, a plain `def handler(req)` that returns its
                response, or a generator function `handler(req, io)` that yields its calls. Or an ASGI or
                WSGI application, see `interface`. Or the name of a directory, whose files are served. It is
                the same as a last site with the path "/".
            sites: a list of `{"path": ..., "handler": ...}`, of which the first that takes a path has it.
            listen: where to listen, "ADDR:PORT" or several of these.
            **cfg: the settings, see the reference. `lifespan` may also be a function without arguments that
                returns an async context manager: every server enters it before the first request and leaves
                it after the last, in its first loop; what it gives is `req.state`.

        Raises:
            ConfigError: a setting that is unknown or out of range, an address or a site that isn't one,
                no handler at all.
            TypeError: a handler, or `lifespan`, takes other arguments.
        """
        self._begin(_PYTHON, {})
        if callable(cfg.get("lifespan")):
            self.lifespan = checked_lifespan(cfg.pop("lifespan"))
        with self.lifecycle.configuring():
            self._configure({"handler": handler, "sites": sites, "listen": listen, **cfg})

    def reconfigure(self, handler: object = None, *, sites: object = None, **cfg: object) -> None:
        """Replace handlers and settings at once, whether a server runs yet or not. Doesn't block.

        All or nothing: what isn't named returns to its default, sites that aren't are gone, and if this
        raises nothing has changed. Handlers that run finish as they began; requests that arrive from now
        on, on open connections too, find the new ones. To be called in the thread of the server.

        Args:
            handler: see the constructor; without any handler every request gets 404.
            sites: see the constructor; "/" may stand anywhere.
            **cfg: the settings; some can't be changed, see the reference.

        Raises:
            ConfigError: what the constructor raises, or something that can't be changed was.
            RuntimeError: a shutdown is in progress, threads that are to go are not gone yet, or this is
                called while it is being carried out.
            TypeError: a handler takes other arguments.
        """
        with self.lifecycle.configuring():
            self._configure({"handler": handler, "sites": sites, **cfg})

    def shutdown(self) -> Pending:
        """Have the server that runs this application stop. What this returns settles when all is down.

        Exchanges may finish within `shutdown_timeout`.

        Raises:
            RuntimeError: there is nothing to stop, or it is stopping already.
        """
        return self._shutdown(resets=False)

    def _shutdown(self, *, resets: bool) -> Pending:
        if self.control is not None:
            return self.control.shutdown(resets=resets)
        self.lifecycle.do(ServerVerb.SHUTDOWN)
        # Nothing has been started yet.
        self.lifecycle.do(ServerVerb.ENDED)
        return _settled()

    def force_decrease_threads(self) -> Pending:
        """Reset the connections of threads that are to go; settles when these are gone.

        Raises:
            RuntimeError: there is no configuration, or a shutdown is in progress.
        """
        if self.control is not None:
            return self.control.force_decrease_threads()
        self.lifecycle.do(ServerVerb.FORCE_DECREASE)
        return _settled()

    def with_settings(self, **cfg: object) -> "Application":
        """Return the same application with some settings changed, which win over later reconfiguring.

        Raises:
            ConfigError: see the constructor; or it is no setting, but something else that one takes.
        """
        changed = copy(self)
        changed.lifecycle, changed.control = copy(self.lifecycle), None
        changed.state, changed.asgi_states = None, {}
        changed.override(**cfg)
        return changed

    def override(self, **cfg: object) -> None:
        """Change settings of this application; these win over what it is reconfigured with, too.

        Raises:
            ConfigError: see `with_settings`; nothing has changed.
        """
        self._check_overrides(cfg)
        overrides = {**self._overrides, **cfg}
        settings = parse_settings(
            {**self._given, **overrides}, lua_handler=self._language.runtime is not None
        )
        if settings.interface != self.settings.interface:
            self.handler = handler_of(self.sites, partial(self._as_handler, settings=settings))
        self.configuration, self._overrides = replace(self.configuration, settings=settings), overrides

    def override_again(self, **cfg: object) -> bool:
        """Put settings in place of those that `override` was given, while a server may run.

        Returns:
            Whether any of them is another one.

        What isn't named any more is as the application itself has it. All or nothing; requests that arrive
        from now on find the new settings, see `reconfigure`. To be called in the thread of the server.

        Raises:
            ConfigError: see `override`; or something that can't be changed was.
            RuntimeError: see `reconfigure`.
        """
        self._check_overrides(cfg)
        before = self._overrides
        overrides = {key: value for key, value in before.items() if key == "listen"} | cfg
        if overrides == before:
            return False
        with self.lifecycle.configuring():
            self._overrides = overrides
            try:
                self._configure({key: value for key, value in self._given.items() if key != "listen"})
            except BaseException:
                self._overrides = before
                raise
        return True

    def _check_overrides(self, cfg: Mapping[str, object]) -> None:
        for key in cfg:
            if key in OWN_KEYS:
                raise ConfigError(f"{key} is no setting: give it to {type(self).__name__}")
        if self._language.runtime is None:
            refuse_lua_keys(cfg)
        else:
            refuse_asgi_keys(cfg)

    def override_listen(self, listen: Sequence[ListenAddress]) -> None:
        """Have it listen there the next time that it begins to, whatever it is configured with."""
        self._overrides = {**self._overrides, "listen": listen}

    @property
    def sites(self) -> Sequence[Site]:
        """Who has which paths."""
        return self.configuration.sites

    @property
    def settings(self) -> Settings:
        """The checked settings."""
        return self.configuration.settings

    @property
    def listen(self) -> Sequence[ListenAddress]:
        """Where to listen, unless the front door is told otherwise."""
        return self.configuration.listen

    @property
    def uvloop(self) -> bool | None:
        """Whether to be run on uvloop, where there is asyncio; `None`: if it is installed."""
        return self.configuration.uvloop

    @property
    def directories(self) -> list[str]:
        """The directories that are served, by their absolute names."""
        return self.configuration.directories

    @property
    def asgi_handlers(self) -> list[AsgiHandler]:
        """The ASGI and WSGI applications there are among the handlers."""
        return list(asgi_handlers(self.handler))

    def runner(
        self,
        clock: Callable[[], float],
        *,
        start_async: Callable[[Exchange, Callable[..., Any]], None] | None = None,
        start_asgi: Callable[[Exchange, Any], None] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        files: Files | None = None,
        lock: AbstractContextManager[object] | None = None,
        call_in_loop: CallInLoop = at_once,
        check_thread: Callable[[], None] = any_thread,
        wall_clock: Callable[[], float] | None = None,
    ) -> Runner:
        """Return what runs the handlers of one event loop, by its `clock`.

        Directories need `files`, time stamps in JSON lines of the access log a `wall_clock`.
        """
        return Runner(
            self,
            clock=clock,
            start_async=start_async,
            start_asgi=start_asgi,
            on_ready=on_ready,
            files=files,
            lock=lock,
            call_in_loop=call_in_loop,
            check_thread=check_thread,
            wall_clock=wall_clock,
        )

    def use_lock(self, lock: StateLock) -> None:
        """Take what several threads need for handlers that share a state; those of Python share none."""

    def drained(self, runner: Runner) -> None:
        """Note that the connections of one loop have begun to drain; each exchange was told before.

        Called in that loop, the one of `runner`. An application whose handlers learn it by other ways than
        `io` tells them here.
        """

    def feed_stats(self) -> FeedStats:
        """Return what became of all that feeds of its own published; those of Python are nobody's."""
        return feeds_together(())

    @property
    def has_ended(self) -> bool:
        """Whether nothing of the application's own would have it served again after a shutdown."""
        return True

    @property
    def failure(self) -> ConfigError | None:
        """Why there will never be anything to serve, though a server was started."""
        return None

    def when_ended(self, call: Callable[[], None]) -> None:
        """Have `call` called when `has_ended` becomes true."""

    def connection(
        self,
        now: float,
        *,
        host: Host = NO_HOST,
        peer: Address = UNKNOWN_ADDRESS,
        ouraddr: Address = UNKNOWN_ADDRESS,
        date: DateSource = no_date,
        tells_acknowledged: bool = False,
        tells_complete: bool = True,
        certificates: Certificates | None = None,
        https: bool = False,
        protocol: ProtocolName | None = None,
        proxy_protocol: bool = False,
    ) -> Connection:
        """Return a connection that starts at `now`; the arguments are those of `Connection`."""
        return Connection(
            self.settings,
            now,
            host=host,
            peer=peer,
            ouraddr=ouraddr,
            date=date,
            tells_acknowledged=tells_acknowledged,
            tells_complete=tells_complete,
            certificates=certificates,
            https=https,
            protocol=protocol,
            proxy_protocol=proxy_protocol,
            streams=self.streams,
        )

    def streams(self, request: Request) -> bool:
        """Return whether the handler of a request is started before its body is in; its head is."""
        return streams_body(self.handler, request, self.settings.stream_bodies)

    def _begin(self, language: Language, overrides: Mapping[str, object]) -> None:
        self.lifecycle = Lifecycle()
        self.control: Control | None = None
        self._language = language
        self._overrides = dict(overrides)
        self._given: Mapping[str, object] = {}
        self.lifespan = self.state = None
        self.asgi_states, self.settings_again = {}, None

    def _configure(self, given: Mapping[str, object]) -> None:
        """Take a configuration over, if it is right and the server can; `lifecycle` has said that it may."""
        if self.lifecycle.state is ServerState.STOPPED:
            configuration = first_configuration({**given, **self._overrides}, self._language)
            self._swap(configuration, given, None if self.control is None else self.control.start)
            return
        # The listeners are there already, whoever has named them.
        overrides = {key: value for key, value in self._overrides.items() if key != "listen"}
        configuration = reconfiguration(self.configuration, {**given, **overrides}, self._language)
        self._swap(configuration, given, None if self.control is None else self.control.reconfigure)
        if self.control is not None:
            self.control.reconfigured()

    def _swap(
        self,
        configuration: Configuration,
        given: Mapping[str, object],
        take: Callable[[Configuration], None] | None,
    ) -> None:
        handler = handler_of(configuration.sites, partial(self._as_handler, settings=configuration.settings))
        if take is not None:
            self._check_started(handler, configuration.settings)
            take(configuration)
        self.configuration, self.handler, self._given = configuration, handler, given

    def _check_started(self, handler: Handler, settings: Settings) -> None:
        """Check that no ASGI application comes in that the server would have had to start."""
        if settings.lifespan == "off" or self.lifecycle.state is ServerState.STOPPED:
            return
        for one in asgi_handlers(handler):
            if not one.is_wsgi and id(one.app) not in self.asgi_states:
                raise ConfigError(
                    f"the ASGI application {one.app!r} can't come in while the server runs, as its lifespan "
                    "begins with the server: name it from the start, or set lifespan to 'off'"
                )

    def _as_handler(self, handler: Any, settings: Settings) -> Handler:
        return as_handler(handler, settings.interface)


def _settled() -> Pending:
    pending = Pending()
    pending.settle(None)
    return pending


def as_application(app: object, listen: object, cfg: dict[str, object]) -> Application:
    """Return `app` itself if it is an application, else one around the handler `app`.

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
