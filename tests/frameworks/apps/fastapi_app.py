"""The application in FastAPI."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import BackgroundTasks, FastAPI, Form, Request, UploadFile, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from tests.frameworks.apps import Done, events
from tests.frameworks.apps.starlette_app import pieces

done = Done()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    yield {"found": "state"}


app = FastAPI(lifespan=lifespan)


@app.get("/hello", response_class=PlainTextResponse)
async def hello() -> str:
    return "hello"


@app.get("/json")
async def json() -> dict[str, Any]:
    return {"a": [1, 2]}


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(pieces(), media_type="text/plain")


@app.get("/sse")
async def sse() -> StreamingResponse:
    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/form", response_class=PlainTextResponse)
async def form(name: Annotated[str, Form()]) -> str:
    return name


@app.post("/upload", response_class=PlainTextResponse)
async def upload(file: UploadFile) -> str:
    return f"{file.filename} {len(await file.read())}"


@app.get("/background", response_class=PlainTextResponse)
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(done.note)
    return "accepted"


@app.get("/error")
async def error() -> None:
    raise LookupError("on purpose")


@app.get("/state", response_class=PlainTextResponse)
def state(request: Request) -> str:
    """In a worker thread."""
    return str(request.state.found)


@app.websocket("/ws")
async def ws(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{text} back")
