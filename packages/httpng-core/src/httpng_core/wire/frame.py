"""One frame of a response: what is offered to the kernel at once, and what each part pays for."""

from httpng_core.sending.exchange import Exchange
from httpng_core.wire.log import Span, WireLog

# Below this, one copy costs less than a vectored send.
_JOIN_BELOW = 32 * 1024


class Frame:
    """Wire bytes in order: header block, framing before the body, body bytes, framing after them.

    Attributes:
        exchange: whose they are.
        size: how many.
    """

    __slots__ = ("_body", "_ends", "_head", "_prefix", "_suffix", "exchange", "size")

    def __init__(
        self,
        exchange: Exchange,
        head: bytes,
        prefix: bytes,
        body: bytes | memoryview,
        suffix: bytes,
        ends: bool,
    ) -> None:
        self.exchange = exchange
        self.size = len(head) + len(prefix) + len(body) + len(suffix)
        self._head = head
        self._prefix = prefix
        self._body = body
        self._suffix = suffix
        self._ends = ends

    def buffers(self) -> list[bytes | memoryview]:
        """The wire bytes, in as few pieces as is cheap."""
        if self.size <= _JOIN_BELOW:
            return [b"".join((self._head, self._prefix, self._body, self._suffix))]
        parts = (self._head + self._prefix, self._body, self._suffix)
        return [part for part in parts if part]

    def commit(self, log: WireLog) -> None:
        """The kernel took some of it: it is on the wire, and the log learns what pays for what."""
        exchange = self.exchange
        exchange.commit(head=bool(self._head), size=len(self._body), end=self._ends)
        if self._head:
            log.push_span(len(self._head), Span.HEAD, exchange)
        log.push(len(self._prefix))
        if self._body:
            log.push_span(len(self._body), Span.BODY, exchange)
        log.push(len(self._suffix))
        if self._ends:
            log.push_span(0, Span.END, exchange)
