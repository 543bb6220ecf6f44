"""httpng: an HTTP server whose handlers know how much of a response the client has got.

`run(app)` for a program that is a server, `await serve(app)` for one that has a server, on asyncio or trio;
`httpng APP` on the command line.
"""

from httpng._version import __version__
from httpng.front import Loop, run, serve
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
    HandshakeError,
    Keys,
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
    sse_event,
    sse_headers,
)
from httpng_driver import IO, Feed, Server, WebSocket, in_thread

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
    "HandshakeError",
    "Keys",
    "Loop",
    "ReadTimeoutError",
    "Request",
    "RequestCancelled",
    "Response",
    "Router",
    "SendResult",
    "SendStats",
    "Server",
    "WebSocket",
    "__version__",
    "body_bytes_sent",
    "cancelled",
    "headers_were_sent",
    "in_thread",
    "reached",
    "run",
    "serve",
    "sse_event",
    "sse_headers",
]
