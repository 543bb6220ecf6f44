"""WebSockets of ASGI applications."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from tests.driver.harness import Client, Serving, in_thread, within_bound
from tests.driver.net import Net
from tests.driver.ws_client import WsClient

from httpng_driver import ClientGoneError

pytestmark = pytest.mark.anyio

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
OFF = {"lifespan": "off"}


class Echo:
    """Accepts, sends back what comes, and notes what it was told at the end."""

    def __init__(self) -> None:
        self.scope: Message = {}
        self.ended: Message = {}
        self.done = anyio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope = scope
        assert await receive() == {"type": "websocket.connect"}
        protocols = scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": protocols[0] if protocols else None})
        while (message := await receive())["type"] == "websocket.receive":
            kind = "text" if message["text"] is not None else "bytes"
            await send({"type": "websocket.send", kind: message[kind]})
        self.ended = message
        with pytest.raises(ClientGoneError):
            await send({"type": "websocket.send", "text": "late"})
        self.done.set()


async def test_messages_go_both_ways(net: Net) -> None:
    app = Echo()
    async with net.serving(app, **OFF) as server, net.connect(server) as client:
        ws = WsClient(client)
        await in_thread(lambda: ws.shake("/a?b", sec_websocket_protocol="one, two"))
        for message in ("text ä", b"\x00\xff"):
            await in_thread(ws.say, message)
            assert await in_thread(ws.read) == message
        await in_thread(ws.close, 3000)
        await within_bound(app.done)
    assert ws.fields["sec-websocket-protocol"] == "one"
    assert app.ended == {"type": "websocket.disconnect", "code": 3000, "reason": ""}
    assert app.scope["scheme"] == ("wss" if net.transport.tls else "ws")
    assert (app.scope["path"], app.scope["subprotocols"]) == ("/a", ["one", "two"])


async def test_where_none_are_accepted_it_is_a_request(serving: Serving) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["type"].encode()})

    async with serving(app, ws="none", **OFF) as server:
        with Client(server.addresses[0]) as client:
            ws = WsClient(client)
            await in_thread(ws.shake)
            assert ws.status == 200


async def test_it_may_be_refused(net: Net) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/plain":
            await send({"type": "websocket.close"})
            return
        start = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"me")]}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async with net.serving(app, **OFF) as server:
        for path, status in (("/plain", 403), ("/told", 401)):
            async with net.connect(server) as client:
                ws = WsClient(client)
                await in_thread(ws.shake, path)
                assert ws.status == status
