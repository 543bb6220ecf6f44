"""One frame of a response: how its wire bytes are made up, and so what each of them pays for."""

from httpng_core.sending.outgoing import Outgoing


class Frame:
    """The sizes of its parts, in wire order: header block, framing before the body, body bytes, framing after.

    Attributes:
        exchange: whose they are.
        head, prefix, body, suffix: the sizes in bytes.
        size: their sum.
        ends: whether the response ends with it.
    """

    __slots__ = ("body", "ends", "exchange", "head", "prefix", "size", "suffix")

    def __init__(
        self, exchange: Outgoing, head: int, prefix: int, body: int, suffix: int, ends: bool
    ) -> None:
        self.exchange = exchange
        self.head = head
        self.prefix = prefix
        self.body = body
        self.suffix = suffix
        self.size = head + prefix + body + suffix
        self.ends = ends

    def cut(self, size: int) -> None:
        """Leave off what can be left off beyond the first `size` wire bytes.

        Body bytes without framing around them (a Content-Length, or until the connection closes) end where the
        kernel stopped: what it has not taken is not committed. A chunk must go out whole, and so must a payload
        of a feed.
        """
        if (
            self.prefix
            or self.suffix
            or size >= self.head + self.body
            or self.exchange.offered_follow is not None
        ):
            return
        self.body = max(size - self.head, 0)
        self.size = self.head + self.body
        self.ends = False
