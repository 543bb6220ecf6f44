"""Hundreds of clients that never read, and a healthy one beside them."""

import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf

import anyio
import pytest
from tests.driver.harness import Client, exchanges_of, in_thread, pumps_of, until
from tests.driver.net import HTTP1, Net

from httpng_core import Request
from httpng_driver import IO, Server

pytestmark = pytest.mark.anyio

WINDOW = 64 * 1024
RECORD = 8192
BESIDE_THE_WINDOW = 48 * 1024
"""What a client may cost apart from the bytes in its window."""
BESIDE_AND_BOTH_ENDS = 112 * 1024
"""The same where TLS and h2 of the client are counted as well."""


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
        self._pauses = self._paused = False

    def run(self) -> None:
        while not self.stop:
            if self._pauses:
                self._paused = True
                time.sleep(0.001)
                continue
            received = self.client.get("/healthy")
            assert received.body == b"well"
            self.answered += 1

    @asynccontextmanager
    async def pause(self) -> AsyncIterator[None]:
        """Has no request under way."""
        self._pauses, self._paused = True, False
        await until(lambda: self._paused)
        yield
        self._pauses = False

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


@asynccontextmanager
async def stalled_clients(net: Net, server: Server) -> AsyncIterator[Beside]:
    """Connects them all, beside the healthy one; counts memory from then on."""
    async with AsyncExitStack() as clients, anyio.create_task_group() as tasks:
        beside = Beside(await clients.enter_async_context(net.connect(server)))
        tasks.start_soon(in_thread, beside.run)
        try:
            await beside.is_served()
            tracemalloc.start()
            for _ in range(net.many):
                client = await clients.enter_async_context(net.connect(server, receive_buffer=4096))
                client.request()
            yield beside
        finally:
            tracemalloc.stop()
            beside.stop = True


def is_stalled(net: Net, server: Server) -> bool:
    """Whether no handler but the healthy client's has room for another write."""
    exchanges = [exchange for pump in pumps_of(server) for exchange in exchanges_of(pump)]
    stats = [exchange.stats(time.monotonic()) for exchange in exchanges]
    in_flight = [each.current - each.sent for each in stats]
    return [size > WINDOW - RECORD for size in in_flight].count(True) == net.many


async def test_hundreds_of_clients_that_never_read(
    net: Net, many_files: None, capsys: pytest.CaptureFixture[str]
) -> None:
    # So patient that none gives up while the others still connect, however slow this machine is.
    handler = Handler(timeout=1000)
    cfg = {"default_send_window": WINDOW, "keepalive_timeout": inf, "header_timeout": inf}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(net.serving(handler, **cfg))
        # What its connections and handlers go by, from now on.
        server.hub.clock = server.hub.runner.clock = clock = Clock()
        beside = await stack.enter_async_context(stalled_clients(net, server))
        await until(lambda: is_stalled(net, server), "every window is full")
        await beside.is_served()
        held = tracemalloc.get_traced_memory()[0] / net.many
        assert handler.ended == 0
        assert server.connections == net.many + 1
        async with beside.pause():
            clock.leap = 1000.0
        await until(lambda: handler.ended == net.many, "the handlers have given up")
        # What they were sent is flushed in vain; then on HTTP/2 that ends the streams, and the connections go
        # once they haven't moved for `stall_timeout`.
        for leap in (1100.0, 1200.0, 1300.0, 1400.0):
            async with beside.pause():
                clock.leap = leap
            await beside.is_served()
        await until(lambda: server.connections == 1, "those that never read are gone")
        await beside.is_served()
    with capsys.disabled():
        print(f" {held / 1024:.1f} KiB for each client that never reads", end=" ")
    assert held < WINDOW + (BESIDE_THE_WINDOW if net.transport == HTTP1 else BESIDE_AND_BOTH_ENDS)


@pytest.mark.soak
async def test_hundreds_of_clients_that_never_read_by_the_real_clock(net: Net, many_files: None) -> None:
    handler = Handler(timeout=5)
    async with (
        # On HTTP/2 the connections go only when they haven't moved for that long.
        net.serving(handler, default_send_window=WINDOW, stall_timeout=5) as server,
        stalled_clients(net, server) as beside,
    ):
        while handler.ended < net.many:
            await beside.is_served()
        await until(lambda: server.connections == 1, "those that never read are gone")
        await beside.is_served()
