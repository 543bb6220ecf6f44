"""Keys of a terminal, one at a time."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

UP: Final = "\x1b[A"
DOWN: Final = "\x1b[B"
_ENDS: Final = ("\r", "\n", "\x1b", "")


class Keyboard:
    """Reads keys; without a terminal none ever comes."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._typed = ""

    def key(self, seconds: float) -> str:
        """Wait for a key; empty if none comes in time. An arrow is one key."""
        if not self._typed:
            self._typed = self._read(seconds)
        if self._typed.startswith("\x1b[") and len(self._typed) > 2:
            key, self._typed = self._typed[:3], self._typed[3:]
        else:
            key, self._typed = self._typed[:1], self._typed[1:]
        return key

    def line(self, show: Callable[[str], None]) -> str:
        """Let a line be typed; `show` is called with what there is of it. Empty if it is given up."""
        text = ""
        while True:
            show(text)
            key = self.key(3600)
            if key in _ENDS:
                return "" if key == "\x1b" else text
            text = text[:-1] if key in ("\x7f", "\b") else text + key

    def _read(self, seconds: float) -> str:
        if self._descriptor is None:
            time.sleep(seconds)
            return ""
        # Not by sys.stdin, which reads ahead: what it has `select` doesn't see.
        ready = select.select([self._descriptor], [], [], seconds)[0]
        return os.read(self._descriptor, 64).decode("latin-1") if ready else ""


@contextmanager
def read_keys() -> Iterator[Keyboard]:
    """Give the keyboard of the terminal, which shows no keys meanwhile."""
    if not sys.stdin.isatty():
        yield Keyboard(None)
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield Keyboard(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
