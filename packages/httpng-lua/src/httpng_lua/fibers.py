"""Fibers on the host's side: each is a generator of Pendings that steps a Lua coroutine.

Each has a home, the runner that steps its generator: a handler the one of its connection, the script and what
it creates the first one. With several loops a step may be carried out in another's thread, whoever is in the
lock; the generator goes on at home.

A fiber runs in Lua until a call has to wait; only then the host's generator, and an event loop, are
involved. Handlers, created fibers and the rest of a script after its first wait are all run so.
"""

import logging
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from httpng_core import Pending, Runner
from httpng_core.languages import ONE_THREAD, Later, Served, StateLock, Turn
from httpng_lua.calls import plain
from httpng_lua.handles import Waits, holding
from httpng_lua.runtime import Runtime, lua_text, text_of
from httpng_lua.steps import DONE, TURN, WAIT, Answer, Budget, Ended, Failed, ignore

_log = logging.getLogger("httpng")

Outcome = Ended | Failed
Steps = Generator[Pending, Any, Outcome]


class Fibers:
    """The fibers of one script: starts them, steps them, lets them sleep.

    Attributes:
        clock: the clock that fibers sleep by.
        lock: who may enter Lua.
    """

    def __init__(self, clock: Callable[[], float], budget: Budget, waits: Waits) -> None:
        self.clock = clock
        self.lock: StateLock = ONE_THREAD
        # Before a server runs this one keeps what the script waits for.
        self._main = Runner(Served(), clock=clock)
        self._launched = False
        self._homes = [self._main]
        self._budget = budget
        self._waits = waits
        self._early: list[tuple[int, Answer, Callable[[], None]]] = []
        self._step: Callable[..., Any]
        self._kill: Callable[..., Any]

    @property
    def home(self) -> Runner:
        """What runs the fiber that is being stepped."""
        return self._homes[-1]

    def connect(self, runtime: Runtime) -> None:
        """Run coroutines in `runtime` from now on."""
        self._step = runtime.function("step")
        self._kill = runtime.function("kill")

    def for_lua(self) -> dict[str, Callable[..., Any]]:
        """Return the calls by the names that the Lua files use."""
        return {
            "clock": lambda: self.clock(),
            "spend": lambda: (TURN if self._budget.is_spent(self.clock()) else DONE,),
            "pause": self._pause,
            "begin_users": self._begin_users,
            "end_users": self._end_users,
            "wake": self._waits.wake,
            "give_up": self._give_up,
            "adopt": lambda fiber, *answer: self.adopt(int(fiber), answer),
            "report": lambda message: _log.error("error in a fiber: %s", text_of(message)),
        }

    def launch(self, runner: Runner) -> None:
        """Note that a server runs: the fibers that wait already go on with it."""
        runner.timers = self._main.timers
        self._main, self._launched = runner, True
        self._homes[0] = runner
        self._waits.move(runner)
        early, self._early = self._early, []
        for each in early:
            self.adopt(*each)
        # What sleeps already has deadlines that the loop doesn't know of.
        runner.on_ready()

    def adopt(self, fiber: int, answer: Answer, ended: Callable[[], None] = lambda: None) -> None:
        """Take care of a fiber that has run up to its first wait, `answer`; its error is logged."""
        if not self._launched:
            self._early.append((fiber, answer, ended))
            return
        home = self._main
        home.call_in_loop(lambda: self._follow_users(home, fiber, answer, ended))

    def _follow_users(self, home: Runner, fiber: int, answer: Answer, on_ended: Callable[[], None]) -> None:
        def ended(outcome: object) -> None:
            _log_failure(outcome)
            on_ended()

        home.spawn(self._steps(home, fiber, answer), ended, background=True)

    def follow(self, home: Runner, fiber: int, answer: Answer, ended: Callable[[object], None]) -> None:
        """Take care of a fiber in the loop of `home`, which is that of the caller.

        `ended` gets an `Ended`, a `Failed` or an exception; at once, if the fiber has ended.
        """
        if answer[0] in (WAIT, TURN):
            home.spawn(self._steps(home, fiber, answer), ended)
        else:
            ended(outcome_of(answer))

    def enter(self, home: Runner, function: Callable[..., Any], args: tuple[object, ...]) -> Answer:
        """Call into Lua, for a fiber of `home`, with a fresh budget. It must hold the lock."""
        self._budget.begin(self.clock())
        self._homes.append(home)
        try:
            values = function(*args)
            # lupa doesn't make a tuple of a single value.
            return values if type(values) is tuple else (values,)
        finally:
            self._homes.pop()

    def _steps(self, home: Runner, fiber: int, answer: Answer) -> Steps:
        try:
            while answer[0] in (WAIT, TURN):
                result, failure = None, None
                try:
                    result = yield from self._awaited(answer)
                except Exception as error:
                    failure = lua_text(str(error))
                later = Later()
                step = partial(self.enter, home, self._step, (fiber, plain(result), failure))
                now = self.lock.call(home, step, later.answer)
                if now is None:
                    yield later
                answer = later.value if now is None else now
        except BaseException:
            # Closed by the runner, or Lua is out of memory.
            self.lock.call(home, lambda: as_answer(self._kill(fiber)), ignore)
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
        """End a wait that can't be waited for."""
        self._waits.wake(wait)
        self._waits.forget(wait)

    def _pause(self, seconds: float) -> Answer:
        home = self.home
        pending = Pending(self.clock() + seconds)

        def give_up(early: Pending) -> None:
            home.timers.cancel(early.timer)
            early.settle(None)

        with holding(home):
            pending.timer = home.timers.add(pending.deadline, lambda now: pending.settle(None))
            if home.lock is not None:
                home.on_ready()  # Its loop may be asleep until later than that.
        return WAIT, self._waits.add(pending, give_up, home)

    def _begin_users(self) -> None:
        self._homes.append(self._main)
        self._budget.created += 1

    def _end_users(self) -> None:
        self._homes.pop()
        self._budget.created -= 1


def as_answer(values: Any) -> Answer:
    """Return what Lua returned; lupa doesn't make a tuple of a single value."""
    return values if isinstance(values, tuple) else (values,)


def outcome_of(answer: Answer) -> Outcome:
    """Return how a fiber ended, from the answer of its last step."""
    code, *values = answer
    return Ended(tuple(values)) if code == DONE else Failed(text_of(values[0]), *values[1:])


def _log_failure(outcome: object) -> None:
    if isinstance(outcome, Failed):
        _log.error("error in a fiber: %s", outcome.message)
    elif isinstance(outcome, BaseException):
        _log.error("error in a fiber", exc_info=outcome)
