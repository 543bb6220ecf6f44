"""httpng-driver: what the backends share. It moves bytes and tells the core what the kernel said."""

from httpng_driver._version import __version__
from httpng_driver.cli import main
from httpng_driver.feed import Feed
from httpng_driver.front import addresses, until_signalled
from httpng_driver.io import IO
from httpng_driver.reactor import Backend, Reactor
from httpng_driver.server import Server, serve_on

__all__ = [
    "IO",
    "Backend",
    "Feed",
    "Reactor",
    "Server",
    "__version__",
    "addresses",
    "main",
    "serve_on",
    "until_signalled",
]
