"""The same ticks from every server that is measured: 200 bytes, 20,000 messages a second.

`python bench/fanout_apps.py PORT` is the bare loop, the floor: sockets and `send`, and nothing else. With the
path of a certificate and its key behind the port it seals each tick for each follower, and nothing else; with
`http2` there it frames each tick for a stream of each.
"""

import asyncio
import os
import resource
import socket
import ssl
import struct
import sys
import time
from contextlib import suppress
from typing import Any

FOLLOWERS = int(os.environ.get("FANOUT_FOLLOWERS", "200"))
PERIOD = FOLLOWERS / 20_000
TICK = 200
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

queues: "set[asyncio.Queue[bytes]]" = set()


def tick(number: int) -> bytes:
    return (b"data: %d " % number).ljust(TICK - 2, b".") + b"\n\n"


def allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Pace:
    """When the next tick is due."""

    def __init__(self) -> None:
        self._due = time.monotonic()

    def wait(self) -> float:
        now = time.monotonic()
        self._due = max(self._due + PERIOD, now)
        return self._due - now


# httpng ------------------------------------------------------------------------------------------------


class Ticker:
    """A handler that follows one feed; the first follower starts it."""

    def __init__(self) -> None:
        self.feed: Any = None

    async def __call__(self, req: Any, io: Any) -> None:
        import anyio

        from httpng_driver import Feed

        io.headers = {"content-type": "text/event-stream"}
        if self.feed is not None:
            await io.follow(self.feed)
            return
        allow_many_files()
        self.feed = Feed()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._publish)
            await io.follow(self.feed)
            tasks.cancel_scope.cancel()

    async def _publish(self) -> None:
        import anyio

        pace, number = Pace(), 0
        while True:
            number += 1
            self.feed.publish(tick(number))
            await anyio.sleep(pace.wait())


ticker = Ticker()


async def httpng(req: Any, io: Any) -> None:
    await ticker(req, io)


# ASGI --------------------------------------------------------------------------------------------------


async def _publish_to_queues() -> None:
    pace, number = Pace(), 0
    while True:
        number += 1
        payload = tick(number)
        for queue in queues:
            with suppress(asyncio.QueueFull):
                queue.put_nowait(payload)
        await asyncio.sleep(pace.wait())


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """The usual idiom: a queue for each client."""
    if scope["type"] == "lifespan":
        allow_many_files()
        await receive()
        publisher = asyncio.create_task(_publish_to_queues())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        publisher.cancel()
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    queue: asyncio.Queue[bytes] = asyncio.Queue(100)
    queues.add(queue)
    try:
        while True:
            await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})
    finally:
        queues.discard(queue)


# The floor ---------------------------------------------------------------------------------------------


def _accepted(listener: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    sock, _ = listener.accept()
    return sock if context is None else context.wrap_socket(sock, server_side=True)


def bare_http2(port: int) -> None:
    """Frames each tick for each follower, with the number of its stream."""
    allow_many_files()
    with socket.create_server(("127.0.0.1", port), backlog=4096) as listener:
        sockets = [listener.accept()[0] for _ in range(FOLLOWERS)]
    streams = []
    for sock in sockets:
        sock.recv(65536)
        # SETTINGS, and HEADERS with status 200.
        sock.sendall(b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\1\4\0\0\0\1\x88")
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        streams.append((sock, 1))
    head, pace, number = struct.Struct(">IBI"), Pace(), 0
    while True:
        number += 1
        payload = tick(number)
        size = len(payload) << 8
        for sock, stream in streams:
            try:
                sock.send(head.pack(size, 0, stream) + payload)
            except BlockingIOError:
                continue
        time.sleep(pace.wait())


def bare(port: int, *pair: str) -> None:
    allow_many_files()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pair else None
    if context is not None:
        context.load_cert_chain(*pair)
    with socket.create_server(("127.0.0.1", port), backlog=4096) as listener:
        sockets = [_accepted(listener, context) for _ in range(FOLLOWERS)]
    for sock in sockets:
        sock.recv(65536)
        sock.sendall(_HEAD)
        sock.setblocking(False)
        # As the others have it, see fanout.py.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pace, number = Pace(), 0
    while True:
        number += 1
        payload = tick(number)
        frame = b"%x\r\n%b\r\n" % (len(payload), payload)
        for sock in sockets:
            try:
                sock.send(frame)
            except (BlockingIOError, ssl.SSLWantWriteError):
                continue  # Half the price of `suppress`.
        time.sleep(pace.wait())


if __name__ == "__main__":
    # The reader goes first.
    with suppress(ConnectionError):
        if sys.argv[2:] == ["http2"]:
            bare_http2(int(sys.argv[1]))
        bare(int(sys.argv[1]), *sys.argv[2:])
