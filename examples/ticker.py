"""A stock ticker: 50 boards a second, and the newest one to whoever is ready for it.

    python -m httpng_asyncio examples/ticker.py:app
    curl -N http://127.0.0.1:3300/

/ streams server-sent events. A slow client gets fewer boards, each of them fresh: the next is chosen
when the client has acknowledged the last (on Linux; elsewhere, without `window_until`, when the TCP/IP stack
has taken it). /every writes every board, whoever reads, for comparison.
/stats tells where each stream stands; name yours with ?client=NAME.
"""

import json
import random
import time
from typing import Any

import anyio

from httpng_core import Application

SYMBOLS = ("ACME", "BOLT", "CORK", "DUNE", "ECHO", "FERN", "GULF", "HALO")
PER_SECOND = 50
EVENT_STREAM = {"content-type": "text/event-stream", "cache-control": "no-store"}


class Board:
    """Prices that walk at random, 50 times a second for as long as somebody looks."""

    def __init__(self) -> None:
        self.prices = dict.fromkeys(SYMBOLS, 100.0)
        self.began = time.monotonic()
        self.number = 0
        self.event = b""

    def newest(self) -> bytes:
        """The board of now as an event: about 1 KiB, made once for all who ask."""
        number = int((time.monotonic() - self.began) * PER_SECOND)
        if number != self.number:
            self.number = number
            self.event = self._event()
        return self.event

    async def next(self) -> None:
        """Waits for the next board."""
        due = self.began + (int((time.monotonic() - self.began) * PER_SECOND) + 1) / PER_SECOND
        # uvloop counts in milliseconds: it may wake a task 1.5 of them early.
        await anyio.sleep(due - time.monotonic() + 0.002)

    def _event(self) -> bytes:
        quotes = []
        for symbol in SYMBOLS:
            price = self.prices[symbol] = max(1.0, self.prices[symbol] + random.gauss(0, 0.2))
            quote = f'{{"symbol":"{symbol}","bid":{price - 0.01:.2f},"ask":{price + 0.01:.2f}'
            quotes.append(quote + f',"last":{price:.2f},"volume":{random.randrange(100_000, 10**6)}}}')
        board = f'{{"at":{time.time():.3f},"quotes":[{",".join(quotes)}]}}'
        return f"id: {self.number}\ndata: {board:<980}\n\n".encode()


board = Board()
streams: dict[str, Any] = {}


async def newest(io: Any) -> None:
    """The newest board, each time the client has the last one."""
    io.window_until = "acked"
    while True:
        await board.next()
        # The client is gone, or has acknowledged nothing for as long as `default_send_timeout`.
        if await io.write(board.newest()) is not None or not (await io.wait(0)).reached:
            return


async def every(io: Any) -> None:
    """Every board, into whatever buffer has room: what most servers do."""
    while True:
        await board.next()
        if await io.write(board.newest()) is not None:
            return


async def handler(req: Any, io: Any) -> dict[str, Any] | None:
    """Routes."""
    path, _, query = req.path.partition("?")
    if path == "/stats":
        return {"headers": {"content-type": "application/json"}, "body": json.dumps(stats())}
    if path not in ("/", "/every"):
        return {"status": 404, "body": "not found"}
    name = query.removeprefix("client=") or f"{req.peer.host}:{req.peer.port}"
    streams[name] = io
    io.headers = EVENT_STREAM
    try:
        await (newest if path == "/" else every)(io)
    finally:
        streams.pop(name, None)
    return None


def stats() -> dict[str, dict[str, int]]:
    """Where each stream stands, in bytes."""
    told = {name: io.get_send_stats() for name, io in streams.items()}
    return {name: {"current": each.current, "sent": each.sent} for name, each in told.items()}


app = Application(handler)
