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
from httpng_driver.command.successor import Successor, taken_over
from httpng_driver.command.systemd import notify
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

    SIGUSR2 starts this program anew, which takes over the listening sockets and ends this process.

    Where it listens is said each time it begins to. As soon as it does with TLS, SIGHUP reloads the
    certificates; before that it ends the program as ever.

    Raises:
        ConfigError: the server can't be started.
        RuntimeError: this isn't the main thread; or the application can't be served now.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run is for the main thread, which gets the signals: elsewhere use serve")
    servers: list[Server] = []
    successor = Successor()
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
            _listens(urls)

    with SecondSignal() as watch:
        async with anyio.create_task_group() as tasks:
            await tasks.start(_watch_signals, servers, successor, watch)
            if hasattr(signal, "SIGUSR2"):
                await tasks.start(_watch_successions, servers, successor, watch)
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
        _listens(urls)
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


def _listens(urls: list[str]) -> None:
    """Tell all who want to know that it listens there."""
    announce(urls)
    notify("READY=1")
    taken_over()


async def _watch_successions(
    servers: list[Server], successor: Successor, watch: SecondSignal, *, task_status: TaskStatus[None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGUSR2) as signals:
        watch.listen()
        task_status.started()
        async for _ in signals:
            for server in servers:
                successor.start(server.sockets)


async def _watch_signals(
    servers: list[Server], successor: Successor, watch: SecondSignal, *, task_status: TaskStatus[None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        watch.listen()
        task_status.started()
        count = 0
        async for _ in signals:
            count += 1
            if count == 1:
                successor.tell_manager()
            for server in servers:
                if successor.is_running:
                    server.hand_over()
                server.shutdown(None if count == 1 else 0)
