"""A stock ticker on a feed: each quote goes out once for all, and slow clients skip to the newest.

    python -m httpng_asyncio examples/ticker_feed.py:app
    curl -N http://127.0.0.1:3300/

/ streams server-sent events, first the newest quote of each symbol. A client that has missed quotes is told
so: by an event `gap` with their number, also when it comes back with the header Last-Event-ID. That number
may then be too high by some quotes, as those of one symbol may overtake those of another. /stats tells what
became of all quotes.
"""

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import anyio

from httpng_core import Application
from httpng_driver import Feed

SYMBOLS = ("ACME", "BOLT", "CORK", "DUNE", "ECHO", "FERN", "GULF", "HALO")
PER_SECOND = 50
EVENT_STREAM = {"content-type": "text/event-stream", "cache-control": "no-store"}


class Market:
    """Prices that walk at random for as long as somebody looks."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.prices = dict.fromkeys(SYMBOLS, 100.0)
        self.number = 0
        self.newest = dict.fromkeys(SYMBOLS, 0)

    async def trade(self) -> None:
        """Publishes quotes, for the followers in all event loops."""
        while True:
            await anyio.sleep(1 / PER_SECOND)
            if self.feed.get_stats().followers:
                self._quote()

    def missed_since(self, number: int) -> int:
        """How many quotes after this one are lost: those that aren't the newest of their symbol."""
        return max(0, self.number - number - sum(newest > number for newest in self.newest.values()))

    def _quote(self) -> None:
        self.number += 1
        symbol = random.choice(SYMBOLS)
        self.newest[symbol] = self.number
        price = self.prices[symbol] = max(1.0, self.prices[symbol] + random.gauss(0, 0.2))
        quote = json.dumps({"symbol": symbol, "price": round(price, 2)})
        self.feed.publish(f"id: {self.number}\ndata: {quote}\n\n", symbol)


@asynccontextmanager
async def lifespan() -> AsyncIterator[Market]:
    """A market that trades for as long as the server runs: each request finds it in `req.state`."""
    market = Market()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(market.trade)
        yield market
        tasks.cancel_scope.cancel()


def gap(missed: int) -> str:
    """The event that tells how many quotes a client has missed."""
    return f"event: gap\ndata: {missed}\n\n"


async def stream(req: Any, io: Any) -> None:
    """The quotes, from the newest of each symbol on."""
    market: Market = req.state
    io.headers = EVENT_STREAM
    last = req.headers.get("last-event-id", "")
    missed = market.missed_since(int(last)) if last.isdecimal() else 0
    await io.write("retry: 1000\n\n" + (gap(missed) if missed else ""))
    await io.follow(market.feed, on_gap=gap)


async def handler(req: Any, io: Any) -> dict[str, Any] | None:
    """Routes."""
    if req.path == "/stats":
        body = json.dumps(asdict(req.state.feed.get_stats()))
        return {"headers": {"content-type": "application/json"}, "body": body}
    if req.path != "/":
        return {"status": 404, "body": "not found"}
    await stream(req, io)
    return None


app = Application(handler, lifespan=lifespan)
