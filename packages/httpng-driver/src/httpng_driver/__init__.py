"""httpng-driver: what the backends share. It moves bytes and tells the core what the kernel said."""

from httpng_driver._version import __version__
from httpng_driver.command.cli import main
from httpng_driver.command.run import addresses, supervise, until_signalled
from httpng_driver.handlers.asgi import ClientGoneError, SendTimeout
from httpng_driver.handlers.feed import Feed
from httpng_driver.handlers.in_thread import in_thread
from httpng_driver.handlers.io import IO
from httpng_driver.handlers.websocket import WebSocket
from httpng_driver.reactor import Backend, Reactor
from httpng_driver.serving.server import Server, serve_on
from httpng_driver.serving.statistics import ListenerStatistics, ServerStatistics
from httpng_driver.serving.status_handler import status_handler

__all__ = [
    "IO",
    "Backend",
    "ClientGoneError",
    "Feed",
    "ListenerStatistics",
    "Reactor",
    "SendTimeout",
    "Server",
    "ServerStatistics",
    "WebSocket",
    "__version__",
    "addresses",
    "in_thread",
    "main",
    "serve_on",
    "status_handler",
    "supervise",
    "until_signalled",
]
