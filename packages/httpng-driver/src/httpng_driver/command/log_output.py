"""The log of the command line: lines with a time stamp on stderr, written by a thread: no loop waits."""

import logging
import os
import sys
from queue import SimpleQueue
from threading import Thread
from types import TracebackType

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MOST = 10_000
"""So many lines wait at most for whoever reads stderr; what is more is left out, and counted."""
_PATIENCE = 1.0
"""Seconds that the end of the program waits for the last lines."""


def _stderr() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return 2  # It was replaced by something without a descriptor.


class LogOutput(logging.Handler):
    """Writes lines to a descriptor, in a thread of its own, while it is open (`with`).

    It is the handler of last resort (`logging.lastResort`): an application that configures logging, whenever
    it does, gets its lines by its own handlers alone, so that no line comes twice.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        """Write to `descriptor`; `None`: to stderr."""
        super().__init__()
        self.setFormatter(logging.Formatter(_FORMAT))
        self._descriptor = _stderr() if descriptor is None else descriptor
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._left_out = 0
        self._thread = Thread(target=self._write_all, name="httpng-log", daemon=True)

    def __enter__(self) -> "LogOutput":
        """Begin: what no handler of the application's takes comes here."""
        root = logging.getLogger()
        self._before = logging.lastResort, root.level
        if not root.handlers:
            root.setLevel(logging.INFO)
        logging.lastResort = self
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left, within a second, and end."""
        logging.lastResort, level = self._before
        if not logging.getLogger().handlers:
            logging.getLogger().setLevel(level)
        self._lines.put(None)
        self._thread.join(_PATIENCE)

    def emit(self, record: logging.LogRecord) -> None:
        """Have a line written soon. Doesn't block."""
        if self._lines.qsize() >= _MOST:
            self._left_out += 1
            return
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        self._lines.put(f"{line}\n".encode(errors="backslashreplace"))

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            if self._left_out and self._lines.empty():
                count, self._left_out = self._left_out, 0
                self._write(f"... {count} lines were left out, as nobody read stderr\n".encode())

    def _write(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:
                continue
            except OSError:
                return  # Nobody reads any more, or the disk is full.
