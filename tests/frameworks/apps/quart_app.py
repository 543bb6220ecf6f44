"""The application in Quart."""

from typing import Any

from quart import Quart, Response, current_app, request, websocket
from tests.frameworks.apps import PIECES, Done, events

done = Done()
app = Quart(__name__)


@app.before_serving
async def start() -> None:
    app.config["FOUND"] = "state"


@app.get("/hello")
async def hello() -> str:
    return "hello"


@app.get("/json")
async def json() -> dict[str, Any]:
    return {"a": [1, 2]}


@app.get("/stream")
async def stream() -> Response:
    async def pieces() -> Any:
        for piece in PIECES:
            yield piece

    return Response(pieces(), content_type="text/plain")


@app.get("/sse")
async def sse() -> Response:
    return Response(events(), content_type="text/event-stream")


@app.post("/form")
async def form() -> str:
    return str((await request.form)["name"])


@app.post("/upload")
async def upload() -> str:
    file = (await request.files)["file"]
    return f"{file.filename} {len(file.read())}"


@app.get("/background")
async def background() -> str:
    app.add_background_task(done.note)
    return "accepted"


@app.get("/error")
async def error() -> str:
    raise LookupError("on purpose")


@app.get("/state")
async def state() -> str:
    return str(current_app.config["FOUND"])


@app.websocket("/ws")
async def ws() -> None:
    while True:
        await websocket.send(str(await websocket.receive()) + " back")
