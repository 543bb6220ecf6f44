"""The gate of a Lua state that several threads serve: one at a time is in it, and none waits for it."""

from collections import deque
from collections.abc import Callable
from threading import Lock, get_ident
from time import monotonic
from typing import Any

from httpng_core import Runner

_JOBS_PER_STAY = 64
_SECONDS_PER_STAY = 0.005

Answer = tuple[Any, ...]
Job = Callable[[], Answer]
Done = Callable[[Answer, Exception | None], None]


class LuaGate:
    """`Gate` of httpng_core.lua. A thread that finds it taken leaves its job with the one that is in there.

    Jobs are done in the order of their coming. One that goes after many jobs leaves the others to the first
    loop, so that its own connections aren't kept waiting for those of others.
    """

    def __init__(self, ring: Callable[[Callable[[], None]], None]) -> None:
        """`ring(function)` has `function` called soon, in the thread of the first loop."""
        self._ring = ring
        self._taken = Lock()
        self._holder: int | None = None
        self._jobs: deque[tuple[Runner, Job, Done]] = deque()

    def call(self, home: Runner, job: Job, done: Done) -> Answer | None:
        """See `httpng_core.lua.Gate`."""
        if self._holder == get_ident():
            return job()
        if not self._jobs and self._taken.acquire(blocking=False):
            self._holder = get_ident()
            try:
                return job()
            finally:
                self._leave()
        self._jobs.append((home, job, done))
        # Whoever was in there may have left before it saw that.
        self._do_jobs()
        return None

    def _leave(self) -> None:
        self._holder = None
        self._taken.release()
        if self._jobs:
            self._do_jobs()

    def _do_jobs(self) -> None:
        until = monotonic() + _SECONDS_PER_STAY
        for _ in range(_JOBS_PER_STAY):
            if not self._jobs or not self._taken.acquire(blocking=False):
                return
            self._holder = get_ident()
            try:
                self._do_one()
            finally:
                self._holder = None
                self._taken.release()
            if monotonic() >= until:
                break
        if self._jobs:
            self._ring(self._do_jobs)

    def _do_one(self) -> None:
        try:
            home, job, done = self._jobs.popleft()
        except IndexError:
            return  # Another thread was here in between.
        home.call_in_loop(_after(job, done))


def _after(job: Job, done: Done) -> Callable[[], None]:
    """Does the job now; what remains is to tell."""
    try:
        answer, error = job(), None
    except Exception as raised:
        answer, error = (), raised
    return lambda: done(answer, error)
