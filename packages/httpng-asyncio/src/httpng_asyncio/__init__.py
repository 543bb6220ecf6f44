"""httpng on asyncio: `run(app)`, `await serve(app)`, `python -m httpng_asyncio APP`."""

from httpng_asyncio._version import __version__
from httpng_asyncio.front import run, serve
from httpng_asyncio.reactor import AsyncioReactor
from httpng_core import (
    Application,
    BodyError,
    BodyMalformedError,
    BodyStreamedError,
    BodyTimeoutError,
    BodyTooLongError,
    ConfigError,
    FeedStats,
    FollowStats,
    ReadTimeoutError,
    Request,
    RequestCancelled,
    Response,
    Router,
    SendResult,
    SendStats,
    body_bytes_sent,
    cancelled,
    headers_were_sent,
    reached,
)
from httpng_driver import IO, Feed, Server

__all__ = [
    "IO",
    "Application",
    "AsyncioReactor",
    "BodyError",
    "BodyMalformedError",
    "BodyStreamedError",
    "BodyTimeoutError",
    "BodyTooLongError",
    "ConfigError",
    "Feed",
    "FeedStats",
    "FollowStats",
    "ReadTimeoutError",
    "Request",
    "RequestCancelled",
    "Response",
    "Router",
    "SendResult",
    "SendStats",
    "Server",
    "__version__",
    "body_bytes_sent",
    "cancelled",
    "headers_were_sent",
    "reached",
    "run",
    "serve",
]
