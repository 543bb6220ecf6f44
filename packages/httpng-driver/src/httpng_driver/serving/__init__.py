"""From open listeners to the last connection."""

from httpng_driver.serving.endpoints import Preparation
from httpng_driver.serving.listener import Listener, open_listeners
from httpng_driver.serving.server import Server, serve_on
from httpng_driver.serving.statistics import ListenerStatistics, ServerStatistics
from httpng_driver.serving.status_handler import status_handler

__all__ = [
    "Listener",
    "ListenerStatistics",
    "Preparation",
    "Server",
    "ServerStatistics",
    "open_listeners",
    "serve_on",
    "status_handler",
]
