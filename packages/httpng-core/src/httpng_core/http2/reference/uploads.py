"""Request bodies that come in on HTTP/2: how much is kept of them, and who gets credit for more.

1. The window of the connection is given back as bytes come: it never holds anybody.
2. The first 64 KiB of each body may come at once. The oldest body gets credit for more, always, so that
   one can end.
3. Others get it while all unfinished bodies together are within a bound.
4. All bodies together must come at `min_body_rate`: a client may well send one after the other. Each has
   the grace before that, and all have it anew once one gets credit that it had to wait for.
"""

from math import inf

from httpng_core.config.settings import Settings
from httpng_core.http.body_rate import first_body_due, next_body_due
from httpng_core.http2.reference.stream import Stream
from httpng_core.http2.reference.wire import CONNECTION_WINDOW, FIRST_WINDOW, ServerH2

BODY_WINDOW = 256 * 1024
"""How much of a body may be on its way once it gets more credit than the first."""


class Uploads:
    """The bodies of one connection, the oldest first.

    Attributes:
        rate_due: when all of them have come too slowly; infinity: they may take what they like.
    """

    def __init__(self, h2: ServerH2, settings: Settings) -> None:
        self._h2 = h2
        self._settings = settings
        self._bound = max(settings.max_body_len, CONNECTION_WINDOW)
        self.rate_due = inf
        self._streams: dict[int, Stream] = {}
        self._unfinished = 0
        self._received = 0

    def limit(self, settings: Settings, now: float) -> None:
        """Let bodies be as long, and come as slowly, as these settings allow from now on."""
        had_rate, self._settings = self._settings.min_body_rate, settings
        self._bound = max(settings.max_body_len, CONNECTION_WINDOW)
        if not had_rate or not settings.min_body_rate:
            self.rate_due = first_body_due(settings, now)
            for stream in self._streams.values():
                stream.grace_ends = self.rate_due

    def add(self, stream: Stream, now: float) -> None:
        """Note a request of which the body is to come."""
        stream.grace_ends = first_body_due(self._settings, now)
        if not self._streams:
            self.rate_due = stream.grace_ends
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
        self.rate_due = next_body_due(self.rate_due, len(data), self._settings, now)

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
                was_held, stream.held = stream.held, not oldest and self._unfinished > self._bound
                if not stream.held:
                    if was_held:
                        self.rate_due = max(self.rate_due, first_body_due(self._settings, now))
                    self._h2.increment_flow_control_window(BODY_WINDOW - stream.credit, stream.order)
                    stream.credit, stream.touched = BODY_WINDOW, now
            oldest = False
