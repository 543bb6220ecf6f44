"""Feeds over sockets: fast and stalled followers, other threads, and ends of all kinds."""

import re
import runpy
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.driver.harness import (
    MANY_CLIENTS,
    Client,
    Observed,
    Serving,
    adopted,
    in_thread,
    kernel_accepted,
    until,
)
from tests.driver.net import CLOSED_WINDOWS, TRANSPORTS, Net

from httpng_core import Keys, LagStep, Request, SendResult, json_merge
from httpng_driver import IO, Feed

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "ticker_feed.py"
TICK = 400


def tick(number: int) -> bytes:
    return b"<%d>" % number + b"." * TICK


def numbers(body: bytes) -> list[int]:
    """The ticks in a body that are whole."""
    return [int(number) for number in re.findall(rb"<(\d+)>\.{%d}" % TICK, body)]


def follower_of(feed: Feed) -> Observed[SendResult | None]:
    async def follow(req: Request, io: IO) -> SendResult | None:
        return await io.follow(feed)

    return Observed(follow)


async def read_until(client: Client, last: int) -> list[int]:
    """Reads on in a thread until tick `last` is there whole."""

    def read() -> None:
        # At least the last tick, and as much before it as makes sure that it is whole.
        while last not in numbers(client.body[-3 * TICK :]) and client.receive():
            pass

    client.open_windows()
    await in_thread(read)
    return numbers(client.body)


async def read_until_there(client: Client, text: bytes) -> None:
    def read() -> None:
        while text not in client.body and client.receive():
            pass

    client.open_windows()
    await in_thread(read)
    assert text in client.body


async def followed(feed: Feed, count: int = 1) -> None:
    await until(lambda: feed.get_stats().followers == count, f"{count} follow")


async def test_a_fast_follower_gets_every_tick(net: Net) -> None:
    feed = Feed()
    follow = follower_of(feed)
    async with net.serving(follow) as server, net.connect(server) as client:
        client.request()
        await followed(feed)
        await publish_one_by_one(feed, client)
        pump = await adopted(server, client)
        assert kernel_accepted(pump.socket) == pump.taken == client.read
        feed.close()
        assert await follow.outcome() is None
        assert (await in_thread(client.read_response)).complete
    assert feed.get_stats().delivered == 50
    assert feed.get_stats().skipped == 0


async def test_a_fast_follower_by_http_1_0_gets_every_tick(serving: Serving) -> None:
    feed = Feed()
    async with serving(follower_of(feed)) as server:
        with Client(server.addresses[0]) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            await followed(feed)
            await publish_one_by_one(feed, client)
            feed.close()
            await in_thread(client.read_to_end)
    assert client.ended == "fin"


async def publish_one_by_one(feed: Feed, client: Client) -> None:
    """Each tick once the client has the one before."""
    for number in range(1, 51):
        feed.publish(tick(number))
        assert (await read_until(client, number))[-1] == number


@pytest.mark.parametrize("transport", TRANSPORTS + CLOSED_WINDOWS, ids=str, indirect=True)
async def test_a_stalled_follower_goes_on_with_the_newest(net: Net) -> None:
    feed = Feed()
    async with net.serving(follower_of(feed)) as server, net.connect(server, receive_buffer=4096) as client:
        client.request()
        await followed(feed)
        pump = await adopted(server, client)
        number = 0

        async def publish() -> None:
            nonlocal number
            while True:
                number += 1
                feed.publish(tick(number))
                if not client.starves:
                    client.receive_ready()
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            # As long as the kernel may have room yet: else it would stay so.
            tasks.start_soon(publish)
            await until(lambda: feed.get_stats().skipped > 100 and client.starves)
            await net.standstill(pump, client)
            tasks.cancel_scope.cancel()
        feed.publish(tick(number + 1))
        seen = await read_until(client, number + 1)
        assert seen == sorted(set(seen))
        stats = feed.get_stats()
        assert stats.delivered == len(seen)
        assert stats.published == stats.delivered + stats.skipped
        assert kernel_accepted(pump.socket) == pump.taken


async def test_other_threads_publish(net: Net) -> None:
    feed = Feed()

    def publish() -> None:
        for number in range(1, 1001):
            feed.publish_threadsafe(tick(number))

    async with net.serving(follower_of(feed)) as server, net.connect(server) as client:
        client.request()
        await followed(feed)
        await in_thread(publish)
        seen = await read_until(client, 1000)
        assert seen == sorted(set(seen))


