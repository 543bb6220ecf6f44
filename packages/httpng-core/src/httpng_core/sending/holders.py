"""Who holds the bytes of an exchange that are on their way: what a response waits for right now."""

from enum import StrEnum
from typing import Final


class Holder(StrEnum):
    """Who holds them. The value is what stats, logs and metrics say."""

    CLIENT = "client"
    """The client doesn't read: the window of its TCP is shut."""
    NETWORK = "network"
    """They are in the network, or wait for it to take them; the client would have room."""
    STREAM_WINDOW = "stream_window"
    """The client gives the stream no room (RFC 9113, 5.2)."""
    CONNECTION_WINDOW = "connection_window"
    """The client gives the connection no room; the stream would have some."""
    SEND_WINDOW = "send_window"
    """A writer waits for our send window, and nothing else is in the way."""
    HANDLER = "handler"
    """There is nothing to send: the handler has yet to write."""


_SHARE: Final = 0.5
"""If the client's window was the limit for more than this part of the time, the client holds."""


class PathLook:
    """What the kernel says of the way to a client at a moment; what a driver gives through `Host.look`.

    Attributes:
        unacked: how much is in the network, in whatever unit.
        notsent: how much the kernel has yet to send, in whatever unit.
        is_shut: whether the client's window is known to be shut.
        limited: for which part of the time since an earlier look the client's window was the limit; 0 to 1.
        queues: whether packets take much longer now than they did at best, so that they wait in the network.
    """

    __slots__ = ("is_shut", "limited", "notsent", "queues", "unacked")

    def __init__(
        self, *, unacked: int, notsent: int, is_shut: bool = False, limited: float = 0.0, queues: bool = False
    ) -> None:
        self.unacked = unacked
        self.notsent = notsent
        self.is_shut = is_shut
        self.limited = limited
        self.queues = queues

    def holder(self) -> Holder | None:
        """Return who holds what the kernel has; `None`: it has nothing."""
        if not self.unacked and not self.notsent:
            return None
        if self.is_shut or not self.unacked:
            # Data waits, and nothing is on its way: only a window that is shut does that.
            return Holder.CLIENT
        return Holder.CLIENT if self.limited > _SHARE and not self.queues else Holder.NETWORK
