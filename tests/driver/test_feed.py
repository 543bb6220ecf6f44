"""Feeds over sockets: fast and stalled followers, other threads, and ends of all kinds."""

import re
import runpy
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.driver.harness import (
    GET,
    MANY_CLIENTS,
    Client,
    Observed,
    Serving,
    adopted,
    in_thread,
    kernel_accepted,
    standstill,
    until,
    within_bound,
)

from httpng_core import Request, SendResult
from httpng_driver import IO, Feed

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "ticker_feed.py"
FOLLOWERS = MANY_CLIENTS
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
        while last not in numbers(bytes(client.wire)) and client.receive():
            pass

    await in_thread(read)
    return numbers(bytes(client.wire))


async def read_until_there(client: Client, text: bytes) -> None:
    def read() -> None:
        while text not in client.wire and client.receive():
            pass

    await in_thread(read)
    assert text in client.wire


async def followed(feed: Feed, count: int = 1) -> None:
    await until(lambda: feed.get_stats().followers == count, f"{count} follow")


@pytest.mark.parametrize("request_", [GET, b"GET / HTTP/1.0\r\n\r\n"])
async def test_a_fast_follower_gets_every_tick(serving: Serving, request_: bytes) -> None:
    feed = Feed()
    follow = follower_of(feed)
    async with serving(follow) as server:
        with Client(server.addresses[0]) as client:
            client.send(request_)
            await followed(feed)
            for number in range(1, 51):
                feed.publish(tick(number))
                assert (await read_until(client, number))[-1] == number
            pump = await adopted(server, client)
            assert kernel_accepted(pump.socket) == pump.taken == len(client.wire)
            feed.close()
            assert await follow.outcome() is None
            await in_thread(client.read_to_end if b"1.0" in request_ else client.read_response)
    assert feed.get_stats().delivered == 50
    assert feed.get_stats().skipped == 0


async def test_a_stalled_follower_goes_on_with_the_newest(serving: Serving) -> None:
    feed = Feed()
    async with serving(follower_of(feed)) as server:
        with Client(server.addresses[0], receive_buffer=4096) as client:
            client.send(GET)
            await followed(feed)
            pump = await adopted(server, client)
            number = 0
            while not feed.get_stats().skipped > 100:
                number += 1
                feed.publish(tick(number))
                await anyio.lowlevel.checkpoint()
            await standstill(pump.socket)
            feed.publish(tick(number + 1))
            seen = await read_until(client, number + 1)
            assert seen == sorted(set(seen))
            stats = feed.get_stats()
            assert stats.delivered == len(seen)
            assert stats.published == stats.delivered + stats.skipped
            assert kernel_accepted(pump.socket) == pump.taken


async def test_other_threads_publish(serving: Serving) -> None:
    feed = Feed()

    def publish() -> None:
        for number in range(1, 1001):
            feed.publish_threadsafe(tick(number))

    async with serving(follower_of(feed)) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await followed(feed)
            await in_thread(publish)
            seen = await read_until(client, 1000)
            assert seen == sorted(set(seen))


async def test_a_follow_ends_when_the_client_is_gone(serving: Serving) -> None:
    feed = Feed()
    follow = follower_of(feed)
    async with serving(follow) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await followed(feed)
            client.reset()
            result = await follow.outcome()
            assert result is not None
            assert result.cancelled
            await followed(feed, 0)
            feed.publish("to nobody")


async def test_a_follow_ends_with_its_time_and_writes_go_on(serving: Serving) -> None:
    feed = Feed()

    @Observed
    async def handler(req: Request, io: IO) -> SendResult | None:
        result = await io.follow(feed, timeout=0.01)
        await io.write("end")
        return result

    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            feed.publish("tick,")
            received = await in_thread(client.ask)
            result = await handler.outcome()
    assert received.body == b"tick,end"
    assert result is not None
    assert not result.cancelled


async def test_a_cancelled_follow_leaves_the_feed(serving: Serving) -> None:
    feed = Feed()

    async def handler(req: Request, io: IO) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await io.follow(feed)
        await io.write("end")

    scopes: list[anyio.CancelScope] = []
    async with serving(handler) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await followed(feed)
            scopes[0].cancel()
            received = await in_thread(client.read_response)
    assert received.complete
    assert received.body == b"end"
    assert feed.get_stats().followers == 0


