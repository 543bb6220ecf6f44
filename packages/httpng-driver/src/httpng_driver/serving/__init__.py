"""From open listeners to the last connection."""

from httpng_driver.serving.endpoints import Preparation
from httpng_driver.serving.listener import Listener, open_listeners
from httpng_driver.serving.server import Server, serve_on

__all__ = [
    "Listener",
    "Preparation",
    "Server",
    "open_listeners",
    "serve_on",
]
