"""Followers in step over sockets, on every transport: their clients decode just what was published."""

from contextlib import AsyncExitStack

import pytest
from tests.driver.harness import Client, adopted, exchanges_of, in_thread, kernel_accepted, until
from tests.driver.net import Net
from tests.driver.test_feed import follower_of

from httpng_driver import Feed

pytestmark = pytest.mark.anyio

FOLLOWERS = 12
SIZES = [1, 30, 400, 3000, 9000, 16_319, 16_320, 17_000]
"""Those of a few frames each, of about a record of TLS, and those that aren't sent in step."""


async def read_all(client: Client, size: int) -> bytes:
    def read() -> None:
        while len(client.body) < size and client.receive():
            pass

    client.open_windows()
    await in_thread(read)
    return bytes(client.body)


async def test_clients_in_step_decode_just_what_was_published(net: Net) -> None:
    feed = Feed(policy="every", max_queued=1 << 20)
    async with net.serving(follower_of(feed)) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(net.connect(server)) for _ in range(FOLLOWERS)]
        for client in clients:
            client.request()
        await until(lambda: feed.get_stats().followers == FOLLOWERS, "all follow")
        published = b""
        for number, size in enumerate(SIZES * 3):
            payload = (b"<%d>" % number).ljust(size, b".")
            published += payload
            feed.publish(payload)
            if number % 4 == 3:
                for client in clients:
                    assert await read_all(client, len(published)) == published
        await until(lambda: feed.statistics().loops[0].in_step == FOLLOWERS, "all are in step")
        for number in range(20):
            payload = b"<last %d>" % number
            published += payload
            feed.publish(payload)
        for client in clients:
            assert await read_all(client, len(published)) == published
            pump = await adopted(server, client)
            assert kernel_accepted(pump.socket) == pump.taken == client.read
            (exchange,) = exchanges_of(pump)
            stats = exchange.stats(0.0)
            assert stats.sent == stats.current == len(published)
        assert feed.statistics().loops[0].in_step == FOLLOWERS
        feed.close()
        for client in clients:
            assert (await in_thread(client.read_response)).complete
    assert feed.get_stats().delivered == FOLLOWERS * (3 * len(SIZES) + 20)
