"""WebSockets over real sockets: on every loop, over HTTP/1.1 and HTTP/2, in clear text and over TLS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.core.websocket.speaking import frame
from tests.driver.harness import Observed, in_thread, until, within_bound
from tests.driver.net import Net
from tests.driver.ws_client import WsClient

from httpng_core import GeneratorIO, HandshakeError, Request, Resume
from httpng_driver import IO, Feed, Server

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def websocket(
    net: Net, server: Server, path: str = "/", *, compressed: bool = False, **more: Any
) -> AsyncIterator[WsClient]:
    async with net.connect(server, **more) as client:
        ws = WsClient(client, compressed=compressed)
        await in_thread(ws.shake, path)
        yield ws


async def echo(req: Request, io: IO) -> None:
    ws = await io.accept_websocket()
    async for message in ws:
        await ws.send(message)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "deflate"])
async def test_messages_come_back(net: Net, compressed: bool) -> None:
    told = ["", "text", "\u20ac" * 1000, b"", b"\x00\xff" * 500, "x" * 200_000, b"end"]
    async with net.serving(echo) as server, websocket(net, server, compressed=compressed) as ws:
        for message in told:
            await in_thread(ws.say, message)
        assert [await in_thread(ws.read) for _ in told] == told
        ws.send(frame(9, b"are you there"))
        ws.close(3001)
        assert await in_thread(ws.read) is None
        assert ws.closed == (3001, "")
        assert ws.pongs == [b"are you there"]


async def test_a_client_that_does_not_read_is_told_of_what_was_accepted_and_nothing_else(net: Net) -> None:
    """What the handler was told was accepted is what the client decodes, when it reads on."""
    stalled = anyio.Event()
    may_end = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> list[str]:
        ws = await io.accept_websocket()
        ws.send_window = 20_000
        accepted: list[str] = []
        dropped = 0
        while dropped < 20:
            for size in (50_000, 100, 5000):
                message = f"{len(accepted)} {dropped} ".ljust(size, "x")
                result = await ws.send(message, 0.02 if dropped else 0.2)
                if result is None or result.body_bytes_sent:
                    assert result is None or result.body_bytes_sent == size
                    accepted.append(message)
                else:
                    dropped += 1
        stats = ws.get_send_stats()
        assert stats.current == sum(map(len, accepted))
        assert stats.current - stats.sent <= 50_000
        stalled.set()
        await within_bound(may_end)
        await ws.close()
        assert ws.get_send_stats().sent == stats.current
        return accepted

    async with net.serving(handler) as server, websocket(net, server, receive_buffer=8192) as ws:
        await within_bound(stalled)
        if net.transport.http2:
            await in_thread(ws.client.open_windows)
        may_end.set()
        told = await in_thread(ws.read_all)
        assert ws.closed == (1000, "")
        ws.close()
        assert told == await handler.outcome()


async def test_close_does_not_hang_behind_a_client_that_does_not_read(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> tuple[int | None, bool]:
        ws = await io.accept_websocket()
        while await ws.send("x" * 100_000, 0.1) is None:
            pass
        with anyio.fail_after(10):
            await ws.close(timeout=0.2)
        return ws.close_code, ws.get_send_stats().cancelled

    async with net.serving(handler) as server, websocket(net, server, receive_buffer=8192):
        assert await handler.outcome() == (1006, True)


async def test_a_client_is_held_up_while_nobody_takes_messages(net: Net) -> None:
    may_take = anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> int:
        ws = await io.accept_websocket()
        await within_bound(may_take)
        return sum([len(message) async for message in ws])

    async with net.serving(handler, ws_max_queue=4) as server, websocket(net, server) as ws:
        sent = 0

        def flood() -> None:
            nonlocal sent
            for _ in range(300):
                ws.say(bytes(100_000))
                sent += 1
            ws.close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_thread, flood)
            await until(lambda: sent >= 4)
            before = -1
            while before != sent:
                before = sent
                await anyio.sleep(0.1)
            # What the kernels' buffers took, and no more.
            assert sent < 200
            may_take.set()
        assert await handler.outcome() == 300 * 100_000


async def test_a_client_that_leaves_ends_the_messages_and_every_call(net: Net) -> None:
    sending, heard = anyio.Event(), anyio.Event()

    @Observed
    async def handler(req: Request, io: IO) -> list[object]:
        ws = await io.accept_websocket()
        told: list[object] = []

        async def send() -> None:
            while (result := await ws.send("x" * 100_000, float("inf"))) is None:
                sending.set()
            told.append(result.cancelled)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            async for message in ws:
                told.append(message)
                heard.set()
        return [*told, ws.close_code]

    async with net.serving(handler) as server:
        async with websocket(net, server, receive_buffer=8192) as ws:
            ws.say("last")
            await within_bound(sending)
            await within_bound(heard)
        assert await handler.outcome() == ["last", True, 1006]


async def test_a_receive_that_is_cancelled_loses_nothing(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> list[object]:
        ws = await io.accept_websocket()
        told: list[object] = []
        while len(told) < 50:
            with anyio.move_on_after(0.0005):
                told.append(await ws.receive())
        return told

    async with net.serving(handler) as server, websocket(net, server) as ws:
        for number in range(50):
            ws.say(str(number))
            if number % 7 == 0:
                await anyio.sleep(0.002)
        assert await handler.outcome() == [str(number) for number in range(50)]


async def test_two_receives_at_once_are_a_mistake(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> str:
        ws = await io.accept_websocket()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ws.receive)
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            with pytest.raises(RuntimeError, match="another receive"):
                await ws.receive()
            await ws.send("told")
        return "ok"

    async with net.serving(handler) as server, websocket(net, server) as ws:
        assert await in_thread(ws.read) == "told"
        ws.say("x")
        assert await handler.outcome() == "ok"


async def test_a_feed_is_followed_message_by_message(net: Net) -> None:
    feed = Feed()

    async def handler(req: Request, io: IO) -> None:
        ws = await io.accept_websocket()
        await ws.follow(feed)

    async with net.serving(handler) as server, websocket(net, server) as ws:
        feed.publish("one", key="a")
        assert await in_thread(ws.read) == "one"
        feed.publish("two", key="b")
        assert await in_thread(ws.read) == "two"
        feed.close()
        assert await in_thread(ws.read) is None
        assert ws.closed == (1000, "")
        ws.close()


async def test_several_feeds_are_followed_by_keys_and_from_an_id_on(net: Net) -> None:
    quotes = Feed(resume=Resume(id_line="{id} ", first=None, gap="gap {lost}"))
    news = Feed()
    for feed in (quotes, news):
        for key in "abc":
            feed.publish(key, key=key)

    async def handler(req: Request, io: IO) -> None:
        ws = await io.accept_websocket()
        since = req.query or None
        await ws.follow([quotes, news], keys={"b", "c"}, since=since, binary=req.path.startswith("/binary"))

    def read(ws: WsClient, count: int) -> list[object]:
        return [ws.read() for _ in range(count)]

    name = quotes.incarnation
    assert name is not None
    async with net.serving(handler) as server:
        async with websocket(net, server) as ws:
            assert await in_thread(read, ws, 4) == [f"{name}.2 b", "b", f"{name}.3 c", "c"]
            quotes.publish("b2", key="b")
            assert await in_thread(ws.read) == f"{name}.4 b2"
            ws.close()
        async with websocket(net, server, f"/binary?{name}.3") as ws:
            assert await in_thread(read, ws, 3) == [f"{name}.4 b2".encode(), b"b", b"c"]
            ws.close()
        async with websocket(net, server, "/?x.3") as ws:
            assert (await in_thread(read, ws, 1))[0] == f"{name}.2 gap null"
            ws.close()


async def test_handlers_end_as_they_say(net: Net) -> None:
    async def handler(req: Request, io: IO) -> None:
        ws = await io.accept_websocket()
        if req.path == "/raise":
            raise KeyError("x")
        if req.path == "/body":
            await io.write(b"raw")
        if req.path == "/code":
            await ws.close(4000, "bye")

    async with net.serving(handler) as server:
        for path, closed in {
            "/": (1000, ""),
            "/raise": (1011, ""),
            "/body": (1011, ""),
            "/code": (4000, "bye"),
        }.items():
            async with websocket(net, server, path) as ws:
                assert await in_thread(ws.read) is None
                assert ws.closed == closed
                ws.close(closed[0])


async def test_a_request_that_is_no_handshake_is_answered(net: Net) -> None:
    async def handler(req: Request, io: IO) -> object:
        if req.path == "/refuse":
            return {"status": 403, "body": "no"}
        try:
            await io.accept_websocket()
        except HandshakeError:
            if req.path == "/own":
                return "an ordinary page"
            raise
        return None

    async with net.serving(handler) as server, net.connect(server) as client:
        plain = await in_thread(client.get, "/")
        assert (plain.status, plain.complete) == (400, True)
        assert b"doesn't ask for a WebSocket" in plain.body
        assert (await in_thread(client.get, "/own")).body == b"an ordinary page"
        async with websocket(net, server, "/refuse") as ws:
            assert ws.status == 403


async def test_a_generator_has_it_as_well(net: Net) -> None:
    def handler(req: Request, io: GeneratorIO) -> Any:
        ws = io.accept_websocket()
        while (message := (yield ws.receive())) is not None:
            yield ws.send(message)
        assert ws.close_code == 1000

    async with net.serving(handler) as server, websocket(net, server) as ws:
        for message in ("a", b"b", "c" * 70_000):
            await in_thread(ws.say, message)
            assert await in_thread(ws.read) == message
        ws.close()
        assert await in_thread(ws.read) is None


async def test_a_server_that_stops_says_so(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> int | None:
        ws = await io.accept_websocket()
        await ws.send("here")
        async for _ in ws:
            pass
        return ws.close_code

    async with net.serving(handler, cancel=False) as server, websocket(net, server) as ws:
        assert await in_thread(ws.read) == "here"
        server.shutdown()
        assert await in_thread(ws.read) is None
        assert ws.closed == (1012, "")
        ws.close(1012)
        assert await handler.outcome() == 1012


async def test_a_client_that_does_not_answer_pings_is_gone(net: Net) -> None:
    @Observed
    async def handler(req: Request, io: IO) -> int | None:
        ws = await io.accept_websocket()
        assert await ws.receive() is None
        return ws.close_code

    settings = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.05}
    async with net.serving(handler, **settings) as server, websocket(net, server) as ws:
        assert await handler.outcome() == 1006
        await in_thread(ws.read_all)
        assert ws.pings
