"""The doorbell: how other threads have something done in the thread of a loop."""

import logging
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident

from httpng_driver.loop.poller import READABLE, Poller

_log = logging.getLogger("httpng")

_RINGS_AT_ONCE = 4096


class Doorbell:
    """Functions that other threads want called: a socket pair wakes the poller.

    It can be rung before there is anyone to answer, and when nobody is there any more: then whoever rings
    does it himself, as nothing that was asked for may be left undone.
    """

    def __init__(self) -> None:
        self._inside, self._outside = socket.socketpair()
        self._inside.setblocking(False)
        self._outside.setblocking(False)
        self._functions: deque[Callable[[], object]] = deque()
        self._poller: Poller | None = None
        self._thread: int | None = None
        self._closed = False

    def answer_by(self, poller: Poller) -> None:
        """Call the functions when `poller` polls, in the thread that calls this."""
        self._poller, self._thread = poller, get_ident()
        poller.register(self._inside.fileno(), READABLE, self._answer)

    def call(self, function: Callable[[], object]) -> None:
        """Have `function` called soon, in the thread of the loop. From any thread."""
        self._functions.append(function)
        if self._closed:
            self._call_all()
            return
        with suppress(OSError):  # It is full, so it has been rung; or it is closed.
            self._outside.send(b"\0")

    def call_in_loop(self, function: Callable[[], None]) -> None:
        """Call `function` in the thread of the loop: at once if called from there, else soon."""
        if get_ident() == self._thread:
            function()
        else:
            self.call(function)

    def close(self) -> None:
        """Give the sockets back; what was still asked for is done now. Again: nothing."""
        if self._closed:
            return
        if self._poller is not None:
            self._poller.unregister(self._inside.fileno())
            self._poller = None
        self._closed = True
        self._inside.close()
        self._outside.close()
        self._call_all()

    def _answer(self, mask: int) -> None:
        # First the sockets, then the functions: a ring in between is heard again.
        self._inside.recv(_RINGS_AT_ONCE)
        self._call_some(len(self._functions))

    def _call_all(self) -> None:
        while self._functions:
            self._call_some(1)

    def _call_some(self, count: int) -> None:
        for _ in range(count):
            try:
                function = self._functions.popleft()
            except IndexError:
                return  # It was closed meanwhile, or another thread was here.
            _call(function)


def _call(function: Callable[[], object]) -> None:
    try:
        function()
    except Exception:
        # A defect must not take the loop with it.
        _log.exception("what another thread asked for failed")
