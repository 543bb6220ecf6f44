"""The ledger: which wire offset pays for what.

The kernel counts wire bytes, handlers count body bytes; between them lie response heads, chunk
framing and whatever else a protocol adds. The ledger remembers, in order, the spans of wire bytes that
mean something to an exchange. Offsets count from the start of the connection and only grow. It
holds numbers, never bytes.
"""

from collections import deque
from enum import IntEnum
from typing import Final

from httpng_core.sending.outgoing import Outgoing


class Span(IntEnum):
    """What a span of wire bytes carries."""

    HEAD = 0
    """The header block: paid when its last byte is."""
    BODY = 1
    """Body bytes: paid byte by byte."""
    EARLIER = 2
    """Header block and body bytes from before acknowledgements were tracked: acknowledged as a whole."""
    END = 3
    """The last byte of a response: paid when the kernel has the whole of it."""


_HEAD: Final = Span.HEAD
_BODY: Final = Span.BODY
_EARLIER: Final = Span.EARLIER
_END: Final = Span.END

_Entry = tuple[int, int, Span, Outgoing]


class Ledger:
    """Absolute offsets: `pushed` wire bytes were committed, of which the kernel took `accepted`.

    While it tracks acknowledgements, `acknowledged` of these have reached the client's TCP, and what was
    accepted is remembered until then.

    Attributes:
        tracks: whether it does.
    """

    __slots__ = ("_accepted_spans", "_spans", "accepted", "acknowledged", "pushed", "tracks")

    def __init__(self) -> None:
        self.pushed = 0
        self.accepted = 0
        self.acknowledged = 0
        self._spans: deque[_Entry] = deque()
        self._accepted_spans: deque[_Entry] | None = None
        self.tracks = False

    def track(self, exchange: Outgoing) -> None:
        """Remember from now on what was accepted.

        Where the bytes lie that `exchange` has had accepted before is forgotten: they count as acknowledged
        once all that is accepted by now is.
        """
        kept = self._accepted_spans or ()
        # What another exchange had tracked of this one counts with what lies before.
        self._accepted_spans = deque(entry for entry in kept if entry[3] is not exchange)
        self.tracks = True
        self._accepted_spans.append((self.accepted - exchange.sent, self.accepted, _EARLIER, exchange))

    def forget(self) -> None:
        """Stop tracking acknowledgements."""
        self._accepted_spans, self.tracks = None, False

    def push(self, size: int) -> None:
        """Add `size` wire bytes that pay for nothing (framing)."""
        self.pushed += size

    def push_span(self, size: int, span: Span, exchange: Outgoing) -> None:
        """Add `size` wire bytes that pay for something of `exchange`. An END may have no bytes of its own."""
        self._spans.append((self.pushed, self.pushed + size, span, exchange))
        self.pushed += size

    def push_frame(self, head: int, prefix: int, body: int, ends: bool, exchange: Outgoing) -> None:
        """Add a header block, framing, body bytes and the end of `exchange`, as far as there are any."""
        at, spans = self.pushed, self._spans
        if head:
            spans.append((at, at + head, _HEAD, exchange))
            at += head
        at += prefix
        if body:
            spans.append((at, at + body, _BODY, exchange))
            at += body
        if ends:
            spans.append((at, at, _END, exchange))
        self.pushed = at

    def push_frames(self, prefix: int, sizes: list[int], ends: bool, exchange: Outgoing) -> None:
        """Add body bytes in several frames, each behind its framing, and the end of `exchange` if any."""
        at, spans = self.pushed, self._spans
        for size in sizes:
            at += prefix
            spans.append((at, at + size, _BODY, exchange))
            at += size
        if ends:
            spans.append((at, at, _END, exchange))
        self.pushed = at

    def pass_by(self, size: int) -> None:
        """Count `size` wire bytes that were committed and accepted at once, and that are paid for already."""
        self.pushed += size
        self.accepted += size

    def accept(self, size: int, now: float) -> None:
        """Count `size` more wire bytes as taken by the kernel, and pay out what they carried, in order.

        Raises:
            ValueError: that is more than was pushed.
        """
        if self.accepted + size > self.pushed:
            raise ValueError(f"{self.accepted + size - self.pushed} more bytes accepted than were offered")
        self.accepted += size
        spans, offset, kept = self._spans, self.accepted, self._accepted_spans
        if kept is None and len(spans) > 1:
            self._accept_whole(offset, now)
            kept = self._accepted_spans
        while spans:
            start, end, span, exchange = spans[0]
            if end <= offset:
                spans.popleft()
            elif span is _BODY and start < offset:
                spans[0] = (offset, end, span, exchange)
                end = offset
            else:
                return
            if kept is not None:
                kept.append((start, end, span, exchange))
            size = end - start if span is _BODY else 0
            exchange.paid(head=span is _HEAD, size=size, end=span is _END, now=now)
            kept = self._accepted_spans

    def _accept_whole(self, offset: int, now: float) -> None:
        """Pay out spans that lie before `offset`; neighbours that are of one exchange in one go."""
        spans = self._spans
        while spans and spans[0][1] <= offset and self._accepted_spans is None:
            exchange = spans[0][3]
            size = 0
            head = end = False
            while spans and spans[0][1] <= offset and spans[0][3] is exchange:
                start, stop, span, _ = spans.popleft()
                if span is _BODY:
                    size += stop - start
                elif span is _HEAD:
                    head = True
                else:
                    end = True
            exchange.paid(head=head, size=size, end=end, now=now)

    def acknowledge(self, total: int, now: float) -> bool:
        """Count the first `total` wire bytes as acknowledged; return whether that is news."""
        offset = min(total, self.accepted)
        if offset <= self.acknowledged:
            return False
        self.acknowledged = offset
        spans = self._accepted_spans
        while spans:
            start, end, span, exchange = spans[0]
            if end <= offset:
                spans.popleft()
            elif span is _BODY and start < offset:
                spans[0] = (offset, end, span, exchange)
                end = offset
            else:
                break
            size = 0 if span is _HEAD or span is _END else end - start
            exchange.acknowledged(head=span is _HEAD or span is _EARLIER, size=size, now=now)
            spans = self._accepted_spans
        return True
