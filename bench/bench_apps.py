"""The same answers from every server that is measured: hello, and bulk in pieces of 64 KiB."""

import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

HEADERS = {"content-type": "text/plain; charset=utf-8"}
BULK = "application/octet-stream"
PIECE = b"x" * 65536

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def hello_async(req: Any, io: Any) -> dict[str, Any]:
    """For httpng, as a coroutine: a task for each request."""
    return {"status": 200, "headers": HEADERS, "body": b"hello"}


def hello_plain(req: Any) -> dict[str, Any]:
    """For httpng, as a function: no task."""
    return {"status": 200, "headers": HEADERS, "body": b"hello"}


async def bulk_async(req: Any, io: Any) -> dict[str, Any] | None:
    """For httpng: /chunked/COUNT or /sized/COUNT, as many pieces; else hello."""
    kind, count = _bulk(req.path)
    if not kind:
        return await hello_async(req, io)
    headers = {"content-type": BULK}
    if kind == "sized":
        headers["content-length"] = str(count * len(PIECE))
    await io.write_header(200, headers)
    for _ in range(count):
        await io.write(PIECE)
    return None


async def heap_async(req: Any, io: Any) -> dict[str, Any]:
    """For httpng: /heap tells how many bytes Python has allocated; else hello."""
    if req.path == "/heap":
        return {"status": 200, "headers": HEADERS, "body": _heap()}
    return await hello_async(req, io)


async def asgi(scope: Any, receive: Any, send: Send) -> None:
    """For the ASGI servers: hello, and nothing else."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


async def asgi_more(scope: Any, receive: Any, send: Send) -> None:
    """For the ASGI servers: what `bulk_async` and `heap_async` answer."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["path"] == "/heap":
        await _send_text(send, _heap())
    elif _bulk(scope["path"])[0]:
        await _send_bulk(send, *_bulk(scope["path"]))
    else:
        await _send_text(send, b"hello")


async def _send_bulk(send: Send, kind: str, count: int) -> None:
    headers = [(b"content-type", BULK.encode())]
    if kind == "sized":
        headers.append((b"content-length", str(count * len(PIECE)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(count):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send_text(send: Send, body: bytes) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Any, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def _bulk(path: str) -> tuple[str, int]:
    """The kind and the count of /chunked/COUNT or /sized/COUNT, or nothing."""
    kind, _, count = path[1:].partition("/")
    return (kind, int(count)) if kind in ("chunked", "sized") else ("", 0)


def _heap() -> bytes:
    gc.collect()
    return str(tracemalloc.get_traced_memory()[0]).encode()
