"""The lock of a Lua state that several threads serve: one at a time is in it, and none waits for it."""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock, RLock, get_ident
from time import monotonic
from typing import Any

from httpng_core import Runner
from httpng_core.languages import Done, Job, StateLock

_log = logging.getLogger("httpng")

_JOBS_PER_STAY = 64
_SECONDS_PER_STAY = 0.005

Answer = tuple[Any, ...]


class LuaLock(StateLock):
    """A `StateLock`. A thread that finds it taken leaves its job with the one that is in there.

    Jobs are done in the order of their coming. One that goes after many jobs leaves the others to the first
    loop, so that its own connections aren't kept waiting for those of others.
    """

    def __init__(
        self, ring: Callable[[Callable[[], None]], None], *, clock: Callable[[], float] = monotonic
    ) -> None:
        """Take `ring`, which has a function called soon, in the thread of the first loop."""
        self._ring = ring
        self._clock = clock
        self.data_lock: AbstractContextManager[object] = RLock()
        self._taken = Lock()
        self._holder: int | None = None
        self._jobs: deque[tuple[Runner, Job, Done]] = deque()

    def enter(self) -> bool:
        """See `StateLock`."""
        if self._jobs or not self._taken.acquire(blocking=False):
            return False
        self._holder = get_ident()
        return True

    def leave(self) -> None:
        """See `StateLock`."""
        self._holder = None
        self._taken.release()
        if self._jobs:
            self._do_jobs()

    def call(self, home: Runner, job: Job, done: Done) -> Answer | None:
        """See `StateLock`."""
        if self._holder == get_ident():
            return job()
        try:
            return self._enter(home, job, done)
        finally:
            # Those that came meanwhile; and whoever was in there may have left before it saw this one.
            self._do_jobs()

    def ask(self, home: Runner, job: Job, done: Done) -> Answer | None:
        """See `StateLock`: the jobs of others are left to the first loop."""
        if self._holder == get_ident():
            return job()
        try:
            return self._enter(home, job, done)
        finally:
            if self._jobs:
                self._ring(self._do_jobs)

    def _enter(self, home: Runner, job: Job, done: Done) -> Answer | None:
        """Do the job if nobody is in there and none waits, else leave it."""
        if not self.enter():
            self._jobs.append((home, job, done))
            return None
        try:
            return job()
        finally:
            self._holder = None
            self._taken.release()

    def _do_jobs(self) -> None:
        if not self._jobs:
            return
        until = self._clock() + _SECONDS_PER_STAY
        for _ in range(_JOBS_PER_STAY):
            if not self._jobs or not self._taken.acquire(blocking=False):
                return
            self._holder = get_ident()
            try:
                self._do_one()
            finally:
                self._holder = None
                self._taken.release()
            if self._clock() >= until:
                break
        if self._jobs:
            self._ring(self._do_jobs)

    def _do_one(self) -> None:
        try:
            home, job, done = self._jobs.popleft()
        except IndexError:
            return  # Another thread was here in between.
        tell = _after(job, done)
        try:
            home.call_in_loop(tell)
        except Exception:
            # It was told in this thread. A defect must not take the caller's own job with it.
            _log.exception("what a thread in Lua did for another failed")


def _after(job: Job, done: Done) -> Callable[[], None]:
    """Do the job now, and return what remains: to tell."""
    try:
        answer, error = job(), None
    except Exception as raised:
        answer, error = (), raised
    return lambda: done(answer, error)
