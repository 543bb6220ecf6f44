"""Fibers on the host's side: each is a generator of Pendings that steps a Lua coroutine.

A fiber runs in Lua until a call has to wait; only then the host's generator, and an event loop, are
involved. Handlers, created fibers and the rest of a script after its first wait are all run so.
"""

import logging
from collections.abc import Callable, Generator
from typing import Any

from httpng_core.handlers import Runner
from httpng_core.lua.calls import plain
from httpng_core.lua.handles import Waits
from httpng_core.lua.runtime import Runtime, lua_text, text_of
from httpng_core.lua.steps import DONE, TURN, WAIT, Answer, Budget, Ended, Failed
from httpng_core.pending import Pending, Turn
from httpng_core.timers import Timers

_log = logging.getLogger("httpng")

Outcome = Ended | Failed
Steps = Generator[Pending, Any, Outcome]


class Fibers:
    """The fibers of one script: starts them, steps them, lets them sleep.

    Attributes:
        clock: the clock that fibers sleep by.
        timers: the deadlines of sleeping fibers; a runner's own once there is one.
        runner: what steps the fibers; `None` before a server runs.
    """

    def __init__(self, clock: Callable[[], float], budget: Budget, waits: Waits) -> None:
        self.clock = clock
        self.timers = Timers()
        self.runner: Runner | None = None
        self._budget = budget
        self._waits = waits
        self._early: list[tuple[int, Answer]] = []
        self._step: Callable[..., Any]
        self._kill: Callable[..., Any]

    def connect(self, runtime: Runtime) -> None:
        """From now on the coroutines are in `runtime`."""
        self._step = runtime.function("step")
        self._kill = runtime.function("kill")

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """The calls by the names that the Lua files use."""
        return {
            "clock": lambda: self.clock(),
            "spend": lambda: (TURN if self._budget.is_spent(self.clock()) else DONE,),
            "pause": self._pause,
            "wake": self._waits.wake,
            "give_up": self._give_up,
            "adopt": lambda fiber, *answer: self.adopt(int(fiber), answer),
            "report": lambda message: _log.error("error in a fiber: %s", text_of(message)),
        }

    def launch(self, runner: Runner) -> None:
        """A server runs: the fibers that wait already go on with it."""
        self.runner = runner
        runner.timers = self.timers
        early, self._early = self._early, []
        for fiber, answer in early:
            self.adopt(fiber, answer)

    def adopt(self, fiber: int, answer: Answer) -> None:
        """Takes care of a fiber that has run up to its first wait, `answer`; its error is logged."""
        if self.runner is None:
            self._early.append((fiber, answer))
        else:
            self._follow(self.runner, fiber, answer, _log_failure)

    def follow(self, fiber: int, answer: Answer, ended: Callable[[object], None]) -> None:
        """Like `adopt`; `ended` gets an `Ended`, a `Failed` or an exception. At once, if it has ended."""
        if answer[0] in (WAIT, TURN):
            assert self.runner is not None
            self._follow(self.runner, fiber, answer, ended)
        else:
            ended(outcome_of(answer))

    def start(self, function: Callable[..., Any], *args: object) -> Any:
        """Calls into Lua with a fresh budget."""
        self._budget.restart()
        return function(*args)

    def _follow(self, runner: Runner, fiber: int, answer: Answer, ended: Callable[[object], None]) -> None:
        runner.spawn(self._steps(fiber, answer), ended)

    def _steps(self, fiber: int, answer: Answer) -> Steps:
        try:
            while answer[0] in (WAIT, TURN):
                result, failure = None, None
                try:
                    result = yield from self._awaited(answer)
                except Exception as error:
                    failure = lua_text(str(error))
                answer = as_answer(self.start(self._step, fiber, plain(result), failure))
        except BaseException:
            # Closed by the runner, or Lua is out of memory.
            self._kill(fiber)
            raise
        return outcome_of(answer)

    def _awaited(self, answer: Answer) -> Generator[Pending, Any, Any]:
        if answer[0] == TURN:
            yield Turn()
            return None
        wait = answer[1]
        pending = self._waits.pending(wait)
        try:
            if not pending.settled:
                return (yield pending)
            # Never straight back into Lua: this may run inside a call from there.
            yield Turn()
            return pending.result
        except GeneratorExit:
            # Nobody waits any more: a follower leaves its feed, a timer is taken back.
            self._waits.wake(wait)
            raise
        finally:
            self._waits.forget(wait)

    def _give_up(self, wait: float) -> None:
        """Ends a wait that can't be waited for."""
        self._waits.wake(wait)
        self._waits.forget(wait)

    def _pause(self, seconds: float) -> Answer:
        pending = Pending(self.clock() + seconds)
        pending.timer = self.timers.add(pending.deadline, lambda now: pending.settle(None))
        return WAIT, self._waits.add(pending, self._settle)

    def _settle(self, pending: Pending) -> None:
        self.timers.cancel(pending.timer)
        pending.settle(None)


def as_answer(values: Any) -> Answer:
    """What Lua returned; lupa doesn't make a tuple of a single value."""
    return values if isinstance(values, tuple) else (values,)


def outcome_of(answer: Answer) -> Outcome:
    """How a fiber ended, from the answer of its last step."""
    code, *values = answer
    return Ended(tuple(values)) if code == DONE else Failed(text_of(values[0]))


def _log_failure(outcome: object) -> None:
    if isinstance(outcome, Failed):
        _log.error("error in a fiber: %s", outcome.message)
    elif isinstance(outcome, Exception):
        _log.error("error in a fiber", exc_info=outcome)
