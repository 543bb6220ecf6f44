"""The doorbell: how other threads have something done in the thread of the loop."""

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from httpng_driver.poller import READABLE, Poller

_RINGS_AT_ONCE = 4096


class Doorbell:
    """Functions that other threads want called: a socket pair wakes the poller."""

    def __init__(self, poller: Poller) -> None:
        self._inside, self._outside = socket.socketpair()
        self._inside.setblocking(False)
        self._outside.setblocking(False)
        self._functions: deque[Callable[[], None]] = deque()
        self._poller = poller
        poller.register(self._inside.fileno(), READABLE, self._answer)

    def call(self, function: Callable[[], None]) -> None:
        """Has `function` called soon, in the thread of the loop. From any thread; once closed, nothing."""
        self._functions.append(function)
        with suppress(OSError):  # It is full, so it has been rung; or it is closed.
            self._outside.send(b"\0")

    def close(self) -> None:
        """Gives the sockets back. Again: nothing."""
        if self._inside.fileno() < 0:
            return
        self._poller.unregister(self._inside.fileno())
        self._inside.close()
        self._outside.close()

    def _answer(self, mask: int) -> None:
        # First the sockets, then the functions: a ring in between is heard again.
        self._inside.recv(_RINGS_AT_ONCE)
        for _ in range(len(self._functions)):
            self._functions.popleft()()
