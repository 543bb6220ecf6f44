"""The calls of `io` over a real socket: their timeouts, their order, their ends."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from tests.driver.harness import (
    Client,
    Observed,
    adopted,
    in_thread,
    until,
    within_bound,
)
from tests.driver.net import Net

from httpng_core import Request, ResponseStateError, SendResult, SendStats
from httpng_driver import IO
from httpng_driver.loop import Pump

pytestmark = pytest.mark.anyio

WINDOW = 64 * 1024
BIG = bytes(range(251)) * 20_000


@asynccontextmanager
async def stalled(net: Net, handler: object, **cfg: object) -> AsyncIterator[tuple[Client, Pump]]:
    """A client that has asked `handler` and doesn't read."""
    cfg.setdefault("default_send_window", WINDOW)
    async with net.serving(handler, **cfg) as server, net.connect(server, receive_buffer=65536) as client:
        client.request()
        yield client, await adopted(server, client)


async def fill(io: IO) -> int:
    """Writes until the window is full and the kernel takes no more; tells how much was accepted."""
    while True:
        while await io.write(b"-" * 1000, timeout=0) is None:
            pass
        # The kernel probes a window that is nearly full after 0.2 s, and may then take a little more.
        stats = io.get_send_stats()
        if not (await io.wait(stats.sent + 1, timeout=0.4)).reached:
            return stats.current


# Timeouts ---------------------------------------------------------------------------------------------


