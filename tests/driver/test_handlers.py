"""What handlers return and raise, what they cost, and how long one may keep the others waiting."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
import trio
from tests.driver.harness import Observed, Received, in_thread, within_bound
from tests.driver.net import Net

from httpng_core import CALLS_PER_TURN, SECONDS_PER_TURN, Request, Response
from httpng_driver import IO, Server

pytestmark = pytest.mark.anyio

Serves = AbstractAsyncContextManager[Server]


async def ask(net: Net, handler: object, **cfg: object) -> Received:
    async with net.serving(handler, **cfg) as server, net.connect(server) as client:
        return await in_thread(client.get)


RETURNED = [
    pytest.param(None, 200, b"", id="None"),
    pytest.param("grüße", 200, "grüße".encode(), id="str"),
    pytest.param(b"\0\xff", 200, b"\0\xff", id="bytes"),
    pytest.param({}, 200, b"", id="empty dict"),
    pytest.param({"status": 404, "headers": {"x-y": "z"}, "body": "gone"}, 404, b"gone", id="dict"),
    pytest.param(Response(status=201, body=b"made"), 201, b"made", id="Response"),
    pytest.param({"body": bytes(3_000_000)}, 200, bytes(3_000_000), id="longer than the window"),
]
MISTAKES = [
    pytest.param(5, "int", id="int"),
    pytest.param({"code": 200}, "code", id="unknown key"),
    pytest.param({"status": 99}, "99", id="status"),
    pytest.param({"headers": {"x": "a\r\nb"}}, "a control character", id="header"),
    pytest.param({"body": 5}, "int", id="body"),
]


@asynccontextmanager
async def by_a_stopped_clock(serving: Serves) -> AsyncIterator[Server]:
    """No handler's turn ends for the time that it took, however busy the machine is."""
    async with serving as server:
        stopped_at = time.monotonic()
        server.hub.clock = server.hub.runner.clock = lambda: stopped_at
        yield server


@pytest.mark.parametrize("kind", ["async", "plain"])
@pytest.mark.parametrize(("returned", "status", "body"), RETURNED)
async def test_what_a_handler_may_return(
    net: Net, kind: str, returned: object, status: int, body: bytes
) -> None:
    async def handler(req: Request, io: IO) -> object:
        return returned

    def plain(req: Request) -> object:
        return returned

    received = await ask(net, handler if kind == "async" else plain)
    assert (received.status, received.body, received.complete) == (status, body, True)
    assert received.headers is not None
    assert received.headers["content-length"] == str(len(body))
    assert "date" in received.headers


@pytest.mark.parametrize("kind", ["async", "plain"])
@pytest.mark.parametrize(("returned", "told"), MISTAKES)
async def test_a_mistake_of_a_handler_is_a_500_and_logged(
    net: Net, caplog: pytest.LogCaptureFixture, kind: str, returned: object, told: str
) -> None:
    async def handler(req: Request, io: IO) -> object:
        return returned

    def plain(req: Request) -> object:
        return returned

    with caplog.at_level(logging.ERROR, "httpng"):
        received = await ask(net, handler if kind == "async" else plain)
    assert (received.status, received.body) == (500, b"Path handler execution error")
    (record,) = caplog.records
    assert record.getMessage().startswith("handler error on GET / of 127.0.0.1 (answered with 500): ")
    assert told in record.getMessage()
    assert record.exc_info is None, "it would show nothing of the handler"


@pytest.mark.parametrize("begun", ["nothing", "headers given", "accepted"])
async def test_raising_before_anything_was_sent_is_a_500(
    net: Net, caplog: pytest.LogCaptureFixture, begun: str
) -> None:
    """What was accepted is dropped: the kernel hasn't been asked yet."""

    async def handler(req: Request, io: IO) -> None:
        if begun == "accepted":
            await io.write(b"never sent")
        elif begun == "headers given":
            io.headers["x-never"] = "sent"
        raise RuntimeError("the reason")

    with caplog.at_level(logging.ERROR, "httpng"):
        async with by_a_stopped_clock(net.serving(handler)) as server, net.connect(server) as client:
            first = await in_thread(client.get)
            second = await in_thread(client.get)
    for received in (first, second):
        assert (received.status, received.body) == (500, b"Path handler execution error")
        assert received.headers is not None
        assert "x-never" not in received.headers
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["the reason"] * 2