@pytest.mark.parametrize("end", ["cancel", "close"])
async def test_a_write_that_stood_behind_a_follow_goes_out_at_once(serving: Serving, end: str) -> None:
    feed, behind, standing, over = Feed(), anyio.Event(), anyio.Event(), anyio.Event()
    scopes: list[anyio.CancelScope] = []
    writes: list[SendResult | None] = []

    async def handler(req: Request, io: IO) -> None:
        async def follow() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await io.follow(feed)

        async def write() -> None:
            await behind.wait()
            standing.set()
            writes.append(await io.write("end"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            tasks.start_soon(write)
            await over.wait()

    # No alarm may come to its help.
    async with serving(handler, header_timeout=60) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await followed(feed)
            feed.publish("tick,")
            await read_until_there(client, b"tick,")
            behind.set()
            await within_bound(standing)
            pump = await adopted(server, client)
            await until(lambda: not pump.flagged, "the driver knows of no more to do")
            assert writes == []
            scopes[0].cancel() if end == "cancel" else feed.close()
            # While the handler does nothing more.
            await read_until_there(client, b"end")
            over.set()
            assert (await in_thread(client.read_response)).body == b"tick,end"
    assert writes == [None]


async def test_a_defect_in_one_follower_costs_the_others_nothing(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Feed()

    def defective(taken: int, now: float) -> None:
        raise ZeroDivisionError

    async with serving(follower_of(feed)) as server:
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(4)]
            for client in clients:
                client.send(GET)
            await followed(feed, 4)
            feed.publish(tick(1))
            for client in clients:
                await read_until(client, 1)
            ill = await adopted(server, clients[1])
            monkeypatch.setattr(ill.connection, "feed_lane", None)
            (sweep,) = feed._sweeps.values()
            place = next(place for place, send in enumerate(sweep._sends) if send.__self__ is ill.socket)  # type: ignore[attr-defined]
            monkeypatch.setattr(ill.connection.protocol, "fell_short", defective)  # type: ignore[union-attr]
            sweep._sends[place] = lambda wire: 0
            feed.publish(tick(2))
            others = [clients[0], *clients[2:]]
            for client in others:
                assert await read_until(client, 2) == [1, 2]
            await followed(feed, 3)
            for number in (3, 4):
                feed.publish(tick(number))
                for client in others:
                    assert (await read_until(client, number))[-1] == number
            await in_thread(clients[1].receive)
            assert clients[1].ended == "reset"
    assert "a sweep failed" in caplog.text


async def test_the_example_tells_what_a_client_has_missed(serving: Serving) -> None:
    example = runpy.run_path(str(EXAMPLE))
    async with serving(example["app"]) as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            # More quotes than there are symbols: not all of them are the newest of one.
            await read_until_there(client, b"id: 12\n")
        with Client(server.addresses[0]) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 1\r\n\r\n")
            await read_until_there(client, b"id: ")
            assert re.search(rb"\nevent: gap\ndata: \d+\n\n", client.wire)


@pytest.mark.usefixtures("many_files")
async def test_stalled_followers_do_not_hold_up_the_others(serving: Serving) -> None:
    feed = Feed()
    async with serving(follower_of(feed), max_conn_per_thread=FOLLOWERS * 2) as server:
        with ExitStack() as stack:
            connect = partial(Client, server.addresses[0], receive_buffer=4096)
            clients = [stack.enter_context(connect()) for _ in range(FOLLOWERS)]
            for client in clients:
                client.send(GET)
            await followed(feed, FOLLOWERS)
            stalled, healthy = clients[::2], clients[1::2]
            number = 0
            while feed.get_stats().skipped < len(stalled) * 5:
                number += 1
                feed.publish(tick(number))
                # The healthy ones have each tick before the next: their age doesn't depend on the others.
                await until(partial(have_read, healthy, number), "the healthy ones have the tick")
            for client in healthy:
                assert numbers(bytes(client.wire)) == list(range(1, number + 1))
            stats = feed.get_stats()
            pending = stats.published * FOLLOWERS - stats.delivered - stats.skipped
            assert 0 < pending <= len(stalled), "one payload for each key and follower"
            seen = await read_until(stalled[0], number)
            assert seen == sorted(set(seen))
            assert len(seen) < number


def have_read(clients: list[Client], number: int) -> bool:
    """Reads what there is; tells whether each has got the tick."""
    for client in clients:
        while b"<%d>" % number not in client.wire[-TICK - 20 :] and client.receive_ready():
            pass
    return all(numbers(bytes(client.wire[-TICK - 20 :])) == [number] for client in clients)
