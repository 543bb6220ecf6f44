"""What the open exchanges of a loop come to, for metrics: looked up when it is asked for."""

from typing import Final

from httpng_core import Exchange
from httpng_driver.loop.meter import known
from httpng_driver.loop.pump import Pump
from httpng_driver.loop.turns import Turns

LAGS: Final = (0.1, 1.0, 10.0)
"""Seconds: so many exchanges lag longer than each of these."""
MOVING: Final = "moving"
"""Who holds bytes that nobody does: they are on their way, or it can't be told."""


class Gauges:
    """A look at the exchanges of one loop, whose lock is held.

    Attributes:
        connections: how many are open.
        active: how many exchanges are, by the method of HTTP and whether they came over TLS.
        stalled: how many of them have bytes in flight, by who holds those.
        in_flight: how many bytes that is, by the same.
        unacked: how many bytes the client's TCP has not acknowledged, of those where that is tracked.
        lagging: how many exchanges lag longer than each of `LAGS`.
    """

    __slots__ = ("active", "connections", "in_flight", "lagging", "stalled", "unacked")

    def __init__(self, hub: Turns[Pump]) -> None:
        now, pumps = hub.clock(), hub.pumps
        self.connections = len(pumps)
        self.active: dict[tuple[str, bool], int] = {}
        self.stalled: dict[str, int] = {}
        self.in_flight: dict[str, int] = {}
        self.unacked: dict[str, int] = {}
        self.lagging = [0] * len(LAGS)
        for pump in pumps:
            for exchange in pump.connection.exchanges():
                request = exchange.request
                key = (known(request.method), request.https)
                self.active[key] = self.active.get(key, 0) + 1
                is_asked = exchange.acked is not None or exchange.confirmed is not None
                if is_asked or exchange.current > exchange.sent:
                    self._add(exchange, now)

    def _add(self, exchange: Exchange, now: float) -> None:
        """Count one that has, or may have, bytes in flight: the kernel is asked who holds them."""
        stats = exchange.stats(now)
        waiting, unacked = stats.current - stats.sent, stats.current - (stats.acked or 0)
        unconfirmed = 0 if stats.confirmed is None else stats.current - stats.confirmed
        if not waiting and not unconfirmed and (stats.acked is None or not unacked):
            return
        holder = MOVING if stats.stalled_by is None else stats.stalled_by.value
        self.stalled[holder] = self.stalled.get(holder, 0) + 1
        self.in_flight[holder] = self.in_flight.get(holder, 0) + waiting
        if stats.acked is not None:
            self.unacked[holder] = self.unacked.get(holder, 0) + unacked
        for place, seconds in enumerate(LAGS):
            self.lagging[place] += stats.lag > seconds