async def test_a_timeout_of_0_takes_what_the_socket_takes_now(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> tuple[int, int, SendStats]:
        first = await io.write(BIG, timeout=0)
        assert first is not None
        stats = io.get_send_stats()
        # Until it takes nothing any more: the receiver's window may have been announced late.
        taken = 0
        while (result := await io.write(BIG[first.body_bytes_sent + taken :], timeout=0)) is not None:
            if not result.body_bytes_sent:
                break
            taken += result.body_bytes_sent
            await anyio.sleep(0.01)
        await io.close()
        return first.body_bytes_sent, taken, stats

    async with stalled(net, handler, default_send_window=0) as (client, _):
        first, more, stats = await handler.outcome()
        received = await in_thread(client.read_response)
    assert first > 0
    assert stats.headers_were_sent
    assert stats.current == first
    assert stats.current - stats.sent <= 64 * 1024, "one frame, of which the kernel took a part"
    assert received.body == BIG[: first + more]


async def test_a_wait_with_a_timeout_of_0_tells_how_it_stands(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> list[bool]:
        await io.write(BIG, timeout=0.1)
        return [(await io.wait(position, 0)).reached for position in (1, len(BIG), -len(BIG))]

    async with stalled(net, handler):
        assert await handler.outcome() == [True, False, True]


async def test_an_infinite_timeout_waits_for_ever(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> list[object]:
        return [await io.write(BIG, math.inf), (await io.wait(0, math.inf)).reached]

    async with stalled(net, handler, default_send_timeout=0.05) as (client, pump):
        await net.standstill(pump, client)
        received = await in_thread(client.read_response)
        assert await handler.outcome() == [None, True]
    assert received.body == BIG


async def test_the_timeout_comes_from_the_call_else_io_else_the_setting(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> None:
        await fill(io)
        assert await io.write(BIG) is not None, "the setting's"
        io.send_timeout = math.inf
        assert await io.write(BIG, timeout=0.05) is not None, "the call's own"
        io.send_timeout = 0.05
        assert await io.write(BIG) is not None, "the attribute's"
        assert not (await io.wait(0)).reached
        io.send_timeout = None
        assert not (await io.wait(0)).reached

    async with stalled(net, handler, default_send_timeout=0.05):
        await handler.outcome()


async def test_the_window_is_read_when_the_call_starts(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> list[int]:
        io.send_window = WINDOW // 2
        await fill(io)
        before = io.get_send_stats()
        io.send_window = before.current - before.sent + 1000
        results = [await io.write(b"x" * size, timeout=0) for size in (1001, 1000, 1)]
        io.send_window = None
        results.append(await io.write(b"y", timeout=0))
        io.send_window = 0
        results.append(await io.write(b"z", timeout=0))
        results.append(await io.write(b"", timeout=0))
        return [-1 if result is None else result.body_bytes_sent for result in results]

    async with stalled(net, handler):
        assert await handler.outcome() == [0, -1, 0, -1, 0, 0]


@pytest.mark.parametrize("call", ["write", "write_header", "wait"])
@pytest.mark.parametrize("timeout", [-1, math.nan, "1", True])
async def test_a_wrong_timeout_raises_before_anything_else(net: Net, call: str, timeout: object) -> None:
    arguments = {"write": b"never sent", "write_header": 200, "wait": 0}

    @Observed
    async def handler(req: Request, io: IO) -> SendStats:
        with pytest.raises((ValueError, TypeError), match="timeout must be"):
            await getattr(io, call)(arguments[call], timeout=timeout)
        io.send_window = -1
        with pytest.raises(ValueError, match="send_window must be"):
            await io.write(b"never sent")
        return io.get_send_stats()

    async with stalled(net, handler) as (client, _):
        stats = await handler.outcome()
        received = await in_thread(client.read_response)
    assert stats.current == 0
    assert (received.status, received.body) == (200, b"")


# Waiting for positions --------------------------------------------------------------------------------


async def test_waits_for_positions(net: Net) -> None:
    client_reads = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> None:
        io.send_window = len(BIG)
        assert await io.write(BIG) is None
        await io.wait(-len(BIG) + 1)
        stats = io.get_send_stats()
        assert stats.current == len(BIG)
        assert stats.current - stats.sent < len(BIG)
        assert not (await io.wait(0, 0.05)).reached
        assert not (await io.wait(len(BIG), 0.05)).reached
        client_reads.set()
        for position in (1_000_000, 2_000_000, -100_000, -1, 0, len(BIG)):
            result = await io.wait(position)
            stats = io.get_send_stats()
            assert result.reached
            assert result.headers_were_sent
            assert not result.cancelled
            assert stats.sent >= position
            assert position > 0 or stats.current - stats.sent <= -position
        assert stats.lag == 0

    async with stalled(net, handler) as (client, _):
        await within_bound(client_reads)
        received = await in_thread(client.read_response)
        await handler.outcome()
    assert received.body == BIG


async def test_wait_0_waits_for_the_header_block(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> None:
        assert await io.write(b"") is None
        assert (await io.wait(0)).headers_were_sent
        assert io.get_send_stats().headers_were_sent

    async with stalled(net, handler):
        await handler.outcome()


async def test_write_header_returns_when_the_kernel_has_the_block(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> None:
        assert await io.write_header(201, {"x-first": "1"}) is None
        assert io.get_send_stats().headers_were_sent
        with pytest.raises(ResponseStateError):
            await io.write_header(200)
        await io.write("grüße")

    async with stalled(net, handler) as (client, _):
        received = await in_thread(client.read_response)
        await handler.outcome()
    assert received.status == 201
    assert received.headers is not None
    assert received.headers["x-first"] == "1"
    assert received.body == "grüße".encode()


# More than one task -----------------------------------------------------------------------------------


async def test_concurrent_writers_keep_their_order(net: Net) -> None:
    records = [bytes([number]) * (1 + number * 7919 % 60_000) for number in range(100)]
    lined_up = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> list[SendResult | None]:
        results: dict[int, SendResult | None] = {}

        async def write(number: int, *, task_status: anyio.abc.TaskStatus[None]) -> None:
            # What comes after this line runs up to the first wait before the starter goes on.
            task_status.started()
            results[number] = await io.write(records[number], timeout=math.inf)

        async with anyio.create_task_group() as tasks:
            for number in range(len(records)):
                await tasks.start(write, number)
            lined_up.set()
        return [results[number] for number in range(len(records))]

    async with stalled(net, handler) as (client, _):
        await within_bound(lined_up)
        received = await in_thread(client.read_response)
        assert await handler.outcome() == [None] * len(records)
    assert received.body == b"".join(records)


async def test_writers_that_time_out_leave_the_line(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> int:
        accepted = await fill(io)
        results: list[SendResult | None] = []

        async def write(body: bytes, timeout: float) -> None:
            results.append(await io.write(body, timeout))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, b"a" * WINDOW, 0.05)
            tasks.start_soon(write, b"b" * WINDOW, 0.05)
        assert [0 if result is None else result.body_bytes_sent for result in results] == [0, 0]
        await io.close()
        return accepted

    async with stalled(net, handler) as (client, _):
        accepted = await handler.outcome()
        received = await in_thread(client.read_response)
    assert received.body == b"-" * accepted


@pytest.mark.parametrize("window", [WINDOW, 0])
async def test_a_cancelled_task_sends_nothing_more_of_its_body(net: Net, window: int) -> None:
    cancelled = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> SendStats:
        with anyio.move_on_after(0.1) as scope:
            await io.write(BIG, timeout=math.inf)
        assert scope.cancelled_caught
        stats = io.get_send_stats()
        cancelled.set()
        # The response goes on, and the client reads again.
        assert await io.write(b"what follows") is None
        return stats

    async with stalled(net, handler, default_send_window=window) as (client, _):
        await within_bound(cancelled)
        received = await in_thread(client.read_response)
        stats = await handler.outcome()
    assert 0 < stats.current < len(BIG)
    assert received.body == BIG[: stats.current] + b"what follows"
    assert received.complete


async def test_a_cancelled_task_whose_record_had_no_room_sends_none_of_it(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> int:
        accepted = await fill(io)
        with anyio.move_on_after(0.05) as writing:
            await io.write(b"+" * 1000, math.inf)
        with anyio.move_on_after(0.05) as waiting:
            await io.wait(0, math.inf)
        assert writing.cancelled_caught
        assert waiting.cancelled_caught
        assert io.get_send_stats().current == accepted
        await io.close()
        return accepted

    async with stalled(net, handler) as (client, _):
        accepted = await handler.outcome()
        received = await in_thread(client.read_response)
    assert received.body == b"-" * accepted


# After the end ----------------------------------------------------------------------------------------


async def test_calls_after_the_end_return_at_once(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> None:
        await io.write(b"all of it")
        await io.close()
        await io.close()
        for body in (b"more", b""):
            late = await io.write(body)
            assert late is not None
            assert late.cancelled
            assert late.body_bytes_sent == 0
        with pytest.raises(TypeError):
            await io.write(5)  # type: ignore[arg-type]
        with pytest.raises(ResponseStateError):
            await io.write_header(200)
        await io.wait_cancelled()
        waited = await io.wait(0)
        assert waited.reached
        assert io.get_send_stats().current == 9

    async with stalled(net, handler) as (client, _):
        received = await in_thread(client.read_response)
        await handler.outcome()
        again = await in_thread(client.get)
    assert received.body == again.body == b"all of it"


async def test_tasks_that_outlive_the_handler_are_told(net: Net) -> None:
    """What still waits when the handler returns settles: writers as cancelled, waits once all is flushed."""
    results: list[SendResult | None] = []
    waiting = anyio.Event()

    async with anyio.create_task_group() as tasks:

        @Observed
        async def handler(req: Request, io: IO) -> None:
            async def write() -> None:
                results.append(await io.write(BIG, math.inf))

            async def wait() -> None:
                results.append(await io.wait(0, math.inf))

            async def over() -> None:
                await io.wait_cancelled()
                results.append(None)

            io.send_window = len(BIG)
            await io.write(BIG)
            for function in (write, wait, over):
                tasks.start_soon(function)
            await anyio.sleep(0.05)
            waiting.set()

        async with stalled(net, handler) as (client, _):
            await handler.outcome()
            await until(lambda: len(results) == 1)
            assert results[0] is not None
            assert results[0].cancelled
            assert results[0].body_bytes_sent == 0
            received = await in_thread(client.read_response)
            await until(lambda: len(results) == 3)
        assert client.was_cut_short
    # The write that was called last has not been accepted: what was, comes, and can't pass for all.
    assert received.body == BIG
    assert not received.complete
    waited = next(result for result in results[1:] if result is not None)
    assert waited.reached


async def test_a_long_write_cut_by_the_handlers_end_is_cut_short(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> int:
        result = await io.write(BIG, timeout=0.1)
        assert result is not None
        return result.body_bytes_sent

    async with stalled(net, handler) as (client, _):
        await handler.outcome()
        received = await in_thread(client.read_response)
    assert client.was_cut_short
    assert not received.complete
