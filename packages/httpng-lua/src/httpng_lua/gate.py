"""The gate of a Lua state: who may enter it now. One thread at a time, and none ever waits for it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol

from httpng_core import Runner
from httpng_lua.steps import Answer

Job = Callable[[], Answer]
"""Enters Lua; gives what Lua returned, or raises."""
Done = Callable[[Answer, Exception | None], None]
"""Gets what a job gave, or what it raised."""


class Gate(Protocol):
    """Where several threads serve one script, a driver gives it such a gate.

    Attributes:
        lock: for what they share outside of Lua, such as feeds; the thread that holds it may take it again.
    """

    lock: AbstractContextManager[object]

    def enter(self) -> bool:
        """Enter, and return true: `leave` follows, whatever happens in there. It costs less than `call`.

        False: somebody is in there, this thread perhaps, or waits to be; `call` knows what to do.
        """

    def leave(self) -> None:
        """Leave, and do the jobs of those who came meanwhile."""

    def call(self, home: Runner, job: Job, done: Done) -> Answer | None:
        """Run `job` now and tell what it gave; `None` if another thread is in there.

        Then whoever is runs it before it leaves, and `done` is called in the loop of `home`. Within a job
        another one is run at once.

        Raises:
            Exception: what the job raised, if it was run now.
        """

    def ask(self, home: Runner, job: Job, done: Done) -> Answer | None:
        """Like `call`, but does nobody else's jobs: for where those could touch what the caller works on."""


class OpenGate:
    """The gate where there is one thread."""

    lock: AbstractContextManager[object] = nullcontext()

    def enter(self) -> bool:
        """See `Gate`: nobody else comes."""
        return True

    def leave(self) -> None:
        """See `Gate`."""

    def call(self, home: Runner, job: Job, done: Done) -> Answer | None:
        """See `Gate`."""
        return job()

    ask = call


ONE_THREAD: Final = OpenGate()
"""The gate of every script that a single thread serves: who finds it need not ask it."""


def ignore(answer: Answer, error: Exception | None) -> Any:
    """Return a `Done` that nobody waits for."""
