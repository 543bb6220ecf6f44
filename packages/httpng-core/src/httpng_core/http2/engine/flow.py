"""Flow control (RFC 9113, 5.2 and 6.9).

What we may send is a plain number for each window: it grows with WINDOW_UPDATE and with the client's
settings, falls with what is committed, and may be negative. What the client may send is a `Credit`: it is
given back in halves, as what came is consumed.
"""

from typing import Final

from httpng_core.http2.engine.errors import FLOW_CONTROL_ERROR, FatalError, StreamError

MAX_WINDOW: Final = (1 << 31) - 1
FIRST_WINDOW: Final = 65535
"""What each window is at first (RFC 9113, 6.9.2)."""


def grown(window: int, step: int, stream_id: int) -> int:
    """Return a window for sending that has changed by `step`, which is negative if a setting has shrunk it.

    Raises:
        FatalError, StreamError: It is larger than a window can be; FatalError if `stream_id` is 0.
    """
    window += step
    if window > MAX_WINDOW:
        if stream_id == 0:
            raise FatalError(FLOW_CONTROL_ERROR, "the connection's window is too large")
        raise StreamError(stream_id, FLOW_CONTROL_ERROR, "a stream's window is too large")
    return window


class Credit:
    """What the client may send, on the connection or on one stream.

    1. `receive` takes what came off the window.
    2. `consume` says that so much of it is out of the way. Once that is half the target it is given back:
       `consume` returns the increment of a WINDOW_UPDATE, 0 if it isn't time yet.
    3. `widen` sets another target, and returns the increment that leads there.

    Attributes:
        window: how many bytes may come.
        target: what the window is when all that came is consumed.
    """

    __slots__ = ("_consumed", "target", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.target = window
        self._consumed = 0

    def receive(self, size: int) -> bool:
        """Take `size` bytes off; return whether the client was allowed to send them."""
        if size > self.window:
            return False
        self.window -= size
        return True

    def consume(self, size: int) -> int:
        """Note that `size` bytes are out of the way; return how much credit is to be given now."""
        self._consumed += size
        if 2 * self._consumed < self.target:
            return 0
        return self.give_all()

    def widen(self, target: int) -> int:
        """Set another target; return how much credit is to be given now."""
        step, self.target = target - self.target, target
        # A target that has shrunk is reached by giving less of what will be consumed.
        self._consumed += step
        return self.give_all()

    def give_all(self) -> int:
        """Return all credit that isn't given yet."""
        increment = self._consumed
        if increment <= 0:
            return 0
        self._consumed = 0
        self.window += increment
        return increment
