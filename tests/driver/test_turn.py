"""When a handler whose calls always have room lets others run."""

from typing import Any
from unittest.mock import Mock

from httpng_core import CALLS_PER_TURN, SECONDS_PER_TURN
from httpng_driver.handlers import LoopTurns, Turn

REACTOR: Any = Mock()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_is_over_after_so_many_calls_or_so_long() -> None:
    clock, turns = Clock(), LoopTurns(REACTOR)
    turn = Turn(clock, turns)
    told = [turn.is_over(clock, turns) for _ in range(CALLS_PER_TURN)]
    assert told == [False] * (CALLS_PER_TURN - 1) + [True]
    turn.begin(clock, turns)
    assert not turn.is_over(clock, turns)
    clock.now += SECONDS_PER_TURN
    assert turn.is_over(clock, turns)


def test_it_begins_anew_when_the_loop_has_had_its_turn() -> None:
    clock, turns = Clock(), LoopTurns(REACTOR)
    turn = Turn(clock, turns)
    for _ in range(3):
        # The next event of a stream, long after the last one.
        clock.now += 10 * SECONDS_PER_TURN
        turns.count += 1
        assert not turn.is_over(clock, turns)
    clock.now += SECONDS_PER_TURN
    assert turn.is_over(clock, turns)
