"""Request bodies that come in on HTTP/2: how much is kept of them, and who gets credit for more.

1. The window of the connection is given back as bytes come: it never holds anybody.
2. The first 64 KiB of each body may come at once. The oldest body gets credit for more, always, so that
   one can end.
3. Others get it while all unfinished bodies together are within a bound.
"""

from httpng_core.http2.reference.stream import Stream
from httpng_core.http2.reference.wire import CONNECTION_WINDOW, FIRST_WINDOW, ServerH2

BODY_WINDOW = 256 * 1024
"""How much of a body may be on its way once it gets more credit than the first."""


class Uploads:
    """The bodies of one connection, the oldest first."""

    def __init__(self, h2: ServerH2, max_body_len: int) -> None:
        self._h2 = h2
        self.limit(max_body_len)
        self._streams: dict[int, Stream] = {}
        self._unfinished = 0
        self._received = 0

    def limit(self, max_body_len: int) -> None:
        """So long may a body be from now on."""
        self._bound = max(max_body_len, CONNECTION_WINDOW)

    def add(self, stream: Stream) -> None:
        """Note a request of which the body is to come."""
        self._streams[stream.order] = stream
        stream.credit = FIRST_WINDOW

    def count(self, flow_controlled: int) -> None:
        """So much came, of whatever stream, padding included."""
        self._received += flow_controlled
        if self._received >= CONNECTION_WINDOW // 4:
            self._h2.increment_flow_control_window(self._received)
            self._received = 0

    def take(self, stream: Stream, data: bytes, flow_controlled: int, now: float) -> None:
        """Note that a piece of a body came."""
        stream.body.append(data)
        stream.size += len(data)
        stream.credit -= flow_controlled
        stream.touched = now
        self._unfinished += len(data)

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
            if stream.needs_credit:
                stream.held = not oldest and self._unfinished > self._bound
                if not stream.held:
                    self._h2.increment_flow_control_window(BODY_WINDOW - stream.credit, stream.order)
                    stream.credit, stream.touched = BODY_WINDOW, now
            oldest = False
