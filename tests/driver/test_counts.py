"""At every moment, whatever carries it and whoever is slow: `sent` is what the kernel has, `acked` no more
than what the client has.

The client reads a few bytes now and then, or all there is and opens its window a little; the handler has
hardly any patience. Both take their turns in one loop, and each turn is noted.
"""

import random
from collections.abc import Callable
from typing import Literal

import anyio
import anyio.lowlevel
import pytest
from tests.driver.counts import Counts
from tests.driver.harness import Client, adopted, in_thread, within_bound
from tests.driver.http2_client import Client2
from tests.driver.net import CLOSED_WINDOWS, TRANSPORTS, Net

from httpng_core import Request, SendStats, reached
from httpng_driver import IO

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("transport", TRANSPORTS + CLOSED_WINDOWS, ids=str, indirect=True),
]

RECEIVE_BUFFER = 16384
Until = Literal["sent", "acked"]
WRITES, MOST_WRITES = 60, 2000


class Impatient:
    """A handler that writes bodies of random sizes, of which it may get rid of a part only.

    Attributes:
        has_seen_enough: whether the client was slow often enough to tell anything; until then it writes.
    """

    def __init__(self, seed: int, window: int, until: Until) -> None:
        self._chance = random.Random(seed)
        self._window = window
        self._until = until
        self.io: IO | None = None
        self.has_seen_enough: Callable[[], bool] = lambda: False
        self.started, self.written, self.over = anyio.Event(), anyio.Event(), anyio.Event()
        self.accepted = bytearray()
        self.last: SendStats | None = None

    async def __call__(self, req: Request, io: IO) -> None:
        self.io = io
        io.send_window, io.window_until = self._window, self._until
        self.started.set()
        for number in range(MOST_WRITES):
            await self._write(io, bytes([number % 256]) * int(2 ** self._chance.uniform(0, 17)))
            if number >= WRITES and self.has_seen_enough():
                break
        self.written.set()
        assert reached(await io.wait(0, 20, "acked"))
        self.last = io.get_send_stats()
        await io.close()
        self.over.set()

    async def _write(self, io: IO, body: bytes) -> None:
        result = await io.write(body, timeout=self._chance.choice([0, 0.001, 0.02]))
        assert result is None or not result.cancelled
        size = len(body) if result is None else result.body_bytes_sent
        assert size in (0, len(body)) or len(body) > self._window, "torn"
        self.accepted += body[:size]


def read_a_little(net: Net, client: Client, chance: random.Random) -> None:
    """Or nothing at all."""
    if net.transport.stall == "socket":
        if chance.random() < 0.05:
            client.receive_ready(chance.randrange(1, 20_000))
        return
    assert isinstance(client, Client2)
    client.receive_ready()
    if chance.random() < 0.05:
        size = chance.choice([1, 1, 100, 10_000])
        client.give(size, 1 if net.transport.stall == "stream" else None)


@pytest.mark.parametrize("until", ["sent", "acked"])
@pytest.mark.parametrize("window", [0, 1, 64 * 1024])
async def test_the_books_balance(net: Net, window: int, until: Until) -> None:
    await check_counts(net, window, until, seed=window + len(until))


@pytest.mark.soak
@pytest.mark.parametrize("until", ["sent", "acked"])
@pytest.mark.parametrize("window", [0, 1, 10_000, 64 * 1024, 1 << 20])
async def test_the_books_balance_again_and_again(net: Net, window: int, until: Until) -> None:
    for seed in range(30):
        await check_counts(net, window, until, seed)


async def check_counts(net: Net, window: int, until: Until, seed: int) -> None:
    handler, chance = Impatient(seed, window, until), random.Random(seed)
    async with net.serving(handler) as server, net.connect(server, receive_buffer=RECEIVE_BUFFER) as client:
        client.request()
        await within_bound(handler.started)
        assert handler.io is not None
        counts = Counts(await adopted(server, client), handler.io)
        handler.has_seen_enough = lambda: counts.positions > 3
        while not handler.written.is_set():
            counts.note()
            read_a_little(net, client, chance)
            await anyio.lowlevel.checkpoint()
        counts.note()
        received = await in_thread(client.read_body, 1 << 40)
        await within_bound(handler.over)
    assert received.complete
    assert received.body == handler.accepted
    counts.balance(client, net.body(), net.body())
    assert counts.positions > 3
    assert handler.last is not None
    assert handler.last.acked == handler.last.sent == len(handler.accepted)
