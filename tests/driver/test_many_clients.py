"""Hundreds of clients that never read, and a healthy one beside them."""

import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from math import inf
from typing import Any

import anyio
import pytest
from tests.driver.harness import GET, MANY_CLIENTS, Client, Serving, in_thread, until

from httpng_core import Request
from httpng_driver import IO, Server
from httpng_driver.hub import Hub

pytestmark = pytest.mark.anyio

CLIENTS = MANY_CLIENTS
WINDOW = 64 * 1024
RECORD = 8192
BESIDE_THE_WINDOW = 48 * 1024
"""What a client may cost apart from the bytes in its window."""
HEALTHY = b"GET /healthy HTTP/1.1\r\nHost: x\r\n\r\n"


class Handler:
    """Endless for those who don't read; a short answer for the healthy one."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.ended = 0

    async def __call__(self, req: Request, io: IO) -> object:
        if req.path == "/healthy":
            return {"body": "well"}
        # New bytes for each write: shared ones would cost nothing.
        while await io.write(os.urandom(RECORD), timeout=self.timeout) is None:
            pass
        self.ended += 1
        return None


class Beside:
    """The healthy client: asks again and again, in a thread of its own."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answered = 0
        self.stop = False

    def run(self) -> None:
        while not self.stop:
            received = self.client.ask(HEALTHY)
            assert received.body == b"well"
            self.answered += 1

    async def is_served(self) -> None:
        """Waits for three more answers: one may have been under way."""
        before = self.answered
        await until(lambda: self.answered >= before + 3, "the healthy client is served")


class Clock:
    """The monotonic clock, and a leap that the test may add."""

    def __init__(self) -> None:
        self.leap = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.leap


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the servers that are started in this test."""
    clock = Clock()
    assert Hub.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Hub.__init__.__kwdefaults__, "clock", clock)
    return clock


@asynccontextmanager
async def stalled_clients(server: Server) -> AsyncIterator[Beside]:
    """Connects them all, beside the healthy one; counts memory from then on."""
    with ExitStack() as clients:
        beside = Beside(clients.enter_context(Client(server.addresses[0])))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_thread, beside.run)
            try:
                await beside.is_served()
                tracemalloc.start()
                for _ in range(CLIENTS):
                    client = clients.enter_context(Client(server.addresses[0], receive_buffer=4096))
                    client.send(GET)
                yield beside
            finally:
                tracemalloc.stop()
                beside.stop = True


def is_stalled(server: Server) -> bool:
    """Whether no handler but the healthy client's has room for another write."""
    connections: list[Any] = [pump.connection for pump in server._hub.pumps]
    exchanges = [getattr(connection.protocol, "exchange", None) for connection in connections]
    in_flight = [exchange._queue.window.in_flight for exchange in exchanges if exchange is not None]
    return [size > WINDOW - RECORD for size in in_flight].count(True) == CLIENTS


async def test_hundreds_of_clients_that_never_read(
    serving: Serving, many_files: None, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    # So patient that none gives up while the others still connect, however slow this machine is.
    handler = Handler(timeout=1000)
    cfg = {"default_send_window": WINDOW, "keepalive_timeout": inf, "header_timeout": inf}
    async with serving(handler, **cfg) as server, stalled_clients(server) as beside:
        await until(lambda: is_stalled(server), "every window is full")
        await beside.is_served()
        held = tracemalloc.get_traced_memory()[0] / CLIENTS
        assert handler.ended == 0
        assert server.connections == CLIENTS + 1
        clock.leap = 1000.0
        await until(lambda: server.connections == 1, "those that never read are gone")
        assert handler.ended == CLIENTS
        await beside.is_served()
    with capsys.disabled():
        print(f" {held / 1024:.1f} KiB for each client that never reads", end=" ")
    assert held < WINDOW + BESIDE_THE_WINDOW


@pytest.mark.soak
async def test_hundreds_of_clients_that_never_read_by_the_real_clock(
    serving: Serving, many_files: None
) -> None:
    handler = Handler(timeout=5)
    async with serving(handler, default_send_window=WINDOW) as server, stalled_clients(server) as beside:
        while handler.ended < CLIENTS:
            await beside.is_served()
        await until(lambda: server.connections == 1, "those that never read are gone")
        await beside.is_served()
