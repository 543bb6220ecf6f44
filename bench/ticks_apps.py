"""The ticks as handlers of httpng and as an ASGI application, each in its best idiom.

The newest tick is chosen when the call before it has returned: that is all the backpressure there is.
"""

from typing import Any

import anyio
from bench import ticks

from httpng_core import Until
from httpng_driver import Feed

LAST = ticks.PER_SECOND * 3600
"""No loop goes on for ever: an hour of ticks is enough."""


async def sent(req: Any, io: Any) -> None:
    """The newest tick, when the TCP/IP stack has taken the last one."""
    await _newest(io, "sent")


async def acked(req: Any, io: Any) -> None:
    """The newest tick, when the client's TCP has acknowledged the last one."""
    await _newest(io, "acked")


async def feed(req: Any, io: Any) -> None:
    """Follows a feed of all ticks, the next one when the client's TCP has acknowledged the last."""
    io.headers = ticks.HEADERS
    io.window_until = "acked"
    feed = Feed()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish, feed)
        await io.follow(feed)
        tasks.cancel_scope.cancel()


async def publish(feed: Feed) -> None:
    number = ticks.newest()
    for _ in range(LAST):
        await anyio.sleep(ticks.until_after(number))
        number = ticks.newest()
        feed.publish(ticks.body(number))


async def every(req: Any, io: Any) -> None:
    """Every tick, into whatever buffer has room. Don't."""
    io.headers = ticks.HEADERS
    first = ticks.newest()
    for number in range(first, first + LAST):
        await anyio.sleep(ticks.until_after(number - 1))
        if await io.write(ticks.body(number)) is not None:
            return


async def _newest(io: Any, until: Until) -> None:
    io.headers = ticks.HEADERS
    io.window_until = until
    number = 0
    for _ in range(LAST):
        await anyio.sleep(ticks.until_after(number))
        number = ticks.newest()
        if await io.write(ticks.body(number)) is not None or not (await io.wait(0)).reached:
            return


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """For the ASGI servers: /every writes every tick, any other path the newest when `send` has returned."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(name.encode(), value.encode()) for name, value in ticks.HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    number = ticks.newest()
    for _ in range(LAST):
        await anyio.sleep(ticks.until_after(number))
        number = number + 1 if scope["path"] == "/every" else ticks.newest()
        await send({"type": "http.response.body", "body": ticks.body(number), "more_body": True})
