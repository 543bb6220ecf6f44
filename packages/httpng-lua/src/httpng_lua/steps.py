"""What crosses the boundary between the host and a fiber, and how much a fiber may do in one turn."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Any, Final

from httpng_core import CALLS_PER_TURN, SECONDS_PER_TURN
from httpng_lua.runtime import lua_text

Answer = tuple[Any, ...]
"""A code, then what belongs to it."""


class Code(IntEnum):
    """What a call, or a step of a fiber, brought. prelude.lua has the same numbers."""

    DONE = 0
    """It ended; its values follow."""
    TURN = 1
    """It ended, its value follows; others run before the fiber goes on."""
    WAIT = 2
    """It waits; the number of the wait follows."""
    FAILED = 3
    """It raised; the message follows."""


# lupa hands an IntEnum over as an object: at the boundary they must be plain integers.
DONE: Final = int(Code.DONE)
TURN: Final = int(Code.TURN)
WAIT: Final = int(Code.WAIT)
FAILED: Final = int(Code.FAILED)


class Budget:
    """How much a fiber may do before others run.

    Attributes:
        calls: so many calls.
        until: and until when.
        is_first_run: whether the script itself runs for the first time and has not called `cfg` yet: it goes
            on however long that takes, as nobody is served, and what it says later comes too late.
        created: how many fibers, each created by the one before, are within that run.
    """

    __slots__ = ("_calls_per_turn", "_seconds_per_turn", "calls", "created", "is_first_run", "until")

    def __init__(self) -> None:
        # Copied, as an attribute is cheaper than a global of another module.
        self._calls_per_turn: int = CALLS_PER_TURN
        self._seconds_per_turn: float = SECONDS_PER_TURN
        self.calls = self.created = 0
        self.until = inf
        self.is_first_run = False

    def begin(self, now: float) -> None:
        """Note that a step of a fiber begins."""
        self.calls = self._calls_per_turn
        self.until = now + self._seconds_per_turn

    def is_spent(self, now: float) -> bool:
        """Count one call; return whether others must run now."""
        self.calls -= 1
        return (self.calls <= 0 or now >= self.until) and not (self.is_first_run and not self.created)


@dataclass(frozen=True, slots=True)
class Ended:
    """A fiber that ended: what its function returned."""

    values: Answer = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A fiber that raised.

    Attributes:
        message: message and traceback.
        told: what its client is told whose doing it is; `None`: it is the handler's.
        status: the status that says so.
        fields: the headers that go with it, as they cross the boundary.
    """

    message: str
    told: bytes | None = None
    status: int = 500
    fields: bytes | None = None


def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the call for Lua: an exception becomes a value, which Lua raises on its own side.

    In the sandbox that holds of calls as well that return no code, but a single value.
    """

    def guard(*args: Any) -> Any:
        try:
            return call(*args)
        except Exception as error:
            return FAILED, lua_text(str(error))

    return guard


def ignore(answer: Answer, error: Exception | None) -> None:
    """Do nothing with what a job gave: nobody waits for it."""
