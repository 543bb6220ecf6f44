"""Streams over reloads: no client loses the newest value of a key, none is refused, none is left behind."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.backends.stream_clients import EventClient, MessageClient, StreamClient, StreamClients
from tests.backends.test_workers import Program, command, program

CLIENTS = int(os.environ.get("STREAM_CLIENTS", "1000"))
RELOADS = int(os.environ.get("STREAM_RELOADS", "12"))
PAUSE = float(os.environ.get("STREAM_PAUSE", "5"))
KEYS = "abcde"
_PUBLISHED = f"""
import itertools, threading, time
from httpng import Feed, Resume

def publish():
    # Every process publishes the same, as from a data base: 50 updates a second.
    for key in itertools.cycle({KEYS!r}):
        feed.publish_threadsafe(UPDATE.format(key=key, number=time.time_ns() // 20_000_000), key)
        time.sleep(0.02)

def start():
    threading.Thread(target=publish, daemon=True).start()
"""
_EVENTS = (
    _PUBLISHED
    + """
feed, UPDATE = Feed(resume=Resume(retry=0)), "data: {key} {number}\\n\\n"
start()

async def app(req, io):
    io.headers = {"content-type": "text/event-stream"}
    await io.follow(feed, since=req.headers.get("last-event-id"), until_draining=True)
    await io.write("event: bye\\ndata:\\n\\n")
"""
)
_MESSAGES = (
    _PUBLISHED
    + """
feed, UPDATE = Feed(resume=Resume(id_line="{id} ", first=None, gap="gap")), "{key} {number}"
start()

async def app(req, io):
    ws = await io.accept_websocket()
    await ws.follow(feed, since=req.query or None)
"""
)
_KNOWS_NOTHING = """
import asyncio, time

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while True:
        number = time.time_ns() // 20_000_000
        body = b"".join(b"id: 0\\ndata: %c %d\\n\\n" % (key, number) for key in b"abcde")
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(0.5)
"""
_TIMEOUT = 3.0


def now() -> int:
    """The number that is published now."""
    return time.time_ns() // 20_000_000


@contextmanager
def streams(
    folder: Path, app: str, *options: str, kind: type[StreamClient] = EventClient
) -> Iterator[tuple[Program, StreamClients]]:
    """Two workers, and clients that all have a value."""
    (folder / "app.py").write_text(app)
    with program(folder, *command("httpng_asyncio", "app.py:app", "--workers", "2", *options)) as server:
        crowd = StreamClients(server.address, [kind() for _ in range(CLIENTS)])
        with crowd:
            until_current(server, crowd)
            yield server, crowd


def until_current(server: Program, crowd: StreamClients) -> None:
    """Each client gets values of all keys that are published from now on."""
    since = now()
    try:
        server.until(lambda: all(crowd.newest(key) >= since for key in KEYS), "all have the newest values")
    except AssertionError as error:
        error.add_note(f"Behind are {crowd.behind(since)}")
        raise


def reload(server: Program) -> float:
    """Replace both workers; return when that began."""
    ready, began = server.log.count(" serves\n"), time.monotonic()
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.log.count(" serves\n") >= ready + 2, "both are replaced")
    return began


def reload_again_and_again(server: Program) -> None:
    for _ in range(RELOADS):
        due = time.monotonic() + PAUSE
        reload(server)
        time.sleep(max(0.0, due - time.monotonic()))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("app", "kind", "farewell"), [(_EVENTS, EventClient, "goodbye"), (_MESSAGES, MessageClient, "1012")]
)
def test_streams_end_properly_and_go_on(
    tmp_path: Path, app: str, kind: type[StreamClient], farewell: str
) -> None:
    with streams(tmp_path, app, kind=kind) as (server, crowd):
        reload_again_and_again(server)
        until_current(server, crowd)
        assert crowd.failures() == []
        ends = Counter(end.how for end in crowd.ends())
        print(f"{CLIENTS} clients, {dict(ends)}")
        assert ends.keys() == {farewell}
        assert ends[farewell] >= CLIENTS * RELOADS
        began = time.monotonic()
        assert server.end() == 0
        took = time.monotonic() - began
        print(f"{CLIENTS} clients, {dict(ends)}, ended after {took:.2f} s")
        assert took < 1


@pytest.mark.soak
def test_streams_of_who_knows_nothing_of_it_are_cut_at_the_timeout_alone(
    tmp_path: Path,
) -> None:
    options = ("--shutdown-timeout", str(_TIMEOUT), "--interface", "asgi")
    with streams(tmp_path, _KNOWS_NOTHING, *options) as (server, crowd):
        began = []
        for _ in range(RELOADS):
            began.append(reload(server))
            # Longer than the timeout: so each end belongs to the reload before it.
            time.sleep(max(PAUSE, 1.5 * _TIMEOUT))
        server.until(lambda: len(crowd.ends()) >= CLIENTS * RELOADS, "all are cut")
        until_current(server, crowd)
        assert crowd.failures() == []
        assert {end.how for end in crowd.ends()} == {"cut"}
        after = [end.at - max(each for each in began if each < end.at) for end in crowd.ends()]
        print(f"{CLIENTS} clients, cut {min(after):.2f} to {max(after):.2f} s after a reload began")
        assert min(after) >= _TIMEOUT
        began.append(time.monotonic())
        assert server.end() == 0
        assert _TIMEOUT <= time.monotonic() - began[-1] < 2 * _TIMEOUT