@pytest.mark.parametrize("length", [None, 1000])
async def test_raising_after_the_response_began_cuts_it_short(
    net: Net, caplog: pytest.LogCaptureFixture, length: int | None
) -> None:
    client_has_read = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        if length is not None:
            io.headers["content-length"] = length
        await io.write(b"begun")
        await within_bound(client_has_read)
        raise RuntimeError("the reason")

    with caplog.at_level(logging.ERROR, "httpng"):
        async with net.serving(handler) as server, net.connect(server) as client:
            client.request()
            received = await in_thread(client.read_body, 5)
            client_has_read.set()
            cut = await in_thread(client.read_response)
    assert received.body == b"begun"
    assert client.was_cut_short
    assert not cut.complete
    assert len(caplog.records) == 1


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False})])
async def test_who_awaits_what_was_cancelled_has_failed(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    """Its own task is not cancelled."""

    async def handler(req: Request, io: IO) -> None:
        other = asyncio.create_task(anyio.sleep_forever())
        other.cancel()
        await other

    with caplog.at_level(logging.ERROR, "httpng"):
        received = await ask(net, handler)
    assert (received.status, received.body) == (500, b"Path handler execution error")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], asyncio.CancelledError)


async def test_an_error_of_one_handler_does_not_hurt_another(net: Net) -> None:
    release = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        await io.write(b"before ")
        if req.path == "/raise":
            raise RuntimeError("the reason")
        await within_bound(release)
        await io.write(b"and after")

    async with net.serving(handler) as server, net.connect(server) as well, net.connect(server) as ill:
        well.request()
        await in_thread(well.read_body, 7)
        await in_thread(ill.get, "/raise")
        release.set()
        received = await in_thread(well.read_response)
    assert received.body == b"before and after"


def count_tasks(backend: str) -> int:
    if backend == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


async def test_a_plain_function_costs_no_task(net: Net, anyio_backend_name: str) -> None:
    counts: dict[str, int] = {}

    def plain(req: Request) -> str:
        counts["plain"] = count_tasks(anyio_backend_name)
        return "plain"

    async def handler(req: Request, io: IO) -> str:
        counts["async"] = count_tasks(anyio_backend_name)
        return "async"

    for function in (plain, handler):
        received = await ask(net, function)
        assert received.body == function.__name__.replace("handler", "async").encode()
    assert counts["async"] == counts["plain"] + 1


class Turns:
    """Counts how many writes a handler makes between two turns of the loop."""

    def __init__(self) -> None:
        self.writes = 0
        self.most = 0
        self.stop = False

    async def count(self) -> None:
        while not self.stop:
            self.writes = 0
            await anyio.lowlevel.checkpoint()
            self.most = max(self.most, self.writes)


async def most_between_turns(
    net: Net, call: str, seconds: float, calls: int, by: Callable[[Serves], Serves] = lambda serving: serving
) -> int:
    """How many calls a handler got through that always has room, while another task waited for its turn."""
    turns = Turns()

    @Observed
    async def handler(req: Request, io: IO) -> None:
        io.send_window = 1 << 40
        await anyio.lowlevel.checkpoint()
        for _ in range(calls):
            time.sleep(seconds)  # noqa: ASYNC251 - a handler that computes
            if call == "write":
                assert await io.write(b"there is room for this") is None
            else:
                assert (await io.wait(-(1 << 40))).reached
            turns.writes += 1
        turns.stop = True

    async with (
        by(net.serving(handler)) as server,
        net.connect(server) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(turns.count)
        client.request()
        await handler.outcome()
    return turns.most


def in_a_row(backend: str, most: int) -> int:
    """Trio shuffles what is due in a turn: the handler may come last in one and first in the next."""
    return most * 2 if backend == "trio" else most


@pytest.mark.parametrize("call", ["write", "wait"])
async def test_a_handler_that_always_has_room_lets_others_run(
    net: Net, anyio_backend_name: str, call: str
) -> None:
    """It is the calls that are counted."""
    most = await most_between_turns(net, call, 0.0, CALLS_PER_TURN * 12, by_a_stopped_clock)
    assert CALLS_PER_TURN // 2 < most <= in_a_row(anyio_backend_name, CALLS_PER_TURN)


@pytest.mark.parametrize("call", ["write", "wait"])
async def test_a_handler_that_computes_between_its_calls_lets_others_run(
    net: Net, anyio_backend_name: str, call: str
) -> None:
    most = await most_between_turns(net, call, SECONDS_PER_TURN / 2, 30)
    assert 0 < most <= in_a_row(anyio_backend_name, 3)


async def test_a_handler_learns_of_its_client_though_it_always_has_room(net: Net) -> None:
    """The turns that it gives are enough to see the reset."""

    @Observed
    async def handler(req: Request, io: IO) -> bool:
        io.send_window = 1 << 40
        until = time.monotonic() + 20
        while time.monotonic() < until:
            result = await io.write(b"x")
            if result is not None:
                return result.cancelled
        return False

    async with net.serving(handler) as server, net.connect(server, receive_buffer=65536) as client:
        client.request()
        await in_thread(client.read_body, 1)
        client.reset()
        assert await handler.outcome()
