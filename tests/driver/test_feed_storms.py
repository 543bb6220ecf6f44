"""Feeds in storms, over sockets: what threads publish stays small, and loops that went are forgotten."""

import gc
import time
from functools import partial
from pathlib import Path

import anyio
import pytest
from tests.driver.harness import GET, Client, Serving, in_thread, until

from httpng_core import Request
from httpng_driver import IO, Feed
from httpng_driver.loop import Doorbell
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

KEYS = 3000


async def read_until_there(client: Client, text: bytes) -> None:
    def read() -> None:
        while text not in client.wire and client.receive():
            pass

    await in_thread(read)
    assert text in client.wire


@pytest.mark.parametrize("threads", [1, 2])
async def test_a_storm_of_other_threads_is_coalesced_and_others_are_answered(
    serving: Serving, threads: int
) -> None:
    feed = Feed()
    most = 0

    async def handler(req: Request, io: IO) -> str | None:
        if req.path == "/follow":
            await io.follow(feed)
            return None
        return "here"

    def storm() -> None:
        nonlocal most
        for number in range(KEYS * 5):
            feed.publish_threadsafe(f"<{number}>", number % KEYS)
            if not number % 1000:
                most = max(most, feed.statistics().waiting)

    async with serving(handler, threads=threads) as server:
        address = server.addresses[0]
        with Client(address) as one, Client(address) as other, Client(address) as asking:
            for client in (one, other):
                client.send(GET.replace(b"/", b"/follow", 1))
            await until(lambda: feed.get_stats().followers == 2, "both follow")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(in_thread, storm)
                assert (await in_thread(client_asks, asking)) == b"here"
            feed.publish("the end", "the end")
            for client in (one, other):
                # It was published last, so it comes last, and the newest of all others before it.
                await read_until_there(client, b"the end")
                newest = range(KEYS * 4, KEYS * 5)
                assert all(b"<%d>" % number in client.wire for number in newest)
            assert most <= KEYS * threads
            stats = feed.get_stats()
            assert stats.published == KEYS * 5 + 1
            assert stats.delivered + stats.skipped == 2 * stats.published


def client_asks(client: Client) -> bytes:
    return client.ask(GET).body


@pytest.mark.parametrize("threads", [1, 2])
async def test_a_feed_forgets_the_loops_of_servers_that_are_gone(serving: Serving, threads: int) -> None:
    feed = Feed()

    async def follow(req: Request, io: IO) -> None:
        await io.follow(feed)

    def doorbells() -> int:
        gc.collect()
        return sum(isinstance(thing, Doorbell) for thing in gc.get_objects())

    async def serve_once(tick: bytes) -> None:
        async with serving(follow, threads=threads) as server:
            address = server.addresses[0]
            with Client(address) as one, Client(address) as other:
                for client in (one, other):
                    client.send(GET)
                await until(lambda: feed.get_stats().followers == 2, "both follow")
                assert len(feed.statistics().loops) == threads
                feed.publish(tick)
                await read_until_there(other, tick)

    await serve_once(b"tick 0")
    before = doorbells()
    for number in range(1, 4):
        await serve_once(b"tick %d" % number)
        assert feed.statistics().loops == ()
    assert doorbells() == before


SCRIPT = """
local httpng = require 'httpng'
local feed = httpng.feed()
httpng.cfg{threads = 2, handler = function(req, io)
  if req.path == '/storm' then
    for number = 1, 20000 do feed:publish(('<%d>'):format(number), number % 2) end
    return 'done'
  elseif req.path == '/stats' then
    local told = feed:get_stats()
    return ('%d %d %d'):format(told.published, told.followers, told.delivered + told.skipped)
  end
  io:follow(feed)
end}
"""


@pytest.mark.parametrize("lua", ["luajit21", "lua54"])
async def test_a_storm_in_lua_reaches_the_followers_of_other_loops_as_the_newest(
    serving: Serving, tmp_path: Path, lua: str
) -> None:
    script = tmp_path / "script.lua"
    script.write_text(SCRIPT)
    app = LuaApplication(script, clock=time.monotonic, lua=lua)
    async with serving(app) as server:
        address = server.addresses[0]
        with Client(address) as one, Client(address) as other, Client(address) as asking:

            def ask(path: str) -> bytes:
                return asking.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).body

            for client in (one, other):
                client.send(GET)
            while not (await in_thread(ask, "/stats")).startswith(b"0 2"):
                pass
            assert (await in_thread(ask, "/storm")) == b"done"
            for client in (one, other):
                await read_until_there(client, b"<20000>")
                await read_until_there(client, b"<19999>")
            with anyio.fail_after(30):
                while (await in_thread(partial(ask, "/stats"))) != b"20000 2 40000":
                    pass
