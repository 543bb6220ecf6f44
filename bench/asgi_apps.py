"""What bench/asgi.py serves of FastAPI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import fanout_apps  # type: ignore[import-not-found]
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    fanout_apps.allow_many_files()
    publisher = asyncio.create_task(fanout_apps._publish_to_queues())
    yield
    publisher.cancel()


hello = FastAPI()
fanout = FastAPI(lifespan=_lifespan)


@hello.get("/", response_class=PlainTextResponse)
async def _hello() -> str:
    return "hello"


async def _ticks() -> AsyncIterator[bytes]:
    queue: asyncio.Queue[bytes] = asyncio.Queue(100)
    fanout_apps.queues.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        fanout_apps.queues.discard(queue)


@fanout.get("/")
async def _fanout() -> StreamingResponse:
    return StreamingResponse(_ticks(), media_type="text/event-stream")


given: dict[str, int] = {"bytes": 0}
"""What `slow` believes to be sent of its newest stream."""
slow = FastAPI()
EVENT = b"data: " + b"x" * 992 + b"\n\n"


async def _events() -> AsyncIterator[bytes]:
    given["bytes"] = 0
    while True:
        yield EVENT
        # Who asks for the next one has sent the last.
        given["bytes"] += len(EVENT)
        await asyncio.sleep(0)


@slow.get("/")
async def _slow() -> StreamingResponse:
    return StreamingResponse(_events(), media_type="text/event-stream")


@slow.get("/given")
async def _given() -> dict[str, int]:
    return given
