"""What the connections of one loop hold, as it was counted when each was served last."""

from collections.abc import Callable
from math import inf
from typing import Final, NamedTuple

from httpng_core import Connection, Holding

_LITTLE: Final = 4096
MUCH, SOME, FOR_NOBODY = range(3)
"""In which order holdings end: those that wait for no client last."""


class Kept(NamedTuple):
    """What was counted of a connection.

    Attributes:
        size: how many bytes it holds.
        kind: of its holdings, that of the one to be ended first.
        still_since: since when that one stands still.
        held_since: since when the connection holds something.
    """

    size: int
    kind: int
    still_since: float
    held_since: float


class Held:
    """What was counted of all connections of a loop that hold something.

    Attributes:
        size: how many bytes they hold together.
        of: what each holds; those that were counted longest ago come first.
    """

    __slots__ = ("_clock", "of", "size")

    def __init__(self, clock: Callable[[], float]) -> None:
        """Count what is held; `clock` is that of the connections."""
        self._clock = clock
        self.size = 0
        self.of: dict[Connection, Kept] = {}

    def count(self, connection: Connection, holdings: list[Holding]) -> None:
        """Note what a connection holds now."""
        before = self.of.pop(connection, None)
        if before is not None:
            self.size -= before.size
        if holdings:
            size = size_of(holdings)
            since = self._clock() if before is None else before.held_since
            self.of[connection] = Kept(size, *min(map(order, holdings)), since)
            self.size += size

    def forget(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        kept = self.of.pop(connection, None)
        if kept is not None:
            self.size -= kept.size

    def clear(self) -> None:
        """Forget them all."""
        self.of.clear()
        self.size = 0


def size_of(holdings: list[Holding]) -> int:
    """Return how many bytes they are together."""
    return sum([holding.size for holding in holdings])


def order(holding: Holding) -> tuple[int, float]:
    """Return what puts a holding before others, if they stand still."""
    if holding.since == inf:
        return FOR_NOBODY, inf
    return MUCH if holding.size >= _LITTLE else SOME, holding.since
