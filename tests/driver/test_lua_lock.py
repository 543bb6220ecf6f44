"""The lock of a Lua state, with real threads: each waits until another has come to where it is wanted."""

import logging
from collections.abc import Callable
from threading import Event, Thread, get_ident
from typing import Any, cast

import pytest

from httpng_core import Runner
from httpng_driver.threads import LuaLock

BOUND = 30.0


class Home:
    """A loop of whose thread the test knows; it has no turns of its own."""

    def __init__(self, thread: int = 0) -> None:
        self._thread = thread
        self.told: list[Callable[[], None]] = []

    def call_in_loop(self, function: Callable[[], None]) -> None:
        if get_ident() == self._thread:
            function()
        else:
            self.told.append(function)

    def turn(self) -> None:
        told, self.told = self.told, []
        for function in told:
            function()


class Rig:
    """A lock, the loop of this thread and that of another, and what was done in which order."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.rung: list[Callable[[], None]] = []
        self.lock = LuaLock(self.rung.append, clock=clock)
        self.here, self.there = Home(get_ident()), Home()
        self.done: list[object] = []
        self.answers: list[tuple[object, Exception | None]] = []

    def job(self, name: object) -> Callable[[], tuple[object]]:
        def job() -> tuple[object]:
            self.done.append(name)
            return (name,)

        return job

    def told(self, answer: tuple[Any, ...], error: Exception | None) -> None:
        self.answers.append((answer, error))

    def call(self, name: object, home: Home | None = None) -> object:
        return self.lock.call(cast(Runner, home or self.here), self.job(name), self.told)

    def ask(self, name: object) -> object:
        return self.lock.ask(cast(Runner, self.here), self.job(name), self.told)

    def call_from_thread(self, name: object) -> None:
        """Another thread comes to the lock, and finds it taken."""
        run_to_end(lambda: self.call(name, self.there))


class Taken:
    """Another thread is in there, until the block ends."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._entered, self._leave = Event(), Event()
        self._thread = Thread(target=self._run)

    def _run(self) -> None:
        self._rig.lock.call(cast(Runner, self._rig.there), self._stay, self._rig.told)

    def _stay(self) -> tuple[()]:
        self._entered.set()
        assert self._leave.wait(BOUND)
        return ()

    def __enter__(self) -> None:
        self._thread.start()
        assert self._entered.wait(BOUND)

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._thread.join(BOUND)
        assert not self._thread.is_alive()


def run_to_end(function: Callable[[], object]) -> None:
    thread = Thread(target=function)
    thread.start()
    thread.join(BOUND)
    assert not thread.is_alive(), "a thread waits for the lock"


def failing() -> tuple[object]:
    raise ValueError("a job")


def test_a_free_gate_is_entered_at_once() -> None:
    rig = Rig()
    assert rig.call("a") == ("a",)
    assert (rig.answers, rig.rung) == ([], [])


def test_what_a_job_raises_is_the_callers_and_the_gate_is_free_again() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="a job"):
        rig.lock.call(cast(Runner, rig.here), failing, rig.told)
    assert rig.call("a") == ("a",)


def test_within_a_job_another_is_done_at_once() -> None:
    rig = Rig()
    inner: list[object] = []

    def outer() -> tuple[str]:
        inner.append(rig.call("inner"))
        inner.append(rig.ask("asked"))
        return ("outer",)

    assert rig.lock.call(cast(Runner, rig.here), outer, rig.told) == ("outer",)
    assert inner == [("inner",), ("asked",)]


def test_nobody_waits_and_whoever_is_in_there_does_the_rest_in_order() -> None:
    rig = Rig()
    with Taken(rig):
        assert [rig.call(name) for name in "abc"] == [None] * 3
        rig.call_from_thread("d")
        assert rig.done == []
    assert rig.done == ["a", "b", "c", "d"]
    # They are told at home, in the turns of their loops.
    assert rig.answers == []
    rig.here.turn()
    assert rig.answers == [((name,), None) for name in "abc"]
    rig.there.turn()
    assert rig.answers[3:] == [(("d",), None)]


def test_the_error_of_a_job_that_was_left_goes_home() -> None:
    rig = Rig()
    with Taken(rig):
        rig.lock.call(cast(Runner, rig.here), failing, rig.told)
        rig.call("next")
    rig.here.turn()
    assert [str(error) for _, error in rig.answers] == ["a job", "None"]


