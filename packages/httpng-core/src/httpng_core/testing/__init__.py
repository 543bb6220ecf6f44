r"""For tests of handlers and of embedders: a scripted kernel, a clock turned by hand, a client.

No sockets, no loop, no waiting: `Loopback` joins an application to a client in one thread.

    loop = Loopback(handler, default_send_window=1000)
    client = loop.connect(room=100)          # the kernel takes 100 bytes, then refuses
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    loop.advance(0.5)                        # half a second passes
    client.take()                            # the client reads what has arrived

A client on a `ScriptedPath` gets everything with the delay and at the rate of that path. One with a
`TlsEnd` of its own speaks TLS, if the `Loopback` was given certificates.
"""

from httpng_core.testing.clients import Client, Http2Peer
from httpng_core.testing.clock import Clock
from httpng_core.testing.http1_client import ReceivedResponse, decode
from httpng_core.testing.http2_client import Http2Client, ReceivedStream
from httpng_core.testing.loopback import Loopback
from httpng_core.testing.path import ScriptedPath
from httpng_core.testing.server import ScriptedServer
from httpng_core.tls.end import TlsEnd

__all__ = [
    "Client",
    "Clock",
    "Http2Client",
    "Http2Peer",
    "Loopback",
    "ReceivedResponse",
    "ReceivedStream",
    "ScriptedPath",
    "ScriptedServer",
    "TlsEnd",
    "decode",
]
