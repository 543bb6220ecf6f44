"""The front doors: `run` for a program that is a server, `serve` for one that has a server."""

import asyncio
import importlib.util
from collections.abc import Callable
from functools import partial

import anyio
from anyio.abc import TaskStatus

from httpng_asyncio.reactor import AsyncioReactor
from httpng_core import Application, ConfigError, as_application
from httpng_driver import Backend, Server, addresses, serve_on, supervise, until_signalled


def run(app: object, *, listen: object = None, uvloop: bool | None = None, **cfg: object) -> None:
    """Serve until SIGINT or SIGTERM: then exchanges may finish within `shutdown_timeout` seconds.

    Blocks. Says on stderr where it listens.

    Args:
        app: a handler or an `Application`.
        listen: "ADDR:PORT" or several; wins over the application's own. Default: 127.0.0.1:3300.
        uvloop: whether to run on uvloop; `None`: as the application says, else if it is installed.
        **cfg: `sites` and the settings, for a handler, which may be `None` then; see the reference.

    Raises:
        ConfigError: a setting, a site or an address that can't be used, or `app` is neither; uvloop is asked
            for and isn't installed.
        RuntimeError: this isn't the main thread; or the application can't be served now, see `serve`.
        TypeError: a handler takes other arguments, or settings are given beside an `Application`.
    """
    application = as_application(app, None, cfg)
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    uvloop = application.uvloop if uvloop is None else uvloop
    if uvloop and not has_uvloop:
        raise ConfigError("uvloop is not installed: pip install 'httpng-asyncio[uvloop]'")
    if supervise(application, listen):
        return
    anyio.run(
        until_signalled,
        partial(_serve, application, listen=listen),
        backend="asyncio",
        backend_options={"use_uvloop": has_uvloop if uvloop is None else uvloop},
    )


async def serve(
    app: object,
    *,
    listen: object = None,
    on_listening: Callable[[Server], None] | None = None,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
    **cfg: object,
) -> None:
    """Serve within a running asyncio program. Installs no signal handlers, prints nothing.

    Returns after `Server.shutdown`. Cancelling it resets every connection, cancels the handlers and
    waits for these.

    Args:
        app: a handler or an `Application`.
        listen: "ADDR:PORT" or several; wins over the application's own. Default: 127.0.0.1:3300.
        on_listening: called with the `Server` once it listens, and again each time a script has it listen
            anew; `Server.addresses` says where.
        task_status: gets the `Server` likewise, for `await task_group.start(serve, app)`.
        **cfg: `sites` and the settings, for a handler, which may be `None` then; see the reference.

    Raises:
        ConfigError: a setting, a site or an address that can't be used, or `app` is neither; `uvloop` is not
            what runs.
        RuntimeError: the application is served already; or it is a script that was, as it can be once.
        TypeError: a handler takes other arguments, or settings are given beside an `Application`.
    """
    application = as_application(app, None, cfg)
    if application.uvloop not in (None, _runs_uvloop()):
        running = "uvloop" if _runs_uvloop() else "asyncio"
        raise ConfigError(
            f"uvloop is {application.uvloop}, but the loop that runs already is one of {running}"
        )
    await _serve(application, listen=listen, on_listening=on_listening, task_status=task_status)


async def _serve(
    application: Application,
    *,
    listen: object,
    on_listening: Callable[[Server], None] | None,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
) -> None:
    run_loop = partial(anyio.run, backend="asyncio", backend_options={"use_uvloop": _runs_uvloop()})
    backend = Backend(AsyncioReactor, run_loop)
    await serve_on(
        backend, application, addresses(listen), on_listening=on_listening, task_status=task_status
    )


def _runs_uvloop() -> bool:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0] == "uvloop"
