"""ASGI applications: what they are called with, and what they are told."""

from httpng_driver.handlers.asgi.errors import ClientGoneError, SendTimeout, is_consequence, misplaced
from httpng_driver.handlers.asgi.host import AsgiHost
from httpng_driver.handlers.asgi.lifespan import AsgiLifespan
from httpng_driver.handlers.asgi.websocket import start_call
from httpng_driver.handlers.asgi.wsgi import check_wsgi

__all__ = [
    "AsgiHost",
    "AsgiLifespan",
    "ClientGoneError",
    "SendTimeout",
    "check_wsgi",
    "is_consequence",
    "misplaced",
    "start_call",
]
