"""The drain of ASGI applications: by their lifespan, by `io`, and by the end of a WebSocket."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from tests.driver.harness import Client, Serving, in_thread, within_bound
from tests.driver.ws_client import WsClient

pytestmark = pytest.mark.anyio

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
PIECE = {"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True}


class Stream:
    """Streams until its lifespan is told that the server stops, and notes what that is told.

    Attributes:
        told: the messages of the lifespan, and where the stream ended.
        begun: set when a stream has.
    """

    def __init__(self, **complete: object) -> None:
        self.told: list[str] = []
        self.begun = anyio.Event()
        self._complete = complete
        self._draining = anyio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200})
        await send(PIECE)
        self.begun.set()
        await self._draining.wait()
        await send({"type": "http.response.body", "body": b"goodbye"})
        self.told.append("stream")

    async def _live(self, scope: Message, receive: Receive, send: Send) -> None:
        assert scope["extensions"] == {"lifespan.shutdown.notice": {}}
        while not self.told or self.told[-1] != "lifespan.shutdown":
            kind = (await receive())["type"]
            self.told.append(kind)
            if kind == "lifespan.startup":
                await send({"type": "lifespan.startup.complete", **self._complete})
            elif kind == "lifespan.shutdown.notice":
                self._draining.set()
        await send({"type": "lifespan.shutdown.complete"})


async def test_a_lifespan_that_asks_for_it_has_notice(serving: Serving) -> None:
    app = Stream(shutdown_notice=True)
    async with serving(app, cancel=False, shutdown_timeout=3600) as server:
        with Client(server.addresses[0]) as client:
            client.request()
            await within_bound(app.begun)
            server.shutdown()
            # Twice is one stop, and one notice.
            server.shutdown()
            received = await in_thread(client.read_response)
    assert received.body.endswith(b"goodbye")
    assert received.complete
    assert app.told == ["lifespan.startup", "lifespan.shutdown.notice", "stream", "lifespan.shutdown"]


@pytest.mark.parametrize("complete", [{}, {"shutdown_notice": False}], ids=["unasked", "unwanted"])
async def test_another_is_told_of_the_shutdown_alone(serving: Serving, complete: dict[str, object]) -> None:
    app = Stream(**complete)
    async with serving(app, cancel=False) as server:
        server.shutdown()
    assert app.told == ["lifespan.startup", "lifespan.shutdown"]


async def test_a_request_waits_for_it_by_io(serving: Serving) -> None:
    begun, was = anyio.Event(), []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        io = scope["extensions"]["httpng"]["io"]
        await send({"type": "http.response.start", "status": 200})
        await send(PIECE)
        was.append(io.draining)
        begun.set()
        assert await io.wait_draining()
        was.append(io.draining)
        await send({"type": "http.response.body", "body": b"goodbye"})

    async with serving(app, cancel=False, lifespan="off", shutdown_timeout=3600) as server:
        with Client(server.addresses[0]) as client:
            client.request()
            await within_bound(begun)
            server.shutdown()
            received = await in_thread(client.read_response)
    assert received.body.endswith(b"goodbye")
    assert was == [False, True]


@pytest.mark.parametrize("heeds", [False, True], ids=["closed", "closes"])
async def test_a_websocket_is_closed_or_closes(serving: Serving, heeds: bool) -> None:
    ended: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if heeds:
            await scope["extensions"]["httpng"]["io"].wait_draining()
            await send({"type": "websocket.close", "code": 4000, "reason": "come back"})
        ended.append(await receive())

    async with serving(app, cancel=False, lifespan="off", shutdown_timeout=3600) as server:
        with Client(server.addresses[0]) as client:
            ws = WsClient(client)
            await in_thread(ws.shake)
            server.shutdown()
            assert await in_thread(ws.read) is None
            assert ws.closed == ((4000, "come back") if heeds else (1012, ""))
            await in_thread(ws.close, ws.closed[0])
    assert ended[0]["code"] == (4000 if heeds else 1012)
