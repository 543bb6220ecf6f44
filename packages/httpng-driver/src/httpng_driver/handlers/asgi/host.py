"""What the calls of ASGI applications need of their event loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import get_ident
from typing import Any

from httpng_core import Application, AsgiHandler, Exchange, Timer, Timers
from httpng_driver.handlers.asgi.wsgi import as_asgi
from httpng_driver.handlers.files import DiskFiles
from httpng_driver.handlers.io import IO
from httpng_driver.reactor import Reactor


class AsgiHost:
    """One event loop, as the calls of ASGI applications see it.

    Attributes:
        application: whose they are, or among whose handlers.
        reactor: the loop.
        clock: the monotonic clock.
        thread: the thread of the loop.
        check_thread: raises in another one.
        files: where files come from.
        lock: held while the loop works.
        io_of: makes the `io` of an exchange.
        task_ended: to be called with the number of a task when that ends.
    """

    __slots__ = (
        "_look",
        "_timers",
        "_wrapped",
        "application",
        "check_thread",
        "clock",
        "files",
        "io_of",
        "lock",
        "reactor",
        "task_ended",
        "thread",
    )

    def __init__(
        self,
        application: Application,
        reactor: Reactor,
        clock: Callable[[], float],
        timers: Timers,
        *,
        look: Callable[[], None],
        check_thread: Callable[[], None],
        files: DiskFiles,
        lock: AbstractContextManager[object],
        io_of: Callable[[Exchange], IO],
        task_ended: Callable[[int], None],
    ) -> None:
        """Keep deadlines in `timers`; `look` has the loop look at them again. In the thread of the loop."""
        self.application = application
        self.reactor = reactor
        self.clock = clock
        self.thread = get_ident()
        self.check_thread = check_thread
        self.files = files
        self.lock = lock
        self.io_of = io_of
        self.task_ended = task_ended
        self._look = look
        self._timers = timers
        self._wrapped: dict[AsgiHandler, Callable[..., Any]] = {}

    def wrapped(self, handler: AsgiHandler) -> Callable[..., Any]:
        """Return a WSGI application as one of ASGI."""
        if handler not in self._wrapped:
            self._wrapped[handler] = as_asgi(handler.app)
        return self._wrapped[handler]

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer | None:
        """Have `call` called in `seconds`, unless what this returns is given to `forget`."""
        timer = self._timers.add(self.clock() + seconds, lambda now: call())
        self._look()
        return timer

    def forget(self, timer: Timer) -> None:
        """Let a deadline go."""
        self._timers.cancel(timer)
