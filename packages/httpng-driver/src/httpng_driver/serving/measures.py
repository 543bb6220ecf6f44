"""What a server has measured, as plain data: of one process, to be put beside that of others."""

import os
from collections.abc import Iterable
from typing import Any, Final

from httpng_core import feeds_together
from httpng_driver.handlers.feed_totals import FEED_TOTALS
from httpng_driver.loop.gauges import LAGS, Gauges
from httpng_driver.loop.hub import Hub
from httpng_driver.loop.meter import Histogram, Key, Meter
from httpng_driver.serving.control import Service

_BECAME: Final = ("delivered", "skipped", "expired", "merged")
"""What payloads of feeds may have become."""
Measures = dict[str, Any]
"""Histograms are lists as `Meter` has them; those with labels are pairs: the labels, the histogram."""


def measures_of(service: Service) -> Measures:
    """Return what the loops of a server have measured, added up. To be called in any thread."""
    found: Measures = {
        "pid": os.getpid(),
        **dict.fromkeys(("connections", "begun", "timeouts"), 0),
        **{name: {} for name in ("stalled", "in_flight", "unacked", "active")},
        "lagging": [0] * len(LAGS),
    }
    meters: list[Meter] = []
    for hub in service.hubs:
        with hub.lock:
            _add_loop(found, hub)
            if hub.meter is not None:
                hub.meter.settle()
                meters.append(hub.meter)
    found["active"] = [[method, is_secure, number] for (method, is_secure), number in found["active"].items()]
    statistics = service.statistics()
    found |= {"ends": dict(statistics.ends), "held": statistics.held}
    found["memory_budget"] = service.settings.memory_budget
    feeds = feeds_together((FEED_TOTALS.stats(), service.feed_stats()))
    found["became"] = {name: getattr(feeds, name) for name in _BECAME}
    found |= {"published": feeds.published, "followers": feeds.followers}
    if meters:
        found["timeouts"] = sum(meter.timeouts for meter in meters)
        found["requests"] = _labelled(meter.requests for meter in meters)
        found["streams"] = _labelled(meter.streams for meter in meters)
        found["first_bytes"] = [_sum(meter.first_bytes[kind] for meter in meters) for kind in (0, 1)]
        found["lags"] = _sum(meter.lags for meter in meters)
        found["delays"] = _sum(meter.delays for meter in meters)
    return found


def _add_loop(found: Measures, hub: Hub) -> None:
    look = Gauges(hub)
    found["connections"] += look.connections
    found["begun"] += hub.runner.requests
    found["lagging"] = [one + other for one, other in zip(found["lagging"], look.lagging, strict=True)]
    added: list[tuple[dict[Any, int], dict[Any, int]]] = [
        (found["active"], look.active),
        (found["stalled"], look.stalled),
        (found["in_flight"], look.in_flight),
        (found["unacked"], look.unacked),
    ]
    for into, some in added:
        for key, number in some.items():
            into[key] = into.get(key, 0) + number


def _labelled(all_cells: Iterable[dict[Key, Histogram]]) -> list[tuple[Key, Histogram]]:
    found: dict[Key, Histogram] = {}
    for cells in all_cells:
        for key, cell in cells.items():
            found[key] = _sum([found[key], cell]) if key in found else cell
    return list(found.items())


def _sum(histograms: Iterable[Histogram]) -> Histogram:
    return [sum(values) for values in zip(*histograms, strict=True)]
