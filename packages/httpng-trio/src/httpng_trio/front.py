"""The front doors: `run` for a program that is a server, `serve` for one that has a server."""

from collections.abc import Callable
from functools import partial

import anyio
from anyio.abc import TaskStatus

from httpng_core import ConfigError, as_application
from httpng_driver import Backend, Server, addresses, serve_on, supervise, until_signalled
from httpng_trio.reactor import TrioReactor


def run(app: object, *, listen: object = None, **cfg: object) -> None:
    """Serve until SIGINT or SIGTERM: then exchanges may finish within `shutdown_timeout` seconds.

    Blocks. Says on stderr where it listens.

    Args:
        app: a handler or an `Application`.
        listen: "ADDR:PORT" or several; wins over the application's own. Default: 127.0.0.1:3300.
        **cfg: `sites` and the settings, for a handler, which may be `None` then; see the reference.

    Raises:
        ConfigError: a setting, a site or an address that can't be used, or `app` is neither.
        RuntimeError: this isn't the main thread; or the application can't be served now, see `serve`.
        TypeError: a handler takes other arguments, or settings are given beside an `Application`.
    """
    application = as_application(app, None, cfg)
    if supervise(application, listen):
        return
    anyio.run(until_signalled, partial(serve, application, listen=listen), backend="trio")


async def serve(
    app: object,
    *,
    listen: object = None,
    on_listening: Callable[[Server], None] | None = None,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
    **cfg: object,
) -> None:
    """Serve within a running trio program. Installs no signal handlers, prints nothing.

    Returns after `Server.shutdown`. Cancelling it resets every connection, cancels the handlers and
    waits for these.

    Args:
        app: a handler or an `Application`.
        listen: "ADDR:PORT" or several; wins over the application's own. Default: 127.0.0.1:3300.
        on_listening: called with the `Server` once it listens, and again each time a script has it listen
            anew; `Server.addresses` says where.
        task_status: gets the `Server` likewise, for `await nursery.start(serve, app)`.
        **cfg: `sites` and the settings, for a handler, which may be `None` then; see the reference.

    Raises:
        ConfigError: a setting, a site or an address that can't be used, or `app` is neither.
        RuntimeError: the application is served already; or it is a script that was, as it can be once.
        TypeError: a handler takes other arguments, or settings are given beside an `Application`.
    """
    application, listening_on = as_application(app, None, cfg), addresses(listen)
    if application.uvloop:
        raise ConfigError("uvloop is for asyncio: it can't run trio")
    backend = Backend(TrioReactor, partial(anyio.run, backend="trio"))
    await serve_on(backend, application, listening_on, on_listening=on_listening, task_status=task_status)
