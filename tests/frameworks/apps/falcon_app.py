"""The application in Falcon."""

from typing import Any

import falcon.asgi
from tests.frameworks.apps import PIECES, Done, events

done = Done()


class Start:
    """Falcon's lifespan."""

    found = ""

    async def process_startup(self, scope: Any, event: Any) -> None:
        Start.found = "state"


class Route:
    """A path and what answers it."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def on_get(self, req: Any, resp: Any) -> None:
        await self._answer(req, resp)

    on_post = on_get

    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        while True:
            await ws.send_text(f"{await ws.receive_text()} back")


def _text(resp: Any, body: str) -> None:
    resp.content_type, resp.text = "text/plain", body


async def hello(req: Any, resp: Any) -> None:
    _text(resp, "hello")


async def json(req: Any, resp: Any) -> None:
    resp.media = {"a": [1, 2]}


async def stream(req: Any, resp: Any) -> None:
    async def pieces() -> Any:
        for piece in PIECES:
            yield piece

    resp.content_type, resp.stream = "text/plain", pieces()


async def sse(req: Any, resp: Any) -> None:
    resp.content_type, resp.stream = "text/event-stream", events()


async def form(req: Any, resp: Any) -> None:
    _text(resp, (await req.get_media())["name"])


async def upload(req: Any, resp: Any) -> None:
    async for part in await req.get_media():
        _text(resp, f"{part.filename} {len(await part.stream.read())}")


async def background(req: Any, resp: Any) -> None:
    resp.schedule(done.note)
    _text(resp, "accepted")


async def error(req: Any, resp: Any) -> None:
    raise LookupError("on purpose")


async def state(req: Any, resp: Any) -> None:
    _text(resp, Start.found)


app = falcon.asgi.App(middleware=[Start()])
for answer in (hello, json, stream, sse, form, upload, background, error, state):
    app.add_route(f"/{answer.__name__}", Route(answer))
