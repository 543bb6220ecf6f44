"""What the calls of ASGI applications need of their event loop."""

from collections.abc import Callable
from typing import Any

from httpng_core import Application, AsgiHandler, Timer, Timers
from httpng_driver.handlers.asgi.wsgi import as_asgi
from httpng_driver.handlers.files import DiskFiles


class AsgiHost:
    """One event loop, as the calls of ASGI applications see it.

    Attributes:
        clock: the monotonic clock.
        check_thread: raises in another thread than that of the loop.
        files: where files come from.
    """

    __slots__ = ("_application", "_look", "_timers", "_wrapped", "check_thread", "clock", "files")

    def __init__(
        self,
        application: Application,
        clock: Callable[[], float],
        timers: Timers,
        look: Callable[[], None],
        check_thread: Callable[[], None],
        files: DiskFiles,
    ) -> None:
        """Keep deadlines in `timers`; `look` has the loop look at them again."""
        self._application = application
        self.clock = clock
        self.check_thread = check_thread
        self.files = files
        self._timers = timers
        self._look = look
        self._wrapped: dict[AsgiHandler, Callable[..., Any]] = {}

    def state_of(self, handler: AsgiHandler) -> dict[str, Any]:
        """Return a copy of what the application has put into its state when it was started."""
        state = self._application.asgi_states.get(id(handler.app))
        return {} if state is None else state.copy()

    def app_of(self, handler: AsgiHandler) -> Callable[..., Any]:
        """Return the ASGI application; one of WSGI is made one."""
        if not handler.is_wsgi:
            return handler.app
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
