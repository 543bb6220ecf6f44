"""What a broadcast sends by to one client where that can't be taken back: over TLS and HTTP/2."""

from collections.abc import Callable
from typing import Final

from httpng_core.sending.host import DirectSend
from httpng_core.wire.outbound import Outbound

TAKEN_AT_LEAST: Final = 4096
"""Of a socket that it calls writable Linux takes this much, and more: half of `TCP_NOTSENT_LOWAT` is free, or
a third of the buffer. So it isn't asked again before as much was sent. What TLS and frames add is no matter.
Elsewhere it may take less; then one frame waits that was made too early.
"""


class AtOnce:
    """Asks the kernel, makes, and sends; made anew when a follower steps in.

    Nothing is made unless it is all that waits on its connection, and the kernel has said that it takes it.
    """

    __slots__ = ("_can_take", "_ledger", "_outbound", "_send", "_sure")

    def __init__(self, outbound: Outbound, send: DirectSend, can_take: Callable[[], bool]) -> None:
        self._outbound = outbound
        self._ledger = outbound.ledger
        self._send = send
        self._can_take = can_take
        # Where the ledger will be when the kernel is to be asked again: all that is sent counts.
        self._sure = 0

    def send(self, data: bytes) -> int:
        """Send it; return its length, 0, or `~taken`: see `Transport.broadcast_by`."""
        outbound, ledger = self._outbound, self._ledger
        if not outbound.is_empty:
            return 0
        if ledger.accepted + len(data) > self._sure:
            if not self._can_take():
                return 0
            self._sure = ledger.accepted + TAKEN_AT_LEAST
        return outbound.send_now(data, self._send)
