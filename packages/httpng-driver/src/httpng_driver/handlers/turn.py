"""When a handler lets others run: one whose calls always have room must not keep the loop to itself."""

from collections.abc import Callable
from typing import Final

from httpng_core import CALLS_PER_TURN, SECONDS_PER_TURN

GATHERED: Final = 256 * 1024
"""More would go out in several offers anyway, and later be out of the caches."""


class LoopTurns:
    """How often a loop has looked at its connections: a handler that sees it change has let others run.

    Attributes:
        count: how often.
        gathered: when so many bytes of a handler's wait, the kernel is asked in the middle of its turn.
    """

    __slots__ = ("count", "gathered")

    def __init__(self) -> None:
        """Begin at 0."""
        self.count = 0
        self.gathered = GATHERED


class Turn:
    """How long a handler has gone on without letting others run."""

    __slots__ = ("_calls", "_ends", "_seen")

    def __init__(self, clock: Callable[[], float], turns: LoopTurns) -> None:
        """Begin one now."""
        self.begin(clock, turns)

    def begin(self, clock: Callable[[], float], turns: LoopTurns) -> None:
        """Begin anew, as others have run."""
        self._calls, self._seen = 0, turns.count
        self._ends = clock() + SECONDS_PER_TURN

    def is_over(self, clock: Callable[[], float], turns: LoopTurns) -> bool:
        """Count one more call that had room; return whether others should run now."""
        if turns.count != self._seen:
            # They have: the handler has waited for something else, as the next event of a stream.
            self.begin(clock, turns)
            return False
        self._calls += 1
        return self._calls >= CALLS_PER_TURN or clock() >= self._ends
