"""WSGI applications, made ASGI ones by a2wsgi: each call runs in a worker thread."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, cast

import anyio

from httpng_core import ConfigError


def check_wsgi() -> None:
    """Check that WSGI applications can be run in the loop that runs now.

    Raises:
        ConfigError: a2wsgi is missing, or this isn't asyncio, which that needs.
    """
    if find_spec("a2wsgi") is None:
        raise ConfigError("a WSGI application needs the package a2wsgi: pip install 'httpng-driver[wsgi]'")
    if not anyio.get_cancelled_exc_class().__module__.startswith("asyncio"):
        raise ConfigError("WSGI applications run on asyncio alone: use httpng-asyncio")


def as_asgi(app: Callable[..., Any]) -> Callable[..., Any]:
    """Return a WSGI application as one of ASGI."""
    from a2wsgi import WSGIMiddleware

    return cast(Callable[..., Any], WSGIMiddleware(app))
