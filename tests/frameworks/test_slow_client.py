"""A client that doesn't read, under a stream of FastAPI that knows nothing of it."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from tests.certificates import make_pair
from tests.driver.harness import adopted, in_thread, serving_on, tasks_of, until
from tests.driver.net import TRANSPORTS, Net, Transport

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("transport", TRANSPORTS, ids=str)]

WINDOW = 64 * 1024
FRAME = 16 * 1024
EVENT = b"data: " + b"x" * 2000 + b"\n\n"


class Feed:
    """An application that streams events, and what became of its streams.

    Attributes:
        open: how many generators run.
        given: how many bytes the last of them has given.
        io: of its exchange.
    """

    def __init__(self, pause: float) -> None:
        self.open = self.given = 0
        self.io: Any = None
        self.app = FastAPI()
        self.app.get("/")(self.stream)
        self._pause = pause

    async def stream(self, request: Request) -> StreamingResponse:
        self.io = request.scope["extensions"]["httpng"]["io"]
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            while True:
                await anyio.sleep(self._pause)
                yield EVENT
                self.given += len(EVENT)
        finally:
            self.open -= 1


Feed.stream.__annotations__["request"] = Request


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def net(transport: Transport, tmp_path: Any) -> Net:
    return Net(serving_on("asyncio"), transport, make_pair(tmp_path))


async def test_what_was_accepted_is_a_window_and_a_frame_beyond_the_kernel(net: Net) -> None:
    feed = Feed(0)
    async with (
        net.serving(feed.app, default_send_window=WINDOW) as server,
        net.connect(server, receive_buffer=65536) as client,
    ):
        client.request()
        pump = await adopted(server, client)
        taken = await net.standstill(pump, client)
        believed, stats = feed.given, feed.io.get_send_stats()
        in_kernel = net.body_size(await in_thread(client.read_wire, taken))
    assert believed > WINDOW
    assert believed <= stats.current <= stats.sent + WINDOW
    assert in_kernel - FRAME <= stats.sent <= in_kernel + FRAME
    assert believed <= in_kernel + WINDOW + FRAME


async def test_the_streams_of_stalled_clients_end(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    feed, count = Feed(0.001), 8
    async with (
        net.serving(feed.app, default_send_window=WINDOW, default_send_timeout=0.5) as server,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(count):
            tasks.start_soon(_stall, net, server)
        await until(lambda: feed.open == count)
        await until(lambda: feed.open == 0)
        await until(lambda: tasks_of(server) == 0)
        tasks.cancel_scope.cancel()
    lines = [record.getMessage() for record in caplog.records if record.name == "httpng"]
    assert len(lines) == count
    assert all("send found no room" in line for line in lines)


async def _stall(net: Net, server: Any) -> None:
    async with net.connect(server, receive_buffer=65536) as client:
        client.request()
        await anyio.sleep_forever()
