"""WebSocket (RFC 6455) on an exchange, over HTTP/1.1 and HTTP/2 (RFC 8441): sans-I/O.

A `WebSocket` is one that was accepted; `closing` is the table of its closing handshake.

Importing this needs the library wsproto: it is imported when a handler first accepts a WebSocket.
"""

from httpng_core.websocket import closing
from httpng_core.websocket.session import WebSocket

__all__ = ["WebSocket", "closing"]
