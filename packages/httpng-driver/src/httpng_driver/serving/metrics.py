"""The measures of servers in the text of Prometheus, by prometheus-client if that is installed.

Names are those of OpenTelemetry's conventions for HTTP where there is one (`http.server.request.duration`, as
Prometheus spells it), else they begin with `httpng_`. They are made when they are asked for.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

from httpng_driver.loop.gauges import LAGS
from httpng_driver.loop.meter import BOUNDS, Histogram
from httpng_driver.serving.measures import Measures

_OF_REQUESTS: Final = (
    "http_request_method",
    "http_response_status_code",
    "http_route",
    "network_protocol_version",
    "url_scheme",
    "error_type",
)


def prometheus_text(measures: Sequence[Measures], *, of_workers: bool = False) -> tuple[str, bytes] | None:
    """Return the content type and the text for what `measures_of` gave; `None` without prometheus-client.

    Those of several workers are told apart by a label, and never added up: a counter that falls when a worker
    is replaced would be none.
    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    except ImportError:
        return None
    registry = CollectorRegistry()
    registry.register(_Collector(measures, of_workers=of_workers))
    return CONTENT_TYPE_LATEST, generate_latest(registry)


class _Collector:
    """What a registry of prometheus-client asks."""

    def __init__(self, measures: Sequence[Measures], *, of_workers: bool) -> None:
        self._measures = measures
        self._workers = [[str(one["pid"])] if of_workers else [] for one in measures]
        self._worker = ["worker"] if of_workers else []

    def collect(self) -> Iterator[Any]:
        """Yield the metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield self._active()
        yield self._simple(GaugeMetricFamily, "connections", "httpng_connections", "open connections")
        yield self._simple(CounterMetricFamily, "begun", "httpng_requests", "requests given to handlers")
        yield self._simple(
            CounterMetricFamily, "timeouts", "httpng_write_timeouts", "writes whose time was up"
        )
        yield self._by(
            CounterMetricFamily, "ends", "end", "httpng_ends", "ends that were not clean, by cause"
        )
        yield self._simple(GaugeMetricFamily, "held", "httpng_held_bytes", "held for clients")
        name, told = "httpng_memory_budget_bytes", "that may be held for clients"
        yield self._simple(GaugeMetricFamily, "memory_budget", name, told)
        yield self._simple(GaugeMetricFamily, "followers", "httpng_feed_followers", "who follow feeds now")
        told = "payloads of feeds, for all followers together, by what became of them"
        yield self._by(CounterMetricFamily, "became", "became", "httpng_feed_payloads", told)
        told = "payloads that were published to feeds"
        yield self._simple(CounterMetricFamily, "published", "httpng_feed_published", told)
        told = "with bytes in flight, by who holds these"
        yield self._by(GaugeMetricFamily, "stalled", "by", "httpng_stalled_requests", told)
        told = "accepted from handlers and not sent, by who holds them"
        yield self._by(GaugeMetricFamily, "in_flight", "by", "httpng_in_flight_bytes", told)
        told = "not acknowledged by clients, where that is tracked, by who holds them"
        yield self._by(GaugeMetricFamily, "unacked", "by", "httpng_unacked_bytes", told)
        yield self._lagging()
        yield from self._histograms()

    def _family(self, kind: Any, name: str, told: str, *labels: str) -> Any:
        return kind(name, told, labels=[*labels, *self._worker])

    def _simple(self, kind: Any, key: str, name: str, told: str) -> Any:
        family = self._family(kind, name, told)
        for one, worker in zip(self._measures, self._workers, strict=True):
            if one[key] is not None:
                family.add_metric(worker, one[key])
        return family

    def _by(self, kind: Any, key: str, label: str, name: str, told: str) -> Any:
        family = self._family(kind, name, told, label)
        for one, worker in zip(self._measures, self._workers, strict=True):
            for value, number in one[key].items():
                family.add_metric([value, *worker], number)
        return family

    def _active(self) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        name, told = "http_server_active_requests", "requests under way"
        family = self._family(GaugeMetricFamily, name, told, "http_request_method", "url_scheme")
        for one, worker in zip(self._measures, self._workers, strict=True):
            for method, is_secure, number in one["active"]:
                family.add_metric([method, _scheme(is_secure), *worker], number)
        return family

    def _lagging(self) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        name, told = "httpng_lagging_requests", "under way whose oldest byte in flight waits longer than that"
        family = self._family(GaugeMetricFamily, name, told, "seconds")
        for one, worker in zip(self._measures, self._workers, strict=True):
            for seconds, number in zip(LAGS, one["lagging"], strict=True):
                family.add_metric([f"{seconds:g}", *worker], number)
        return family

    def _histograms(self) -> Iterator[Any]:
        from prometheus_client.core import HistogramMetricFamily

        def family(name: str, told: str, *labels: str) -> Any:
            return self._family(HistogramMetricFamily, name, told, *labels)

        requests = family("http_server_request_duration_seconds", "without streams", *_OF_REQUESTS)
        streams = family("httpng_stream_duration_seconds", "responses without a length", *_OF_REQUESTS)
        first_bytes = family("httpng_first_byte_seconds", "until the header block was sent", "stream")
        lags = family("httpng_lag_seconds", "the longest that a byte of an exchange was in flight")
        delays = family("httpng_loop_delay_seconds", "how late an event loop came to what was due")
        for one, worker in zip(self._measures, self._workers, strict=True):
            if "requests" not in one:
                continue
            for into, cells in ((requests, one["requests"]), (streams, one["streams"])):
                for key, cell in cells:
                    _add(into, [*_labels(*key), *worker], cell)
            for kind, name in enumerate(("false", "true")):
                _add(first_bytes, [name, *worker], one["first_bytes"][kind])
            _add(lags, worker, one["lags"])
            _add(delays, worker, one["delays"])
        yield from (requests, streams, first_bytes, lags, delays)


def _labels(method: str, status: int, route: str, major: int, is_secure: bool, end: str) -> list[str]:
    error = end or (str(status) if status >= 500 else "")
    version = "1.1" if major == 1 else str(major)
    return [method, str(status) if status else "", route, version, _scheme(is_secure), error]


def _scheme(is_secure: bool) -> str:
    return "https" if is_secure else "http"


def _add(family: Any, labels: list[str], cell: Histogram) -> None:
    names = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    family.add_metric(labels, list(zip(names, accumulate(cell[:-1]), strict=True)), cell[-1])
