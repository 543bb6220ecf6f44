"""The state of a server as metrics in the text of Prometheus, by prometheus-client if that is installed.

They are made when they are asked for. Names are those of OpenTelemetry's conventions for HTTP where there
is one (`http.server.active_requests`, as Prometheus spells it), else they begin with `httpng_`.
"""

from collections.abc import Iterator
from typing import Any


def prometheus_text(status: dict[str, Any]) -> tuple[str, bytes] | None:
    """Return the content type and the text for what `status_of` gave; `None` without prometheus-client."""
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    except ImportError:
        return None
    registry = CollectorRegistry()
    registry.register(_Collector(status))
    return CONTENT_TYPE_LATEST, generate_latest(registry)


class _Collector:
    """What a registry of prometheus-client asks."""

    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterator[Any]:
        """Yield the metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status = self._status
        rows = status["exchanges"]
        yield GaugeMetricFamily("http_server_active_requests", "requests under way", status["active"])
        yield GaugeMetricFamily("httpng_connections", "open connections", status["connections"])
        yield GaugeMetricFamily(
            "httpng_in_flight_bytes", "accepted from handlers and not sent", status["in_flight"]
        )
        if status["held"] is not None:
            yield GaugeMetricFamily("httpng_held_bytes", "held for clients", status["held"])
            yield GaugeMetricFamily("httpng_memory_budget_bytes", "that may be held", status["memory_budget"])
        yield GaugeMetricFamily(
            "httpng_lag_max_seconds", "the largest lag of an exchange", rows[0]["lag"] if rows else 0.0
        )
        yield CounterMetricFamily("httpng_requests", "requests given to handlers", status["begun"])
        ends = CounterMetricFamily("httpng_ends", "ends that were not clean, by cause", labels=["end"])
        for end, count in status["ends"].items():
            ends.add_metric([end], count)
        yield ends
        stalled = GaugeMetricFamily(
            "httpng_stalled_requests", "of the exchanges that lag most, by who holds them", labels=["by"]
        )
        by: dict[str, int] = {}
        for row in rows:
            if row["lag"] > 0 and row["stalled_by"] is not None:
                by[row["stalled_by"]] = by.get(row["stalled_by"], 0) + 1
        for name, number in by.items():
            stalled.add_metric([name], number)
        yield stalled
