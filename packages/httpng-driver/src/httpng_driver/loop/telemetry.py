"""Metrics through the API of OpenTelemetry, where that is installed and somebody collects them.

Names and units are those of OpenTelemetry's semantic conventions for HTTP servers where these have one, else
they begin with `httpng.`. Without a provider of metrics nothing here is ever called.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from threading import Lock
from time import monotonic
from typing import Any, Final
from weakref import WeakSet

from httpng_core import Settings
from httpng_driver._version import __version__
from httpng_driver.loop.gauges import Gauges
from httpng_driver.loop.meter import BOUNDS, Meter, known
from httpng_driver.loop.pump import Pump
from httpng_driver.loop.turns import Turns

_FRESH: Final = 0.5
"""So many seconds a look is good for: a collection asks for several things at once."""

_MOST_SETS: Final = 1024
"""So many sets of attributes are kept."""

Attributes = dict[str, Any]
Told = Callable[[Any], Iterator[tuple[float, Attributes]]]
_STREAM: Final[Attributes] = {"httpng.stream": True}
_NO_STREAM: Final[Attributes] = {"httpng.stream": False}


def meter_for(hub: Turns[Pump], settings: Settings) -> Meter | None:
    """Return what counts the exchanges of a hub; `None` where nobody asks for metrics."""
    found = _provider()
    if found is not None:
        return _TellingMeter(_instruments(found), hub)
    return None if settings.admin is None else Meter()


def _provider() -> Any:
    """Return what collects metrics; `None` if nothing does, as then the API has only what does nothing."""
    try:
        from opentelemetry import metrics
    except ImportError:
        return None
    provider = metrics.get_meter_provider()
    return None if type(provider).__module__.startswith("opentelemetry.metrics") else provider


class _TellingMeter(Meter):
    """A meter that also records what it counts."""

    __slots__ = ("__weakref__", "_instruments", "_sets")

    def __init__(self, instruments: "_Instruments", hub: Turns[Pump]) -> None:
        super().__init__()
        self._instruments = instruments
        # By what they are made of: the same attributes for requests that are alike.
        self._sets: dict[tuple[object, ...], Attributes] = {}
        instruments.hubs.add(hub)

    def ended(self, exchange: Any, now: float) -> None:
        """Count an exchange that is over."""
        super().ended(exchange, now)
        made, request, head, started = self._instruments, exchange.request, exchange.head, exchange.started
        is_stream = exchange.length is None and not exchange.drops
        status = 0 if head is None else head.status
        method, https, route, cause = request.method, request.https, request.route, exchange.cause
        kind = (method, https, request.version_major, request.version_minor, status, route, cause.label)
        attributes = self._sets.get(kind)
        if attributes is None:
            if len(self._sets) >= _MOST_SETS:
                # Clients may make up methods.
                self._sets.clear()
            attributes = self._sets[kind] = _attributes(request, status, cause)
        (made.streams if is_stream else made.requests).record(now - started, attributes)
        if exchange.first_sent:
            made.first_bytes.record(exchange.first_sent - started, _STREAM if is_stream else _NO_STREAM)
        made.lags.record(exchange.largest_lag)

    def timed_out(self) -> None:
        """Count a write that has ended as its time was up."""
        super().timed_out()
        self._instruments.timeouts.add(1)

    def late(self, seconds: float) -> None:
        """Count how late the loop came."""
        super().late(seconds)
        self._instruments.delays.record(seconds)


def _attributes(request: Any, status: int, cause: Any) -> Attributes:
    """Return those of an exchange that is over."""
    found: Attributes = {
        **method_and_scheme(request.method, is_secure=request.https),
        "network.protocol.version": version(request.version_major, request.version_minor),
    }
    if status:
        found["http.response.status_code"] = status
    if request.route:
        found["http.route"] = request.route
    if cause.text:
        found["error.type"] = cause.label
    elif status >= 500:
        found["error.type"] = str(status)
    return found


class _Instruments:
    """The instruments of a provider, for all servers of this process.

    Attributes:
        hubs: the loops that are looked at when somebody collects.
    """

    def __init__(self, provider: Any) -> None:
        self.hubs: WeakSet[Turns[Pump]] = WeakSet()
        self._lock = Lock()
        self._looked_at = -1.0
        self._looks: list[tuple[Gauges, dict[str, int], int]] = []
        meter = provider.get_meter("httpng", __version__)

        def seconds(name: str, told: str) -> Any:
            return meter.create_histogram(
                name, unit="s", description=told, explicit_bucket_boundaries_advisory=BOUNDS
            )

        self.requests = seconds("http.server.request.duration", "how long requests took, streams left out")
        self.streams = seconds("httpng.stream.duration", "how long responses without a declared length took")
        self.first_bytes = seconds("httpng.first_byte", "until the TCP/IP stack had the header block")
        self.lags = seconds("httpng.lag", "the longest that a byte of an exchange was in flight")
        self.delays = seconds("httpng.loop.delay", "how late an event loop came to what was due")
        self.timeouts = meter.create_counter("httpng.write.timeouts", "{write}", "writes whose time was up")

        def looked_up(create: Any, name: str, unit: str, told: str, find: Told) -> None:
            create(name, [self._callback(find)], unit, told)

        sums, counts = meter.create_observable_up_down_counter, meter.create_observable_counter
        looked_up(sums, "http.server.active_requests", "{request}", "requests under way", _active)
        looked_up(sums, "httpng.connections", "{connection}", "open connections", _connections)
        looked_up(sums, "httpng.in_flight", "By", "accepted from handlers and not sent", _by("in_flight"))
        looked_up(sums, "httpng.unacked", "By", "not acknowledged, where that is tracked", _by("unacked"))
        looked_up(sums, "httpng.stalled_requests", "{request}", "with bytes in flight", _by("stalled"))
        looked_up(counts, "httpng.ends", "{request}", "ends that were not clean", _ends)
        looked_up(counts, "httpng.requests", "{request}", "requests given to handlers", _begun)

    def _callback(self, find: Told) -> Callable[[Any], Iterable[Any]]:
        from opentelemetry.metrics import Observation

        def observe(options: Any) -> Iterable[Any]:
            # Sums of several loops, as each set of attributes may be told once.
            found: dict[tuple[tuple[str, Any], ...], float] = {}
            for look in self._fresh_looks():
                for value, attributes in find(look):
                    key = tuple(attributes.items())
                    found[key] = found.get(key, 0) + value
            return [Observation(value, dict(key)) for key, value in found.items()]

        return observe

    def _fresh_looks(self) -> list[tuple[Gauges, dict[str, int], int]]:
        with self._lock:
            if monotonic() - self._looked_at > _FRESH:
                self._looks = [_look(hub) for hub in list(self.hubs)]
                self._looked_at = monotonic()
            return self._looks


_instruments: Final = cache(_Instruments)
"""Once for each provider: an instrument that is made twice is told of twice."""


def _look(hub: Turns[Pump]) -> tuple[Gauges, dict[str, int], int]:
    with hub.lock:
        return Gauges(hub), dict(hub.runner.ends), hub.runner.requests


def _active(look: tuple[Gauges, dict[str, int], int]) -> Iterator[tuple[float, Attributes]]:
    for (method, is_secure), number in look[0].active.items():
        yield number, method_and_scheme(method, is_secure=is_secure)


def _connections(look: tuple[Gauges, dict[str, int], int]) -> Iterator[tuple[float, Attributes]]:
    yield look[0].connections, {}


def _by(name: str) -> Told:
    def find(look: tuple[Gauges, dict[str, int], int]) -> Iterator[tuple[float, Attributes]]:
        for holder, number in getattr(look[0], name).items():
            yield number, {"httpng.by": holder}

    return find


def _ends(look: tuple[Gauges, dict[str, int], int]) -> Iterator[tuple[float, Attributes]]:
    for end, number in look[1].items():
        yield number, {"httpng.end": end}


def _begun(look: tuple[Gauges, dict[str, int], int]) -> Iterator[tuple[float, Attributes]]:
    yield look[2], {}


def method_and_scheme(method: str, *, is_secure: bool) -> Attributes:
    """Return the attributes that all metrics of requests have."""
    return {"http.request.method": known(method), "url.scheme": "https" if is_secure else "http"}


def version(major: int, minor: int) -> str:
    """Return a version of HTTP as OpenTelemetry has it: "1.1", "2"."""
    return f"{major}.{minor}" if major < 2 else str(major)
