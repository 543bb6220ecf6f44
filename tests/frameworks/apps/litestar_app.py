"""The application in Litestar."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from litestar import Litestar, MediaType, Request, Response, get, post, websocket_listener
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Stream
from tests.frameworks.apps import PIECES, Done, events

done = Done()


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    app.state.found = "state"
    yield


@get("/hello", media_type=MediaType.TEXT)
async def hello() -> str:
    return "hello"


@get("/json")
async def json() -> dict[str, Any]:
    return {"a": [1, 2]}


async def _pieces() -> AsyncIterator[bytes]:
    for piece in PIECES:
        yield piece


@get("/stream")
async def stream() -> Stream:
    return Stream(_pieces(), media_type="text/plain")


@get("/sse")
async def sse() -> Stream:
    return Stream(events(), media_type="text/event-stream")


@post("/form", media_type=MediaType.TEXT, status_code=200)
async def form(data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]) -> str:
    return data["name"]


@post("/upload", media_type=MediaType.TEXT, status_code=200)
async def upload(
    data: Annotated[dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> str:
    file = data["file"]
    return f"{file.filename} {len(await file.read())}"


@get("/background")
async def background() -> Response[str]:
    return Response("accepted", media_type=MediaType.TEXT, background=BackgroundTask(done.note))


@get("/error")
async def error() -> None:
    raise LookupError("on purpose")


@get("/state", media_type=MediaType.TEXT)
async def state(request: Request[Any, Any, Any]) -> str:
    return str(request.app.state.found)


@websocket_listener("/ws")
async def ws(data: str) -> str:
    return f"{data} back"


app = Litestar(
    [hello, json, stream, sse, form, upload, background, error, state, ws],
    lifespan=[lifespan],
    openapi_config=None,
)
