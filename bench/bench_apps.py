"""The same answer from every server that is measured."""

from typing import Any

HEADERS = {"content-type": "text/plain; charset=utf-8"}


async def hello_async(req: Any, io: Any) -> dict[str, Any]:
    """For httpng, as a coroutine: a task for each request."""
    return {"status": 200, "headers": HEADERS, "body": b"hello"}


def hello_plain(req: Any) -> dict[str, Any]:
    """For httpng, as a function: no task."""
    return {"status": 200, "headers": HEADERS, "body": b"hello"}


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """For the ASGI servers."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})
