"""httpng on trio: `run(app)`, `await serve(app)`, `python -m httpng_trio APP`."""

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
from httpng_trio._version import __version__
from httpng_trio.front import run, serve
from httpng_trio.reactor import TrioReactor

__all__ = [
    "IO",
    "Application",
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
    "TrioReactor",
    "__version__",
    "body_bytes_sent",
    "cancelled",
    "headers_were_sent",
    "reached",
    "run",
    "serve",
]