async def test_what_several_threads_publish_at_once_is_merged_and_none_of_it_lost(net: Net) -> None:
    feed, threads, each = Feed(merge=json_merge("sum")), 4, 300

    def publish() -> None:
        for _ in range(each):
            feed.publish_threadsafe("1\n")

    async with net.serving(follower_of(feed)) as server, net.connect(server) as client:
        client.request()
        await followed(feed)
        async with anyio.create_task_group() as tasks:
            for _ in range(threads):
                tasks.start_soon(in_thread, publish)

        def read() -> None:
            while sum(map(int, client.body.split())) < threads * each and client.receive():
                pass

        client.open_windows()
        await in_thread(read)
        assert sum(map(int, client.body.split())) == threads * each
        stats = feed.get_stats()
        assert stats.published == threads * each == stats.delivered + stats.merged


async def test_what_had_to_wait_is_sent_when_its_time_comes(net: Net) -> None:
    feed = Feed()

    async def follow(req: Request, io: IO) -> None:
        await io.follow(feed, max_rate=20, max_bandwidth=10_000)

    async with net.serving(follow) as server, net.connect(server) as client:
        client.request()
        await followed(feed)
        for number in range(1, 5):
            feed.publish(tick(number))
            # Nothing happens meanwhile but that time passes.
            assert number in await read_until(client, number)
        assert feed.get_stats().delivered == 4


async def test_an_idle_stream_is_kept_alive(net: Net) -> None:
    feed = Feed()

    async def follow(req: Request, io: IO) -> None:
        await io.follow(feed, keep_alive=0.02, keep_alive_comment="[alive]")

    async with net.serving(follow) as server, net.connect(server) as client:
        client.request()
        await read_until_there(client, b"[alive][alive]")
        feed.publish(tick(1))
        assert await read_until(client, 1) == [1]


async def test_a_client_that_takes_nothing_climbs_the_steps_and_is_cut_short(net: Net) -> None:
    feed = Feed(policy="every", overflow="drop_oldest")
    steps = [
        LagStep(0.02, "conflate"),
        LagStep(0.04, "drop", keys=["other"], reason="too slow for others"),
        LagStep(0.06, "close", reason="too slow", mark="[bye]"),
    ]

    @Observed
    async def follow(req: Request, io: IO) -> SendResult | None:
        result = await io.follow(feed, lag_policy=steps)
        stats = io.get_follow_stats()
        assert stats is not None
        assert (stats.lag_step, stats.dropped) == (3, ("too slow for others",))
        return result

    async with net.serving(follow) as server, net.connect(server, receive_buffer=4096) as client:
        client.request()
        await followed(feed)
        # More than the kernel takes for a client that doesn't read; then time alone leads up the steps.
        for number in range(100):
            feed.publish("x" * 65536, key=number % 3)
        await until(lambda: not feed.get_stats().followers)
        result = await follow.outcome()
        assert result is not None
        assert result.cancelled
        received = await in_thread(client.read_response)
        assert client.was_cut_short
        assert received.body.endswith(b"[bye]")


async def test_a_follow_ends_when_the_client_is_gone(net: Net) -> None:
    feed = Feed()
    follow = follower_of(feed)
    async with net.serving(follow) as server, net.connect(server) as client:
        client.request()
        await followed(feed)
        client.reset()
        result = await follow.outcome()
        assert result is not None
        assert result.cancelled
        await followed(feed, 0)
        feed.publish("to nobody")


async def test_a_follow_ends_with_its_time_and_writes_go_on(net: Net) -> None:
    feed = Feed()

    @Observed
    async def handler(req: Request, io: IO) -> SendResult | None:
        result = await io.follow(feed, timeout=0.01)
        await io.write("end")
        return result

    async with net.serving(handler) as server, net.connect(server) as client:
        feed.publish("tick,")
        received = await in_thread(client.get)
        result = await handler.outcome()
    assert received.body == b"tick,end"
    assert result is not None
    assert not result.cancelled


async def test_a_cancelled_follow_leaves_the_feed(net: Net) -> None:
    feed = Feed()

    async def handler(req: Request, io: IO) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await io.follow(feed)
        await io.write("end")

    scopes: list[anyio.CancelScope] = []
    async with net.serving(handler) as server, net.connect(server) as client:
        client.request()
        await followed(feed)
        scopes[0].cancel()
        received = await in_thread(client.read_response)
    assert received.complete
    assert received.body == b"end"
    assert feed.get_stats().followers == 0


