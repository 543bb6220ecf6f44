"""The lifespan of one ASGI application: https://asgi.readthedocs.io/en/latest/specs/lifespan.html."""

import logging
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import anyio

from httpng_core import StartupError

_log = logging.getLogger("httpng")

NOTICE: Final = "lifespan.shutdown.notice"
"""What an application that asks for it is told when its server begins to stop, ahead of the shutdown."""
_SECONDS_TO_LEAVE: Final = 1.0
"""So long an application may go on after it has said that its shutdown is complete."""


class AsgiLifespan:
    """Tells an application of the start and the end of its server.

    Attributes:
        state: what the application has put there, for each request.
    """

    def __init__(self, app: Callable[..., Any], *, is_required: bool) -> None:
        """Make the lifespan of `app`; one that doesn't know it can't start if that `is_required`."""
        self.state: dict[str, Any] = {}
        self._app = app
        self._is_required = is_required
        self._is_up = self._is_stopping = self._wants_notice = False
        # What it is told, as it asks.
        self._messages = deque(["lifespan.startup"])
        self._more = anyio.Event()
        self._failure: str | None = None
        self._error: Exception | None = None
        self._started = anyio.Event()
        self._stopped = anyio.Event()
        self._left = anyio.Event()
        # Whoever cancels the server lets it end all the same.
        self._scope = anyio.CancelScope(shield=True)

    async def run(self) -> None:
        """Call the application; it is its task for as long as the server runs."""
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
            "extensions": {NOTICE: {}},
        }
        try:
            with self._scope:
                await self._app(scope, self._receive, self._send)
        except Exception as error:
            self._error = error
        finally:
            for event in (self._started, self._stopped, self._left):
                event.set()

    async def start(self) -> None:
        """Wait until the application has started, or is found not to understand this.

        Raises:
            StartupError: it says that it can't start, or doesn't understand this and must.
        """
        await self._started.wait()
        if self._failure is not None:
            _log.error("the start of the ASGI application failed: %s", self._failure)
            told = ["the start of the ASGI application failed", *self._failure.strip().splitlines()[-1:]]
            raise StartupError(": ".join(told)) from self._error
        if self._is_up:
            return
        why = "it returned" if self._error is None else f"{type(self._error).__name__}: {self._error}"
        if self._is_required:
            raise StartupError(f"the ASGI application doesn't support lifespan: {why}") from self._error
        _log.info("the ASGI application doesn't seem to support lifespan: %s", why)

    def notify(self) -> None:
        """Tell the application, if it has asked for that, that the server begins to stop."""
        if self._wants_notice:
            self._tell(NOTICE)

    async def stop(self) -> None:
        """Have the application shut down, and wait until it has. Does nothing if it isn't up."""
        if self._is_up and not self._left.is_set():
            self._is_stopping = True
            self._tell("lifespan.shutdown")
            await self._stopped.wait()
            with anyio.move_on_after(_SECONDS_TO_LEAVE):
                await self._left.wait()
        self._scope.cancel()
        await self._left.wait()
        if self._is_up and self._error is not None:
            _log.error("the ASGI application failed in its lifespan", exc_info=self._error)

    def _tell(self, kind: str) -> None:
        self._messages.append(kind)
        self._more.set()
        self._more = anyio.Event()

    async def _receive(self) -> MutableMapping[str, Any]:
        while not self._messages:
            await self._more.wait()
        return {"type": self._messages.popleft()}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete" and not self._started.is_set():
            self._is_up = True
            self._wants_notice = bool(message.get("shutdown_notice", False))
            self._started.set()
        elif kind == "lifespan.startup.failed" and not self._started.is_set():
            self._failure = message.get("message", "")
            self._started.set()
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed") and self._is_stopping:
            if kind == "lifespan.shutdown.failed":
                _log.error("the shutdown of the ASGI application failed: %s", message.get("message", ""))
            self._stopped.set()
        else:
            raise RuntimeError(f"{kind!r} has no place here in a lifespan")
