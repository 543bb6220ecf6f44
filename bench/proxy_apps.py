"""The ticks for clients behind a proxy: as handlers of httpng and as FastAPI has them, in its best idiom."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from bench import ticks
from bench.ticks_apps import LAST, publish
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from httpng_core import Router, Until, WindowSize, confirmations, sse_event, sse_headers
from httpng_driver import Feed


async def follow(req: Any, io: Any) -> None:
    """Follows a feed of all ticks, the next one when the client has confirmed the last."""
    ws = await io.accept_websocket()
    ws.window_until = "confirmed"
    feed = Feed()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish, feed)
        await ws.follow(feed, binary=True)
        tasks.cancel_scope.cancel()


async def confirmed(req: Any, io: Any) -> None:
    """The newest tick, when the client has confirmed the last one."""
    await _newest(io, "confirmed", 0)


async def along(req: Any, io: Any) -> None:
    """The newest tick, when the path to the client has room."""
    await _newest(io, "confirmed", "auto")


async def acked(req: Any, io: Any) -> None:
    """The newest tick, when the proxy's TCP has acknowledged the last one."""
    await _newest(io, "acked", 0)


told = confirmations("/confirm")


async def _events(io: Any, window: WindowSize) -> None:
    io.headers = sse_headers()
    await io.write(told.event(io))
    io.window_until, io.send_window = "confirmed", window
    number = 0
    for _ in range(LAST):
        await anyio.sleep(ticks.until_after(number))
        number = ticks.newest()
        event = sse_event(ticks.body(number).rstrip(b"\n").decode())
        result = await io.write(event, 0 if window == "auto" else None)
        if result is not None and result.cancelled:
            return


async def _events_one(req: Any, io: Any) -> None:
    await _events(io, 0)


async def _events_along(req: Any, io: Any) -> None:
    await _events(io, "auto")


def _routed(handler: Any) -> Router:
    router = Router()
    router.route("/confirm", told)
    router.route("/", handler)
    return router


events = _routed(_events_one)
"""Server-sent events: the newest tick, when the client has confirmed the last one by a request."""
events_along = _routed(_events_along)
"""The same, when the path to the client has room."""


async def _newest(io: Any, until: Until, window: WindowSize) -> None:
    ws = await io.accept_websocket()
    ws.window_until, ws.send_window = until, window
    number = 0
    for _ in range(LAST):
        await anyio.sleep(ticks.until_after(number))
        number = ticks.newest()
        # What waits for room is stale by then: with a timeout of 0 the next try has a newer one.
        result = await ws.send(ticks.body(number), 0 if window == "auto" else None)
        if result is not None and result.cancelled:
            return


fastapi = FastAPI()


@fastapi.websocket("/ws")
async def fastapi_websocket(socket: WebSocket) -> None:
    """The newest tick, when `send_bytes` has returned."""
    await socket.accept()
    async for tick in _ticks():
        await socket.send_bytes(tick)


@fastapi.get("/stream")
async def fastapi_stream() -> StreamingResponse:
    """The newest tick, whenever the response asks for the next piece."""
    return StreamingResponse(_ticks(), media_type="text/event-stream")


async def _ticks() -> AsyncIterator[bytes]:
    number = ticks.newest()
    for _ in range(LAST):
        await anyio.sleep(ticks.until_after(number))
        number = ticks.newest()
        yield ticks.body(number)
