"""What is going on in a connection, to be looked at."""

from typing import Final

from httpng_core.tls.handshake import TlsLayer
from httpng_core.wire.endpoint import Endpoint

_SPOKEN: Final = {"Http1": "HTTP/1.1", "Http2": "HTTP/2", "TlsLayer": "TLS"}


class ConnectionStatistics:
    """What is going on in a connection; a snapshot, for tests and operators.

    Attributes:
        draining: whether no more requests are taken.
        exchanges: those that are under way.
        idle_since: when it was last busy, if it is kept alive and nothing has come since; else `None`.
        timers: how many deadlines of calls are pending.
        ledger: how many wire bytes were committed.
        tracks: whether acknowledgements are tracked.
        offer_limit: how many bytes are offered at most.
        spoken: "HTTP/1.1", "HTTP/2", or "TLS" during the handshake; empty when the connection has ended.
        peer: the client's end, as a proxy has told it if one did.
    """

    __slots__ = (
        "_tls",
        "draining",
        "exchanges",
        "idle_since",
        "ledger",
        "offer_limit",
        "peer",
        "spoken",
        "timers",
        "tracks",
    )

    def __init__(self, endpoint: Endpoint, tls: TlsLayer | None) -> None:
        outbound, protocol = endpoint.outbound, endpoint.protocol
        self.draining = endpoint.draining
        self.exchanges = protocol.exchanges()
        self.idle_since = protocol.idle_since if outbound.is_empty and not endpoint.eof else None
        self.timers = len(endpoint.timers)
        self.ledger = outbound.ledger.pushed
        self.tracks = outbound.ledger.tracks
        self.offer_limit = outbound.size.limit
        self.spoken = _SPOKEN.get(type(protocol).__name__, "")
        self.peer = endpoint.peer
        self._tls = tls

    @property
    def tls(self) -> tuple[int, int, str | None] | None:
        """The numbers of TLS's version and of the cipher suite (RFC 8446), and in PEM the certificate shown.

        `None` in plain text. They are looked up when they are asked for, in some calls of OpenSSL.
        """
        return None if self._tls is None else self._tls.facts
