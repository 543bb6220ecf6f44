"""A feed as the response of each framework, here and under uvicorn: the same bytes, and the same ends."""

import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import urlopen

import anyio
import anyio.lowlevel
import pytest
import uvicorn
from fastapi import FastAPI
from litestar import Litestar
from litestar import get as litestar_get
from litestar.types import ASGIApp
from quart import Quart
from quart import Response as QuartResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from tests.driver.harness import BOUND, Client, in_thread, serving_on, until

from httpng import Feed, FeedResponse
from httpng.quart import FeedResponse as QuartFeedResponse
from httpng.starlette import FeedResponse as StarletteFeedResponse
from httpng_core import LagStep, ListenAddress, confirmations, parse_listen, sse_event

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def plain_app(feed: Feed | list[Feed], **options: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await FeedResponse(feed, **options)(scope, receive, send)

    return app


def starlette_app(feed: Feed, **options: Any) -> Any:
    async def stream(request: Request) -> StarletteFeedResponse:
        response = StarletteFeedResponse(feed, **options)
        response.set_cookie("seen", "yes")
        return response

    return Starlette(routes=[Route("/", stream)])


def fastapi_app(feed: Feed, **options: Any) -> Any:
    app = FastAPI()

    @app.get("/", response_model=None)
    async def stream() -> StarletteFeedResponse:
        return StarletteFeedResponse(feed, **options)

    return app


def litestar_app(feed: Feed, **options: Any) -> Any:
    @litestar_get("/")
    async def stream() -> ASGIApp:
        return FeedResponse(feed, **options)  # type: ignore[return-value]

    return Litestar([stream])


def quart_app(feed: Feed, **options: Any) -> Any:
    app = Quart(__name__)

    @app.get("/")
    async def stream() -> QuartResponse:
        return QuartFeedResponse(feed, **options)

    return app


APPS = [plain_app, starlette_app, fastapi_app, litestar_app, quart_app]


@asynccontextmanager
async def under_uvicorn(app: Any) -> AsyncIterator[ListenAddress]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Else the kernel may take megabytes, all of which the slow client reads.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            await until(lambda: server.started)
            port = listening.getsockname()[1]
            try:
                yield parse_listen(f"127.0.0.1:{port}", default=())[0]
            finally:
                server.should_exit = server.force_exit = True


@asynccontextmanager
async def under_httpng(app: Any) -> AsyncIterator[ListenAddress]:
    async with serving_on("asyncio")(app) as server:
        yield server.addresses[0]


SERVERS = pytest.mark.parametrize("serving", [under_httpng, under_uvicorn])


def body(client: Client) -> str:
    """What has come, without what differs from time to time."""
    text = client.body.decode()
    return re.sub(r"retry: \d+", "retry", re.sub(r"[\w-]{8}\.", "", text))


async def read(client: Client, end: str, after: str = "") -> str:
    def receive() -> None:
        latest = time.monotonic() + BOUND
        while after not in body(client) or not body(client).endswith(end):
            # A thread can't be cancelled, and a stream that is kept alive never ends.
            assert time.monotonic() < latest, (end, body(client)[-200:])
            assert client.receive(), body(client)

    await in_thread(receive)
    return body(client)


@pytest.mark.parametrize("make", APPS)
@SERVERS
async def test_a_client_gets_what_is_published_and_goes_on_where_it_was(
    serving: Callable[..., Any], make: Callable[..., Any]
) -> None:
    feed = Feed(resume=True, on_remove=lambda key: sse_event(f"-{key}"))
    feed.publish(sse_event("a1"), "a")
    async with serving(make(feed)) as address:
        with Client(address) as client:
            await in_thread(client.request)
            await read(client, "data: a1\n\n")
            await until(lambda: feed.get_stats().followers)
            feed.publish(sse_event("b1"), "b")
            seen = await read(client, "data: b1\n\n")
            assert seen == "id: 0\nretry\n\nid: 1\ndata: a1\n\nid: 2\ndata: b1\n\n"
            wire = bytes(client.wire).lower()
            assert b"content-type: text/event-stream; charset=utf-8\r\n" in wire
            assert b"x-accel-buffering: no\r\n" in wire
            assert (b"set-cookie: seen" in wire) == (make is starlette_app)
        await until(lambda: not feed.get_stats().followers)
        feed.remove("a")
        with Client(address) as client:
            await in_thread(client.request, "/", "GET", [("last-event-id", f"{feed.incarnation}.2")])
            seen = await read(client, "data: -a\n\n")
            assert seen == "id: 2\nretry\n\nid: 3\ndata: -a\n\n"
            feed.close()
            assert (await in_thread(client.read_response)).complete


@pytest.mark.parametrize("make", APPS)
async def test_it_ends_with_what_is_pending_when_the_server_drains(make: Callable[..., Any]) -> None:
    feed = Feed()
    async with serving_on("asyncio")(make(feed), cancel=False, shutdown_timeout=3600) as server:
        with Client(server.addresses[0]) as client:
            await in_thread(client.request)
            await until(lambda: feed.get_stats().followers)
            feed.publish("newest", "a")
            server.shutdown()
            received = await in_thread(client.read_response)
    assert received.body == b"newest"
    assert received.complete


async def test_it_goes_on_through_a_drain_if_it_is_to() -> None:
    feed = Feed()
    app = plain_app(feed, until_draining=False)
    async with serving_on("asyncio")(app, cancel=False, shutdown_timeout=3600) as server:
        with Client(server.addresses[0]) as client:
            await in_thread(client.request)
            await until(lambda: feed.get_stats().followers)
            server.shutdown()
            await until(lambda: not server.statistics().listeners)
            feed.publish("later")
            await read(client, "later")
            feed.close()
            assert (await in_thread(client.read_response)).complete


@SERVERS
async def test_filters_and_several_feeds(serving: Callable[..., Any]) -> None:
    feeds = [Feed(), Feed()]
    for feed in feeds:
        feed.publish("a,", "a")
        feed.publish("b,", "b")
        feed.close()
    async with serving(plain_app(feeds, keys={"b"})) as address:
        with Client(address) as client:
            response = await in_thread(client.get)
            assert response.body == b"b,b,"
            assert response.complete
        with Client(address) as client:
            assert (await in_thread(client.get, "/", "HEAD")).body == b""


async def test_under_another_server_a_slow_client_skips_too() -> None:
    feed = Feed()
    async with under_uvicorn(plain_app(feed, on_gap=lambda lost: f"[{lost}]")) as address:
        with Client(address, receive_buffer=4096) as client:
            await in_thread(client.request)
            await until(lambda: feed.get_stats().followers)
            for number in range(4_000):
                feed.publish(f"<{number}>".ljust(2500, "."))
                if number % 5 == 0:
                    await anyio.lowlevel.checkpoint()
            feed.publish("end")
            await read(client, "end")
            text = client.body.decode()
    seen = len(re.findall(r"<\d+>", text))
    told = sum(map(int, re.findall(r"\[(\d+)\]", text)))
    assert told > 1000
    assert seen + told == 4_000


@SERVERS
async def test_limits_and_lag_are_for_responses_too(serving: Callable[..., Any]) -> None:
    feed = Feed()
    steps = [LagStep(60, "close")]
    async with serving(plain_app(feed, max_rate=20, lag_policy=steps, on_lag=print)) as address:
        with Client(address) as client:
            await in_thread(client.request)
            await until(lambda: feed.get_stats().followers)
            for number in range(1, 4):
                feed.publish(f"<{number}>", key="a")
                # The later ones have to wait for their time.
                await read(client, f"<{number}>")


@SERVERS
async def test_an_idle_stream_is_kept_alive(serving: Callable[..., Any]) -> None:
    feed = Feed()
    async with serving(plain_app(feed, keep_alive=0.05, keep_alive_comment="[alive]")) as address:
        with Client(address) as client:
            await in_thread(client.request)
            await read(client, "[alive][alive]")
            feed.publish("tick,")
            # Comments may come together.
            assert "tick,[alive]" in await read(client, "[alive]", after="tick,")


@pytest.mark.parametrize("make", APPS)
async def test_a_page_confirms_what_it_has(make: Callable[..., Any]) -> None:
    feed, confirming = Feed(), confirmations("/confirm")

    def confirm(port: int, text: str) -> int:
        token = re.findall('"token": "(.*?)"', text)[0]
        position = re.findall(r"event: confirm\ndata: (\d+)", text)[-1]
        with urlopen(f"http://127.0.0.1:{port}/confirm", f"{token} {position}".encode(), 20) as answer:
            return int(answer.status)

    app = make(feed, confirmations=confirming)
    sites = [{"path": "/confirm", "handler": confirming}, {"path": "/", "handler": app}]
    async with serving_on("asyncio")(None, sites=sites, lifespan="off") as server:
        address = server.addresses[0]
        with Client(address) as client:
            await in_thread(client.request)
            await until(lambda: feed.get_stats().followers)
            asked = await read(client, "\n\n", after="event: confirm\n")
            for number in range(3):
                feed.publish(f"data: {number}\n\n")
            assert await in_thread(confirm, address.port, asked) == 204
            # Of what was published meanwhile the newest.
            seen = await read(client, "\n\n", after="data: 2\n")
            assert "data: 1\n" not in seen
            assert len(confirming) == 1
        await until(lambda: not feed.get_stats().followers)


async def test_under_another_server_nobody_is_asked_to_confirm() -> None:
    feed = Feed()
    feed.publish("tick,")
    async with under_uvicorn(plain_app(feed, confirmations=confirmations("/confirm"))) as address:
        with Client(address) as client:
            await in_thread(client.request)
            assert await read(client, ",") == "tick,"


async def test_under_another_server_one_that_lags_is_cut_with_the_mark() -> None:
    feed = Feed()
    app = plain_app(feed, lag_policy=[LagStep(0.05, "close", mark="[bye]")], max_rate=1e9)
    async with under_uvicorn(app) as address:
        with Client(address, receive_buffer=4096) as client:
            await in_thread(client.request)
            await until(lambda: feed.get_stats().followers)
            while feed.get_stats().followers and feed.get_stats().skipped < 100:
                feed.publish("x" * 10_000)
                await anyio.lowlevel.checkpoint()
            await anyio.sleep(0.1)
            await in_thread(client.read_to_end)
            assert client.wire.endswith(b"[bye]\r\n")
    assert feed.get_stats().followers == 0


async def test_a_client_that_is_too_slow_for_every_message_is_cut() -> None:
    feed = Feed(policy="every", max_queued=10_000)
    async with under_uvicorn(plain_app(feed)) as address:
        with Client(address) as client:
            await in_thread(client.request)
            await until(lambda: feed.get_stats().followers)
            for _ in range(30):
                feed.publish("x" * 1000)
            await in_thread(client.read_to_end)
            assert b"0\r\n\r\n" not in client.wire
    assert feed.get_stats().followers == 0


def test_mistakes_are_told_before_the_response_begins() -> None:
    with pytest.raises(TypeError, match=r"io\.follow needs a list of Feeds, not 5 in it"):
        FeedResponse([5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="max_age must be more than 0 seconds, not 0"):
        FeedResponse(Feed(), max_age=0)
    with pytest.raises(ValueError, match="keep_alive must be more than 0 seconds, not 0"):
        FeedResponse(Feed(), keep_alive=0)
    with pytest.raises(TypeError, match="confirmations must be what confirmations"):
        FeedResponse(Feed(), confirmations="/confirm")  # type: ignore[arg-type]