def test_jobs_that_came_meanwhile_are_done_though_the_first_raised() -> None:
    rig = Rig()

    def outer() -> tuple[object]:
        rig.call_from_thread("other")
        return failing()

    with pytest.raises(ValueError, match="a job"):
        rig.lock.call(cast(Runner, rig.here), outer, rig.told)
    assert rig.done == ["other"]


def test_after_many_jobs_the_others_are_for_the_first_loop() -> None:
    rig = Rig()
    with Taken(rig):
        for number in range(100):
            rig.call(number)
    assert len(rig.done) <= 64
    # Who comes now has to wait behind these.
    while rig.rung:
        rig.rung.pop(0)()
    assert rig.done == list(range(100))


def test_after_a_long_job_the_others_are_for_the_first_loop() -> None:
    seconds = iter(range(1000))
    rig = Rig(clock=lambda: next(seconds))
    with Taken(rig):
        for name in "ab":
            rig.call(name)
    assert (rig.done, len(rig.rung)) == (["a"], 1)
    rig.rung.pop()()
    assert rig.done == ["a", "b"]


def test_who_comes_after_others_waits_behind_them() -> None:
    seconds = iter(range(1000))
    rig = Rig(clock=lambda: next(seconds))
    with Taken(rig):
        for name in "ab":
            rig.call(name)
    assert rig.call("c") is None
    for function in rig.rung:
        function()
    assert rig.done == ["a", "b", "c"]


def test_an_answer_that_fails_is_logged_and_concerns_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    """It is told in the thread that does the jobs, if that is its home."""
    rig = Rig()

    def fails(answer: tuple[Any, ...], error: Exception | None) -> None:
        raise AssertionError("a defect")

    def outer() -> tuple[object]:
        run_to_end(lambda: rig.lock.call(cast(Runner, rig.here), rig.job("other"), fails))
        rig.call_from_thread("last")
        return ("outer",)

    with caplog.at_level(logging.ERROR, "httpng"):
        assert rig.lock.call(cast(Runner, rig.here), outer, rig.told) == ("outer",)
    assert rig.done == ["other", "last"]
    assert "a defect" in caplog.text


def test_who_asks_does_nobody_elses_jobs() -> None:
    """A notice of a gap is asked for while a frame is made: what others do might touch that connection."""
    rig = Rig()

    def asked() -> tuple[object]:
        rig.call_from_thread("other")
        return ("asked",)

    assert rig.lock.ask(cast(Runner, rig.here), asked, rig.told) == ("asked",)
    assert (rig.done, len(rig.rung)) == ([], 1)
    assert rig.ask("second") is None
    assert rig.done == []
    rig.rung.pop()()
    assert rig.done == ["other", "second"]
    assert rig.answers == [(("second",), None)]


def test_who_asks_while_another_is_in_there_is_answered_later() -> None:
    rig = Rig()
    with Taken(rig):
        assert rig.ask("a") is None
    assert rig.done == ["a"]
    rig.here.turn()
    assert rig.answers == [(("a",), None)]


def test_many_threads_at_the_gate_lose_no_job() -> None:
    rig = Rig()
    inside: list[int] = []
    most: list[int] = []

    def job() -> tuple[()]:
        inside.append(get_ident())
        most.append(len(inside))
        inside.pop()
        return ()

    def come() -> None:
        for number in range(300):
            come_in = rig.lock.ask if number % 3 == 0 else rig.lock.call
            come_in(cast(Runner, rig.there), job, rig.told)

    threads = [Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    while rig.rung:
        rig.rung.pop()()
    assert len(most) == 1200
    assert max(most) == 1


def test_who_has_entered_finds_it_taken_by_itself() -> None:
    rig = Rig()
    assert rig.lock.enter()
    assert not rig.lock.enter()
    assert rig.call("within") == ("within",)
    rig.lock.leave()
    assert rig.lock.enter()
    rig.lock.leave()


def test_nobody_enters_while_another_thread_is_in_there_or_a_job_waits() -> None:
    rig = Rig()
    with Taken(rig):
        assert not rig.lock.enter()
        assert rig.call("left") is None
    assert rig.lock.enter()
    rig.lock.leave()
    assert rig.done == ["left"]


def test_who_leaves_does_what_others_have_left() -> None:
    rig = Rig()
    assert rig.lock.enter()
    rig.call_from_thread("left")
    assert rig.done == []
    rig.lock.leave()
    assert rig.done == ["left"]
