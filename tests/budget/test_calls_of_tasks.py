"""How many Python calls handlers in tasks cost, of core, driver and backend: see `test_calls.py`.

The server runs in the loop of asyncio, its client in the same thread. Counted are modules of this project.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from statistics import mode
from types import FrameType
from typing import Any

import anyio

import httpng_asyncio

# At most. From 3.12 on a task begins at once, in the callback that serves what was read.
HELLO = 58
NATIVE_HELLO = 48
PIECE_OF_A_STREAM = 12

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
PIECE = b"data: 1\n\n"
TIMES = 20
TURNS = 100
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Counting:
    """Counts the calls between its beginning and its end."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> "Counting":
        self._before = sys.getprofile()
        sys.setprofile(self._count)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(self._before)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        self.calls += event == "call" and frame.f_globals.get("__name__", "").startswith("httpng_")


async def read(client: socket.socket, end: bytes) -> None:
    """Reads to `end`, and lets the server run meanwhile."""
    data = b""
    for _ in range(TURNS):
        await asyncio.sleep(0)
        try:
            data += client.recv(65536)
        except BlockingIOError:
            continue
        if data.endswith(end):
            # What it still has to do for this.
            await asyncio.sleep(0)
            return
    raise AssertionError(f"no {end!r} within {TURNS} turns of the loop, but {data!r}")


def counted(app: object, exchange: Callable[[socket.socket], Awaitable[None]]) -> int:
    """How many calls most exchanges take, of a client that has connected."""

    async def count(*, task_status: Any = None) -> int:
        async with anyio.create_task_group() as tasks:

            async def serve(*, task_status: Any) -> None:
                await httpng_asyncio.serve(app, listen="127.0.0.1:0", lifespan="off", task_status=task_status)

            server = await tasks.start(serve)
            with socket.create_connection(("127.0.0.1", server.addresses[0].port)) as client:
                client.setblocking(False)
                calls = []
                # What is made once for a connection isn't the cost of a request.
                await exchange(client)
                for _ in range(TIMES):
                    with Counting() as counting:
                        await exchange(client)
                    calls.append(counting.calls)
            tasks.cancel_scope.cancel()
        return mode(calls)

    return asyncio.run(count())


def test_a_hello() -> None:
    async def app(scope: object, receive: object, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"hello"})

    async def exchange(client: socket.socket) -> None:
        client.send(REQUEST)
        await read(client, b"hello")

    assert counted(app, exchange) <= HELLO


def test_a_hello_of_a_coroutine() -> None:
    async def handler(req: object, io: object) -> bytes:
        return b"hello"

    async def exchange(client: socket.socket) -> None:
        client.send(REQUEST)
        await read(client, b"hello")

    assert counted(handler, exchange) <= NATIVE_HELLO


def test_a_piece_of_a_stream() -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def app(scope: object, receive: object, send: Send) -> None:
        await send(START)
        while True:
            await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})

    async def exchange(client: socket.socket) -> None:
        if not exchanges:
            client.send(REQUEST)
        exchanges.append(None)
        queue.put_nowait(PIECE)
        await read(client, PIECE + b"\r\n")

    exchanges: list[None] = []
    assert counted(app, exchange) <= PIECE_OF_A_STREAM
