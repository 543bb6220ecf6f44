"""A lock of a Lua state for tests that say when another thread is in there."""

from collections import deque
from threading import RLock
from typing import Any

from httpng_core import Runner
from httpng_core.languages import Done, Job, StateLock

Answer = tuple[Any, ...]


class TakenLock(StateLock):
    """A lock that is taken when the test says so; then jobs are done when it says so as well."""

    def __init__(self) -> None:
        super().__init__()
        self.is_taken = False
        self.data_lock = RLock()
        self.jobs: deque[tuple[Job, Done]] = deque()
        self._inside = False

    def enter(self) -> bool:
        return not self.is_taken

    def leave(self) -> None:
        pass

    def call(self, home: Runner, job: Job, done: Done) -> Answer | None:
        if self._inside or not self.is_taken:
            return job()
        self.jobs.append((job, done))
        return None

    def ask(self, home: Runner, job: Job, done: Done) -> Answer | None:
        return self.call(home, job, done)

    def let_in(self) -> None:
        job, done = self.jobs.popleft()
        self._inside = True
        try:
            answer: Answer = job()
        except Exception as error:
            told: tuple[Answer, Exception | None] = (), error
        else:
            told = answer, None
        finally:
            self._inside = False
        done(*told)
