"""The same application for each framework: this one of Starlette."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.frameworks.apps import PIECES, Done, events

done = Done()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {"found": "state"}


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def json(request: Request) -> Response:
    return JSONResponse({"a": [1, 2]})


async def pieces() -> AsyncIterator[bytes]:
    for piece in PIECES:
        await anyio.lowlevel.checkpoint()
        yield piece


async def stream(request: Request) -> Response:
    return StreamingResponse(pieces(), media_type="text/plain")


async def sse(request: Request) -> Response:
    return StreamingResponse(events(), media_type="text/event-stream")


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return PlainTextResponse(str(fields["name"]))


async def upload(request: Request) -> Response:
    async with request.form() as fields:
        file: Any = fields["file"]
        return PlainTextResponse(f"{file.filename} {len(await file.read())}")


async def background(request: Request) -> Response:
    return PlainTextResponse("accepted", background=BackgroundTask(done.note))


async def error(request: Request) -> Response:
    raise LookupError("on purpose")


async def state(request: Request) -> Response:
    return PlainTextResponse(request.state.found)


async def ws(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{text} back")


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/json", json),
        Route("/stream", stream),
        Route("/sse", sse),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/background", background),
        Route("/error", error),
        Route("/state", state),
        WebSocketRoute("/ws", ws),
    ],
    lifespan=lifespan,
)
