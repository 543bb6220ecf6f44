"""What tests of feeds read: streams of events."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from anyio.from_thread import start_blocking_portal
from tests.brokers.servers import BOUND
from tests.driver.harness import Client, serving_on

from httpng_core import Application, Request, sse_event, sse_headers
from httpng_driver import IO, Feed, Server

_EVENT = re.compile(rb"id: (\S+)\n(.*?)\n\n", re.DOTALL)


def until(condition: Callable[[], object], what: str = "") -> None:
    """Waits for what other processes and threads do."""
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def gone(key: object) -> bytes:
    return sse_event(f"-{key}")


def publish(feed: Feed, *values: str) -> None:
    """Each is the value of the key that is its first letter, and arrives before the next goes out."""
    for value in values:
        feed.publish(sse_event(value), value[0])
        assert feed.flush(BOUND)  # type: ignore[attr-defined]


class Stream:
    """A client that follows: reads in a thread of its own."""

    def __init__(self, client: Client, since: str, path: str) -> None:
        self._client = client
        headers = [("last-event-id", since)] if since else []
        client.request(path, headers=headers)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[str]:
        """What came, one word each, without the greeting."""
        texts = [data.decode().replace("\n", " ") for _, data in self._found()]
        return [text.replace("data: ", "") for text in texts if not text.startswith("retry")]

    @property
    def last_id(self) -> str:
        return self._found()[-1][0].decode()

    def read_until(self, last: str) -> list[str]:
        until(lambda: self.events and self.events[-1] == last, f"{last} comes: {self.events}")
        return self.events

    def _found(self) -> list[tuple[bytes, bytes]]:
        return _EVENT.findall(self._client.body)

    def _read(self) -> None:
        with suppress(OSError):
            while self._client.receive():
                pass


def following(feed: Feed, **options: Any) -> Any:
    async def handler(req: Request, io: IO) -> None:
        io.headers = dict(sse_headers())
        keys = {req.query} if req.query else None
        since = req.headers.get("last-event-id")
        await io.follow(feed, keys=keys, since=since, on_gap=lambda n: f"id: -\ndata: gap {n}\n\n", **options)

    return handler


@contextmanager
def served(feed: Any, loop: str = "asyncio", **options: Any) -> Iterator[Server]:
    """A process that follows a broker, as far as a test has it: a server, and a feed that runs with it."""
    application = Application(following(feed, **options), listen="127.0.0.1:0", lifespan=feed.running)
    with (
        start_blocking_portal(loop) as portal,
        portal.wrap_async_context_manager(serving_on(loop)(application)) as server,
    ):
        yield server


@contextmanager
def stream(server: Server, since: str = "", path: str = "/") -> Iterator[Stream]:
    with Client(server.addresses[0]) as client:
        yield Stream(client, since, path)
