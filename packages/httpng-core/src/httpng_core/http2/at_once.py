"""What a broadcast sends by to a stream: payloads of a feed, framed for it and sent at once."""

from collections.abc import Callable

from httpng_core.http2.engine import streams
from httpng_core.http2.engine.limits import FRAME_WORTH
from httpng_core.http2.engine.session import Session
from httpng_core.sending.host import DirectSend
from httpng_core.wire.at_once import TAKEN_AT_LEAST, AtOnce
from httpng_core.wire.outbound import Outbound


class StreamSend(AtOnce):
    """Frames each payload for a stream. See `AtOnce`.

    A frame changes windows, so both have to have room for the whole. Where the connection has other streams,
    these may have something to send: the driver is asked each time.
    """

    __slots__ = ("_alone", "_flow", "_head", "_session", "_size")

    def __init__(
        self,
        outbound: Outbound,
        session: Session,
        flow: streams.Stream,
        send: DirectSend,
        can_take: Callable[[], bool],
    ) -> None:
        super().__init__(outbound, send, can_take)
        self._session = session
        self._flow = flow
        # The last stream that began, if it is this one and there is no other.
        self._alone = session.last_stream if len(session.streams.open) == 1 else -1
        # Mostly payloads are as long as the one before.
        self._size = 0
        self._head = b""

    def send(self, data: bytes) -> int:
        """See `AtOnce`."""
        session, flow, outbound, size = self._session, self._flow, self._outbound, len(data)
        if size > flow.window or size > session.window or session.control_size or not outbound.is_empty:
            return 0
        ledger = self._ledger
        if ledger.accepted + size > self._sure or session.last_stream != self._alone:
            if ledger.tracks or not self._can_take():
                return 0
            self._sure = ledger.accepted + TAKEN_AT_LEAST
        if size != self._size:
            self._size, self._head = size, session.swept_head(flow, size)
        taken = outbound.send_now(self._head + data, self._send)
        if taken <= 0:
            return taken
        flow.window -= size
        session.window -= size
        session.broadcast_sent += size + FRAME_WORTH
        return size