async def test_the_example_tells_what_a_client_has_missed(net: Net) -> None:
    example = runpy.run_path(str(EXAMPLE))
    async with net.serving(example["app"]) as server:
        async with net.connect(server) as client:
            client.request()
            # More quotes than there are symbols: not all of them are the newest of one.
            await read_until_there(client, b"id: 12\n")
        async with net.connect(server) as client:
            client.request(headers=[("last-event-id", "1")])
            await read_until_there(client, b"id: ")
            assert re.search(rb"\nevent: gap\ndata: \d+\n\n", client.body)


async def test_removed_keys_are_told_and_the_end_of_the_snapshot_too(net: Net) -> None:
    feed = Feed(on_remove=lambda key: f"-{key},", snapshot_end="end,")
    feed.publish("a,", "a")
    feed.publish("b,", "b")
    async with (
        net.serving(follower_of(feed)) as server,
        net.connect(server) as client,
        net.connect(server) as late,
    ):
        client.request()
        await read_until_there(client, b"a,b,end,")
        feed.remove("a")
        await read_until_there(client, b"a,b,end,-a,")
        late.request()
        await read_until_there(late, b"end,")
        feed.clear()
        for one, body in ((client, b"a,b,end,-a,-b,"), (late, b"b,end,-b,")):
            await read_until_there(one, b"-b,")
            assert bytes(one.body) == body


async def test_clients_get_the_keys_that_they_want_of_several_feeds(net: Net) -> None:
    feed, other, keys = Feed(), Feed(), Keys(["a"])
    feed.publish("a1,", "a")
    feed.publish("b1,", "b")

    async def handler(req: Request, io: IO) -> None:
        if req.path == "/two":
            await io.follow([feed, other], keys={"b"})
        else:
            await io.follow(feed, keys=keys)

    async with (
        net.serving(handler) as server,
        net.connect(server) as live,
        net.connect(server) as two,
    ):
        live.request()
        two.request("/two")
        await read_until_there(live, b"a1,")
        await read_until_there(two, b"b1,")
        feed.publish("a2,", "a")
        other.publish("b2,", "b")
        await read_until_there(live, b"a2,")
        await read_until_there(two, b"b2,")
        keys.add("b")
        await read_until_there(live, b"b1,")
        keys.discard("a")
        feed.publish("a3,", "a")
        feed.publish("b3,", "b")
        for one, body in ((live, b"a1,a2,b1,b3,"), (two, b"b1,b2,b3,")):
            await read_until_there(one, b"b3,")
            assert bytes(one.body) == body


@pytest.mark.usefixtures("many_files")
async def test_stalled_followers_do_not_hold_up_the_others(net: Net) -> None:
    feed = Feed()
    followers = net.many
    async with (
        net.serving(follower_of(feed), max_conn_per_thread=MANY_CLIENTS * 2) as server,
        AsyncExitStack() as stack,
    ):
        connect = partial(net.connect, server, receive_buffer=4096)
        clients = [await stack.enter_async_context(connect()) for _ in range(followers)]
        for client in clients:
            client.request()
        await followed(feed, followers)
        stalled, healthy = clients[::2], clients[1::2]
        number = 0
        while feed.get_stats().skipped < len(stalled) * 5:
            number += 1
            feed.publish(tick(number))
            # The healthy ones have each tick before the next: their age doesn't depend on the others.
            await until(partial(have_read, healthy, number), "the healthy ones have the tick")
        for client in healthy:
            assert numbers(client.body) == list(range(1, number + 1))
        stats = feed.get_stats()
        pending = stats.published * followers - stats.delivered - stats.skipped
        assert 0 < pending <= len(stalled), "one payload for each key and follower"
        missing = 0
        for client in stalled:
            seen = await read_until(client, number)
            assert seen == sorted(set(seen))
            missing += number - len(seen)
        # Of one the kernel may have taken more than of another.
        assert missing == stats.skipped


def have_read(clients: list[Client], number: int) -> bool:
    """Reads what there is; tells whether each has got the tick."""
    for client in clients:
        while b"<%d>" % number not in client.wire[-TICK - 20 :] and client.receive_ready():
            pass
    return all(numbers(bytes(client.wire[-TICK - 20 :])) == [number] for client in clients)
