"""Clients that are gone are missed: a FIN behind bytes that nobody reads, and peers that say nothing."""

import socket
from math import inf
from typing import Any

import anyio
import pytest
from tests.driver.harness import GET, Client, Observed, Serving, adopted, in_thread, pump_of
from tests.driver.net import TRANSPORTS, Net, Transport

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio

AHEAD = GET * (100_000 // len(GET))
"""More than is read ahead, and less than the kernel holds beside that: else it could not have the FIN."""


@pytest.mark.parametrize("transport", [transport for transport in TRANSPORTS if not transport.http2], ids=str)
@pytest.mark.parametrize("rule", ["streaming", "always"])
async def test_a_fin_behind_bytes_that_are_not_read_cancels(
    net: Net, transport: Transport, rule: str
) -> None:
    """More than is read ahead stands before it, so that it can't be read; an idle feed gets no other sign."""

    @Observed
    async def handler(req: Request, io: IO) -> bool:
        await io.write(b"begun")
        await io.wait_cancelled()
        return io.get_send_stats().cancelled

    async with net.serving(handler, cancel_on_half_close=rule) as server, net.connect(server) as client:
        client.request()
        await in_thread(client.read_body, 5)
        client.send(AHEAD)
        client.socket.shutdown(socket.SHUT_WR)
        assert await handler.outcome()


async def test_without_that_rule_it_gets_all_of_its_answer(serving: Serving) -> None:
    go_on = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> None:
        await io.write(b"begun")
        await go_on.wait()
        await io.write(b", and done")

    async with serving(handler, cancel_on_half_close="never") as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            await in_thread(client.read_body, 5)
            client.send(AHEAD)
            client.socket.shutdown(socket.SHUT_WR)
            await anyio.sleep(0.05)
            go_on.set()
            await handler.outcome()
            assert (await in_thread(client.read_response)).body == b"begun, and done"


async def test_a_fin_that_is_seen_keeps_the_loop_at_rest(serving: Serving) -> None:
    """It is told once, though the socket stays as it is."""
    go_on = anyio.Event()
    began: list[float] = []

    async def handler(req: Request, io: IO) -> str:
        await io.write(b"begun")
        began.append(0)
        await go_on.wait()
        return ""

    async with serving(handler, cancel_on_half_close="never") as server:
        with Client(server.addresses[0]) as client:
            client.send(GET)
            pump = await adopted(server, client)
            await in_thread(client.read_body, 5)
            client.send(AHEAD)
            client.socket.shutdown(socket.SHUT_WR)
            await anyio.sleep(0.05)
            calls: list[int] = []
            on_ready = type(pump).on_ready

            def counted(self: Any, mask: int) -> None:
                calls.append(mask)
                on_ready(self, mask)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(pump), "on_ready", counted)
                await anyio.sleep(0.1)
            assert len(calls) < 10
            go_on.set()


def probes(sock: socket.socket) -> tuple[bool, int]:
    """Whether the kernel probes a client that says nothing, and after how many seconds."""
    is_on = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    return bool(is_on), sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="needs TCP_KEEPIDLE")
@pytest.mark.parametrize(
    ("setting", "seconds"), [({}, 60), ({"tcp_keepalive": 7}, 7), ({"tcp_keepalive": 0.2}, 1)]
)
async def test_the_kernel_probes_clients_that_say_nothing(
    serving: Serving, setting: dict[str, float], seconds: int
) -> None:
    async with serving(lambda req: "", **setting) as server:
        with Client(server.addresses[0]) as client:
            await in_thread(client.ask)
            assert probes(pump_of(server, client).socket) == (True, seconds)


async def test_it_does_not_where_that_is_turned_off(serving: Serving) -> None:
    async with serving(lambda req: "", tcp_keepalive=inf) as server:
        with Client(server.addresses[0]) as client:
            await in_thread(client.ask)
            assert not probes(pump_of(server, client).socket)[0]
