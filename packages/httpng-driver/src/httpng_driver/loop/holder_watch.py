"""Looks once a second who holds the bytes of exchanges that take long, for their lines in the access log."""

from typing import Final

from httpng_core import Timer
from httpng_driver.loop.pump import Pump
from httpng_driver.loop.turns import Turns

EVERY: Final = 1.0
"""Seconds between two looks; what is over before the first has none."""
_MOST: Final = 256
"""So many connections are looked at in one look; with more of them each has its turn."""


class HolderWatch:
    """Adds to `Exchange.held`. It runs only while there are connections and the access log is on."""

    __slots__ = ("_hub", "_next", "_timer")

    def __init__(self, hub: Turns[Pump]) -> None:
        self._hub = hub
        self._next = 0
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Note that there is a connection."""
        if self._timer is None and self._hub.configuration.settings.access_log:
            self._timer = self._hub.timers.add(self._hub.clock() + EVERY, self._look)

    def _look(self, now: float) -> None:
        self._timer = None
        pumps = self._hub.pumps
        if not pumps:
            return
        count, start = len(pumps), self._next % len(pumps)
        self._next = start + _MOST
        seconds = EVERY * max(1.0, count / _MOST)
        for pump in (pumps[start:] + pumps[:start])[:_MOST]:
            for exchange in pump.connection.exchanges():
                holder = exchange.stalled_by()
                if holder is None:
                    continue
                held = exchange.held
                if held is None:
                    held = exchange.held = {}
                held[holder.value] = held.get(holder.value, 0.0) + min(seconds, now - exchange.started)
        self.begin()
