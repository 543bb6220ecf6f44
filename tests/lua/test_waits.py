"""Waits of fibers for what settles in another loop than their own, without a loop or a thread."""

from collections import deque
from collections.abc import Callable
from typing import cast

import pytest

from httpng_core import Pending, Runner
from httpng_lua.calls import wait_elsewhere
from httpng_lua.handles import Waits


class Lock:
    """Tells whether it is held."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


class Loop:
    """A loop whose turns are the test's."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.waiting: deque[Callable[[], None]] = deque()

    def call_in_loop(self, function: Callable[[], None]) -> None:
        self.waiting.append(function)

    def turn(self) -> None:
        while self.waiting:
            self.waiting.popleft()()


class Elsewhere:
    """A fiber of one loop that waits for what settles in another one."""

    def __init__(self) -> None:
        self.waits, self.home, self.there = Waits(), Loop(), Loop()
        self.pending, self.withdrawn = Pending(), list[str]()
        self.number = wait_elsewhere(
            self.waits,
            cast(Runner, self.there),
            self.pending,
            cast(Runner, self.home),
            lambda: self.withdrawn.append("withdrawn"),
        )
        self.here = self.waits.pending(self.number)
        self.held: list[int] = []
        self.here.on_settle = lambda: self.held.append(self.home.lock.depth)


def test_what_settles_there_is_told_at_home() -> None:
    fiber = Elsewhere()
    fiber.pending.settle(None)
    assert not fiber.here.settled
    fiber.home.turn()
    assert fiber.here.settled
    assert fiber.here.result is None


def test_an_error_there_is_raised_at_home() -> None:
    fiber = Elsewhere()
    fiber.pending.settle(None, ValueError("there"))
    fiber.home.turn()
    with pytest.raises(ValueError, match="there"):
        _ = fiber.here.result


def test_a_wait_that_is_ended_early_is_withdrawn_there() -> None:
    fiber = Elsewhere()
    assert fiber.waits.wake(fiber.number)
    # Whoever ends it holds the lock of the fiber's loop, and not that of the other.
    assert (fiber.here.settled, fiber.held, fiber.withdrawn) == (True, [1], [])
    fiber.there.turn()
    assert fiber.withdrawn == ["withdrawn"]
    # What it brings by that is for nobody.
    fiber.pending.settle(None)
    fiber.home.turn()
    assert not fiber.waits.wake(fiber.number)


def test_what_has_settled_there_while_its_wait_is_ended_is_for_nobody() -> None:
    fiber = Elsewhere()
    fiber.pending.settle(None, ValueError("there"))
    assert fiber.waits.wake(fiber.number)
    fiber.home.turn()
    assert fiber.here.result is None
    fiber.waits.forget(fiber.number)
    assert len(fiber.waits) == 0
