"""The wire log: which wire offset pays for what.

The kernel counts wire bytes, handlers count body bytes; between them lie response heads, chunk
framing and whatever else a protocol adds. The log remembers, in order, the spans of wire bytes that
mean something to an exchange. Offsets count from the start of the connection and only grow. It
holds numbers, never bytes.
"""

from collections import deque
from collections.abc import Iterator
from enum import Enum, auto
from typing import Protocol


class Span(Enum):
    """What a span of wire bytes carries."""

    HEAD = auto()
    """The header block: paid when its last byte is."""
    BODY = auto()
    """Body bytes: paid byte by byte."""
    EARLIER = auto()
    """Header block and body bytes from before acknowledgements were tracked: acknowledged as a whole."""
    END = auto()
    """The last byte of a response: paid when the kernel has the whole of it."""


class Payee(Protocol):
    """Whoever owns a span: an exchange."""

    def acknowledged(self, span: Span, size: int, now: float) -> None:
        """The client's TCP acknowledged `size` more bytes of a span."""

    def paid(self, span: Span, size: int, now: float) -> None:
        """The TCP/IP stack took `size` more bytes of a span."""


_Entry = tuple[int, int, Span, Payee]


class WireLog:
    """Absolute offsets: `pushed` wire bytes were framed, of which the kernel took `accepted`.

    While it tracks acknowledgements, `acknowledged` of these have reached the client's TCP, and what was
    accepted is remembered until then.
    """

    __slots__ = ("_accepted_spans", "_spans", "accepted", "acknowledged", "pushed")

    def __init__(self) -> None:
        self.pushed = 0
        self.accepted = 0
        self.acknowledged = 0
        self._spans: deque[_Entry] = deque()
        self._accepted_spans: deque[_Entry] | None = None

    @property
    def tracks(self) -> bool:
        """Whether acknowledgements are tracked."""
        return self._accepted_spans is not None

    def track(self, payee: Payee, sent: int) -> None:
        """Remembers from now on what was accepted; `payee` has had `sent` body bytes accepted before.

        Where those lie is forgotten: they count as acknowledged once all that is accepted by now is.
        """
        kept = self._accepted_spans or ()
        # What another exchange had tracked of this one counts with what lies before.
        self._accepted_spans = deque(entry for entry in kept if entry[3] is not payee)
        self._accepted_spans.append((self.accepted - sent, self.accepted, Span.EARLIER, payee))

    def forget(self) -> None:
        """Stops tracking acknowledgements."""
        self._accepted_spans = None

    def push(self, size: int) -> None:
        """Adds `size` wire bytes that pay for nothing (framing)."""
        self.pushed += size

    def push_span(self, size: int, span: Span, payee: Payee) -> None:
        """Adds `size` wire bytes that pay `payee`. An END may have no bytes of its own."""
        self._spans.append((self.pushed, self.pushed + size, span, payee))
        self.pushed += size

    def accept(self, size: int, now: float) -> None:
        """The kernel took `size` more wire bytes: pays out what they carried, in order."""
        self.accepted += size
        if self.accepted > self.pushed:
            raise AssertionError(f"accepted {self.accepted} of {self.pushed} pushed wire bytes")
        kept = self._accepted_spans
        for start, end, span, payee in _reach(self._spans, self.accepted):
            if kept is not None:
                kept.append((start, end, span, payee))
            payee.paid(span, end - start, now)

    def acknowledge(self, total: int, now: float) -> None:
        """The client's TCP has the first `total` wire bytes of the connection, as far as it is known."""
        total = min(total, self.accepted)
        if total <= self.acknowledged:
            return
        self.acknowledged = total
        if self._accepted_spans is not None:
            for start, end, span, payee in _reach(self._accepted_spans, total):
                payee.acknowledged(span, end - start, now)


def _reach(spans: deque[_Entry], offset: int) -> Iterator[_Entry]:
    """Takes off what lies before `offset`: whole spans, and of a body what of it does."""
    while spans:
        start, end, span, payee = spans[0]
        if end <= offset:
            spans.popleft()
            yield start, end, span, payee
            continue
        if span is Span.BODY and start < offset:
            spans[0] = (offset, end, span, payee)
            yield start, offset, span, payee
        return
