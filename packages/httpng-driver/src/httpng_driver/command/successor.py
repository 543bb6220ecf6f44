"""Replacing a running server: a new process takes over what the old one listens on, so nobody is refused."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Final

from httpng_driver.command.systemd import notify
from httpng_driver.serving.handed_over import INHERITED, VARIABLE

_log = logging.getLogger("httpng")

_PREDECESSOR: Final = "HTTPNG_PREDECESSOR"
# The arguments may name files of the folder in which the program began.
_FOLDER: Final = os.getcwd()


class Successor:
    """The process that is to take over from this one, once there is one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is one, which may listen already."""
        return self._process is not None and self._process.poll() is None

    def start(self, sockets: Sequence[tuple[str, int]]) -> None:
        """Start this program anew, with these sockets: places and descriptors.

        Once it listens, it ends this process. If it can't, this one goes on.
        """
        if self.is_running or not sockets:
            _log.info("there is a process that takes over" if sockets else "there is nothing to take over")
            return
        environment = {**os.environ, VARIABLE: json.dumps(sockets), _PREDECESSOR: str(os.getpid())}
        try:
            self._process = subprocess.Popen(
                [sys.executable, *sys.orig_argv[1:]],
                env=environment,
                pass_fds=[descriptor for _, descriptor in sockets],
                cwd=_FOLDER,
            )
        except OSError as error:
            _log.error("no other process can take over: %s", error)
            return
        _log.info("process %d is to take over", self._process.pid)
        threading.Thread(
            target=self._watch, args=(self._process,), name="httpng-successor", daemon=True
        ).start()

    def tell_manager(self) -> None:
        """Tell the service manager that this process ends, or that another one is the service now."""
        if self._process is not None and self.is_running:
            notify(f"MAINPID={self._process.pid}")
        else:
            notify("STOPPING=1")

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        status = process.wait()
        _log.error("the process that was to take over ended with status %d: this one goes on", status)


def taken_over() -> None:
    """End the process from which this one has taken over, if there is one; what it left unused is closed."""
    INHERITED.close()
    before = os.environ.pop(_PREDECESSOR, "")
    if before == str(os.getppid()):
        os.kill(int(before), signal.SIGTERM)
