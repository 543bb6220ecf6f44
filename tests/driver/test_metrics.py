"""Metrics: what is counted as exchanges end, what is looked up, and that nothing is where nobody asks."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families
from tests.driver.harness import GET, Client, Serving, in_thread, until
from tests.driver.net import Net
from tests.driver.operator_client import ask

from httpng_core import Request
from httpng_driver import IO, Feed, Server
from httpng_driver.loop import Pump
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

ON_ONE_LOOP = pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False})])
HERE = {"addr": "127.0.0.1", "port": 0}
BIG = bytes(4_000_000)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def stream(req: Request, io: IO) -> None:
    await io.write("one")
    await io.wait(0)


async def late(req: Request, io: IO) -> None:
    await io.write(BIG, timeout=0.01)
    await io.wait_draining()


def raising(req: Request) -> str:
    raise ValueError(req.path)


SITES = [
    {"path": "/stream", "handler": stream},
    {"path": "/late", "handler": late},
    {"path": "/raise", "handler": raising},
    {"path": "/", "handler": lambda req: "hello"},
]


async def told(server: Server) -> Samples:
    assert server.admin is not None
    text = (await in_thread(ask, server.admin, "/metrics")).body.decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def count(samples: Samples, name: str, **labels: str) -> float:
    """The sum of all samples that have these labels."""
    wanted = labels.items()
    return sum(value for (found, having), value in samples.items() if found == name and having >= wanted)


async def once(server: Server, name: str, **labels: str) -> Samples:
    """What is told once there is such a sample."""
    with anyio.fail_after(30):
        while not count(samples := await told(server), name, **labels):  # noqa: ASYNC110 - it has no event
            await anyio.sleep(0.01)
    return samples


async def test_requests_are_counted_by_what_they_were(net: Net) -> None:
    async with net.serving(None, sites=SITES, admin=HERE) as server, net.connect(server) as client:
        for path in ("/", "/", "/other", "/stream", "/raise"):
            await in_thread(client.get, path)
        await in_thread(client.get, "/", "BREW")
        samples = await told(server)
    name = "http_server_request_duration_seconds_count"
    scheme = "https" if net.transport.tls else "http"
    version = "2" if net.transport.http2 else "1.1"
    ok = {"http_response_status_code": "200", "url_scheme": scheme, "network_protocol_version": version}
    assert count(samples, name, http_route="/", http_request_method="GET", error_type="", **ok) == 3
    assert count(samples, name, http_request_method="_OTHER", **ok) == 1
    assert count(samples, name, http_route="/raise", error_type="handler_error") == 1
    # How long it takes is its handler's affair: it must not be among what is answered.
    assert count(samples, name, http_route="/stream") == 0
    assert count(samples, "httpng_stream_duration_seconds_count", http_route="/stream", **ok) == 1
    assert count(samples, "httpng_first_byte_seconds_count", stream="false") == 5
    assert count(samples, "httpng_first_byte_seconds_count", stream="true") == 1
    assert count(samples, "httpng_lag_seconds_count") == 6
    assert count(samples, "httpng_requests_total") == 6
    assert count(samples, "httpng_ends_total", end="handler_error") == 1
    infinite = count(samples, "http_server_request_duration_seconds_bucket", le="+Inf")
    assert infinite == count(samples, name) == 5


async def test_those_of_many_kinds_are_counted_each(serving: Serving) -> None:
    """More kinds than are summed up before they are put into the histograms, by turns."""
    paths = [f"/{number}" for number in range(80)]
    sites = [{"path": path, "handler": lambda req: "hello"} for path in paths]
    async with serving(None, sites=sites, admin=HERE) as server:
        with Client(server.addresses[0]) as client:
            for path in (*paths, *paths, *paths):
                await in_thread(client.get, path)
            samples = await told(server)
    name = "http_server_request_duration_seconds_count"
    assert [count(samples, name, http_route=path) for path in paths] == [3] * len(paths)
    assert count(samples, "httpng_lag_seconds_count") == 3 * len(paths)
    assert count(samples, "httpng_first_byte_seconds_count", stream="false") == 3 * len(paths)


@pytest.mark.parametrize("threads", [1, 2])
async def test_who_is_slow_is_looked_up(serving: Serving, threads: int) -> None:
    async with serving(None, sites=SITES, admin=HERE, threads=threads) as server:
        with Client(server.addresses[0], receive_buffer=16384) as slow, Client(server.addresses[0]) as fast:
            slow.send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
            await in_thread(fast.get, "/")
            # On a busy machine the request may lag that much before its write is timed out.
            await once(server, "httpng_write_timeouts_total")
            samples = await once(server, "httpng_lagging_requests", seconds="0.1")
            assert count(samples, "httpng_stalled_requests", by="client") == 1
            assert count(samples, "httpng_in_flight_bytes", by="client") > 0
            assert count(samples, "httpng_write_timeouts_total") == 1
            assert count(samples, "http_server_active_requests", http_request_method="GET") == 1
            assert count(samples, "httpng_connections") == 2
            assert count(samples, "http_server_request_duration_seconds_count") == 1
            await once(server, "httpng_loop_delay_seconds_count")


@ON_ONE_LOOP
async def test_feeds_are_told_of_those_that_are_gone_included(serving: Serving) -> None:
    feeds = [Feed()]

    async def follow(req: Request, io: IO) -> None:
        await io.follow(feeds[0], until_draining=True)

    async with serving(follow, admin=HERE) as server:
        before = await told(server)
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await once(server, "httpng_feed_followers")
            feeds[0].publish("payload")
            await in_thread(client.read_body, 7)
            feeds[0].publish("more")
            feeds[0].close()
            await in_thread(client.read_response)
        feeds[0] = Feed()
        gc.collect()
        samples = await told(server)

    def grown(name: str, **labels: str) -> float:
        return count(samples, name, **labels) - count(before, name, **labels)

    # At least: feeds of other tests are in this process as well.
    assert grown("httpng_feed_published_total") >= 2
    assert grown("httpng_feed_payloads_total", became="delivered") >= 2


@ON_ONE_LOOP
async def test_feeds_of_lua_are_told_of(serving: Serving, tmp_path: Path) -> None:
    script = tmp_path / "feed.lua"
    script.write_text("""
        local httpng = require 'httpng'
        local feed = httpng.feed()
        httpng.cfg{handler = function(req, io) feed:publish('payload'); return 'published' end}
    """)
    async with serving(LuaApplication(script, clock=time.monotonic).with_settings(admin=HERE)) as server:
        before = count(await told(server), "httpng_feed_published_total")
        with Client(server.addresses[0]) as client:
            await in_thread(client.get, "/")
            await in_thread(client.get, "/")
        assert count(await told(server), "httpng_feed_published_total") >= before + 2


async def test_nothing_is_counted_where_nobody_asks(serving: Serving) -> None:
    hubs: list[Any] = []

    async def handler(req: Request, io: IO) -> str:
        assert isinstance(io.pump, Pump)
        hubs.append(io.pump.hub)
        return "hello"

    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            await in_thread(client.get, "/")
    assert hubs[0].meter is None


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """What a program's own provider of metrics has collected."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    yield reader
    provider.shutdown()


