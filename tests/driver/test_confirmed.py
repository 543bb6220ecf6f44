"""What a WebSocket's client confirms, over real sockets: from Python, ASGI applications and Lua."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.request import urlopen

import anyio
import pytest
from tests.core.websocket.speaking import PONG, frame
from tests.driver.harness import BOUND, Client, Observed, Serving, in_thread, within_bound
from tests.driver.http2_client import Client2
from tests.driver.net import Net
from tests.driver.ws_client import WsClient

from httpng_core import ConfirmedUnknownError, Request, confirmations, sse_event, sse_headers
from httpng_driver import IO, Feed, Server
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

Message = dict[str, Any]


@asynccontextmanager
async def websocket(net: Net, server: Server, path: str = "/", **more: Any) -> AsyncIterator[WsClient]:
    async with net.connect(server, **more) as client:
        ws = WsClient(client)
        await in_thread(ws.shake, path)
        yield ws


def answer(ws: WsClient) -> None:
    """Answers the PING that has come, or comes, and all others while it reads."""
    while not ws.pings:
        assert ws.client.receive(), "the server ended"
        ws.decode()
    ws.answers = True
    ws.send(frame(PONG, ws.pings[-1]))


async def test_messages_are_confirmed_by_a_client_that_answers_and_by_no_other(net: Net) -> None:
    sent, may_answer = anyio.Event(), anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> tuple[Any, ...]:
        ws = await io.accept_websocket()
        await ws.send("x" * 1000)
        told: list[Any] = [ws.get_send_stats().confirmed]
        late = await ws.wait(0, 0.1, until="confirmed")
        stats = ws.get_send_stats()
        told += [late.reached, stats.sent, stats.confirmed]
        sent.set()
        await within_bound(may_answer)
        ws.window_until, ws.send_window = "confirmed", 0
        assert await ws.send("y" * 1000) is None
        told.append(ws.get_send_stats().confirmed)
        with pytest.raises(ValueError, match='"sent", "acked" or "confirmed"'):
            await ws.wait(0, until="read")  # type: ignore[arg-type]
        return tuple(told)

    async with net.serving(handler) as server, websocket(net, server) as ws:
        assert await in_thread(ws.read) == "x" * 1000
        await within_bound(sent)
        await in_thread(answer, ws)
        may_answer.set()
        await in_thread(ws.read_all)
        assert await handler.outcome() == (None, False, 1000, 0, 2000)


async def test_a_follower_skips_to_the_newest_when_its_client_has_confirmed(net: Net) -> None:
    feed = Feed()

    @Observed
    async def handler(req: Request, io: IO) -> Any:
        ws = await io.accept_websocket()
        ws.window_until = "confirmed"
        await ws.follow(feed)
        # All is sent; the client may still be about to say so.
        return (await ws.wait(0, 10, until="confirmed")).reached

    async with net.serving(handler) as server, websocket(net, server) as ws:
        feed.publish("0", key="k")
        assert await in_thread(ws.read) == "0"
        for count in range(1, 20):
            feed.publish(str(count), key="k")
        await in_thread(answer, ws)
        assert await in_thread(ws.read) == "19"
        feed.close()
        await in_thread(ws.read_all)
        assert await handler.outcome() is True


async def test_nothing_confirms_a_response_that_is_no_websocket(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> None:
        io.window_until = "confirmed"
        with pytest.raises(ConfirmedUnknownError):
            await io.write(b"x")
        with pytest.raises(ConfirmedUnknownError):
            await io.wait(0)
        io.window_until = None

    async with net.serving(handler) as server, net.connect(server) as client:
        client.request()
        await handler.outcome()


async def test_an_asgi_application_says_it_to_its_io(net: Net) -> None:
    told: list[Any] = []
    done = anyio.Event()

    async def app(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        io = scope["extensions"]["httpng"]["io"]
        await receive()
        await send({"type": "websocket.accept"})
        io.window_until, io.send_window = "confirmed", 0
        await send({"type": "websocket.send", "text": "x" * 1000})
        result = await io.wait(0, 10)
        stats = io.get_send_stats()
        told.extend([result.reached, stats.confirmed == stats.sent == stats.current >= 1000])
        done.set()

    async with net.serving(app, lifespan="off") as server, websocket(net, server) as ws:
        ws.answers = True
        await in_thread(ws.read_all)
        await within_bound(done)
    assert told == [True, True]


SCRIPT = """
local httpng = require 'httpng'
local seen = {}
httpng.cfg{sites = {
  {path = '/seen', handler = function() return seen[1] or 'nothing' end},
  {path = '/', handler = function(req, io)
    local ok, why = pcall(io.wait, io, 0, 1, 'confirmed')
    local ws = io:upgrade_to_websocket()
    ws:send_text('x')
    local before = ws:get_send_stats().confirmed
    ws.window_until, ws.send_window = 'confirmed', 0
    local result = ws:send_text(('y'):rep(1000))
    local stats = ws:get_send_stats()
    seen[1] = ('%s %s %s %s %s'):format(ok, why:match('nothing confirms'), before, result, stats.confirmed)
  end},
}}
"""


@pytest.mark.parametrize("threads", [1, 2])
async def test_it_is_so_in_lua(net: Net, tmp_path: Path, threads: int) -> None:
    script = tmp_path / "script.lua"
    script.write_text(SCRIPT)
    app = LuaApplication(script, clock=time.monotonic, overrides={"threads": threads})
    async with net.serving(app) as server:
        async with websocket(net, server) as ws:
            ws.answers = True
            assert [len(message) for message in await in_thread(ws.read_all)] == [1, 1000]
        async with net.connect(server) as client:
            response = await in_thread(client.get, "/seen")
    assert response.body == b"false nothing confirms nil nil 1001"


@pytest.mark.parametrize(("threads", "speaks"), [(1, Client), (2, Client), (1, Client2)])
async def test_events_are_confirmed_by_requests_in_whatever_loop(
    serving: Serving, threads: int, speaks: type[Client]
) -> None:
    confirming, feed, reached = confirmations("/confirm"), Feed(), Queue[bool]()

    async def stream(req: Request, io: IO) -> None:
        io.headers = dict(sse_headers())
        await io.write(confirming.event(io))
        io.window_until = "confirmed"
        await io.follow(feed)
        reached.put((await io.wait(0, 10)).reached)

    def read(client: Client, marks: int) -> str:
        """All that has come, once there are so many questions in it."""
        while client.wire.count(b"event: confirm\n") < marks:
            assert client.receive()
        return client.wire.decode("latin-1")

    def confirm(port: int, text: str) -> None:
        token = re.findall('"token": "(.*?)"', text)[0]
        position = re.findall(r"event: confirm\ndata: (\d+)", text)[-1]
        url = f"http://127.0.0.1:{port}/confirm"
        with urlopen(url, f"{token} {position}".encode(), BOUND) as answer:
            assert answer.status == 204

    sites = [{"path": "/confirm", "handler": confirming}, {"path": "/", "handler": stream}]
    async with serving(None, sites=sites, threads=threads) as server:
        client = speaks(server.addresses[0])
        client.request()
        for number in range(5):
            text = await in_thread(read, client, number + 1)
            assert text.count("data: tick") == number
            feed.publish(sse_event(f"tick {number}"), key="k")
            # Each on a connection of its own, so in this loop or the other.
            await in_thread(confirm, server.addresses[0].port, text)
        await in_thread(confirm, server.addresses[0].port, await in_thread(read, client, 6))
        feed.close()
        assert await in_thread(reached.get, True, BOUND)
        client.close()
    assert len(confirming) == 0
