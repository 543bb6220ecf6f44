"""Fibers that wait for each other, a router and json, over sockets: one client ends what others wait for."""

import json
import time
from pathlib import Path

import anyio
import pytest
from tests.driver.harness import BOUND, Client, Serving, in_thread

from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

SCRIPT = """
local httpng, fiber, json = require 'httpng', require 'fiber', require 'json'
local cond, waiting, router = fiber.cond(), {}, httpng.router.new()

router:route({path = '/wait/:name', method = 'GET'}, function(req)
  local name, ended = req:stash('name'), fiber.channel(1)
  waiting[name] = fiber.create(function()
    local ok, e = pcall(cond.wait, cond)
    waiting[name] = nil
    ended:put(ok and 'signalled' or e)
  end)
  return json.encode({name = name, ended = ended:get()})
end)
router:route({path = '/cancel/:name'}, function(req) waiting[req:stash('name')]:cancel() end)
router:route({path = '/broadcast'}, function() cond:broadcast() end)
router:route({path = '/waiting'}, function()
  local names = {}
  for name in pairs(waiting) do names[#names + 1] = name end
  return json.encode(names)
end)

httpng.cfg{handler = router}
"""


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def until_waiting(client: Client, count: int) -> None:
    with anyio.fail_after(BOUND):
        while len(json.loads((await in_thread(client.ask, get("/waiting"))).body)) < count:
            pass


@pytest.mark.parametrize("lua", ["luajit21", "lua54"])
async def test_one_client_ends_what_others_wait_for(serving: Serving, tmp_path: Path, lua: str) -> None:
    script = tmp_path / "script.lua"
    script.write_text(SCRIPT)
    async with serving(LuaApplication(script, clock=time.monotonic, lua=lua)) as server:
        address = server.addresses[0]
        with Client(address) as asking, Client(address) as first, Client(address) as second:
            first.send(get("/wait/first"))
            second.send(get("/wait/b%C3%A4r"))
            await until_waiting(asking, 2)
            await in_thread(asking.ask, get("/cancel/first"))
            ended = json.loads((await in_thread(first.read_response)).body)
            assert ended == {"name": "first", "ended": "fiber is cancelled"}
            await until_waiting(asking, 1)
            await in_thread(asking.ask, get("/broadcast"))
            ended = json.loads((await in_thread(second.read_response)).body)
            assert ended == {"name": "b\u00e4r", "ended": "signalled"}
            refused = await in_thread(asking.ask, b"PUT /wait/x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert refused.status == 405


@pytest.mark.parametrize(
    "waits", ["fiber.yield()", "fiber.sleep(0)", "fiber.new(begin)", "fiber.sleep(0.001)"]
)
async def test_fibers_that_are_there_before_the_server_go_on_with_it(
    serving: Serving, tmp_path: Path, waits: str
) -> None:
    script = tmp_path / "script.lua"
    script.write_text(f"""
        local httpng, fiber = require 'httpng', require 'fiber'
        local begun = fiber.channel(2)
        local function begin() begun:put('begun') end
        httpng.cfg{{handler = function() return begun:get() end}}
        {waits}
        begin()
    """)
    async with serving(LuaApplication(script, clock=time.monotonic)) as server:
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask)).body == b"begun"
