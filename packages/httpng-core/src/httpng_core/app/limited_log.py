"""Lines of the log that strangers can cause: bounded in length and in number."""

import logging
from collections.abc import Callable, Mapping
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
        self._counts: dict[tuple[int, str], int] = {}

    def info(self, text: str, *args: object) -> None:
        """Log a line; lines with the same `text` are of one kind."""
        self.write(logging.INFO, text.partition("%s")[0], text, *args)

    def write(
        self,
        level: int,
        kind: str,
        text: str,
        *args: object,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Log a line of a kind; those that are too many are told of by the kind's name and their number."""
        if not self._log.isEnabledFor(level):
            return
        key = level, kind
        count = self._counts.get(key, 0)
        self._counts[key] = count + 1
        if count == 0:
            self._timers.add(self._clock() + 1.0, partial(self._sum_up, key))
            self._on_timer()
        if count < LINES_PER_SECOND:
            self._log.log(level, text, *args, extra=extra)

    def close(self) -> None:
        """Tell what is counted: nothing comes after this."""
        for key in tuple(self._counts):
            self._sum_up(key, self._clock())

    def _sum_up(self, key: tuple[int, str], now: float) -> None:
        more = self._counts.pop(key, 0) - LINES_PER_SECOND
        if more > 0:
            self._log.log(key[0], "%s... and %d more", key[1], more)
