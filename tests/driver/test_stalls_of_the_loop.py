"""A handler that computes holds its loop up: what came, or had room, meanwhile counts before deadlines."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from tests.driver.harness import Client, Observed, Serving, in_thread, within_bound
from tests.driver.net import Net

from httpng_core import Request
from httpng_driver import IO

pytestmark = pytest.mark.anyio

TIMEOUT = 0.4
STALL = 1.2


class Held:
    """Holds the loop up, while a client does something in a thread."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        time.sleep(STALL)
        return "held up"

    async def meanwhile(self, holder: Client, *steps: "tuple[Client, bytes]") -> None:
        """Have `holder` hold the loop up, and send more once it is."""

        def send() -> None:
            assert self.begun.wait(10)
            # Well within the timeout, and long before the loop goes on.
            time.sleep(TIMEOUT / 4)
            for client, data in steps:
                client.send(data)

        thread = threading.Thread(target=send)
        thread.start()
        holder.request("/hold")
        await in_thread(thread.join)


async def test_an_upload_that_goes_on_in_time_is_not_late(serving: Serving) -> None:
    held = Held()

    def handler(req: Request) -> str:
        return held() if req.path == "/hold" else f"{len(req.body)}"

    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n"
    async with serving(handler, body_timeout=TIMEOUT) as server:
        with Client(server.addresses[0]) as holder, Client(server.addresses[0]) as client:
            client.send(head + bytes(1000))
            await anyio.sleep(0.05)
            await held.meanwhile(holder, (client, bytes(1000)))
            received = await in_thread(client.read_response)
            assert (received.status, received.body) == (200, b"2000")


async def test_a_request_head_that_goes_on_in_time_is_not_late(serving: Serving) -> None:
    held = Held()

    def handler(req: Request) -> str:
        return held() if req.path == "/hold" else "in time"

    async with serving(handler, header_timeout=TIMEOUT) as server:
        with Client(server.addresses[0]) as holder, Client(server.addresses[0]) as client:
            client.send(b"GET / HTTP/1.1\r\n")
            await anyio.sleep(0.05)
            await held.meanwhile(holder, (client, b"Host: x\r\n\r\n"))
            received = await in_thread(client.read_response)
            assert (received.status, received.body) == (200, b"in time")


async def test_an_idle_connection_that_asks_in_time_is_answered(net: Net) -> None:
    held = Held()

    def handler(req: Request) -> str:
        return held() if req.path == "/hold" else "in time"

    async with (
        net.serving(handler, keepalive_timeout=TIMEOUT) as server,
        net.connect(server) as holder,
        net.connect(server) as client,
    ):
        for one in (client, holder):
            assert (await in_thread(one.get)).body == b"in time"
        await held.meanwhile(holder, (client, client.prepare()))
        assert (await in_thread(client.read_response)).body == b"in time"


async def test_a_write_to_a_client_that_reads_does_not_fall_short(net: Net) -> None:
    """Its time was up while nobody could look; by then there was room for it."""
    full = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> tuple[object, int]:
        io.send_window = 1 << 16
        while await io.write(bytes(1 << 16), timeout=0) is None:
            pass
        full.set()
        return await io.write(bytes(1 << 16), TIMEOUT), io.get_send_stats().current

    async with net.serving(handler) as server, net.connect(server, receive_buffer=1 << 15) as client:
        client.request()
        await within_bound(full)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(client.read_response)
            time.sleep(STALL)  # noqa: ASYNC251 - that is what holds the loop up
            result, size = await handler.outcome()
            received = await in_thread(reading.result)
        assert (result, len(received.body)) == (None, size)
