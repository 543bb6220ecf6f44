"""Records up to the window are never torn: whole in what the client decodes, or not there at all.

The handler drives its own client between its writes, so each run is another order of writes, refusals
and reads, and none waits for a thread.
"""

import random
import struct

import anyio
import anyio.lowlevel
import pytest
from tests.driver.harness import Client, in_thread, within_bound
from tests.driver.net import CLOSED_WINDOWS, TRANSPORTS, Net

from httpng_core import Request
from httpng_driver import IO

ON = [*TRANSPORTS, CLOSED_WINDOWS[0]]
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("transport", ON, ids=str, indirect=True)]

HEAD = struct.Struct("!II")
RECEIVE_BUFFER = 16384


class Run:
    """One response: records of random sizes, hardly any patience, a client that reads now and then."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.window = self.chance.choice([100, 4_000, 16_384, 20_000, 65_536])
        self.accepted: list[bytes] = []
        self.refused = 0
        self.over = anyio.Event()

    async def handle(self, io: IO, client: Client) -> None:
        chance = self.chance
        io.send_window = self.window
        for number in range(chance.randrange(5, 60)):
            await self.write(io, self.record(number))
            if chance.random() < 0.3:
                client.receive_ready(chance.randrange(1, 20_000))
            if chance.random() < 0.1:
                await anyio.lowlevel.checkpoint()
        await io.close()
        self.over.set()

    def record(self, number: int) -> bytes:
        size = self.chance.randrange(self.window - HEAD.size + 1)
        return HEAD.pack(number, size) + bytes([number]) * size

    async def write(self, io: IO, record: bytes) -> None:
        result = await io.write(record, timeout=self.chance.choice([0, 0, 0.0005]))
        if result is None or result.body_bytes_sent == len(record):
            self.accepted.append(record)
        else:
            assert not result.cancelled
            assert result.body_bytes_sent == 0, "torn"
            self.refused += 1


async def check_runs(net: Net, seeds: range) -> None:
    runs = [Run(seed) for seed in seeds]
    following = iter(runs)
    client: Client

    async def handler(req: Request, io: IO) -> None:
        await next(following).handle(io, client)

    async with net.serving(handler) as server, net.connect(server, receive_buffer=RECEIVE_BUFFER) as client:
        for run, seed in zip(runs, seeds, strict=True):
            client.request()
            await within_bound(run.over)
            received = await in_thread(client.read_response)
            assert received.complete, f"seed {seed}"
            assert received.body == b"".join(run.accepted), f"seed {seed}"
    assert sum(run.refused for run in runs) > len(runs), "most runs had records refused"


LOOPS = ["asyncio", "uvloop", "trio"]
RUNS = 84


def first_seed(net: Net, request: pytest.FixtureRequest) -> int:
    """Other runs for each loop and transport."""
    loop = next(name for name in LOOPS if name in request.node.callspec.id)
    return RUNS * (LOOPS.index(loop) * len(ON) + ON.index(net.transport))


async def test_records_are_never_torn(net: Net, request: pytest.FixtureRequest) -> None:
    """A thousand runs in all."""
    first = first_seed(net, request)
    await check_runs(net, range(first, first + RUNS))


@pytest.mark.soak
async def test_records_are_never_torn_in_thousands_of_runs(net: Net, request: pytest.FixtureRequest) -> None:
    first = 10_000 * (1 + first_seed(net, request) // RUNS)
    await check_runs(net, range(first, first + 1000))
