"""Ends some of what the connections of a loop hold, where that is too much: in rounds of small steps.

1. A round finds those to be ended, and ends them in their order until an eighth of the budget is free. A step
   takes about as long as any event of one connection, and in between others have their turn. Only while no
   exchange may begin several end in one step.
2. Bytes that haven't moved for a quarter of a second stand still. Those end first that have stood still
   longest; last of all those that hold next to nothing, as that would free nothing.
3. What moves isn't ended, unless it is urgent, or the budget has been used up for a second and nothing stands
   still. Then those end that take most of it: bytes times the seconds since the connection held none. Clients
   that move slowly on purpose can't keep the others out.

The order is made of what was counted last: only who would be ended is asked again, and if nobody was, some of
those that were counted longest ago.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import islice
from math import inf
from typing import Final

from httpng_core import Cause, Connection, Holding
from httpng_driver.loop.held import FOR_NOBODY, Held, order, size_of

PART: Final = 8
"""One part in so many of the budget is freed."""
_STILL: Final = 0.25
"""Bytes that haven't moved for so many seconds stand still."""
_PATIENCE: Final = 1.0
"""Seconds for which the budget may be used up by what moves, if nothing stands still."""
_COUNTED: Final = 32
"""So many are counted again in a round."""
_ASKED_AT_ONCE: Final = 8
"""So many connections are asked what they hold in one step."""
_LOOKED_AT_ONCE: Final = 512
"""Of so many is looked in one step at what was counted."""
_ENDED_AT_ONCE: Final = 4
"""So many are ended in one step, as long as the budget is used up; else one."""

Victim = tuple[int, float, int, Connection]
"""Its kind, a rank, a number that no other has so that no two are compared further, and whose it is."""


class Relief:
    """What ends holdings of one loop. For the thread of the loop, with its lock held."""

    __slots__ = (
        "_budget",
        "_cause",
        "_ended",
        "_held",
        "_in_step",
        "_moving_since",
        "_now",
        "_steps",
        "_total",
        "_urgent",
    )

    def __init__(self, held: Held, total: Callable[[], int], cause: Cause) -> None:
        """End some of `held`, for a `cause`; `total` tells how many bytes all loops hold."""
        self._held = held
        self._total = total
        self._cause = cause
        # The round that is under way.
        self._steps: Iterator[None] | None = None
        self._budget, self._now, self._urgent = 0, 0.0, False
        self._ended = 0
        self._in_step = False
        self._moving_since = inf

    def step(self, budget: int, now: float, *, urgent: bool) -> bool:
        """Take a step; return whether the round goes on.

        Args:
            budget: how many bytes all loops may hold.
            now: the time.
            urgent: whether some are to be ended at once, in as many steps as that takes.
        """
        if self._in_step:
            # Whoever was ended has made another one write.
            return True
        self._budget, self._now, self._urgent = budget, now, urgent
        none, enough, is_full = self._ended, self._ended + _ENDED_AT_ONCE, self._total() >= budget
        steps = self._round() if self._steps is None else self._steps
        self._steps, self._in_step = None, True
        try:
            for _ in steps:
                if self._ended >= enough or not (urgent or (is_full and self._ended > none)):
                    self._steps = steps
                    return True
        finally:
            self._in_step = False
        return False

    def stop(self) -> None:
        """Give up the round that is under way."""
        self._steps = None

    # Inside -------------------------------------------------------------------------------------------

    def _round(self) -> Iterator[None]:
        """Do a step's work between any two yields."""
        total = self._total()
        if total < self._budget:
            self._moving_since = inf
            return
        goal = int(self._held.size / total * (self._budget - self._budget // PART))
        victims = list[Victim]()
        yield from self._find_still(victims)
        are_still = bool(victims)
        if are_still:
            self._moving_since = inf
        else:
            self._moving_since = min(self._moving_since, self._now)
            if self._urgent or self._now - self._moving_since >= _PATIENCE:
                yield from self._find_moving(victims)
        ended = self._ended
        yield from self._end(victims, goal, are_still=are_still)
        if self._ended == ended:
            yield from self._count_again()

    def _find_still(self, victims: list[Victim]) -> Iterator[None]:
        """Find those that stand still."""
        of, before = self._held.of, self._now - _STILL
        for number, connection in enumerate(list(of)):
            if number and number % _LOOKED_AT_ONCE == 0:
                yield
            kept = of.get(connection)
            if kept is not None and kept.still_since <= before:
                heappush(victims, (kept.kind, kept.still_since, number, connection))

    def _find_moving(self, victims: list[Victim]) -> Iterator[None]:
        """Find those that take most, as nothing stands still; for less than a second they may."""
        of, now, urgent = self._held.of, self._now, self._urgent
        before = inf if urgent else now - _PATIENCE
        for number, connection in enumerate(list(of)):
            if number and number % _LOOKED_AT_ONCE == 0:
                yield
            kept = of.get(connection)
            if kept is not None and kept.held_since <= before and (urgent or kept.kind != FOR_NOBODY):
                rank = -kept.size * (now - kept.held_since)
                heappush(victims, (kept.kind // FOR_NOBODY, rank, number, connection))

    def _end(self, victims: list[Victim], goal: int, *, are_still: bool) -> Iterator[None]:
        """End those who come first, if they still are, until no more is held than the goal."""
        held, asked = self._held, 0
        while victims and held.size > goal:
            kind, rank, number, connection = heappop(victims)
            asked += 1
            ended = self._ended
            again = self._end_one(connection, (kind, rank), are_still=are_still)
            if again is not None:
                heappush(victims, (*again, number, connection))
            if self._ended > ended or asked % _ASKED_AT_ONCE == 0:
                yield

    def _count_again(self) -> Iterator[None]:
        """Count some again, longest ago first: what a feed has sent, or a handler taken, may be missing."""
        held = self._held
        for number, connection in enumerate(list(islice(held.of, _COUNTED))):
            if number % _ASKED_AT_ONCE == 0:
                yield
            if connection in held.of:
                held.count(connection, connection.holdings())

    def _end_one(
        self, connection: Connection, at_most: tuple[int, float], *, are_still: bool
    ) -> tuple[int, float] | None:
        """End the worst of what a connection holds, if that is as it was counted.

        Returns:
            What puts it before others if more of it stands still; else `None`.
        """
        holdings, goes_on = connection.holdings(), False
        if holdings:
            worst = min(holdings, key=order if are_still else _least_free)
            if are_still and order(worst) > at_most:
                goes_on = True
            else:
                worst.give_up(self._now, self._cause)
                self._ended += 1
                before, holdings = size_of(holdings), connection.holdings()
                goes_on = are_still and 0 < size_of(holdings) < before
        self._held.count(connection, holdings)
        if not goes_on:
            return None
        found = min(map(order, holdings))
        # What else of it stands still has its turn later.
        return found if found[1] <= self._now - _STILL else None


def _least_free(holding: Holding) -> tuple[bool, int]:
    """Return what puts a holding before others, if all move: the largest is ended first."""
    return holding.since == inf, -holding.size
