"""What `run` and `serve` of every backend have in common."""

import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from anyio.abc import TaskStatus

from httpng_core import ConfigError, ListenAddress, parse_listen
from httpng_driver.command.cli import announce
from httpng_driver.command.second_signal import SecondSignal
from httpng_driver.serving.server import Server

_log = logging.getLogger("httpng")


class Serve(Protocol):
    """A backend's `serve`, its application and listeners bound."""

    def __call__(self, *, on_listening: Callable[[Server], None]) -> Awaitable[None]:
        """Serve until it is over."""


def addresses(listen: object) -> tuple[ListenAddress, ...] | None:
    """Return the addresses that `listen` names, `None` for `None`.

    Raises:
        ConfigError: it names none.
    """
    return None if listen is None else parse_listen(listen, default=())


async def until_signalled(serve: Serve) -> None:
    """Serve; the first SIGINT or SIGTERM shuts down gracefully, a second one at once.

    If it isn't down within a second of that, since a handler doesn't let anything else run, the process ends.

    Where it listens is said each time it begins to. As soon as it does with TLS, SIGHUP reloads the
    certificates; before that it ends the program as ever.

    Raises:
        ConfigError: the server can't be started.
        RuntimeError: this isn't the main thread; or the application can't be served now.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run is for the main thread, which gets the signals: elsewhere use serve")
    servers: list[Server] = []
    failure: ConfigError | RuntimeError | None = None
    watches = False

    def listening(server: Server) -> None:
        nonlocal watches
        servers[:] = [server]
        urls = [address.url for address in server.addresses]
        if server.uses_tls and hasattr(signal, "SIGHUP") and not watches:
            watches = True
            tasks.start_soon(_watch_hang_ups, server, urls, watch)
        else:
            announce(urls)

    with SecondSignal() as watch:
        async with anyio.create_task_group() as tasks:
            await tasks.start(_watch_signals, servers, watch)
            try:
                await serve(on_listening=listening)
            except (ConfigError, RuntimeError) as error:
                # Out of a task group it would come wrapped.
                failure = error
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _watch_hang_ups(server: Server, urls: list[str], watch: SecondSignal) -> None:
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        watch.listen()
        # Not before: who reads that line may send the signal.
        announce(urls)
        async for _ in signals:
            _reload_certificates(server)


def _reload_certificates(server: Server) -> None:
    if not server.uses_tls:
        _log.info("there are no certificates to reload")
        return
    try:
        server.reload_certificates()
    except ConfigError as error:
        _log.error("the old certificates stay: %s", error)
    else:
        _log.info("certificates reloaded")


async def _watch_signals(
    servers: list[Server], watch: SecondSignal, *, task_status: TaskStatus[None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        watch.listen()
        task_status.started()
        count = 0
        async for _ in signals:
            count += 1
            for server in servers:
                server.shutdown(None if count == 1 else 0)
