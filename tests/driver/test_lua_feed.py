"""A feed of a Lua script over sockets: one client stalls, another comes late."""

import re
import time
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
from tests.driver.harness import BOUND, GET, Client, Serving, in_thread

from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

SCRIPT = """
local httpng, fiber = require 'httpng', require 'fiber'
local feed, number = httpng.feed(), 0

local function publish(count)
  for _ = 1, count do
    number = number + 1
    feed:publish(('<%d>'):format(number) .. ('.'):rep(400))
    fiber.yield()
  end
end

local function stats()
  local told = feed:get_stats()
  return ('%d %d %d %d'):format(told.published, told.followers, told.delivered, told.skipped)
end

httpng.cfg{handler = function(req, io)
  if req.path == '/publish' then
    local done = fiber.channel(0)
    fiber.create(function() publish(100) done:put(true) end)
    done:get()
    return stats()
  elseif req.path == '/close' then
    feed:close()
    return stats()
  elseif req.path == '/stats' then
    return stats()
  end
  return tostring(io:follow(feed, {on_gap = function(n) return ('[%d]'):format(n) end}))
end}
"""


class Told(NamedTuple):
    """What the script tells of its feed."""

    published: int
    followers: int
    delivered: int
    skipped: int


async def ask(client: Client, path: str) -> Told:
    received = await in_thread(client.ask, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return Told(*map(int, received.body.split()))


async def until_followed(client: Client, count: int) -> None:
    with anyio.fail_after(BOUND):
        while (await ask(client, "/stats")).followers < count:
            pass


@pytest.mark.parametrize("lua", ["luajit21", "lua54"])
async def test_each_client_is_told_of_what_it_does_not_get(
    serving: Serving, tmp_path: Path, lua: str
) -> None:
    script = tmp_path / "script.lua"
    script.write_text(SCRIPT)
    app = LuaApplication(script, clock=time.monotonic, lua=lua)
    async with serving(app) as server:
        address = server.addresses[0]
        with Client(address) as asking, Client(address, receive_buffer=4096) as slow, Client(address) as late:
            slow.send(GET)
            await until_followed(asking, 1)
            before = -1
            while (told := await ask(asking, "/publish")).delivered > before:
                before = told.delivered
            # Now the slow one has no room: what it gets next is the newest.
            late.send(GET)
            await until_followed(asking, 2)
            last = await ask(asking, "/publish")
            assert last.skipped >= 99
            await ask(asking, "/close")
            [slow_body, late_body] = [(await in_thread(one.read_response)).body for one in (slow, late)]
            end = await ask(asking, "/stats")
    assert end == Told(last.published, 0, slow_body.count(b"<") + late_body.count(b"<"), end.skipped)
    assert end.delivered + end.skipped == gaps_and_ticks(slow_body, end) + gaps_and_ticks(late_body, end)
    assert gaps_and_ticks(slow_body, end) == end.published
    # Who joins gets the newest: it has not missed those before.
    assert gaps_and_ticks(late_body, end) == 101
    assert (slow_body[-3:], late_body[-3:]) == (b"nil", b"nil")


def gaps_and_ticks(body: bytes, end: Told) -> int:
    """How many ticks a client has got, or was told that it hasn't."""
    seen = [int(number) for number in re.findall(rb"<(\d+)>\.{400}", body)]
    assert seen == sorted(set(seen))
    assert seen[-1] == end.published
    return len(seen) + sum(map(int, re.findall(rb"\[(\d+)\]", body)))
