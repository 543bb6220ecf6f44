"""Half-closes and resets: when they cancel, who is told, and what still arrives."""

import anyio
import pytest
from tests.driver.harness import Observed, adopted, in_thread, until, within_bound
from tests.driver.net import TRANSPORTS, Net

from httpng_core import Request, SendResult, SendStats
from httpng_driver import IO, Server

pytestmark = pytest.mark.anyio

PIECE = b"a piece of the body" * 5_000
RULES = ["streaming", "always", "never"]


async def stream(io: IO) -> list[SendResult | None]:
    return [await io.write(PIECE) for _ in range(10)]


@pytest.mark.parametrize("rule", RULES)
async def test_a_fin_in_one_segment_with_the_request(net: Net, rule: str) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> list[SendResult | None]:
        return await stream(io)

    async with (
        net.serving(handler, cancel_on_half_close=rule) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.half_close(client.prepare())
        received = await in_thread(client.read_response)
        results = await handler.outcome()
    if rule == "always":
        assert all(result is not None and result.cancelled for result in results)
        assert client.was_reset
    else:
        assert results == [None] * 10
        assert received.body == PIECE * 10
        assert received.complete


@pytest.mark.parametrize("rule", RULES)
async def test_a_fin_before_the_response_began(net: Net, rule: str) -> None:
    begin = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> list[SendResult | None]:
        await within_bound(begin)
        return await stream(io)

    async with (
        net.serving(handler, cancel_on_half_close=rule) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        pump = await adopted(server, client)
        client.half_close()
        await until(lambda: not pump.connection.wants_read, "the server has seen the FIN")
        begin.set()
        received = await in_thread(client.read_response)
        results = await handler.outcome()
    if rule == "always":
        assert all(result is not None and result.cancelled for result in results)
        assert client.was_reset
    else:
        assert results == [None] * 10
        assert received.body == PIECE * 10
        assert received.complete


@pytest.mark.parametrize("rule", RULES)
async def test_a_fin_after_the_response_began(net: Net, rule: str) -> None:
    seen = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> list[SendResult | None]:
        await io.write(PIECE)
        await within_bound(seen)
        return await stream(io)

    async with (
        net.serving(handler, cancel_on_half_close=rule) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        pump = await adopted(server, client)
        await in_thread(client.read_body, len(PIECE))
        client.half_close()
        await until(lambda: not pump.connection.wants_read, "the server has seen the FIN")
        seen.set()
        received = await in_thread(client.read_response)
        results = await handler.outcome()
    if rule == "never":
        assert results == [None] * 10
        assert received.body == PIECE * 11
        assert received.complete
    else:
        assert all(result is not None and result.cancelled for result in results)
        assert [result.body_bytes_sent for result in results if result is not None] == [0] * 10
        assert not received.complete


@pytest.mark.parametrize("rule", RULES)
async def test_a_complete_response_is_flushed_whatever_the_client_half_closes(net: Net, rule: str) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> list[SendResult | None]:
        return await stream(io)

    async with (
        net.serving(handler, cancel_on_half_close=rule) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        assert await handler.outcome() == [None] * 10
        pump = await adopted(server, client)
        await net.standstill(pump, client)
        client.half_close()
        await until(lambda: not pump.connection.wants_read, "the server has seen the FIN")
        received = await in_thread(client.read_response)
    assert received.body == PIECE * 10
    assert received.complete


async def test_a_reset_while_a_write_waits(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> tuple[SendResult | None, SendResult, SendStats]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(io.wait_cancelled)
            written = await io.write(PIECE * 100, timeout=float("inf"))
        # The group has ended, so wait_cancelled() woke.
        return written, await io.wait(0), io.get_send_stats()

    async with (
        net.serving(handler, default_send_window=65536) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        pump = await adopted(server, client)
        await net.standstill(pump, client)
        client.reset()
        written, waited, stats = await handler.outcome()
        await until(lambda: server.connections == 0)
    assert written is not None
    assert written.cancelled
    assert written.headers_were_sent
    assert 0 < written.body_bytes_sent < len(PIECE) * 100
    assert waited.cancelled
    assert stats.cancelled
    assert stats.current == written.body_bytes_sent
    assert stats.lag == 0


@pytest.mark.parametrize("leave", ["half_close", "close", "reset"])
async def test_a_client_that_leaves_while_the_handler_idles(net: Net, leave: str) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> SendStats:
        await io.write(b"the newest value")
        await io.wait_cancelled()
        await io.wait_cancelled()
        return io.get_send_stats()

    async with (
        net.serving(handler) as server,
        net.connect(server) as client,
    ):
        client.request()
        await in_thread(client.read_body, 16)
        getattr(client, leave)()
        stats = await handler.outcome()
        await until(lambda: server.connections == 0)
    assert stats.cancelled
    assert stats.sent == stats.current == 16


async def test_a_reset_after_a_half_close_that_did_not_cancel(net: Net) -> None:
    """Nothing is read or written any more: the poller itself must tell."""

    @Observed
    async def handler(req: Request, io: IO) -> SendStats:
        await io.write(b"the newest value")
        await io.wait_cancelled()
        return io.get_send_stats()

    async with (
        net.serving(handler, cancel_on_half_close="never") as server,
        net.connect(server) as client,
    ):
        client.request()
        pump = await adopted(server, client)
        await in_thread(client.read_body, 16)
        client.half_close()
        await until(lambda: not pump.connection.wants_read, "the server has seen the FIN")
        client.reset()
        stats = await handler.outcome()
    assert stats.cancelled


async def test_a_response_that_is_not_wanted_any_more(net: Net) -> None:
    """On HTTP/1.1 that ends the connection; on HTTP/2 the stream, and others go on."""

    @Observed
    async def handler(req: Request, io: IO) -> SendStats | None:
        if req.path == "/next":
            await io.write(b"the next one")
            return None
        written = await io.write(PIECE * 100, timeout=float("inf"))
        assert written is not None
        assert written.cancelled
        return io.get_send_stats()

    async with (
        net.serving(handler, default_send_window=65536) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        pump = await adopted(server, client)
        await net.standstill(pump, client)
        client.abandon()
        stats = await handler.outcome()
        if net.transport.http2:
            received = await in_thread(client.get, "/next")
            assert received.body == b"the next one"
            assert server.connections == 1
        else:
            await until(lambda: server.connections == 0)
    assert stats is not None
    assert stats.cancelled
    assert stats.lag == 0


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_client_that_leaves_while_others_are_served(net: Net, leave: str) -> None:
    """Every moment of leaving: with the request unfinished, unanswered, half answered."""

    async def handler(req: Request, io: IO) -> None:
        for _ in range(20):
            await io.write(PIECE, timeout=0.5)

    async with net.serving(handler) as server:
        for requests, size in ((1, 0), (1, 3), (1, -3), (1, None), (3, None)):
            for reads in (0, 1, 100_000):
                await leave_early(net, server, requests, size, reads, leave)
        async with net.connect(server) as client:
            received = await in_thread(client.get)
        await until(lambda: server.connections == 0)
    assert received.body == PIECE * 20


async def leave_early(
    net: Net, server: Server, requests: int, size: int | None, reads: int, leave: str
) -> None:
    """Sends so much of so many requests; reads so many bytes of a response; leaves."""
    async with net.connect(server, receive_buffer=65536) as client:
        client.send(b"".join(client.prepare() for _ in range(requests))[:size])
        if size is None and reads:
            await in_thread(client.read_wire, client.read + reads)
        getattr(client, leave)()


@pytest.mark.parametrize("transport", [each for each in TRANSPORTS if each.tls], ids=str, indirect=True)
async def test_a_client_that_leaves_before_its_handshake(net: Net) -> None:
    async with net.serving(lambda req: "served") as server:
        for leave in ("close", "reset", "half_close"):
            with net.client(server) as client:
                getattr(client, leave)()
        async with net.connect(server) as client:
            assert (await in_thread(client.get)).body == b"served"
        await until(lambda: server.connections == 0)
