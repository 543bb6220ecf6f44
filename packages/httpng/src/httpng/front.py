"""`run` and `serve`, by the event loop that is asked for or that runs."""

import importlib.util
import sys
from collections.abc import Callable
from typing import Any, Final, Literal

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

import httpng_asyncio
from httpng_core import ConfigError
from httpng_driver import Server

Loop = Literal["auto", "asyncio", "uvloop", "trio"]
"""What `run` can run on; "auto" is uvloop where it is installed, and else asyncio."""

_UVLOOP: Final[dict[str, bool | None]] = {"auto": None, "asyncio": False, "uvloop": True}


def run(app: object, *, listen: object = None, loop: Loop = "auto", **cfg: object) -> None:
    """Serve until SIGINT or SIGTERM: then exchanges may finish within `shutdown_timeout` seconds.

    Blocks. Says on stderr where it listens.

    Args:
        app: a handler or an `Application`.
        listen: "ADDR:PORT" or several; wins over the application's own. Default: 127.0.0.1:3300.
        loop: the event loop; trio needs the extra `trio`.
        **cfg: `sites` and the settings, for a handler, which may be `None` then; see the reference.

    Raises:
        ConfigError: a setting, a site or an address that can't be used, or `app` is neither; the loop is
            none, or isn't installed.
        RuntimeError: this isn't the main thread; or the application can't be served now, see `serve`.
        TypeError: a handler takes other arguments, or settings are given beside an `Application`.
    """
    if loop == "trio":
        _trio().run(app, listen=listen, **cfg)
        return
    if loop not in _UVLOOP:
        raise ConfigError(f"loop is {loop!r}, must be auto, asyncio, uvloop or trio")
    httpng_asyncio.run(app, listen=listen, uvloop=_UVLOOP[loop], **cfg)


async def serve(
    app: object,
    *,
    listen: object = None,
    on_listening: Callable[[Server], None] | None = None,
    task_status: TaskStatus[Server] = TASK_STATUS_IGNORED,
    **cfg: object,
) -> None:
    """Serve within a running program, of asyncio or of trio. Installs no signal handlers, prints nothing.

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
        ConfigError: a setting, a site or an address that can't be used, or `app` is neither.
        RuntimeError: the application is served already; or it is a script that was, as it can be once.
        TypeError: a handler takes other arguments, or settings are given beside an `Application`.
    """
    backend = _trio() if _in_trio() else httpng_asyncio
    await backend.serve(app, listen=listen, on_listening=on_listening, task_status=task_status, **cfg)


def _in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def _trio() -> Any:
    if importlib.util.find_spec("httpng_trio") is None:
        raise ConfigError("trio needs the package httpng-trio: pip install 'httpng[trio]'")
    return importlib.import_module("httpng_trio")
