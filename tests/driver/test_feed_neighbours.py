"""Feeds over sockets when something goes wrong beside them, and what stands in line behind a follow."""

import re
import socket
from contextlib import ExitStack

import anyio
import pytest
from tests.driver.harness import GET, Client, Observed, Serving, adopted, in_thread, until, within_bound

from httpng_core import Exchange, Request, SendResult
from httpng_driver import IO, Feed

pytestmark = pytest.mark.anyio

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

    # Of one of them what its socket takes of a broadcast is wrong, and what is done about it has a defect.
    ill: list[int] = []
    fell_short, send = Exchange.broadcast_fell_short, socket.socket.send

    def sent(sock: socket.socket, wire: bytes) -> int:
        to_the_ill = ill and sock.family == socket.AF_INET and sock.getpeername()[1] in ill
        return 0 if to_the_ill else send(sock, wire)

    def defective(exchange: Exchange, taken: int, now: float) -> None:
        if exchange.request.peer.port in ill:
            raise ZeroDivisionError
        fell_short(exchange, taken, now)

    monkeypatch.setattr(socket.socket, "send", sent)
    monkeypatch.setattr(Exchange, "broadcast_fell_short", defective)
    async with serving(follower_of(feed)) as server:
        with ExitStack() as stack:
            clients = [stack.enter_context(Client(server.addresses[0])) for _ in range(4)]
            for client in clients:
                client.send(GET)
            await followed(feed, 4)
            feed.publish(tick(1))
            for client in clients:
                await read_until(client, 1)
            await until(lambda: feed.statistics().loops[0].in_step == 4)
            ill.append(clients[1].port)
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
    assert "a broadcast failed" in caplog.text
