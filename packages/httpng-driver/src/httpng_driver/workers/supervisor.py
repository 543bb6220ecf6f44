"""The supervisor: it opens the sockets, starts workers, replaces those that die, and ends them.

It serves nothing itself, and has no event loop: signals, words of workers and deadlines, one after the other.
"""

import logging
import random
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Final

from httpng_core import Application, ConfigError, ListenAddress, Settings, StartupError
from httpng_driver.serving.endpoints import Listening
from httpng_driver.serving.server import opened
from httpng_driver.workers.process import Stage, WorkerProcess
from httpng_driver.workers.watch import FileWatch
from httpng_driver.workers.worker import this_worker

_log = logging.getLogger("httpng")

Announce = Callable[[Sequence[str], ListenAddress | None], None]
"""Told where a server listens, and where operators ask it."""

_SHORT_LIVED: Final = 10.0
"""A worker that dies sooner than that is replaced later each time."""
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 30.0
_AFTER_CHANGE: Final = 1.0
"""Seconds that exchanges of a worker may go on when a file has changed."""
_LOOK_EVERY: Final = 0.25
_LAST_WAIT: Final = 3.0
_START_FAILED: Final = 3
"""The status with which the command ends by a `StartupError`."""


class Backoff:
    """How long to wait before the next start: longer each time, while workers die young."""

    def __init__(self) -> None:
        self._delay = 0.0

    def next_delay(self, lived: float) -> float:
        """Return how many seconds to wait after one has died that had lived so long."""
        if lived >= _SHORT_LIVED:
            self._delay = 0.0
            return 0.0
        self._delay = min(max(self._delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
        return self._delay * random.uniform(0.75, 1.0)


def needs_workers(settings: Settings) -> bool:
    """Return whether these settings are for a supervisor."""
    return (
        settings.workers > 1
        or settings.reload
        or settings.max_requests is not None
        or settings.worker_max_rss is not None
    )


def supervised(
    application: Application,
    listen: Sequence[ListenAddress] | None,
    announce: Announce,
) -> bool:
    """Serve by workers, if the settings say so and this process is none; return whether it did, to the end.

    A worker is this program run anew, up to the same place, where it serves. `announce` is called with the
    URLs, and where operators ask, once all workers serve. To be called in the main thread.

    Raises:
        ConfigError: an address can't be listened on, or a worker can't be started, whose own error is on
            stderr.
        StartupError: a worker can't, as what the application does at its start fails.
    """
    if this_worker() is not None or not needs_workers(application.settings):
        return False
    listening = opened(application, listen)
    if listening is None:
        raise ConfigError("workers are for scripts that call httpng.cfg before they first wait")
    place = application.settings.admin
    try:
        operators = replace(application.configuration, sites=(), listen=() if place is None else (place,))
        admin = None if place is None else Listening(operators)
        try:
            Supervisor(listening, admin, application.settings, announce).run()
        finally:
            if admin is not None:
                admin.close()
    finally:
        listening.close()
    return True


class Supervisor:
    """Keeps workers running until it is told to end."""

    def __init__(
        self, listening: Listening, admin: Listening | None, settings: Settings, announce: Announce
    ) -> None:
        self._listening = listening
        self._admin = admin
        self._folder: str | None = None
        self._target = settings.workers
        self._reloads = settings.reload
        self._announce = announce
        self._announced = False
        self._workers: list[WorkerProcess] = []
        self._to_replace: deque[WorkerProcess] = deque()
        self._drain_limit = -1.0
        self._backoff = Backoff()
        self._start_at = 0.0
        self._stopping = False
        self._failure: ConfigError | StartupError | None = None
        self._signals: deque[int] = deque()
        self._changed = False
        self._selector = selectors.DefaultSelector()
        self._inside, self._outside = socket.socketpair()

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM, and until the last worker has ended.

        Raises:
            ConfigError: no worker can be started.
            StartupError: none can, as what the application does at its start fails.
        """
        with ExitStack() as stack:
            for sock in (self._inside, self._outside):
                sock.setblocking(False)
                stack.callback(sock.close)
            stack.callback(self._selector.close)
            self._selector.register(self._inside, selectors.EVENT_READ)
            if self._admin is not None:
                self._folder = stack.enter_context(TemporaryDirectory(prefix="httpng-"))
            self._hear_signals(stack)
            if self._reloads:
                stack.callback(FileWatch(self._note_change).close)
            stack.callback(self._end_all)
            self._loop()
        if self._failure is not None:
            raise self._failure

    def _loop(self) -> None:
        while not (self._stopping and not self._workers):
            self._start_missing()
            self._replace_next()
            for key, _ in self._selector.select(_LOOK_EVERY):
                if isinstance(key.data, WorkerProcess):
                    self._hear(key.data)
                else:
                    with suppress(OSError):
                        self._inside.recv(4096)
            while self._signals:
                self._obey(self._signals.popleft())
            if self._changed:
                self._changed = False
                _log.info("a file has changed: workers are replaced")
                self._replace_all(_AFTER_CHANGE)
            for worker in tuple(self._workers):
                if worker.status is not None:
                    self._bury(worker)
                elif worker.kill_if_due():
                    _log.warning("worker %d didn't end in time: it is killed", worker.pid)

    # Signals and changes ------------------------------------------------------------------------------

    def _hear_signals(self, stack: ExitStack) -> None:
        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR2", "SIGCHLD")
        for name in names:
            number = getattr(signal, name, None)
            if number is not None:
                stack.callback(signal.signal, number, signal.signal(number, self._note_signal))
        stack.callback(
            signal.set_wakeup_fd, signal.set_wakeup_fd(self._outside.fileno(), warn_on_full_buffer=False)
        )

    def _note_signal(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)

    def _note_change(self) -> None:
        self._changed = True
        with suppress(OSError):
            self._outside.send(b"\0")

    def _obey(self, number: int) -> None:
        if number in (signal.SIGINT, signal.SIGTERM):
            self._stop()
        elif number == signal.SIGHUP and not self._stopping:
            _log.info("SIGHUP: workers are replaced, one after the other")
            self._replace_all()
        elif number == signal.SIGUSR2:
            _log.warning("SIGUSR2 replaces a server without workers; SIGHUP replaces workers")
        elif number == signal.SIGTTIN:
            self._target += 1
            _log.info("SIGTTIN: there are to be %d workers", self._target)
        elif number == signal.SIGTTOU and self._target > 1:
            self._target -= 1
            _log.info("SIGTTOU: there are to be %d workers", self._target)
            self._drain_surplus()

    def _stop(self) -> None:
        """End: the first time gracefully, then at once."""
        if self._stopping:
            for worker in self._workers:
                worker.stop()
            return
        self._stopping = True
        self._to_replace.clear()
        for worker in self._workers:
            worker.drain()

    def _drain_surplus(self) -> None:
        present = self._present()
        for worker in present[self._target :]:
            worker.drain()

    # Workers ------------------------------------------------------------------------------------------

    def _present(self) -> list[WorkerProcess]:
        """Return those that count: that serve or are about to, and are no replacement yet."""
        return [
            worker
            for worker in self._workers
            if worker.stage is not Stage.LEAVING and worker.replaces is None
        ]

    def _start(self, replaces: WorkerProcess | None = None) -> None:
        opened_here = [*self._listening.bound, *(() if self._admin is None else self._admin.bound)]
        sockets = [(bound.key, bound.socket.fileno()) for bound in opened_here if bound.key]
        given = [bound.socket.fileno() for bound in self._listening.bound if not bound.key]
        try:
            worker = WorkerProcess(sockets, given, replaces, self._folder)
        except OSError as error:
            _log.error("can't start a worker: %s", error)
            self._to_replace.clear()
            self._start_at = time.monotonic() + self._backoff.next_delay(0.0)
            return
        self._workers.append(worker)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _start_missing(self) -> None:
        if self._stopping or time.monotonic() < self._start_at:
            return
        for _ in range(self._target - len(self._present())):
            self._start()

    def _replace_all(self, limit: float = -1.0) -> None:
        """Replace all that serve or are about to, one after the other."""
        self._drain_limit = limit
        for worker in self._workers:
            if worker.stage is Stage.STARTING and worker.replaces is not None:
                # It has begun with what is old by now.
                worker.drain()
        self._to_replace = deque(self._present())

    def _replace_next(self) -> None:
        if self._stopping or any(
            worker.replaces is not None and worker.stage is Stage.STARTING for worker in self._workers
        ):
            return
        while self._to_replace:
            old = self._to_replace.popleft()
            if old in self._workers and old.stage is not Stage.LEAVING:
                self._start(old)
                return

    def _hear(self, worker: WorkerProcess) -> None:
        words = worker.channel.receive()
        if words is None:
            self._selector.unregister(worker.channel)
            worker.channel.close()
            return
        for word, number in words:
            if word == "ready" and worker.stage is Stage.STARTING:
                worker.note_ready(number)
                self._is_ready(worker)
            elif word == "leaving" and not worker.wants_to_go:
                worker.wants_to_go = True
                self._to_replace.append(worker)

    def _is_ready(self, worker: WorkerProcess) -> None:
        old, worker.replaces = worker.replaces, None
        _log.info("worker %d serves", worker.pid)
        if old is not None:
            # One that was told by a change of files waits for nobody.
            old.drain(self._drain_limit if not old.wants_to_go else -1.0)
        serving = [one for one in self._workers if one.stage is Stage.SERVING]
        if not self._announced and len(serving) >= self._target:
            self._announced = True
            admin = None if self._admin is None else self._admin.bound[0].address
            self._announce([bound.address.url for bound in self._listening.bound], admin)

    def _bury(self, worker: WorkerProcess) -> None:
        """Take note of a worker that has ended."""
        self._workers.remove(worker)
        worker.clean_up()
        if worker.channel.fileno() >= 0:
            self._selector.unregister(worker.channel)
            worker.channel.close()
        if self._stopping or worker.stage is Stage.LEAVING:
            return
        status = worker.status
        if worker.replaces is not None:
            _log.error("the new worker can't start (status %s): those before go on", status)
            self._to_replace.clear()
            worker.replaces.wants_to_go = False
        elif not worker.was_ready and not any(one.was_ready for one in self._workers):
            kind = StartupError if status == _START_FAILED else ConfigError
            self._failure = kind(f"a worker can't start: it ended with status {status}, see above")
            self._stop()
        else:
            delay = self._backoff.next_delay(time.monotonic() - worker.began)
            self._start_at = time.monotonic() + delay
            _log.error(
                "worker %d has ended (status %s): another one starts in %.1f s", worker.pid, status, delay
            )

    def _end_all(self) -> None:
        """Leave no process behind, whatever ended the loop."""
        for worker in self._workers:
            worker.stop()
        deadline = time.monotonic() + _LAST_WAIT
        while any(worker.status is None for worker in self._workers) and time.monotonic() < deadline:
            for worker in self._workers:
                worker.kill_if_due()
            time.sleep(0.02)
