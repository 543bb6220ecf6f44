"""A worker: a process that serves, started and told what to do by a supervisor."""

import logging
import os
import random
import resource
import socket
import sys
from functools import cache
from math import inf
from typing import Final

import anyio

from httpng_core import Settings
from httpng_driver.serving.server import Server
from httpng_driver.workers.channel import VARIABLE, Channel

_log = logging.getLogger("httpng")

_LOOK_EVERY: Final = 0.25


class Worker:
    """This process, as far as its supervisor has to do with it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._is_leaving = False

    def is_ready(self, server: Server) -> None:
        """Tell that it serves, and how long it may take to end."""
        self._channel.tell("ready", server.settings.shutdown_timeout)

    def leave(self, reason: str) -> None:
        """Ask to be replaced: it is told to drain once another one serves. Again: nothing."""
        if not self._is_leaving:
            self._is_leaving = True
            _log.info("worker %d is to be replaced: %s", os.getpid(), reason)
            self._channel.tell("leaving")

    async def obey(self, server: Server) -> None:
        """Do what the supervisor tells; if that is gone, drain."""
        while True:
            await anyio.wait_readable(self._channel.fileno())
            words = self._channel.receive()
            if words is None:
                server.shutdown()
                return
            for word, number in words:
                server.shutdown(0 if word == "stop" else None if number < 0 else number)

    async def heed_limits(self, server: Server) -> None:
        """Ask to be replaced after `max_requests` requests, or when it has grown to `worker_max_rss`."""
        settings = server.settings
        most = _requests_allowed(settings)
        if most == inf and settings.worker_max_rss is None:
            return
        while True:
            await anyio.sleep(_LOOK_EVERY)
            if server.requests >= most:
                self.leave(f"it has begun {server.requests} requests (max_requests)")
                return
            size = _resident() if settings.worker_max_rss is not None else 0
            if settings.worker_max_rss is not None and size >= settings.worker_max_rss:
                self.leave(f"it has grown to {size} bytes (worker_max_rss)")
                return


@cache
def this_worker() -> Worker | None:
    """Return what this process is to its supervisor; `None` if it has none."""
    number = os.environ.pop(VARIABLE, "")
    if not number:
        return None
    os.set_inheritable(int(number), False)
    return Worker(Channel(socket.socket(fileno=int(number))))


def _requests_allowed(settings: Settings) -> float:
    if settings.max_requests is None:
        return inf
    # Workers that began together must not go together.
    return settings.max_requests + random.randint(0, settings.max_requests_jitter)


def _resident() -> int:
    """Return how much memory the process has, in bytes; where that can't be told, its most ever."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
