"""Keep-alive comments of a follow: sent when nothing else is under way, and never queued."""

from math import inf

from httpng_core.feeds.checks import checked_payload
from httpng_core.sending.calls import BroadcastSent, FollowOwner, Source
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.host import DirectSend, Host
from httpng_core.timers import Timer

COMMENT = b":\n\n"
"""What is sent to keep a stream of server-sent events alive, unless a follow says otherwise."""


class KeepAlive:
    """What keeps a follow alive.

    Attributes:
        seconds: after how long without a byte.
        comment: what is sent then.

    Raises:
        TypeError, ValueError: one of them can't be.
    """

    __slots__ = ("comment", "seconds")

    def __init__(self, seconds: float, comment: bytes | str = COMMENT) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"keep_alive must be a number of seconds, or None, not {seconds!r:.80}")
        if not 0 < seconds < inf:
            raise ValueError(f"keep_alive must be more than 0 seconds, not {seconds}; None: there is none")
        self.seconds = seconds
        self.comment = checked_payload(comment)


class KeptAlive:
    """A source that sends a comment where another has been silent for long. See `Source`.

    The comment is chosen as payloads are, when the socket can take it. What else there is to send goes first,
    and takes its place.
    """

    __slots__ = ("_exchange", "_is_due", "_is_offered", "_keep", "_rang_at", "_source", "_timer", "_wake")

    def __init__(self, source: Source, exchange: Exchange, keep: KeepAlive) -> None:
        self._source = source
        self._exchange = exchange
        self._keep = keep
        self._timer: Timer | None = None
        self._wake = exchange.host.wake
        self._rang_at = 0.0
        # Whether a comment is to be sent, and whether one is offered.
        self._is_due = self._is_offered = False

    @property
    def ended(self) -> bool:
        """Whether nothing is pending and nothing will be."""
        return self._source.ended

    @property
    def size(self) -> int:
        """The length of what would go next; 0: there is nothing."""
        if self._is_due and self._exchange.moved_at > self._rang_at:
            self._is_due = False
        return self._source.size or (len(self._keep.comment) if self._is_due else 0)

    def begin(self, owner: FollowOwner, host: Host) -> None:
        """Join the feed."""
        self._source.begin(owner, host)
        self._wake = host.payload_ready
        self._arm(self._exchange.moved_at)

    def end(self) -> None:
        """Leave the feed."""
        self._exchange.timers.cancel(self._timer)
        self._timer = None
        self._source.end()

    def finish(self) -> None:
        """Take in nothing more: it has ended once what is pending is sent."""
        self._source.finish()

    def offer(self) -> bytes:
        """Return what to send next."""
        self._is_offered = self._is_due and not self._source.size
        return self._keep.comment if self._is_offered else self._source.offer()

    def taken(self) -> None:
        """Note that the kernel took a part of what was offered last."""
        self._is_due = False
        if self._is_offered:
            self._is_offered = False
        else:
            self._source.taken()

    def step_in(self, host: Host, send: DirectSend, *, chunks: bool) -> None:
        """Let a broadcast send what comes next."""
        self._source.step_in(host, send, chunks=chunks)

    def step_out(self) -> None:
        """Let nothing be sent but what is offered."""
        self._source.step_out()

    def take_counts(self) -> BroadcastSent:
        """Return what a broadcast has sent since this was asked last."""
        return self._source.take_counts()

    def _arm(self, since: float) -> None:
        self._timer = self._exchange.timers.add(since + self._keep.seconds, self._ring)

    def _ring(self, now: float) -> None:
        exchange = self._exchange
        exchange.settle_counts(self)
        if exchange.moved_at + self._keep.seconds > now:
            self._arm(exchange.moved_at)
            return
        self._arm(now)
        if self._source.size == 0 and exchange.current == exchange.sent:
            # In step it would have to wait for others.
            self._source.step_out()
            self._is_due, self._rang_at = True, now
            self._wake()


def kept_alive(source: Source, exchange: Exchange, seconds: float | None, comment: bytes | str) -> Source:
    """Return a source that is kept alive, or the same where that isn't wanted.

    Raises:
        TypeError, ValueError: wrong arguments.
    """
    return source if seconds is None else KeptAlive(source, exchange, KeepAlive(seconds, comment))