def collected(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    assert [scope.scope.name for scope in scopes] == ["httpng"]
    return {metric.name: list(metric.data.data_points) for metric in scopes[0].metrics}


async def test_opentelemetry_is_told_the_same(serving: Serving, reader: InMemoryMetricReader) -> None:
    async with serving(None, sites=SITES, admin=HERE) as server:
        with Client(server.addresses[0], receive_buffer=16384) as slow, Client(server.addresses[0]) as client:
            for path in ("/", "/", "/stream", "/raise"):
                await in_thread(client.get, path)
            slow.send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
            names = {"httpng.write.timeouts", "httpng.ends", "http.server.active_requests"}
            await until(lambda: names <= collected(reader).keys(), "all is told")
            assert server.admin is not None
            # What operators ask is no traffic.
            await in_thread(ask, server.admin)
            found = collected(reader)
    durations = {point.attributes["http.route"]: point for point in found["http.server.request.duration"]}
    assert durations.keys() == {"/", "/raise"}
    assert durations["/"].count == 2
    assert durations["/"].explicit_bounds[0] == 0.005
    assert dict(durations["/raise"].attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 500,
        "http.route": "/raise",
        "error.type": "handler_error",
        "network.protocol.version": "1.1",
        "url.scheme": "http",
    }
    (streamed,) = found["httpng.stream.duration"]
    assert (streamed.count, streamed.attributes["http.route"]) == (1, "/stream")
    (active,) = found["http.server.active_requests"]
    assert active.value == 1
    (ended,) = found["httpng.ends"]
    assert (ended.value, dict(ended.attributes)) == (1, {"httpng.end": "handler_error"})


class Noting:
    """A provider of metrics that notes what is recorded: by the name of each instrument, the attributes."""

    def __init__(self) -> None:
        self.noted: dict[str, list[dict[str, Any]]] = {}

    def get_meter(self, *_: object) -> "Noting":
        return self

    def create_histogram(self, name: str, **_: object) -> "Recording":
        return Recording(self.noted.setdefault(name, []))

    def create_counter(self, *_: object) -> None: ...

    create_observable_counter = create_observable_up_down_counter = create_counter


class Recording:
    def __init__(self, noted: list[dict[str, Any]]) -> None:
        self._noted = noted

    def record(self, value: float, attributes: dict[str, Any] | None = None) -> None:
        assert value >= 0
        if attributes is not None:
            self._noted.append(attributes)


@ON_ONE_LOOP
async def test_attributes_for_opentelemetry_are_made_once_for_requests_that_are_alike(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Noting()
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    asked = [*(["GET", "PUT", "/raise"] * 3), *[f"M{number}" for number in range(1100)], "GET"]
    async with serving(None, sites=SITES) as server:
        with Client(server.addresses[0]) as client:
            for one in asked:
                await in_thread(client.get, *(("/raise",) if one == "/raise" else ("/", one)))
    durations = provider.noted["http.server.request.duration"]
    assert len(durations) == len(asked)
    for kind in range(3):
        assert durations[kind] is durations[kind + 3] is durations[kind + 6]
    assert [one["http.request.method"] for one in durations[:3]] == ["GET", "PUT", "GET"]
    assert durations[2]["error.type"] == "handler_error"
    assert {one["http.request.method"] for one in durations[9:-1]} == {"_OTHER"}
    # Names that clients make up don't stay.
    assert durations[-1] == durations[0]
    assert durations[-1] is not durations[0]
    assert len({id(one) for one in provider.noted["httpng.first_byte"]}) == 1
