"""What a proxy says before the first byte of its client's: who that is."""

from httpng_core.errors import RemoteError
from httpng_core.sending.ends import broke_protocol
from httpng_core.wire.endpoint import Endpoint
from httpng_core.wire.events import ConnectionDropped, RequestRefused
from httpng_core.wire.proxy_header import read_proxy_header


class Preamble:
    """The header of the PROXY protocol, awaited, however it is cut.

    Attributes:
        is_over: whether it has come.
    """

    __slots__ = ("_endpoint", "_received", "_sealed", "is_over")

    def __init__(self, endpoint: Endpoint, *, sealed: bool) -> None:
        """Await it; `sealed` tells whether TLS follows."""
        self.is_over = False
        self._endpoint = endpoint
        self._sealed = sealed
        self._received = b""

    def receive(self, data: bytes, now: float) -> bytes:
        """Take bytes; return what follows the header, nothing until it has come."""
        self._received += data
        endpoint = self._endpoint
        try:
            found = read_proxy_header(self._received)
        except RemoteError as error:
            endpoint.tell(RequestRefused(error.status, str(error), endpoint.peer))
            protocol = endpoint.protocol
            endpoint.abort()
            protocol.lost(now, broke_protocol(str(error), error.status))
            return b""
        if found is None:
            return b""
        self.is_over = True
        greet = endpoint.host.greet
        if greet is not None and found.peer is not None and (cause := greet(found.peer)) is not None:
            endpoint.tell(ConnectionDropped(found.peer, cause))
            protocol = endpoint.protocol
            endpoint.abort()
            protocol.lost(now, cause)
            return b""
        endpoint.peer, endpoint.ouraddr = found.peer or endpoint.peer, found.ouraddr or endpoint.ouraddr
        if found.https is not None:
            endpoint.https = found.https or self._sealed
        return self._received[found.size :]
