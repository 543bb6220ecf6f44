"""Streams that break off and go on, over sockets: on each loop, over HTTP/1.1 and HTTP/2."""

import re

import anyio
import pytest
from tests.driver.harness import Client, in_thread, until
from tests.driver.net import Net

from httpng_core import Request, sse_event, sse_headers
from httpng_driver import IO, Feed, Server

pytestmark = pytest.mark.anyio

EVENT = re.compile(rb"id: (\S+)\n(.*?)\n\n", re.DOTALL)


def serving_a(feed: Feed) -> object:
    async def handler(req: Request, io: IO) -> None:
        io.headers = dict(sse_headers())
        await io.follow(feed, since=req.headers.get("last-event-id"), until_draining=True)

    return handler


def publish(feed: Feed, *values: str) -> None:
    for value in values:
        feed.publish(sse_event(value), key=value[0])


async def read(client: Client, last: str) -> tuple[str, list[str]]:
    """Read on until an event has come whose data is `last`; gives its id, and what came in all."""

    def events() -> list[tuple[bytes, bytes]]:
        return EVENT.findall(client.body)

    def receive() -> None:
        while not any(data == b"data: " + last.encode() for _, data in events()):
            assert client.receive()

    with anyio.fail_after(20):
        await in_thread(receive)
    # A greeting tells when to come back: at random.
    texts = [data.decode().replace("\n", " ").replace("data: ", "") for _, data in events()]
    return events()[-1][0].decode(), [re.sub(r"retry: \d+", "hello", text) for text in texts]


async def came_back(net: Net, server: Server, since: str, last: str) -> list[str]:
    async with net.connect(server) as client:
        client.request(headers=[("last-event-id", since)])
        return (await read(client, last))[1]


async def test_a_stream_goes_on_where_it_broke_off_also_over_a_restart(net: Net) -> None:
    feed = Feed(resume=True, on_remove=lambda key: sse_event(f"-{key}"))
    async with net.serving(serving_a(feed)) as server:
        async with net.connect(server) as client:
            client.request()
            await until(lambda: feed.get_stats().followers)
            publish(feed, "a1", "b1", "c1")
            since, seen = await read(client, "c1")
            assert seen == ["hello", "a1", "b1", "c1"]
        await until(lambda: not feed.get_stats().followers)
        publish(feed, "b2")
        feed.remove("a")
        assert await came_back(net, server, since, "-a") == ["hello", "b2", "-a"]
    # Another process has other ids, and the newest values.
    feed = Feed(resume=True)
    publish(feed, "b3", "c1")
    async with net.serving(serving_a(feed)) as server:
        assert await came_back(net, server, since, "c1") == ["hello", "event: gap null", "b3", "c1"]


async def test_each_message_of_a_stream_comes_once_over_its_responses(net: Net) -> None:
    """As resumable streams do by MCP: a stream is a feed, and its first event has an id."""
    feed = Feed(policy="every", resume=True)
    seen: list[str] = []
    since = ""
    async with net.serving(serving_a(feed)) as server:
        for turn in range(4):
            publish(feed, f"a{turn}", f"b{turn}")
            async with net.connect(server) as client:
                client.request(headers=[("last-event-id", since)])
                await until(lambda: feed.get_stats().followers)
                publish(feed, f"c{turn}")
                since, came = await read(client, f"c{turn}")
            await until(lambda: not feed.get_stats().followers)
            assert came[0] == "hello"
            seen += came[1:]
    assert seen == ["c0"] + [f"{key}{turn}" for turn in range(1, 4) for key in "abc"]
