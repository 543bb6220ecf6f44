"""Who is ended when a memory budget is used up, and how much of that is done in one turn of a loop."""

from math import inf
from typing import Any, cast

import pytest

from httpng_core import Cause, Connection, EndKind, Holding
from httpng_driver.loop import Held, Relief

FULL = Cause(EndKind.LIMIT, "full", "memory_budget")
NOW = 1000.0
MOST_ASKED, MOST_ENDED = 8, 4
"""So many connections are asked what they hold, and so many ended, in one turn."""


class Crowd:
    """Connections that hold something, as they are counted; and who was asked and ended, in order."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.now = 0.0
        self.asked: list[int] = []
        self.ended: list[int] = []
        self.held = Held(lambda: self.now)
        self.relief = Relief(self.held, lambda: self.held.size, FULL)

    def join(self, size: int, since: float, *, held_since: float = 0.0) -> "OneOfCrowd":
        one = OneOfCrowd(self, len(self.held.of), size, since)
        self.now = held_since
        self.held.count(cast(Connection, one), one.holdings())
        self.asked.clear()
        return one

    def step(self, *, urgent: bool = False, now: float = NOW) -> tuple[bool, int, int]:
        """Whether the round goes on, how many were asked and how many ended."""
        asked, ended = len(self.asked), len(self.ended)
        goes_on = self.relief.step(self.budget, now, urgent=urgent)
        return goes_on, len(self.asked) - asked, len(self.ended) - ended

    def round(self) -> list[tuple[int, int]]:
        """How many were asked and ended in each step of a round."""
        found = []
        while True:
            goes_on, *counts = self.step()
            found.append((counts[0], counts[1]))
            if not goes_on:
                return found
            assert len(found) < 10_000


class OneOfCrowd:
    """What stands for a connection."""

    def __init__(self, crowd: Crowd, number: int, size: int, since: float) -> None:
        self.number, self.size, self.since = number, size, since
        self._crowd = crowd

    def holdings(self) -> list[Holding]:
        self._crowd.asked.append(self.number)
        return [Holding(self.size, self.since, self.give_up)] if self.size else []

    def give_up(self, now: float, cause: Cause) -> None:
        assert now >= NOW
        assert cause is FULL
        self._crowd.ended.append(self.number)
        self.size = 0


def standing_still(count: int, budget: int, size: int = 10_000) -> Crowd:
    """The first has stood still longest."""
    crowd = Crowd(budget)
    for number in range(count):
        crowd.join(size, number / count)
    return crowd


@pytest.mark.parametrize("count", [100, 2000])
def test_a_turn_asks_few_and_ends_few(count: int) -> None:
    crowd = standing_still(count, 10_000 * count)
    steps = crowd.round()
    # An eighth of the budget is free; those that stood still longest have ended, in that order.
    assert crowd.ended == list(range(-(-count // 8)))
    assert max(asked for asked, _ in steps) <= MOST_ASKED
    # No exchange may begin before the first have ended; then there is time.
    assert [ended for _, ended in steps if ended] == [MOST_ENDED] + [1] * (len(crowd.ended) - MOST_ENDED)


def test_it_looks_at_what_was_counted_of_512_in_one_turn() -> None:
    crowd = standing_still(2000, 20_000_000)
    steps = [crowd.step() for _ in range(4)]
    assert [ended for _, _, ended in steps] == [0, 0, 0, MOST_ENDED]
    assert [asked for _, asked, _ in steps][:3] == [0, 0, 0]


def test_who_has_moved_since_is_counted_anew_and_not_ended() -> None:
    crowd = Crowd(100_000)
    moved = [crowd.join(10_000, 0.0) for _ in range(20)]
    for one in moved:
        one.since = NOW
    for asked, ended in crowd.round():
        assert asked <= MOST_ASKED
        assert ended == 0
    assert {kept.still_since for kept in crowd.held.of.values()} == {NOW}


def test_where_nothing_stands_still_some_are_counted_again() -> None:
    """Those that a feed has sent to aren't counted when it does."""
    crowd = Crowd(1_000_000)
    crowd.now = NOW
    crowd_of = [crowd.join(10_000, NOW, held_since=NOW) for _ in range(100)]
    for one in crowd_of:
        one.size = 0
    steps = crowd.round()
    assert max(asked for asked, _ in steps) == MOST_ASKED
    assert crowd.asked == list(range(32))
    assert crowd.ended == []
    assert crowd.held.size == 68 * 10_000


def test_as_many_steps_as_it_takes_where_it_is_urgent() -> None:
    crowd = Crowd(1_000_000)
    for number in range(1000):
        crowd.join(10_000 + number, NOW, held_since=0.0)
    goes_on, _, ended = crowd.step(urgent=True)
    assert goes_on
    assert ended == MOST_ENDED
    # Who takes most, as nothing stands still.
    assert crowd.ended == [999, 998, 997, 996]


def test_who_takes_most_ends_if_the_budget_stays_used_up_and_all_moves() -> None:
    crowd = Crowd(30_000)
    for size, since in ((10_000, NOW + 1), (11_000, NOW + 1), (12_000, inf)):
        crowd.join(size, since)
    assert crowd.step()[2] == crowd.step(now=NOW + 0.9)[2] == 0
    for _ in range(9):
        crowd.step(now=NOW + 1)
    # Who waits for no client is spared for now.
    assert crowd.ended == [1]
    crowd.join(30_000, inf)
    crowd.step(now=NOW + 1, urgent=True)
    assert crowd.ended == [1, 0, 2]


def test_who_holds_next_to_nothing_and_who_waits_for_no_client_come_last() -> None:
    crowd = Crowd(20_000)
    crowd.join(100, 0.0)
    crowd.join(10_000, inf)
    crowd.join(10_000, 2.0)
    crowd.join(10_000, 1.0)
    crowd.round()
    assert crowd.ended == [3, 2]


def test_a_round_that_was_given_up_begins_anew() -> None:
    crowd = standing_still(100, 1_000_000)
    crowd.step()
    crowd.relief.stop()
    crowd.held.clear()
    assert crowd.step() == (False, 0, 0)
    assert crowd.ended == list(range(MOST_ENDED))


def test_who_writes_as_another_is_ended_takes_no_step_of_its_own() -> None:
    crowd = Crowd(10_000)
    one: Any = crowd.join(20_000, 0.0)
    give_up, inner = one.give_up, list[bool]()

    def writes(now: float, cause: Cause) -> None:
        give_up(now, cause)
        inner.append(crowd.relief.step(crowd.budget, NOW, urgent=True))

    one.give_up = writes
    crowd.step()
    assert (crowd.ended, inner) == ([0], [True])
