"""What a client sends into the tunnel that it has asked for by an extended CONNECT (RFC 8441)."""

from httpng_core.sending.outgoing import Outgoing


class TunnelInflow:
    """Bytes that come on one stream. Credit is given back for what was handed over, if more is wanted.

    Attributes:
        ended: whether the client has ended its side.
    """

    __slots__ = ("_early", "_unpaid", "ended")

    def __init__(self, ended: bool) -> None:
        """Begin before the tunnel is there: what comes by then is held, and gets no credit."""
        self.ended = ended
        self._early: list[bytes] = []
        self._unpaid = 0

    @property
    def held(self) -> int:
        """How many bytes are held until the tunnel is there."""
        return sum(map(len, self._early))

    def take(self, exchange: Outgoing, data: bytes, now: float) -> None:
        """Take what came."""
        self._unpaid += len(data)
        if exchange.tunnel is None:
            self._early.append(data)
        else:
            exchange.tunnel.receive(data, now)

    def end(self, exchange: Outgoing, now: float) -> None:
        """Note that no more comes."""
        self.ended = True
        if exchange.tunnel is not None:
            exchange.tunnel.receive_eof(now)

    def open(self, exchange: Outgoing, now: float) -> None:
        """Hand over what has come before the tunnel was there."""
        early, self._early = self._early, []
        tunnel = exchange.tunnel
        assert tunnel is not None
        for data in early:
            tunnel.receive(data, now)
        if self.ended:
            tunnel.receive_eof(now)

    def credit(self, exchange: Outgoing) -> int:
        """Return how much credit is due, and count it as given."""
        if exchange.tunnel is None or not exchange.tunnel.wants_read:
            return 0
        unpaid, self._unpaid = self._unpaid, 0
        return unpaid
