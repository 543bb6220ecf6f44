"""The wire log: which wire offset pays for what.

The kernel counts wire bytes, handlers count body bytes; between them lie response heads, chunk
framing and whatever else a protocol adds. The log remembers, in order, the spans of wire bytes that
mean something to an exchange. Offsets count from the start of the connection and only grow. It
holds numbers, never bytes.
"""

from collections import deque
from enum import Enum, auto
from typing import Protocol


class Span(Enum):
    """What a span of wire bytes carries."""

    HEAD = auto()
    """The header block: paid when its last byte is."""
    BODY = auto()
    """Body bytes: paid byte by byte."""
    END = auto()
    """The last byte of a response: paid when the kernel has the whole of it."""


class Payee(Protocol):
    """Whoever owns a span: an exchange."""

    def paid(self, span: Span, size: int, now: float) -> None:
        """The TCP/IP stack took `size` more bytes of a span."""


class WireLog:
    """Absolute offsets: `pushed` wire bytes were framed, of which the kernel took `accepted`."""

    __slots__ = ("_spans", "accepted", "pushed")

    def __init__(self) -> None:
        self.pushed = 0
        self.accepted = 0
        self._spans: deque[tuple[int, int, Span, Payee]] = deque()

    def push(self, size: int) -> None:
        """Adds `size` wire bytes that pay for nothing (framing)."""
        self.pushed += size

    def push_span(self, size: int, span: Span, payee: Payee) -> None:
        """Adds `size` wire bytes that pay `payee`. An END may have no bytes of its own."""
        self._spans.append((self.pushed, self.pushed + size, span, payee))
        self.pushed += size

    def accept(self, size: int, now: float) -> None:
        """The kernel took `size` more wire bytes: pays out what they carried, in order."""
        before, self.accepted = self.accepted, self.accepted + size
        if self.accepted > self.pushed:
            raise AssertionError(f"accepted {self.accepted} of {self.pushed} pushed wire bytes")
        spans = self._spans
        while spans:
            start, end, span, payee = spans[0]
            if end > self.accepted:
                if span is Span.BODY and start < self.accepted:
                    payee.paid(span, self.accepted - max(start, before), now)
                return
            spans.popleft()
            payee.paid(span, end - max(start, before), now)
