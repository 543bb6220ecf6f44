"""What a running server tells of itself: which exchanges lag, who holds them, how the others have ended.

Nothing is counted for this on the way of a byte: it is looked up. What a look costs grows with the number of
open exchanges, but only those that lag most are asked about in the kernel.
"""

from heapq import nlargest
from typing import Any, Final

from httpng_core import Exchange
from httpng_driver.loop.hub import Hub
from httpng_driver.loop.pump import Pump
from httpng_driver.serving.control import Service

MOST: Final = 1000
"""So many exchanges are told of at most."""

Row = dict[str, Any]


def status_of(service: Service, limit: int = 100) -> dict[str, Any]:
    """Return what a server does now, as plain data for JSON; `limit` is how many exchanges, `MOST` at most.

    To be called in the thread of the first loop, or in any.
    """
    hubs = service.hubs
    limit = max(0, min(limit, MOST))
    rows: list[Row] = []
    loops: list[Row] = []
    ends: dict[str, int] = {}
    for number, hub in enumerate(hubs):
        with hub.lock:
            found, loop = _loop_of(hub, number, limit)
            for end, count in hub.runner.ends.items():
                ends[end] = ends.get(end, 0) + count
        rows += found
        loops.append(loop)
    rows = nlargest(limit, rows, key=lambda row: (row["lag"], row["age"]))
    begun, active = sum(loop["begun"] for loop in loops), sum(loop["exchanges"] for loop in loops)
    return {
        "state": service.statistics().state.name.lower(),
        "connections": sum(loop["connections"] for loop in loops),
        "active": active,
        "begun": begun,
        "in_flight": sum(loop["in_flight"] for loop in loops),
        "ends": dict(sorted(ends.items())),
        "loops": loops,
        "exchanges": rows,
    }


def _loop_of(hub: Hub, number: int, limit: int) -> tuple[list[Row], Row]:
    now, pumps = hub.clock(), hub.pumps
    open_ones: list[tuple[float, float, int, Pump, Exchange]] = []
    in_flight = 0
    for pump in pumps:
        for exchange in pump.connection.exchanges():
            waiting = exchange.current - exchange.sent
            in_flight += waiting
            # Of those with nothing in flight nothing need be asked.
            lag = exchange.lag(now) if waiting or exchange.acked is not None else 0.0
            # With a number that no other has, so that no two are compared further.
            open_ones.append((lag, now - exchange.started, -len(open_ones), pump, exchange))
    most = nlargest(limit, open_ones)
    loop = {
        "loop": number,
        "connections": len(pumps),
        "exchanges": len(open_ones),
        "in_flight": in_flight,
        "begun": hub.runner.requests,
        "turns": hub.statistics().turns,
    }
    return [_row(lag, age, pump, exchange, number) for lag, age, _, pump, exchange in most], loop


def _row(lag: float, age: float, pump: Pump, exchange: Exchange, number: int) -> Row:
    request, holder = exchange.request, exchange.stalled_by()
    return {
        "loop": number,
        "client": request.peer.host,
        "port": request.peer.port,
        "protocol": f"{request.version_major}.{request.version_minor}" + ("s" if request.https else ""),
        "method": request.method[:16],
        "target": request.path[:256],
        "route": request.route,
        "age": round(age, 3),
        "lag": round(lag, 3),
        "current": exchange.current,
        "sent": exchange.sent,
        "acked": exchange.acked,
        "rate": round(exchange.sent / age, 1) if age > 0 else 0.0,
        "rtt": round(pump.rtt, 6),
        "stalled_by": None if holder is None else holder.value,
    }
