"""WebSockets of a Lua script over sockets: on every loop and transport, in one thread and in two."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from tests.driver.harness import BOUND, in_thread
from tests.driver.net import Net
from tests.driver.ws_client import WsClient

from httpng_driver import Server
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

SCRIPT = """
local httpng, fiber = require 'httpng', require 'fiber'
local seen = {}

local sites = {}
function sites.echo(req, io)
  local ws = io:upgrade_to_websocket()
  local data, kind = ws:receive()
  while data do
    local send = kind == 'text' and ws.send_text or ws.send_binary
    if send(ws, data) then return end
    data, kind = ws:receive()
  end
end
-- Its messages are taken by a fiber, which lives in the first loop, wherever the client's is.
function sites.taken(req, io)
  local ended, ws = fiber.cond(), nil
  ws = io:upgrade_to_websocket(nil, function(data)
    ws:send_text(data:upper())
    if data == 'end' then ended:signal() end
  end)
  ended:wait()
  ws:close(3000, 'enough')
end
function sites.flood(req, io)
  local ws = io:upgrade_to_websocket()
  local accepted, dropped, result = 0, 0, nil
  while not httpng.cancelled(result) do
    result = ws:send_text(('x'):rep(50000), dropped > 0 and 100 or 0.05)
    if result == nil then accepted = accepted + 1 else dropped = dropped + 1 end
    if dropped == 1 then seen[1] = 'stalled' end
  end
  seen[1] = ('%s %s %s'):format(accepted > 0, dropped, ws.close_code)
end

local listed = {{path = '/seen', handler = function() return seen[1] or 'nothing' end}}
for name, handler in pairs(sites) do listed[#listed + 1] = {path = '/' .. name, handler = handler} end
httpng.cfg{sites = listed, default_send_window = 200000}
"""


@pytest.fixture(params=[("luajit21", 1), ("luajit21", 2), ("lua54", 1)], ids=["luajit21", "threads", "lua54"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> LuaApplication:
    lua, threads = request.param
    script = tmp_path / "script.lua"
    script.write_text(SCRIPT)
    return LuaApplication(script, clock=time.monotonic, lua=lua, overrides={"threads": threads})


@asynccontextmanager
async def websocket(net: Net, server: Server, path: str, **more: int) -> AsyncIterator[WsClient]:
    async with net.connect(server, **more) as client:
        ws = WsClient(client)
        await in_thread(ws.shake, path)
        yield ws


async def until_seen(net: Net, server: Server, told: str) -> None:
    """Waits until the script tells that it has seen this."""
    with anyio.fail_after(BOUND):
        async with net.connect(server) as client:
            while (await in_thread(client.get, "/seen")).body.decode() != told:
                pass


async def test_messages_go_both_ways(net: Net, app: LuaApplication) -> None:
    told = ["", "text", b"\x00\xff" * 500, "\u20ac" * 30_000]
    async with (
        net.serving(app) as server,
        websocket(net, server, "/echo") as one,
        websocket(net, server, "/echo") as two,
    ):
        for message in told:
            for ws in (one, two):
                await in_thread(ws.say, message)
        for ws in (one, two):
            assert [await in_thread(ws.read) for _ in told] == told
            ws.close(3001)
            assert await in_thread(ws.read) is None
            assert ws.closed == (3001, "")


async def test_recv_fn_may_wait_for_the_client(net: Net, app: LuaApplication) -> None:
    async with (
        net.serving(app) as server,
        websocket(net, server, "/taken") as one,
        websocket(net, server, "/taken") as two,
    ):
        for ws in (one, two):
            for message in ("a", "b" * 100, "end"):
                ws.say(message)
            assert await in_thread(ws.read_all) == ["A", "B" * 100, "END"]
            assert ws.closed == (3000, "enough")
            ws.close(3000)


async def test_a_client_that_does_not_read_and_leaves_ends_a_send(net: Net, app: LuaApplication) -> None:
    async with net.serving(app) as server:
        async with websocket(net, server, "/flood", receive_buffer=4096):
            await until_seen(net, server, "stalled")
        await until_seen(net, server, "true 2 1006")
