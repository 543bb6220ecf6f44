"""One frame of a response: what is offered to the kernel at once, and what each part pays for."""

from dataclasses import dataclass

from httpng_core.exchange import Exchange
from httpng_core.wire import Span, WireLog

# Below this, one copy costs less than a vectored send.
_JOIN_BELOW = 32 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """Wire bytes in order: header block, framing before the body, body bytes, framing after them."""

    exchange: Exchange
    head: bytes
    prefix: bytes
    body: bytes | memoryview
    suffix: bytes
    ends: bool

    @property
    def size(self) -> int:
        """Wire bytes."""
        return len(self.head) + len(self.prefix) + len(self.body) + len(self.suffix)

    def buffers(self) -> list[bytes | memoryview]:
        """The wire bytes, in as few pieces as is cheap."""
        if self.size <= _JOIN_BELOW:
            return [b"".join((self.head, self.prefix, self.body, self.suffix))]
        parts = (self.head + self.prefix, self.body, self.suffix)
        return [part for part in parts if part]

    def commit(self, log: WireLog) -> None:
        """The kernel took some of it: it is on the wire, and the log learns what pays for what."""
        exchange = self.exchange
        exchange.commit(head=bool(self.head), size=len(self.body), end=self.ends)
        if self.head:
            log.push_span(len(self.head), Span.HEAD, exchange)
        log.push(len(self.prefix))
        if self.body:
            log.push_span(len(self.body), Span.BODY, exchange)
        log.push(len(self.suffix))
        if self.ends:
            log.push_span(0, Span.END, exchange)
