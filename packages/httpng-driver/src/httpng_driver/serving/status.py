"""What a running server tells of itself: which exchanges lag, who holds them, how the others have ended.

Nothing is counted for this on the way of a byte: it is looked up. What a look costs grows with the number of
open exchanges, so it does little for each; only those that are told of are asked about in the kernel. The
first look goes from connection to connection; for a minute from then on the exchanges are kept together, as
to find each of thousands costs more than to look at it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappush, heappushpop, nlargest
from math import inf
from typing import Any, Final

from httpng_core import Exchange
from httpng_driver.loop.hub import Hub
from httpng_driver.loop.pump import Pump
from httpng_driver.serving.control import Service

MOST: Final = 1000
"""So many exchanges are told of at most."""

_KEPT_FOR: Final = 60.0
"""Seconds for which the exchanges of a loop are kept together after a look."""

_SUMS: Final = ("connections", "active", "begun", "in_flight")
_OF_WORKERS: Final = ("pid", "state", *_SUMS)

Row = dict[str, Any]

SORTS: Final[dict[str, Callable[[Exchange, float], float]]] = {
    "lag": lambda exchange, now: now - exchange.lags_since,
    "age": lambda exchange, now: now - exchange.started,
    "rate": lambda exchange, now: exchange.sent / max(now - exchange.started, 1e-3),
    "sent": lambda exchange, now: exchange.sent,
    "current": lambda exchange, now: exchange.current,
}
"""By what exchanges can be sorted, the largest first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a status.

    Attributes:
        limit: how many exchanges, `MOST` at most.
        sort: by what, of `SORTS`.
        part: what the target or the client's address has in it; empty: anything.
        connections: how many connections, `MOST` at most: those with the most exchanges, then the idlest.
    """

    limit: int = 100
    sort: str = "lag"
    part: str = ""
    connections: int = 0


def status_of(service: Service, wanted: Wanted = Wanted()) -> dict[str, Any]:
    """Return what a server does now, as plain data for JSON.

    To be called in the thread of the first loop, or in any.
    """
    limit = max(0, min(wanted.limit, MOST))
    rows: list[Row] = []
    open_ones: list[Row] = []
    loops: list[Row] = []
    for number, hub in enumerate(service.hubs):
        with hub.lock:
            look = _Look(hub, limit, wanted)
            rows += look.rows(number)
            loops.append(look.loop(number))
            if wanted.connections:
                open_ones += look.connections(wanted.connections, number)
    statistics = service.statistics()
    status = {
        "pid": os.getpid(),
        "state": statistics.state.name.lower(),
        **{name: sum(loop[name] for loop in loops) for name in _SUMS},
        "held": statistics.held,
        "memory_budget": service.settings.memory_budget,
        "ends": dict(statistics.ends),
        "loops": loops,
        "exchanges": _first_of(rows, limit, wanted.sort),
        "open": _busiest(open_ones, wanted.connections),
    }
    return status | {"workers": [{key: status[key] for key in _OF_WORKERS}]}


def merged(statuses: list[dict[str, Any]], wanted: Wanted) -> dict[str, Any]:
    """Return the statuses of several processes as that of one server; the first is whose state it has."""
    rows = [row for status in statuses for row in status["exchanges"]]
    ends: dict[str, int] = {}
    for status in statuses:
        for end, count in status["ends"].items():
            ends[end] = ends.get(end, 0) + count
    return {
        **statuses[0],
        **{name: sum(status[name] for status in statuses) for name in _SUMS},
        **{name: _sum_of_some(statuses, name) for name in ("held", "memory_budget")},
        "ends": dict(sorted(ends.items())),
        "loops": [loop for status in statuses for loop in status["loops"]],
        "exchanges": _first_of(rows, max(0, min(wanted.limit, MOST)), wanted.sort),
        "open": _busiest([one for status in statuses for one in status["open"]], wanted.connections),
        "workers": [worker for status in statuses for worker in status["workers"]],
    }


def _sum_of_some(statuses: list[dict[str, Any]], name: str) -> int | None:
    """Return the sum of what is told; `None` if nobody tells it."""
    told = [status[name] for status in statuses if status[name] is not None]
    return sum(told) if told else None


def _first_of(rows: list[Row], limit: int, sort: str) -> list[Row]:
    """Return those that come first; what lags as much as another one comes first if it is older."""
    return nlargest(limit, rows, key=lambda row: (row[sort], row["age"]))


def _busiest(rows: list[Row], limit: int) -> list[Row]:
    return nlargest(min(limit, MOST), rows, key=lambda row: (row["exchanges"], row["idle"] or 0.0))


def name_of(pump: Pump) -> str:
    """Return what tells a connection from all others, of other processes too."""
    return f"{os.getpid()}.{pump.number}"


def identity(pump: Pump, exchange: Exchange) -> str:
    """Return what tells an exchange from all others: the name of its connection, and more.

    Nothing is kept for that: it is made of where the exchange is and when it began.
    """
    return f"{name_of(pump)}-{(id(exchange) ^ int(exchange.started * 1e6)) & 0xFFFFFF:06x}"


class _Look:
    """A look at the exchanges of one loop, whose lock is held."""

    def __init__(self, hub: Hub, limit: int, wanted: Wanted) -> None:
        self._hub = hub
        self._now = hub.clock()
        self._pumps = hub.pumps
        self._open = _open_exchanges(hub, self._now)
        self._in_flight = 0
        if wanted.sort == "lag" and not wanted.part:
            self._most = self._that_lag(limit)
        else:
            self._most = self._by_key(limit, wanted)

    def loop(self, number: int) -> Row:
        """Return the sums of the loop."""
        return {
            "pid": os.getpid(),
            "loop": number,
            "connections": len(self._pumps),
            "active": len(self._open),
            "in_flight": self._in_flight,
            "begun": self._hub.runner.requests,
            "turns": self._hub.statistics().turns,
        }

    def rows(self, number: int) -> list[Row]:
        """Return what is told of those that come first."""
        return [_row(exchange, number, self._now) for exchange in self._most]

    def connections(self, limit: int, number: int) -> list[Row]:
        """Return what is told of the connections that come first."""
        return _busiest([_connection_row(pump, number, self._now) for pump in self._pumps], limit)

    def _that_lag(self, limit: int) -> list[Exchange]:
        """Return the exchanges that lag most, then the oldest of the others."""
        late: list[tuple[float, int, Exchange]] = []
        idle: list[Exchange] = []
        bound, number, in_flight = -inf, 0, 0
        for exchange in self._open:
            waiting = exchange.current - exchange.sent
            if not waiting and exchange.acked is None and exchange.confirmed is None:
                if len(late) < limit:
                    idle.append(exchange)
                continue
            in_flight += waiting
            # Bytes can't have waited longer than there is an exchange: that spares most of them a call.
            if -exchange.started > bound and (rank := -exchange.lags_since) > bound:
                # With a number that no other has, so that no two exchanges are compared.
                number += 1
                if len(late) < limit:
                    heappush(late, (rank, number, exchange))
                elif limit:
                    heappushpop(late, (rank, number, exchange))
                    bound = late[0][0]
        self._in_flight = in_flight
        found = [exchange for _, _, exchange in sorted(late, reverse=True)]
        return [*found, *nlargest(limit - len(found), idle, key=lambda one: -one.started)]

    def _by_key(self, limit: int, wanted: Wanted) -> list[Exchange]:
        key, now, part = SORTS[wanted.sort], self._now, wanted.part
        self._in_flight = sum([exchange.current - exchange.sent for exchange in self._open])
        found = [exchange for exchange in self._open if _has(exchange, part)]
        return nlargest(limit, found, key=lambda one: key(one, now))


def _open_exchanges(hub: Hub, now: float) -> dict[Exchange, None]:
    """Return the exchanges of a loop that are under way, which is kept from now on for a while."""
    admission = hub.share.admission
    found = admission.open
    if found is None:
        every = [exchange for pump in hub.pumps for exchange in pump.connection.exchanges()]
        # In the order in which they were made they lie in memory: that halves what a look takes.
        found = admission.open = dict.fromkeys(sorted(every, key=lambda exchange: exchange.started))
        hub.timers.add(now + _KEPT_FOR, lambda now: _let_go(hub))
    return found


def _let_go(hub: Hub) -> None:
    hub.share.admission.open = None


def _has(exchange: Exchange, part: str) -> bool:
    return not part or part in exchange.request.path or part in exchange.request.peer.host


def _connection_row(pump: Pump, number: int, now: float) -> Row:
    told = pump.connection.statistics()
    return {
        "id": name_of(pump),
        "loop": number,
        "client": told.peer.host,
        "port": told.peer.port,
        "protocol": told.spoken,
        "exchanges": len(told.exchanges),
        "idle": None if told.idle_since is None else round(now - told.idle_since, 3),
        "sent": pump.taken,
        "rtt": round(pump.rtt, 6),
    }


def _row(exchange: Exchange, number: int, now: float) -> Row:
    pump = exchange.host.driver
    assert isinstance(pump, Pump)
    request, age = exchange.request, now - exchange.started
    # With what feeds have sent and not told it yet.
    stats = exchange.stats(now)
    follow = None if exchange.queue is None else getattr(exchange.queue.following, "stats", None)
    return {
        "id": identity(pump, exchange),
        "loop": number,
        "connection": name_of(pump),
        "client": request.peer.host,
        "port": request.peer.port,
        "protocol": f"{request.version_major}.{request.version_minor}" + ("s" if request.https else ""),
        "method": request.method[:16],
        "target": request.path[:256],
        "route": request.route,
        "age": round(age, 3),
        "lag": stats.lag,
        "current": stats.current,
        "sent": stats.sent,
        "acked": stats.acked,
        "confirmed": stats.confirmed,
        "rate": round(stats.sent / age, 1) if age > 0 else 0.0,
        "rtt": round(pump.rtt, 6),
        "stalled_by": None if stats.stalled_by is None else stats.stalled_by.value,
        "skipped": None if follow is None else follow.skipped + follow.expired,
        "held": sum(holding.size for holding in pump.connection.holdings()),
    }
