"""Who may use what handlers in another language share: one thread at a time, and none ever waits for it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from httpng_core.app.runner import Runner

Answer = tuple[Any, ...]
"""What the other language returned."""
Job = Callable[[], Answer]
"""Runs what the other language is to do; gives what that returned, or raises."""
Done = Callable[[Answer, Exception | None], None]
"""Gets what a job gave, or what it raised."""


class StateLock:
    """The lock of a state that one thread serves: it is always free. For several, a driver derives its own.

    Attributes:
        data_lock: for what the threads share outside of the state, such as feeds; the thread that holds it
            may take it again.
    """

    def __init__(self) -> None:
        self.data_lock: AbstractContextManager[object] = nullcontext()

    def enter(self) -> bool:
        """Enter, and return true: `leave` follows, whatever happens in there. It costs less than `call`.

        False: somebody is in there, this thread perhaps, or waits to be; `call` knows what to do.
        """
        return True

    def leave(self) -> None:
        """Leave, and do the jobs of those who came meanwhile."""

    def call(self, home: Runner, job: Job, done: Done) -> Answer | None:
        """Run `job` now and tell what it gave; `None` if another thread is in there.

        Then whoever is runs it before it leaves, and `done` is called in the loop of `home`. Within a job
        another one is run at once.

        Raises:
            Exception: what the job raised, if it was run now.
        """
        return job()

    def ask(self, home: Runner, job: Job, done: Done) -> Answer | None:
        """Like `call`, but do nobody else's jobs: for where those could touch what the caller works on."""
        return job()


ONE_THREAD: Final = StateLock()
"""The lock of every state that a single thread serves: who finds it need not ask it."""
