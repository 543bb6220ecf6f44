"""What an application does of its own before the first request and after the last one."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from httpng_core import Application, StartupError
from httpng_driver.handlers.asgi import AsgiLifespan, check_wsgi
from httpng_driver.reactor import Backend

_log = logging.getLogger("httpng")


@asynccontextmanager
async def started(application: Application, backend: Backend) -> AsyncIterator[Callable[[], None]]:
    """Start the application, and stop it at the end: its own `lifespan`, and those of its ASGI applications.

    Gives what is to be called, in this loop, when the server begins to stop.

    Raises:
        ConfigError: there is one of WSGI, which can't be run here.
        StartupError: one of them failed.
    """
    async with _own(application), _asgi(application, backend) as lifespans:

        def notify() -> None:
            for lifespan in lifespans:
                lifespan.notify()

        yield notify


@asynccontextmanager
async def _own(application: Application) -> AsyncIterator[None]:
    if application.lifespan is None:
        yield
        return
    entered = False
    try:
        async with application.lifespan() as application.state:
            entered = True
            yield
    except Exception as error:
        if entered:
            raise
        _log.error("the lifespan of the application failed at its start", exc_info=error)
        told = f"the lifespan of the application raised {type(error).__name__}: {error}"
        raise StartupError(told) from error
    finally:
        application.state = None


@asynccontextmanager
async def _asgi(application: Application, backend: Backend) -> AsyncIterator[list[AsgiLifespan]]:
    apps: dict[int, Any] = {}
    for handler in application.asgi_handlers:
        if handler.is_wsgi:
            check_wsgi()
        else:
            apps[id(handler.app)] = handler.app
    mode = application.settings.lifespan
    if mode == "off" or not apps:
        yield []
        return
    # Around that of the server: its tasks are gone before an application is told to stop.
    async with backend.reactor() as reactor:
        lifespans: list[AsgiLifespan] = []
        try:
            for number, app in apps.items():
                lifespan = AsgiLifespan(app, is_required=mode == "on")
                lifespans.append(lifespan)
                reactor.spawn(lifespan.run)
                await lifespan.start()
                application.asgi_states[number] = lifespan.state
            yield lifespans
        finally:
            with anyio.CancelScope(shield=True):
                for lifespan in reversed(lifespans):
                    await lifespan.stop()
            application.asgi_states = {}
