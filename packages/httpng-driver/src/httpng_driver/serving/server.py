"""Serving: from open listeners to the last connection, within a running event loop."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskStatus

from httpng_core import Application, ListenAddress, ServerState, ServerVerb, Settings
from httpng_driver.handlers.io import until_settled
from httpng_driver.loop.doorbell import Doorbell
from httpng_driver.loop.hub import Hub
from httpng_driver.reactor import Backend, Reactor
from httpng_driver.serving.admin import admin_application
from httpng_driver.serving.control import Service
from httpng_driver.serving.endpoints import Listening, Preparation
from httpng_driver.serving.lifespans import started
from httpng_driver.serving.peers import own_peers
from httpng_driver.serving.statistics import ServerStatistics
from httpng_driver.threads.lua_lock import LuaLock
from httpng_driver.threads.pool import Loops


class Server:
    """A server that runs. `serve` makes it and hands it out once it listens.

    All of it is for the thread of the event loop that `serve` runs in.
    """

    def __init__(
        self,
        application: Application,
        reactor: Reactor,
        backend: Backend,
        listening: Listening | None,
        *,
        counts: bool = True,
    ) -> None:
        """Serve what `listening` has opened; `None`: the application has stopped, and may start again.

        Unless it `counts`, nothing of it is in metrics.
        """
        self._application = application
        doorbell = Doorbell()
        try:
            application.use_lock(LuaLock(doorbell.call))
            self._hub = Hub(application, reactor, doorbell=doorbell, counts=counts)
        except BaseException:
            doorbell.close()
            raise
        self._loops = Loops(application, backend, self._hub)
        self._service = Service(application, self._hub, self._loops, listening)
        self._admin: Server | None = None
        application.control = self._service

    @property
    def hub(self) -> Hub:
        """What serves connections in the event loop that `serve` runs in; for looking at."""
        return self._hub

    @property
    def admin(self) -> ListenAddress | None:
        """Where operators ask it, with its real port; `None`: nowhere."""
        return None if self._admin is None else self._admin.addresses[0]

    @property
    def addresses(self) -> list[ListenAddress]:
        """Where it listens, with the ports that were picked for port 0; empty until a script calls `cfg`."""
        listening = self._service.listening
        return [] if listening is None else [bound.address for bound in listening.bound]

    @property
    def settings(self) -> Settings:
        """The settings that it serves with now."""
        return self._application.settings

    @property
    def requests(self) -> int:
        """How many requests its threads have begun, those of threads that are gone left out."""
        return self._loops.requests

    @property
    def sockets(self) -> list[tuple[str, int]]:
        """What it listens on, for a process that is to take over: places and descriptors."""
        listening = self._service.listening
        bound = [] if listening is None else listening.bound
        own = [(one.key, one.socket.fileno()) for one in bound if one.socket.fileno() >= 0]
        return own if self._admin is None or not own else [*own, *self._admin.sockets]

    def hand_over(self) -> None:
        """Leave the files of Unix sockets alone at the end: another process listens there."""
        self._service.hand_over()
        if self._admin is not None:
            self._admin.hand_over()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._loops.connections

    def statistics(self) -> ServerStatistics:
        """Return how the server stands: its state, connections by loop, listeners. A snapshot; cheap."""
        return self._service.statistics()

    @property
    def uses_tls(self) -> bool:
        """Whether there are certificates to reload."""
        listening = self._service.listening
        return listening is not None and listening.uses_tls

    def reload_certificates(self) -> None:
        """Read all certificates and keys again: new handshakes use them, open connections go on.

        Blocks while it reads.

        Raises:
            ConfigError: a file can't be used; then nothing has changed.
        """
        if self._service.listening is not None:
            self._service.listening.reload_certificates()

    def reload_settings(self) -> bool:
        """Read again the settings that the command line gave, with its file; return whether any has changed.

        Blocks while it reads. See `Application.override_again`.

        Raises:
            ConfigError: something is wrong with them, or can't be changed; then nothing has.
            RuntimeError: threads that are to go are not gone yet, or a shutdown is in progress.
        """
        again = self._application.settings_again
        return again is not None and self._application.override_again(**again())

    def reconfigure(self, handler: object = None, *, sites: object = None, **cfg: object) -> None:
        """Replace handlers and settings while connections and handlers run; see `Application.reconfigure`.

        Doesn't block. With more `threads` they are there at once. With fewer, those that are to go finish
        their requests; until then another call raises. After `thread_termination_timeout` seconds their
        connections are reset.

        Raises:
            ConfigError: something is wrong with it, or can't be changed; then nothing has.
            RuntimeError: threads that are to go are not gone yet, or a shutdown is in progress.
            TypeError: a handler takes other arguments.
        """
        self._application.reconfigure(handler, sites=sites, **cfg)

    async def force_decrease_threads(self) -> None:
        """Reset the connections of threads that are to go and wait until these are gone.

        Handlers that go on without a connection are given up after `shutdown_timeout`. Cancelling the wait
        changes nothing of that.

        Raises:
            RuntimeError: a shutdown is in progress.
        """
        await until_settled(self._application.force_decrease_threads())

    def shutdown(self, timeout: float | None = None) -> None:
        """Stop accepting; exchanges may finish within `timeout` seconds (default: `shutdown_timeout`).

        Doesn't wait: `serve` returns when all is over. What still runs by then is cancelled. Called
        again, the time counts from then.
        """
        self._service.drain(self._application.settings.shutdown_timeout if timeout is None else timeout)

    async def run(self) -> None:
        """Serve until `shutdown`, or until it is cancelled: then everything is aborted at once."""
        try:
            await self._service.over.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._service.close()


async def serve_on(
    backend: Backend,
    application: Application,
    listen: Sequence[ListenAddress] | None = None,
    *,
    on_listening: Callable[[Server], None] | None = None,
    task_status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `application` in the running loop of a backend until `Server.shutdown`, or until cancelled.

    Raises:
        ConfigError: a directory can't be served, a certificate can't be used, or an address can't be
            listened on.
        StartupError: what the application does at its start has failed.
        RuntimeError: the application is served already; or it is a script that was, as it can be once.
    """
    if isinstance(application.control, Service):
        raise RuntimeError("the application is served already: give another server a copy of it")
    listening = opened(application, listen)
    try:
        async with started(application, backend) as notify, backend.reactor() as reactor:
            server = Server(application, reactor, backend, listening)
            server._service.on_stopping = notify
            await _serve(server, backend, on_listening, task_status)
        if application.failure is not None:
            raise application.failure
    finally:
        application.control = None
        application.lifecycle.do(ServerVerb.ENDED)
        if listening is not None:
            listening.close()


