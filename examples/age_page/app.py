"""A page that plots live how old the data is in the browser: fast, slow, with every tick, behind a proxy.

    python -m httpng_asyncio examples/age_page/app.py:app     (or -m httpng_trio)

and open http://127.0.0.1:3300/. /newest follows a feed and /every writes each tick: a kibibyte, 50 times a
second. The page reads /newest directly, and both through relays, which are slow links in small: each
passes on so many KiB/s and no more, with little room in its sockets. So the server has really a slow
client: one whose TCP takes no more. The relays listen on 127.0.0.1 alone, so open the page on the same
machine. What a relay's kernel has is acknowledged: up to 5 KiB wait there, which is part of the age that
the page shows. In the server's send queue there is one tick of /newest at most.

Two more relays are proxies in small: they take up to 128 KiB ahead of the slow link, as nginx would. So what
TCP has acknowledged may be old: the page reads /newest through one. Through the other it reads /confirmed, of
which the next tick is chosen when the page has said by a small request that it has the last.

With --certfile and --keyfile it is HTTP/2 over TLS: a relay passes on whatever is spoken. Open
https://127.0.0.1:3300/ then.
"""

import json
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from math import inf
from pathlib import Path
from queue import Queue
from typing import Any

import anyio

from httpng_core import Application, Response, confirmations
from httpng_driver import Feed

PAGE = Path(__file__).with_name("page.html").read_text()
PER_SECOND = 50
TICK_LEN = 1024
RATES = (8, 16, 32, 64)
"""What the relays pass on, in KiB/s; the last one has room for every tick."""
# Relays are other origins to the browser than the page.
EVENT_STREAM = {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "access-control-allow-origin": "*",
}
UNTIL: Any = "acked" if sys.platform == "linux" else "sent"
TAKEN_AHEAD = 128 * 1024
"""What a relay that is a proxy takes ahead of its slow link."""
MAX_BEHIND = 10_000
"""Who has so many ticks waiting, 200 s, is given up."""


class Ticker:
    """Makes ticks for as long as somebody looks."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.queues: set[Any] = set()
        self.number = 0
        self._ticking = anyio.Lock()

    async def run(self) -> None:
        """Makes ticks until it is cancelled; one of the streams' tasks does so for all."""
        async with self._ticking:
            due = time.monotonic()
            while True:
                due = max(due + 1 / PER_SECOND, time.monotonic())
                await anyio.sleep(max(0.0, due - time.monotonic()))
                self._tick()

    def _tick(self) -> None:
        self.number += 1
        data = json.dumps({"at": round(time.time(), 4), "number": self.number})
        event = f"id: {self.number}\ndata: {data}".ljust(TICK_LEN - 2).encode() + b"\n\n"
        self.feed.publish(event)
        for queue in self.queues:
            queue.send_nowait(event)


ticker = Ticker()
confirming = confirmations("/confirm")


async def newest(io: Any) -> None:
    """The newest tick, chosen when the client's TCP has acknowledged the last."""
    io.window_until = UNTIL
    await io.follow(ticker.feed)


async def confirmed(io: Any) -> None:
    """The newest tick, chosen when the page has said that it has the last."""
    await io.write(confirming.event(io))
    io.window_until = "confirmed"
    await io.follow(ticker.feed)


async def every(io: Any) -> None:
    """Every tick, as most servers do it: what the client doesn't take waits in a queue, and in buffers."""
    queue, ticks = anyio.create_memory_object_stream[bytes](inf)
    ticker.queues.add(queue)
    try:
        while ticks.statistics().current_buffer_used < MAX_BEHIND:
            if await io.write(await ticks.receive()) is not None:
                return
    finally:
        ticker.queues.discard(queue)
        queue.close()
        ticks.close()


async def stream(handler: Any, io: Any) -> None:
    """Server-sent events for as long as `handler` sends some."""
    io.headers = EVENT_STREAM
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticker.run)
        await handler(io)
        tasks.cancel_scope.cancel()


STREAMS = {"/newest": newest, "/confirmed": confirmed, "/every": every}


async def handler(req: Any, io: Any) -> Response | dict[str, Any] | None:
    """Routes."""
    path = req.path.partition("?")[0]
    if path == "/":
        return {"headers": {"content-type": "text/html; charset=utf-8"}, "body": PAGE}
    if path == "/relays":
        ports = relays(req.ouraddr.host, req.ouraddr.port)
        return {"headers": {"content-type": "application/json"}, "body": json.dumps(ports)}
    if path == "/confirm":
        answer = confirming(req)
        fields: Any = answer.headers or {}
        return replace(answer, headers={**fields, "access-control-allow-origin": "*"})
    if path not in STREAMS:
        return {"status": 404, "body": "not found"}
    await stream(STREAMS[path], io)
    return None


app = Application(handler)


# Slow links --------------------------------------------------------------------------------------------


class Relay(socketserver.ThreadingTCPServer):
    """A slow link to `address`: of what comes from there it passes on `rate` bytes a second.

    One that is a proxy takes up to `ahead` bytes before it passes them on.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], rate: int, ahead: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Link)
        self.address, self.rate, self.ahead = address, rate, ahead
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Link(socketserver.BaseRequestHandler):
    """One connection through a relay; each of its ways runs in a thread of its own."""

    def handle(self) -> None:
        """Passes on what the client sends, and slowly what comes back, until either end is gone."""
        assert isinstance(self.server, Relay)
        with suppress(OSError), socket.socket(_family(self.server.address[0])) as server:
            # Small packets and little room for them, before connecting: or loopback's own are 64 KiB.
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            ahead = self.server.ahead
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            server.connect(self.server.address)
            threading.Thread(target=self._pass_up, args=(server,), daemon=True).start()
            take = self._taking(server, ahead) if ahead else partial(server.recv, 256)
            self._pass_on(take, self.server.rate)

    def _pass_up(self, server: socket.socket) -> None:
        with suppress(OSError):
            while data := self.request.recv(4096):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _taking(self, server: socket.socket, ahead: int) -> Callable[[], bytes]:
        """Takes what comes in a thread of its own, up to so much; returns what gives the next of it."""
        taken: Queue[bytes] = Queue(ahead // 256)

        def take() -> None:
            data = b"x"
            while data:
                data = b""
                with suppress(OSError):
                    data = server.recv(256)
                taken.put(data)

        threading.Thread(target=take, daemon=True).start()
        return taken.get

    def _pass_on(self, take: Callable[[], bytes], rate: int) -> None:
        due = -inf
        while data := take():
            self.request.sendall(data)
            due = max(due, time.monotonic()) + len(data) / rate
            time.sleep(max(0.0, due - time.monotonic()))


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@cache
def relays(host: str, port: int) -> dict[str, dict[int, int]]:
    """The ports of the relays to a server by their KiB/s; they start when they are first asked for.

    Each stream has its own: over HTTP/2 a browser asks for all of one address on one connection.
    """
    return {
        name: {rate: Relay((host, port), rate * 1024, ahead).server_address[1] for rate in RATES}
        for name, ahead in (("newest", 0), ("every", 0), ("proxied", TAKEN_AHEAD), ("confirmed", TAKEN_AHEAD))
    }
