"""What many clients ask for at once is served step by step: each step for all of them before the next one.

All sockets are read, then all requests parsed, then all handlers run, and then their answers given. The code
and the data of a step stay in the caches, which saves more than the lists cost.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from httpng_core import Answers, give_answers
from httpng_driver.handlers.driving import Driving

_MOST: Final = 64
"""So many sockets at most are read before one is served, and so many answers wait for handlers."""
_QUICK: Final = 0.002
"""So many seconds answers wait for handlers of the same look; if these take longer, none waits next time."""


class Arrivals:
    """The connections of a loop that were read and aren't served yet.

    Attributes:
        are_gathered: whether those that are read now are to join.
    """

    __slots__ = ("_answers", "_are_quick", "_came", "_clock", "are_gathered")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.are_gathered = False
        self._clock = clock
        self._came: list[tuple[Driving, bytes]] = []
        self._answers: Answers = []
        # Whether handlers took so little time at the last look that answers may wait for them.
        self._are_quick = True

    def join(self, pump: Driving, data: bytes) -> bool:
        """Have what was read of a connection served later; return whether they are to be served now."""
        self._came.append((pump, data))
        return len(self._came) >= _MOST

    def serve(self) -> None:
        """Serve those that have joined, in that order. What is read meanwhile is served at once."""
        if not self._came:
            return
        came, self._came = self._came, []
        gathered, self.are_gathered = self.are_gathered, False
        now = self._clock()
        for pump, data in came:
            pump.parse(data, now)
        self._start(came)
        for pump, _ in came:
            pump.look_after()
        self.are_gathered = gathered

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve those that have joined; what is read in the block is served at once."""
        self.serve()
        gathered, self.are_gathered = self.are_gathered, False
        try:
            yield
        finally:
            self.are_gathered = gathered

    def _start(self, came: list[tuple[Driving, bytes]]) -> None:
        """Run the handlers, and give what they answer: as each has, unless they are quick."""
        clock, answers = self._clock, self._answers
        ends = clock() + _QUICK
        try:
            for pump, _ in came:
                pump.start(answers if self._are_quick else None)
                if answers and (len(answers) >= _MOST or clock() >= ends):
                    give_answers(answers, clock())
        finally:
            now = clock()
            self._are_quick = now < ends
            give_answers(answers, now)
