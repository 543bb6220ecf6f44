"""Lines of the log that strangers can cause: bounded in length and in number."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from httpng_core.timers import Timers

LINES_PER_SECOND: Final = 10
"""So many lines a second of each kind are written; the others are counted."""
_LONGEST: Final = 256


def shortened(text: str) -> str:
    """Return `text`, or as much of it as a line of the log has room for."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class LimitedLog:
    """Writes at most `LINES_PER_SECOND` lines of each kind, and after a second how many more there were."""

    __slots__ = ("_clock", "_counts", "_log", "_on_timer", "_timers")

    def __init__(
        self, log: logging.Logger, clock: Callable[[], float], timers: Timers, on_timer: Callable[[], None]
    ) -> None:
        """Write to `log`; `on_timer` is called when there is a new deadline in `timers`."""
        self._log = log
        self._clock = clock
        self._timers = timers
        self._on_timer = on_timer
        self._counts: dict[str, int] = {}

    def info(self, text: str, *args: object) -> None:
        """Log a line; lines with the same `text` are of one kind."""
        if not self._log.isEnabledFor(logging.INFO):
            return
        count = self._counts.get(text, 0)
        self._counts[text] = count + 1
        if count == 0:
            self._timers.add(self._clock() + 1.0, partial(self._sum_up, text))
            self._on_timer()
        if count < LINES_PER_SECOND:
            self._log.info(text, *args)

    def close(self) -> None:
        """Tell what is counted: nothing comes after this."""
        for text in tuple(self._counts):
            self._sum_up(text, self._clock())

    def _sum_up(self, text: str, now: float) -> None:
        more = self._counts.pop(text, 0) - LINES_PER_SECOND
        if more > 0:
            # The kind is what its lines begin with.
            self._log.info("%s... and %d more", text.partition("%s")[0], more)
