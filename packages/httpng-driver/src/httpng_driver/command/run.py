"""What `run` and `serve` of every backend have in common."""

import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio
from anyio.abc import TaskStatus

from httpng_core import Application, ConfigError, ListenAddress, parse_listen
from httpng_driver.command.cli import announce
from httpng_driver.command.collector import freezing
from httpng_driver.command.second_signal import SecondSignal
from httpng_driver.command.successor import Successor, taken_over
from httpng_driver.command.systemd import notify
from httpng_driver.serving.handed_over import INHERITED
from httpng_driver.serving.server import Server
from httpng_driver.workers import Worker, supervised, this_worker

_log = logging.getLogger("httpng")

_OF_WORKERS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2")


Serve = Callable[..., Awaitable[None]]
"""A backend's `serve`, its application and listeners bound; what is left is `on_listening`."""


def addresses(listen: object) -> tuple[ListenAddress, ...] | None:
    """Return the addresses that `listen` names, `None` for `None`.

    Raises:
        ConfigError: it names none.
    """
    return None if listen is None else parse_listen(listen, default=())


def supervise(application: Application, listen: object) -> bool:
    """Serve by several processes, if the settings of `application` say so; return whether it did, to the end.

    In a worker, or if there is to be one process, it does nothing. To be called in the main thread.

    Raises:
        ConfigError: an address can't be listened on, or a worker can't be started.
    """
    return supervised(application, addresses(listen), _listens)


async def until_signalled(serve: Serve) -> None:
    """Serve; the first SIGINT or SIGTERM shuts down gracefully, a second one at once.

    If it isn't down within a second of that, since a handler doesn't let anything else run, the process ends.

    SIGUSR2 starts this program anew, which takes over the listening sockets and ends this process. SIGHUP
    reads the certificates again, and the settings of the command line and its file.

    Where it listens is said each time it begins to. A worker is told by its supervisor in place of signals.

    Raises:
        ConfigError: the server can't be started.
        RuntimeError: this isn't the main thread; or the application can't be served now.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run is for the main thread, which gets the signals: elsewhere use serve")
    worker = this_worker()
    if worker is not None:
        await _until_told(serve, worker)
        return
    servers: list[Server] = []
    successor = Successor()

    def listening(server: Server) -> None:
        servers[:] = [server]
        if not server.addresses:
            # A script that has yet to say where: until then nothing is told, and what it may take over stays.
            return
        freeze()
        _listens([address.url for address in server.addresses], server.admin)

    with freezing() as freeze, SecondSignal() as watch:
        async with anyio.create_task_group() as tasks:
            await tasks.start(_watch_signals, servers, successor, watch)
            if hasattr(signal, "SIGHUP"):
                await tasks.start(_watch_hang_ups, servers, watch)
            if hasattr(signal, "SIGUSR2"):
                await tasks.start(_watch_successions, servers, successor, watch)
            failure = await _failure_of(serve, listening)
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _until_told(serve: Serve, worker: Worker) -> None:
    """Serve as a worker: until its supervisor has it drain, or is gone."""
    watched = False

    def listening(server: Server) -> None:
        nonlocal watched
        if not watched:
            watched = True
            tasks.start_soon(worker.obey, server)
            tasks.start_soon(worker.heed_limits, server)
        if not server.addresses:
            # Likewise.
            return
        INHERITED.close()
        # The files of Unix sockets are the supervisor's: others go on listening there.
        server.hand_over()
        freeze()
        worker.is_ready(server)

    with freezing() as freeze, SecondSignal() as watch:
        async with anyio.create_task_group() as tasks:
            await tasks.start(_watch_as_worker, worker, watch)
            failure = await _failure_of(serve, listening)
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _failure_of(serve: Serve, listening: Callable[[Server], None]) -> ConfigError | RuntimeError | None:
    """Serve; return the error that ended it, which out of a task group would come wrapped."""
    try:
        await serve(on_listening=listening)
    except (ConfigError, RuntimeError) as error:
        return error
    return None


async def _watch_as_worker(worker: Worker, watch: SecondSignal, *, task_status: TaskStatus[None]) -> None:
    """Heed SIGTERM alone: what a terminal sends to all processes is the supervisor's to act on."""
    numbers = [getattr(signal, name) for name in _OF_WORKERS if hasattr(signal, name)]
    with anyio.open_signal_receiver(*numbers) as signals:
        watch.listen()
        task_status.started()
        async for number in signals:
            if number == signal.SIGTERM:
                worker.leave("it was sent SIGTERM")


async def _watch_hang_ups(
    servers: list[Server], watch: SecondSignal, *, task_status: TaskStatus[None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        watch.listen()
        # Before anything is said: who reads that it listens may send the signal.
        task_status.started()
        async for _ in signals:
            for server in servers:
                _reload(server)


def _reload(server: Server) -> None:
    """Read again what can be taken in by a process that runs, each for itself: one may be wrong."""
    try:
        if server.uses_tls:
            server.reload_certificates()
            _log.info("certificates reloaded")
    except ConfigError as error:
        _log.error("the old certificates stay: %s", error)
    try:
        if server.reload_settings():
            _log.info("settings reloaded; other code needs a new process: SIGUSR2")
        elif not server.uses_tls:
            _log.info("SIGHUP: the settings are as they were; other code needs a new process: SIGUSR2")
    except (ConfigError, RuntimeError) as error:
        _log.error("the old settings stay: %s", error)


def _listens(urls: Sequence[str], admin: ListenAddress | None) -> None:
    """Tell all who want to know that it listens there."""
    announce(urls, None if admin is None else admin.url)
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
