"""What a client may do on HTTP/2 that costs us work and gets it nothing, and how often."""


class Allowance:
    """So many at once, and so many a second after that."""

    __slots__ = ("_at", "_left", "_most", "_per_second")

    def __init__(self, most: int, per_second: float, now: float) -> None:
        self._most = most
        self._per_second = per_second
        self._left = float(most)
        self._at = now

    def spend(self, now: float) -> bool:
        """One more; tells whether it is within bounds."""
        self._left = min(self._left + (now - self._at) * self._per_second, self._most) - 1
        self._at = now
        return self._left >= 0


class BlockWatch:
    """Looks at frame heads only (RFC 9113, 4.1) to tell whether a header block has begun and isn't whole.

    h2 doesn't say, and a client could take for ever. Nor does h2 refuse a frame before all of it is there.

    Attributes:
        oversized: whether a frame is longer than we take.
    """

    __slots__ = ("_head", "_in_block", "_is_block", "_skip", "oversized")

    _HEADERS, _CONTINUATION, _END_HEADERS = 1, 9, 4
    _MAX_FRAME = 16384

    def __init__(self, preface: int) -> None:
        """`preface` bytes come first."""
        self.oversized = False
        self._skip = preface
        self._head = bytearray()
        self._is_block = False
        self._in_block = False

    @property
    def begun(self) -> bool:
        """Whether a frame head or a header block is only there in part."""
        return bool(self._head) or self._in_block or (self._is_block and self._skip > 0)

    def feed(self, data: bytes) -> None:
        """Note that these bytes came."""
        at, size = 0, len(data)
        while at < size:
            if self._skip:
                step = min(self._skip, size - at)
                self._skip -= step
                at += step
                continue
            part = data[at : at + 9 - len(self._head)]
            self._head += part
            at += len(part)
            if len(self._head) == 9:
                self._take_head()

    def _take_head(self) -> None:
        head = self._head
        self._skip = int.from_bytes(head[:3])
        self.oversized = self.oversized or self._skip > self._MAX_FRAME
        self._is_block = head[3] in (self._HEADERS, self._CONTINUATION)
        if self._is_block:
            self._in_block = not head[4] & self._END_HEADERS
        head.clear()
