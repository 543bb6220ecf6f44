"""When a pump looks what its client has acknowledged: on the kernel's events, or by polling."""

from typing import TYPE_CHECKING

from httpng_core import Timer
from httpng_driver.loop.tcp_options import ask_for_events, drain_events, unacknowledged

if TYPE_CHECKING:
    from httpng_driver.loop.hub import Hub
    from httpng_driver.loop.pump import Pump

_POLL_FIRST = 0.005
_POLL_LAST = 0.1


class AckWatch:
    """Tells one connection what was acknowledged, as long as it wants to know."""

    __slots__ = ("_events_after", "_hub", "_interval", "_known", "_pump", "_timer")

    def __init__(self, pump: "Pump", hub: "Hub") -> None:
        self._pump = pump
        self._hub = hub
        self._known = 0
        self._interval = _POLL_FIRST
        self._timer: Timer | None = None
        # What was sent before the kernel was asked is acknowledged without an event.
        self._events_after = float(pump.taken) if ask_for_events(pump.socket) else float("inf")

    def tell(self) -> None:
        """Look, and tell the connection."""
        waiting = unacknowledged(self._pump.socket)
        known = None if waiting is None else max(self._pump.taken - waiting, 0)
        if known is not None and known > self._known:
            self._known, self._interval = known, _POLL_FIRST
        self._pump.connection.bytes_acknowledged(known, self._hub.clock())

    def drain(self) -> bool:
        """Take the kernel's reports; return whether there were any, and the connection what they mean."""
        if not drain_events(self._pump.socket):
            return False
        self.tell()
        return True

    def follow(self) -> None:
        """Look now, and if no event will say more, again in a while."""
        self.tell()
        connection = self._pump.connection
        if self._timer is None and connection.tracks_acknowledged and self._known < self._events_after:
            self._timer = self._hub.timers.add(self._hub.clock() + self._interval, self._poll)
            self._interval = min(self._interval * 2, _POLL_LAST)

    def close(self) -> None:
        """Stop: the socket is closed."""
        self._hub.timers.cancel(self._timer)

    def _poll(self, now: float) -> None:
        self._timer = None
        self._hub.flag(self._pump)
