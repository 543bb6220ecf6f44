"""How many bytes to offer at once, and how many of them one frame may hold."""

from typing import Final

SMALL: Final = 16 * 1024
LARGE: Final = 64 * 1024
HUGE: Final = 256 * 1024
_FRAMES_TO_TRUST: Final = 4


class OfferSize:
    """What is offered grows while the kernel takes it whole; what one frame commits stays small.

    1. An offer is 16 KiB at first. One that was full and taken whole doubles the next, up to 256 KiB; one
       that was cut halves it.
    2. A frame of which the kernel took a part must go out whole whatever the handler wants by then. So a
       frame holds no more than an offer, 16 KiB at first, and 64 KiB at most when offers have grown.
    3. When an offer of the smallest size is refused or cut, the client is slow: the socket is asked first
       from then on, until four full offers in a row were taken whole. Linux calls a socket writable while
       less than half of `TCP_NOTSENT_LOWAT` waits in it, but its `send()` refuses only at the whole.
    4. What is sealed can't be taken back. So it grows to 64 KiB at most, after four full offers in a row that
       were taken whole, and the socket is asked first always; but not for a whole response to a client that
       isn't slow, as of that nothing would be taken back.

    Attributes:
        limit: how many bytes to offer at most.
        frame: how many of them one frame may hold.
        is_slow: whether the client is slow.
        asks_first: whether to ask the socket before an offer.
    """

    __slots__ = ("_is_sealed", "_most", "_slack", "_taken_whole", "asks_first", "frame", "is_slow", "limit")

    def __init__(self, *, is_sealed: bool = False) -> None:
        self.limit = SMALL
        self.frame = SMALL
        self.is_slow = False
        self.asks_first = is_sealed
        self._is_sealed = is_sealed
        self._most = LARGE if is_sealed else HUGE
        # So much less is full as well: a frame that is to fit into records may be a little shorter.
        self._slack = 1024 if is_sealed else 0
        self._taken_whole = 0

    def taken(self, offered: int, taken: int) -> None:
        """Note that the kernel took `taken` of `offered` wire bytes."""
        if taken < offered:
            self._taken_whole = 0
            if self.limit == SMALL:
                self.is_slow = self.asks_first = True
            else:
                self._resize(self.limit >> 1)
        elif offered >= self.limit - self._slack:
            self._taken_whole += 1
            if self.asks_first and self._taken_whole < _FRAMES_TO_TRUST:
                return
            self.is_slow, self.asks_first = False, self._is_sealed
            if self.limit < self._most:
                self._resize(self.limit << 1)

    def _resize(self, limit: int) -> None:
        self.limit, self.frame = limit, min(limit, LARGE)
