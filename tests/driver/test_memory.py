"""Memory goes when the client goes, without the cyclic collector."""

import gc
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from typing import Any

import anyio
import pytest
from tests.driver.harness import Client, Serving, in_thread, until
from tests.driver.net import Net
from tests.driver.uploader import Uploader

from httpng_core import Connection, Exchange, GeneratorIO, Pending, Request
from httpng_driver import IO
from httpng_driver.loop import Pump

pytestmark = pytest.mark.anyio

KEPT = (Pump, Connection, Exchange, Request, IO, GeneratorIO)
ROUNDS = 10
CLIENTS = 4
BODY = bytes(100_000)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    # What is frozen isn't among the objects of the collector: only what the test makes is counted.
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()


def alive() -> dict[str, int]:
    """How many there are of each kind that comes with clients, and that this test has made."""
    counts = {kind.__name__: 0 for kind in KEPT}
    for one in gc.get_objects():
        if type(one) in KEPT:
            counts[type(one).__name__] += 1
    return counts


NOBODY = dict.fromkeys((kind.__name__ for kind in KEPT), 0)


async def gone() -> None:
    await until(lambda: alive() == NOBODY, f"all is gone: {alive()}")


def plain(req: Request) -> str:
    return f"{len(req.body)}"


def generator(req: Request, io: GeneratorIO) -> Generator[Pending, Any, str]:
    yield io.write(b"begun")
    yield io.wait(1 << 40, 5)
    return "and done"


async def coroutine(req: Request, io: IO) -> str:
    await io.write(b"begun")
    with anyio.move_on_after(5):
        await io.wait_cancelled()
    return "and done"


def part_of_a_body(client: Client) -> None:
    """Send a part of a body, and no more; what of it has been read doesn't matter."""
    if hasattr(client, "h2"):
        client.request(method="POST", headers=[("content-length", "200000")])
        return
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + BODY[:50_000])


async def test_clients_that_reset_in_the_middle_of_a_body(net: Net) -> None:
    async with net.serving(plain) as server:
        for _ in range(ROUNDS):
            for _ in range(CLIENTS):
                async with net.connect(server) as client:
                    part_of_a_body(client)
                    await until(lambda: server.connections, "it is served")
                    client.reset()
            await until(lambda: server.connections == 0)
            await gone()


@pytest.mark.parametrize("handler", [plain, generator, coroutine])
async def test_clients_that_reset_in_the_middle_of_a_response(net: Net, handler: Callable[..., Any]) -> None:
    async with net.serving(handler) as server:
        for _ in range(ROUNDS):
            for _ in range(CLIENTS):
                async with net.connect(server) as client:
                    client.request()
                    await in_thread(client.read_body, 1)
                    client.reset()
            await until(lambda: server.connections == 0)
            await gone()


async def test_connections_that_close_after_their_answer(serving: Serving) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n" + BODY
    async with serving(plain) as server:
        for _ in range(ROUNDS):
            for _ in range(CLIENTS):
                with Client(server.addresses[0]) as client:
                    assert (await in_thread(client.ask, request)).body == b"100000"
            await gone()


async def test_what_a_kept_connection_keeps(net: Net) -> None:
    """Of requests that were answered it keeps nothing."""
    async with net.serving(plain) as server, net.connect(server) as client:
        for _ in range(ROUNDS):
            assert (await in_thread(client.get)).body == b"0"
        expected = {**NOBODY, "Pump": 1, "Connection": 1}
        await until(lambda: alive() == expected, f"{alive()}")


async def test_a_body_is_held_once_while_its_handler_runs(serving: Serving) -> None:
    size = 4_000_000
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    held: list[int] = []

    async def handler(req: Request, io: IO) -> str:
        held.append(tracemalloc.get_traced_memory()[0])
        return f"{len(req.body)}"

    async with serving(handler, max_body_len=size) as server:
        with Client(server.addresses[0]) as client:
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                received = await in_thread(client.ask, request)
                after = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
    assert received.body == b"%d" % size
    assert size <= held[0] - before < 1.2 * size
    assert after - before < 0.2 * size


async def read_all(req: Request, io: IO) -> str:
    return f"{sum([len(piece) async for piece in req.stream()])}"


async def read_a_little(req: Request, io: IO) -> str:
    return f"{len(await req.read(1))}"


def generator_reads(req: Request, io: GeneratorIO) -> Generator[Any, Any, str]:
    size = 0
    while piece := (yield req.read()):
        size += len(piece)
    return f"{size}"


@pytest.mark.parametrize("handler", [read_all, read_a_little, generator_reads])
@pytest.mark.parametrize("whole", [True, False])
async def test_uploads_that_are_streamed(net: Net, handler: Callable[..., Any], whole: bool) -> None:
    """Whether the handler reads it all, and whether the client stays for that."""
    async with net.serving(handler, stream_bodies=True) as server:
        for _ in range(2):
            async with net.connect(server) as client:
                upload = Uploader(client, 2000)
                upload.send(BODY[: 2000 if whole else 1000])
                if whole or handler is read_a_little:
                    assert (await in_thread(client.read_response)).status == 200
                else:
                    await until(lambda: server.connections, "it is served")
                client.reset()
            await until(lambda: server.connections == 0)
            await gone()
