"""The application in BlackSheep."""

import asyncio
from typing import Any

from blacksheep import Application, Content, Request, Response, StreamedContent, WebSocket, get, post
from blacksheep.server.responses import json as as_json
from blacksheep.server.responses import text
from tests.frameworks.apps import PIECES, Done, events

done = Done()
app = Application()
_tasks: set[Any] = set()
_found: dict[str, str] = {}


@app.on_start
async def start(application: Application) -> None:
    _found["state"] = "state"


@get("/hello")
async def hello() -> Response:
    return text("hello")


@get("/json")
async def json() -> Response:
    return as_json({"a": [1, 2]})


@get("/stream")
async def stream() -> Response:
    async def pieces() -> Any:
        for piece in PIECES:
            yield piece

    return Response(200, content=StreamedContent(b"text/plain", pieces))


@get("/sse")
async def sse() -> Response:
    return Response(200, content=StreamedContent(b"text/event-stream", events))


@post("/form")
async def form(request: Request) -> Response:
    fields: Any = await request.form()
    return text(fields["name"])


@post("/upload")
async def upload(request: Request) -> Response:
    files: Any = await request.files()
    name = files[0].file_name
    return text(f"{name if isinstance(name, str) else name.decode()} {len(files[0].data)}")


@get("/background")
async def background() -> Response:
    task = asyncio.get_running_loop().create_task(done.note())
    _tasks.add(task)
    return text("accepted")


@get("/error")
async def error() -> Response:
    raise LookupError("on purpose")


@get("/state")
async def state() -> Response:
    return Response(200, content=Content(b"text/plain", _found["state"].encode()))


@app.router.ws("/ws")
async def ws(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text(f"{await websocket.receive_text()} back")
