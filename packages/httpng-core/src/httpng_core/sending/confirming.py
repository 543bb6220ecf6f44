"""How far a client has confirmed what it was sent: its program says so, not its TCP.

1. The client is asked for a position: a question that is sent behind it, so that the answer confirms all that
   lies before and all questions there. One is under way at a time, or a few along a path.
2. An answer counts only up to what was sent, and only forward: what is stale, or made up, changes nothing.
3. What carries nothing of the handler's, such as the questions, counts as confirmed once it is sent, if all
   of the handler's before it is confirmed.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

_LAST: Final = 2


class Confirming:
    """What one exchange knows of that; positions are those of its body.

    Attributes:
        at: what the client has confirmed.
        heard_at: when it did so last.
        owed: where what it has to confirm ends.
        asked: what it was asked for and has not confirmed.
        last: the last bytes of the body, where all of it is to be confirmed: they tell where a question may
            go. `None`: messages are to be, and who passes them tells what is owed.
        end: called when the exchange is over.
        look: called when there may be something to ask, or nothing to wait for; it must only schedule.
    """

    __slots__ = ("asked", "at", "end", "heard_at", "last", "look", "owed")

    def __init__(self, owed: int, look: Callable[[], None], end: Callable[[], None]) -> None:
        self.at = 0
        self.heard_at = 0.0
        self.owed = owed
        self.asked: deque[int] = deque()
        self.last: bytes | None = None
        self.look = look
        self.end = end

    @property
    def is_complete(self) -> bool:
        """Whether all that is to be confirmed is."""
        return self.at >= self.owed

    @property
    def asked_to(self) -> int:
        """Up to where everything is confirmed, or asked for."""
        return self.asked[-1] if self.asked else self.at

    @property
    def is_asked(self) -> bool:
        """Whether nothing is to be confirmed but what was asked for."""
        return self.asked_to >= self.owed

    def owe(self, end: int) -> None:
        """Note that what the handler passed goes up to `end` now."""
        self.owed = end
        self.look()

    def took(self, piece: bytes, end: int) -> None:
        """Note that the body was given `piece`, and goes up to `end` now."""
        if self.last is not None:
            self.last = (self.last + piece[-_LAST:])[-_LAST:]
            self.owe(end)

    def answered(self, position: int, now: float) -> None:
        """Note that the client has confirmed everything before `position`."""
        self.at, self.heard_at = position, now
        while self.asked and self.asked[0] <= position:
            self.asked.popleft()
