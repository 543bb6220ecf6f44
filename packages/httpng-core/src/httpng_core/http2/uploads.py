"""Request bodies that come in on HTTP/2: how much is kept of them, and who gets credit for more.

1. The window of the connection is given back as bytes come: it never holds anybody.
2. The first 64 KiB of each body may come at once. The oldest body gets credit for more, always, so that
   one can end.
3. Others get it while all unfinished bodies together are within a bound.
"""

from typing import Final

from httpng_core.http2.engine.flow import FIRST_WINDOW
from httpng_core.http2.engine.sending import CONNECTION_WINDOW
from httpng_core.http2.engine.session import Session
from httpng_core.http2.stream import Stream

BODY_WINDOW: Final = 256 * 1024
"""How much of a body may be on its way once it gets more credit than the first."""


class Uploads:
    """The bodies of one connection, the oldest first."""

    __slots__ = ("_bound", "_session", "_streams", "_unfinished")

    def __init__(self, session: Session, max_body_len: int) -> None:
        self._session = session
        self._streams: dict[int, Stream] = {}
        self._unfinished = 0
        self.limit(max_body_len)

    def limit(self, max_body_len: int) -> None:
        """Let bodies be so long from now on."""
        self._bound = max(max_body_len, CONNECTION_WINDOW)

    def add(self, stream: Stream) -> None:
        """Note a request of which the body is to come."""
        self._streams[stream.order] = stream

    def take(self, stream: Stream, data: bytes, now: float) -> None:
        """Keep a piece of a body that came."""
        size = len(data)
        stream.body.append(data)
        stream.size += size
        stream.unpaid += size
        stream.touched = now
        self._unfinished += size

    def gone(self, stream: Stream, now: float) -> None:
        """Note that the body is whole, or of no use any more: others may go on."""
        if self._streams.pop(stream.order, None) is not None:
            self._unfinished -= stream.size
            stream.size, stream.body = 0, []
            self.give(now)

    def give(self, now: float) -> None:
        """Give credit to who needs it and may have it."""
        oldest = True
        for stream in self._streams.values():
            if _needs_credit(stream):
                stream.held = not oldest and self._unfinished > self._bound
                if not stream.held:
                    self._session.consume_stream(stream.order, stream.unpaid)
                    self._session.widen_stream(stream.order, BODY_WINDOW)
                    stream.unpaid, stream.touched = 0, now
            oldest = False


def _needs_credit(stream: Stream) -> bool:
    """Return whether the client may soon be held up by our window, and has more to come."""
    credit = stream.flow.credit
    if credit is None or credit.window >= FIRST_WINDOW // 2:
        return False
    return stream.length < 0 or stream.length > stream.size + credit.window
