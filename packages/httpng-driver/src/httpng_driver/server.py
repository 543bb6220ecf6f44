"""Serving: from open listeners to the last connection, within a running event loop."""

from collections.abc import Callable, Sequence

import anyio
from anyio.abc import TaskStatus

from httpng_core import Application, Certificates, ListenAddress
from httpng_driver.directories import check_directories
from httpng_driver.hub import Hub
from httpng_driver.listener import Listener, open_listeners
from httpng_driver.reactor import Reactor


class Server:
    """A server that runs. `serve` makes it and hands it out once it listens.

    Attributes:
        addresses: where it listens, with the ports that were picked for port 0.
    """

    def __init__(self, application: Application, reactor: Reactor, listen: Sequence[ListenAddress]) -> None:
        """Opens the listeners.

        Raises:
            ConfigError: a directory can't be served, a certificate can't be used, or an address can't be
                listened on.
        """
        check_directories(application.directories)
        settings = application.settings
        self._limit = settings.max_conn_per_thread
        self._shutdown_timeout = settings.shutdown_timeout
        self._certificates = {
            address.tls: Certificates(address.tls, settings) for address in listen if address.tls is not None
        }
        opened = open_listeners(list(listen), settings.notsent_lowat)
        self._hub = Hub(application, reactor)
        self._hub.on_forget = self._forgotten
        self._listeners = [
            Listener(
                self._hub,
                bound,
                self._has_room,
                self._certificates[bound.address.tls] if bound.address.tls is not None else None,
            )
            for bound in opened
        ]
        self.addresses = [listener.address for listener in self._listeners]
        self._stopping = anyio.Event()
        self._emptied = anyio.Event()
        self._draining = anyio.CancelScope()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._hub.pumps)

    @property
    def uses_tls(self) -> bool:
        """Whether there are certificates to reload."""
        return bool(self._certificates)

    def reload_certificates(self) -> None:
        """Reads all certificates and keys again: new handshakes use them, open connections go on.

        Blocks while it reads.

        Raises:
            ConfigError: a file can't be used; then nothing has changed.
        """
        fresh = [(certificates, certificates.load()) for certificates in self._certificates.values()]
        for certificates, context in fresh:
            certificates.context = context

    def shutdown(self, timeout: float | None = None) -> None:
        """Stops accepting; exchanges may finish within `timeout` seconds (default: `shutdown_timeout`).

        Doesn't wait: `serve` returns when all is over. What still runs by then is cancelled. Called
        again, the time counts from then.
        """
        limit = self._shutdown_timeout if timeout is None else timeout
        self._draining.deadline = anyio.current_time() + limit
        self._stopping.set()

    async def run(self) -> None:
        """Serves until `shutdown`, or until it is cancelled: then everything is aborted at once."""
        try:
            await self._stopping.wait()
            self._drain()
            with self._draining:
                while self._hub.pumps:
                    await self._emptied.wait()
                    self._emptied = anyio.Event()
        finally:
            self.close()

    def close(self) -> None:
        """Closes all listeners, aborts all connections."""
        for listener in self._listeners:
            listener.close()
        self._hub.close()

    def _drain(self) -> None:
        for listener in self._listeners:
            listener.close()
        for pump in self._hub.pumps:
            pump.connection.drain(self._hub.clock())

    def _has_room(self) -> bool:
        return len(self._hub.pumps) < self._limit

    def _forgotten(self) -> None:
        for listener in self._listeners:
            listener.resume()
        if not self._hub.pumps:
            self._emptied.set()


async def serve_on(
    reactor: Reactor,
    application: Application,
    listen: Sequence[ListenAddress] | None = None,
    *,
    on_listening: Callable[[Server], None] | None = None,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serves `application` on a backend's reactor until `Server.shutdown`, or until it is cancelled."""
    server = Server(application, reactor, application.listen if listen is None else listen)
    try:
        application.on_shutdown = server.shutdown
        if on_listening is not None:
            on_listening(server)
        task_status.started(server)
        await server.run()
    finally:
        server.close()
