"""When a handler lets others run: one whose calls always have room must not keep the loop to itself."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from httpng_core import CALLS_PER_TURN, SECONDS_PER_TURN, Pending
from httpng_driver.reactor import Reactor

GATHERED: Final = 256 * 1024
"""More would go out in several offers anyway, and later be out of the caches."""

_NO_LOCK: Final = nullcontext()


class LoopTurns:
    """How often a loop has looked at its connections: a handler that sees it change has let others run.

    Attributes:
        count: how often.
        gathered: when so many bytes of a handler's wait, the kernel is asked in the middle of its turn.
        lock: held while the loop works.
        until_settled: see `Reactor`.
    """

    __slots__ = ("_is_watched", "_wake", "count", "gathered", "lock", "until_settled")

    def __init__(self, reactor: Reactor, lock: AbstractContextManager[object] = _NO_LOCK) -> None:
        """Begin at 0, in the loop of `reactor`."""
        self.count = 0
        self.gathered = GATHERED
        self.lock = lock
        self.until_settled: Callable[[Pending], Awaitable[object]] = reactor.until_settled
        self._wake = reactor.wake
        self._is_watched = False

    def watch(self) -> None:
        """Have the next turn of the loop counted, though its connections may have nothing for it."""
        if not self._is_watched:
            self._is_watched = True
            self._wake(self._turned)

    def _turned(self) -> None:
        self._is_watched = False
        self.count += 1


class Turn:
    """How long a handler has gone on without letting others run.

    Attributes:
        seen: the count of the loop's turns when it began.
    """

    __slots__ = ("_calls", "_ends", "seen")

    def __init__(self, clock: Callable[[], float], turns: LoopTurns) -> None:
        """Begin one now."""
        self.begin(clock, turns)

    def begin(self, clock: Callable[[], float], turns: LoopTurns) -> None:
        """Begin anew, as others have run."""
        self.begin_at(clock(), turns)

    def begin_at(self, now: float, turns: LoopTurns) -> None:
        """Do so, with the time."""
        self._calls, self.seen = 0, turns.count
        self._ends = now + SECONDS_PER_TURN

    def is_over(self, clock: Callable[[], float], turns: LoopTurns) -> bool:
        """Count one more call that had room; return whether others should run now."""
        if turns.count != self.seen:
            # They have: the handler has waited for something else, as the next event of a stream.
            self.begin(clock, turns)
            return False
        self._calls += 1
        return self._calls >= CALLS_PER_TURN or clock() >= self._ends
