"""`io` belongs to the loop of its exchange: a call from another thread raises and changes nothing."""

import threading
from collections.abc import Callable, Generator
from typing import Any

import anyio
import pytest
from tests.driver.harness import GET, Client, Serving, in_thread, until
from tests.driver.net import Net

from httpng_core import GeneratorIO, Pending, Request
from httpng_driver import IO, Feed

pytestmark = pytest.mark.anyio

AnyIO = Any
CALLS: dict[str, Callable[[AnyIO], object]] = {
    "write": lambda io: io.write(b"torn"),
    "write_header": lambda io: io.write_header(200),
    "wait": lambda io: io.wait(0),
    "follow": lambda io: io.follow(Feed()),
    "close": lambda io: io.close(),
    "abort": lambda io: io.abort(),
    "get_send_stats": lambda io: io.get_send_stats(),
    "get_follow_stats": lambda io: io.get_follow_stats(),
}


def made(io: AnyIO, call: str) -> Exception | None:
    """Make a call in this thread, and let it go on as far as it can; return what it raised."""
    try:
        step = CALLS[call](io)
        if hasattr(step, "send"):
            step.send(None)
    except StopIteration:
        return None
    except Exception as error:
        return error
    return None


def told(error: Exception | None) -> str:
    assert isinstance(error, RuntimeError)
    return str(error)


@pytest.mark.parametrize("call", [*CALLS, "wait_cancelled"])
async def test_a_call_from_another_thread_raises_and_changes_nothing(net: Net, call: str) -> None:
    held: list[IO] = []
    go_on, waits = anyio.Event(), {"wait_cancelled": lambda io: io.wait_cancelled()}
    CALLS.update(waits)

    async def handler(req: Request, io: IO) -> str:
        await io.write(b"begun ")
        held.append(io)
        await go_on.wait()
        return "and done"

    async with net.serving(handler) as server, net.connect(server) as client:
        client.request()
        await in_thread(client.read_body, 6)
        before = held[0].get_send_stats()
        error = await in_thread(made, held[0], call)
        assert "another thread" in told(error)
        assert "call_soon_threadsafe" in told(error)
        assert "Feed" in told(error)
        assert held[0].get_send_stats() == before
        go_on.set()
        received = await in_thread(client.read_response)
        assert (received.body, received.complete) == (b"begun and done", True)


@pytest.mark.parametrize("call", [call for call in CALLS if call != "wait_cancelled"])
async def test_the_same_of_a_generators_io(net: Net, call: str) -> None:
    held: list[GeneratorIO] = []
    go_on = threading.Event()

    def handler(req: Request, io: GeneratorIO) -> Generator[Pending, Any, str]:
        yield io.write(b"begun ")
        held.append(io)
        while not go_on.is_set():
            yield io.wait(1 << 40, 0.01)
        return "and done"

    async with net.serving(handler) as server, net.connect(server) as client:
        client.request()
        await in_thread(client.read_body, 6)
        assert "another thread" in told(await in_thread(made, held[0], call))
        go_on.set()
        received = await in_thread(client.read_response)
        assert (received.body, received.complete) == (b"begun and done", True)


@pytest.mark.parametrize("form", ["async", "generator"])
async def test_with_several_threads_each_io_is_used_in_its_own(  # noqa: C901 - two forms of one handler
    serving: Serving, form: str
) -> None:
    """A chat that writes to all the `io`s that it has kept gets an error for those of other loops."""
    held: list[tuple[AnyIO, str]] = []
    outcomes: dict[tuple[str, str], Exception | None] = {}
    go_on = threading.Event()

    def write_to_all() -> None:
        here = threading.current_thread().name
        for io, there in tuple(held):
            outcomes[here, there] = made(io, "get_send_stats")

    async def coroutine(req: Request, io: IO) -> str:
        if req.path == "/write":
            write_to_all()
            return "written"
        await io.write(b"begun ")
        held.append((io, threading.current_thread().name))
        while not go_on.is_set():  # noqa: ASYNC110 - a thread sets it
            await anyio.sleep(0.01)
        return "and done"

    def generator(req: Request, io: GeneratorIO) -> Generator[Pending, Any, str]:
        if req.path == "/write":
            write_to_all()
            return "written"
        yield io.write(b"begun ")
        held.append((io, threading.current_thread().name))
        while not go_on.is_set():
            yield io.wait(1 << 40, 0.01)
        return "and done"

    handler: object = coroutine if form == "async" else generator
    async with serving(handler, threads=2) as server:
        clients = [Client(server.addresses[0]) for _ in range(4)]
        for client in clients[:2]:
            client.send(GET)
        await until(lambda: len(held) == 2)
        for client in clients[2:]:
            received = await in_thread(client.ask, b"GET /write HTTP/1.1\r\nHost: x\r\n\r\n")
            assert received.body == b"written"
        assert len({there for _, there in held}) == 2
        for (here, there), error in outcomes.items():
            assert (error is None) == (here == there)
        assert any(here != there for here, there in outcomes)
        go_on.set()
        for client in clients[:2]:
            received = await in_thread(client.read_response)
            assert (received.body, received.complete) == (b"begun and done", True)
        for client in clients:
            client.close()
