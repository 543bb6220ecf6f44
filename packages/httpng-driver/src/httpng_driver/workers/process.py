"""A worker as its supervisor sees it: a process, what it has told, and when it is to be ended by force."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, auto
from math import inf
from typing import Final

from httpng_driver.serving.handed_over import VARIABLE as INHERITED
from httpng_driver.serving.peers import VARIABLE as FOLDER
from httpng_driver.workers.channel import VARIABLE, Channel

# The arguments may name files of the folder in which the program began.
_FOLDER: Final = os.getcwd()
_GRACE: Final = 5.0
"""Seconds that a worker may take longer than its `shutdown_timeout`."""
_LAST_GRACE: Final = 0.8
"""Seconds that one may take that was told to stop at once."""


class Stage(Enum):
    """How far a worker has come."""

    STARTING = auto()
    SERVING = auto()
    LEAVING = auto()
    """It drains."""


class WorkerProcess:
    """One worker.

    Attributes:
        channel: over which it tells, and is told.
        stage: how far it has come.
        was_ready: whether it ever served.
        began: when it was started.
        replaces: the one that is to go once this one serves, if one is.
        wants_to_go: whether it has asked to be replaced.
    """

    def __init__(
        self,
        sockets: Sequence[tuple[str, int]],
        given: Sequence[int],
        replaces: "WorkerProcess | None",
        folder: str | None = None,
    ) -> None:
        """Start this program anew, as a worker.

        Args:
            sockets: what it is to listen on: places and descriptors.
            given: descriptors that it has by their numbers.
            replaces: see above.
            folder: where workers listen for each other, if operators ask them.

        Raises:
            OSError: there is no room for another process.
        """
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        self.stage = Stage.STARTING
        self.was_ready = self.wants_to_go = False
        self.began = time.monotonic()
        self.replaces = replaces
        self._timeout = 0.0
        self._kill_at = inf
        self._folder = folder
        environment = {**os.environ, INHERITED: json.dumps(list(sockets)), VARIABLE: str(theirs.fileno())}
        if folder is not None:
            environment[FOLDER] = folder
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, *sys.orig_argv[1:]],
                    env=environment,
                    pass_fds=[theirs.fileno(), *given, *(number for _, number in sockets)],
                    cwd=_FOLDER,
                )
        except OSError:
            ours.close()
            raise

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it has ended, `None` while it runs; negative: by that signal."""
        return self._process.poll()

    @property
    def kill_at(self) -> float:
        """When it is ended by force; infinity: never."""
        return self._kill_at

    def note_ready(self, timeout: float) -> None:
        """Note that it serves, and would drain within `timeout` seconds."""
        self.stage, self.was_ready, self._timeout = Stage.SERVING, True, timeout

    def drain(self, seconds: float = -1.0) -> None:
        """Have it drain, within its own `shutdown_timeout` if `seconds` is negative. Again: nothing."""
        if self.stage is Stage.LEAVING:
            return
        if self.stage is Stage.STARTING:
            # There is nothing to drain, and nobody yet to tell.
            self._process.terminate()
        self.stage = Stage.LEAVING
        self.channel.tell("drain", seconds)
        self._kill_at = time.monotonic() + _GRACE + (self._timeout if seconds < 0 else seconds)

    def stop(self) -> None:
        """Have it end at once."""
        self.stage = Stage.LEAVING
        self.channel.tell("stop")
        self._kill_at = min(self._kill_at, time.monotonic() + _LAST_GRACE)

    def clean_up(self) -> None:
        """Remove what it may have left, once it has ended."""
        if self._folder is not None:
            with suppress(OSError):
                os.unlink(os.path.join(self._folder, str(self.pid)))

    def kill_if_due(self) -> bool:
        """End it by force if it takes too long; return whether that was so."""
        if time.monotonic() < self._kill_at:
            return False
        self._kill_at = inf
        self._process.send_signal(signal.SIGKILL)
        return True