def opened(application: Application, listen: Sequence[ListenAddress] | None) -> Listening | None:
    """Return what the application listens on, opened; `None` for a script that has yet to call `cfg`.

    Raises:
        ConfigError: a directory can't be served, a certificate can't be used, or an address can't be
            listened on.
    """
    prepared, lifecycle = application.control, application.lifecycle
    if listen is not None and not application.has_ended:
        application.override_listen(listen)
    if isinstance(prepared, Preparation):
        taken = prepared.take()
        if taken is None or listen is None or tuple(listen) == tuple(application.listen):
            return taken
        taken.close()
    elif lifecycle.state is ServerState.STOPPED and not application.has_ended:
        # A script that has yet to call `cfg`.
        return None
    configuration = application.configuration
    listening = Listening(configuration if listen is None else replace(configuration, listen=listen))
    if lifecycle.state is ServerState.STOPPED:
        # It was served before.
        lifecycle.do(ServerVerb.CONFIGURE)
    return listening


@asynccontextmanager
async def _administered(server: Server, backend: Backend) -> AsyncIterator[None]:
    """Let operators ask the server, if its settings say where, as long as it runs: while it drains, too.

    A server of its own does that in the same loop, so nothing of it counts as the other's.

    Raises:
        ConfigError: that can't be listened on.
    """
    place, service = server.settings.admin, server._service
    if place is None:
        yield
        return
    application = admin_application(service, place, own_peers())
    listening = Listening(application.configuration)
    try:
        async with backend.reactor() as reactor:
            admin = server._admin = Server(application, reactor, backend, listening, counts=False)
            try:
                admin._service.begin()
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await admin._service.close()
    finally:
        listening.close()


async def _serve(
    server: Server,
    backend: Backend,
    on_listening: Callable[[Server], None] | None,
    task_status: TaskStatus[Any],
) -> None:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(_administered(server, backend))
            server._service.begin()
            if on_listening is not None:
                server._service.on_started = partial(on_listening, server)
                on_listening(server)
            task_status.started(server)
        except BaseException:
            server._service.over.set()
            await server.run()
            raise
        await server.run()
