"""The second SIGINT or SIGTERM ends the process, whatever its main thread does.

Signal handlers of Python's, and so those of event loops, run between two instructions of the main thread. In
an endless loop of a handler's no event loop has a turn, and in Lua there is no instruction of Python's. But
Python writes the number of each signal to a descriptor at once, and Lua, like Python, lets other threads run
meanwhile: a thread of the command reads it.
"""

import os
import select
import signal
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final

GRACE: Final = 0.7
"""Seconds from the second signal to the end, for a shutdown that goes its way."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_TOLD: Final = b"httpng: ended by a second signal\n"


class SecondSignal:
    """Within it a second SIGINT or SIGTERM ends the process within a second.

    The first one, and how the process ends if all goes well, is the affair of who handles them. For the main
    thread; elsewhere it does nothing.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(True)
        self._writer.setblocking(False)
        self._before = -1
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="httpng-signals", daemon=True)

    def __enter__(self) -> "SecondSignal":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _hears_signals():
            current = signal.set_wakeup_fd(self._before)
            if current != self._writer.fileno():
                signal.set_wakeup_fd(current)
        self._ended.set()
        self._writer.close()
        self._thread.join()
        self._reader.close()

    def listen(self) -> None:
        """Learn of signals from now on; who learnt of them until now still does, by way of us.

        To be called again after anything that sets handlers in an event loop, which may take our place.
        """
        if not _hears_signals():
            return
        before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        if before != self._writer.fileno():
            self._before = before

    def _watch(self) -> None:
        count = 0
        while numbers := self._reader.recv(64):
            if self._before >= 0:
                self._hand_on(numbers)
            count += sum(number in _SIGNALS for number in numbers)
            if count >= 2:
                if not self._ended.wait(GRACE):
                    _end(next(number for number in reversed(numbers) if number in _SIGNALS))
                return

    def _hand_on(self, numbers: bytes) -> None:
        # Full, so whoever it is will look; or closed, so nobody will.
        with suppress(OSError):
            os.write(self._before, numbers)


def _hears_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


def _end(number: int) -> None:
    # Not if it could block: what reads our errors may have stopped.
    if select.select([], [2], [], 0)[1]:
        os.write(2, _TOLD)
    os._exit(128 + number)
