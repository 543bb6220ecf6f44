"""Several event loops, each in a thread: a handler that blocks keeps only those waiting that share its loop.

python -m httpng_asyncio examples/threads.py:app
curl http://127.0.0.1:3300/            in which thread this connection is
curl http://127.0.0.1:3300/prices      a feed, published once, followed from all loops
curl http://127.0.0.1:3300/block       a plain function that blocks its loop for half a second
"""

import threading
import time

from httpng_asyncio import IO, Application, Feed, Request

feed = Feed()


def publish() -> None:
    number = 0
    while True:
        number += 1
        feed.publish(f"{number}\n")
        time.sleep(0.02)


# Any thread may publish.
threading.Thread(target=publish, daemon=True).start()


async def prices(req: Request, io: IO) -> None:
    await io.follow(feed, timeout=1)
    await io.close()


def block(req: Request) -> str:
    time.sleep(0.5)
    return "blocked\n"


def where(req: Request) -> str:
    return f"{threading.current_thread().name}\n"


app = Application(
    where,
    sites=[{"path": "/prices", "handler": prices}, {"path": "/block", "handler": block}],
    threads=4,
)
