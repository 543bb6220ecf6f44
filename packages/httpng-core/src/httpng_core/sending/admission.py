"""Whether one more exchange may begin, and how much each may hold: what all of a server have together."""

from collections.abc import Callable
from typing import Any, Final

from httpng_core.sending.ends import Cause

_WIDEST: Final = 1 << 62


class Admission:
    """What the connections of one event loop ask before they begin an exchange. Each loop has its own.

    Attributes:
        full: returns why no exchange may begin now, or `None`; it is told whether there is a request body
            that has come in already. `None` itself: nothing is limited.
        under_way: how many exchanges have begun and are not over.
        open: these exchanges, or more, while somebody looks at them; who does puts those in that have begun
            before. `None`: nobody does, and nothing is kept.
        window: what bounds the send windows of all exchanges, but for one body at a time, which is accepted
            whole as ever.
    """

    __slots__ = ("full", "open", "under_way", "window")

    def __init__(self) -> None:
        self.full: Callable[[bool], Cause | None] | None = None
        self.under_way = 0
        self.open: dict[Any, None] | None = None
        self.window = _WIDEST

    def widen(self) -> None:
        """Let each exchange have its own send window again."""
        self.window = _WIDEST
