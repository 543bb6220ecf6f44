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
from httpng_core.http2.engine.flow import FIRST_WINDOW
from httpng_core.http2.engine.sending import CONNECTION_WINDOW
from httpng_core.http2.engine.session import Session
from httpng_core.http2.stream import BODY_WINDOW, Stream


class Uploads:
    """The bodies of one connection, the oldest first.

    Attributes:
        rate_due: when all of them have come too slowly; infinity: they may take what they like.
    """

    __slots__ = ("_bound", "_session", "_settings", "_streams", "_unfinished", "rate_due")

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._streams: dict[int, Stream] = {}
        self._unfinished = 0
        self._settings = settings
        self._bound = max(settings.max_body_len, CONNECTION_WINDOW)
        self.rate_due = inf

    def limit(self, settings: Settings, now: float) -> None:
        """Let bodies be as long, and come as slowly, as these settings allow from now on."""
        had_rate, self._settings = self._settings.min_body_rate, settings
        self._bound = max(settings.max_body_len, CONNECTION_WINDOW)
        if not had_rate or not settings.min_body_rate:
            self.rate_due = first_body_due(settings, now)
            for stream in self._streams.values():
                stream.grace_ends = self.rate_due

    def add(self, stream: Stream, length: int, now: float) -> None:
        """Note a request of which the body is to come; `length` is negative if it doesn't say how much."""
        stream.gather(length, now)
        stream.grace_ends = first_body_due(self._settings, now)
        if not self._streams:
            self.rate_due = stream.grace_ends
        self._streams[stream.order] = stream

    def take(self, stream: Stream, data: bytes, now: float) -> None:
        """Keep a piece of a body that came."""
        size = len(data)
        stream.body.append(data)
        stream.size += size
        stream.unpaid += size
        stream.touched = now
        self._unfinished += size
        self.earn(size, now)

    def earn(self, size: int, now: float) -> None:
        """Note that so much came of any body of the connection."""
        self.rate_due = next_body_due(self.rate_due, size, self._settings, now)

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
                was_held, stream.held = stream.held, not oldest and self._unfinished > self._bound
                if not stream.held:
                    if was_held:
                        self.rate_due = max(self.rate_due, first_body_due(self._settings, now))
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
