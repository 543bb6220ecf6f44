"""When a pump looks what its client has acknowledged: on the kernel's events, or by polling."""

from collections.abc import Callable
from socket import socket

from httpng_core import Connection, Timer, Timers
from httpng_driver.loop.tcp_options import ask_for_events, drain_events, unacknowledged

_POLL_FIRST = 0.005
_POLL_LAST = 0.1


class AckWatch:
    """Tells one connection what was acknowledged, as long as it wants to know."""

    __slots__ = (
        "_clock",
        "_connection",
        "_events_after",
        "_interval",
        "_known",
        "_socket",
        "_timer",
        "_timers",
        "_wake",
    )

    def __init__(
        self,
        sock: socket,
        connection: Connection,
        timers: Timers,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        """Look at `sock` for its `connection`; `wake` has `follow` called soon."""
        self._socket = sock
        self._connection = connection
        self._timers = timers
        self._clock = clock
        self._wake = wake
        self._known = 0
        self._interval = _POLL_FIRST
        self._timer: Timer | None = None
        # What was sent before the kernel was asked is acknowledged without an event.
        self._events_after = float(connection.accepted) if ask_for_events(sock) else float("inf")

    def tell(self) -> None:
        """Look, and tell the connection."""
        waiting = unacknowledged(self._socket)
        known = None if waiting is None else max(self._connection.accepted - waiting, 0)
        if known is not None and known > self._known:
            self._known, self._interval = known, _POLL_FIRST
        self._connection.bytes_acknowledged(known, self._clock())

    def drain(self) -> bool:
        """Take the kernel's reports; return whether there were any, and the connection what they mean."""
        if not drain_events(self._socket):
            return False
        self.tell()
        return True

    def follow(self) -> None:
        """Look now, and if no event will say more, again in a while."""
        self.tell()
        connection = self._connection
        if self._timer is None and connection.tracks_acknowledged and self._known < self._events_after:
            self._timer = self._timers.add(self._clock() + self._interval, self._poll)
            self._interval = min(self._interval * 2, _POLL_LAST)

    def close(self) -> None:
        """Stop: the socket is closed."""
        self._timers.cancel(self._timer)

    def _poll(self, now: float) -> None:
        self._timer = None
        self._wake()
