"""Crowds of clients that are killed at whatever they do: the server goes on, and nothing is left of them."""

import gc
import os

import anyio
import pytest
from tests.driver.harness import BOUND, in_thread, until
from tests.driver.net import Transport
from tests.lua.requirements.crowd import COUNT, kill_a_crowd
from tests.lua.requirements.scripts import Run, Served, on_four

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("lua", ["luajit21"], indirect=True),
    pytest.mark.parametrize("threads", ["", "threads = 4, "], ids=["one", "four"]),
]

SCRIPT = """
if jit then jit.off() end -- compiled code takes memory, at moments of its own
local alive = setmetatable({}, {__mode = 'k'})
local function count()
  collectgarbage() collectgarbage()
  local coroutines = -1 -- that of this request
  for _ in pairs(alive) do coroutines = coroutines + 1 end
  return coroutines .. ' ' .. ('%%d'):format(collectgarbage('count') * 1024)
end
httpng.cfg{listen = both, %shandler = function(req, io)
  alive[coroutine.running()] = true
  if req.path == '/count' then
    return count()
  elseif req.path == '/slow' then
    fiber.sleep(0.005)
  elseif req.path == '/endless' then
    repeat until io:write(('foobar'):rep(1000))
  end
  return {body = req.query == 'id=2' and 'good' or 'bad'}
end}
"""
PATHS = ["/?id=2", "/slow", "/endless"]


async def left(served: Served) -> tuple[list[int], int]:
    """Sockets, tasks and coroutines that there are once all clients are gone; bytes that Lua holds."""
    await until(lambda: served.server.connections == 0, "all connections are closed")
    coroutines = -1
    with anyio.fail_after(BOUND):
        # Handlers of other threads may be on their way to their end.
        while coroutines != 0:
            coroutines, memory = map(int, (await served.body(path="/count")).split())
    await until(lambda: served.server.connections == 0, "that one too")
    gc.collect()
    return [len(os.listdir("/proc/self/fd")), len(anyio.get_running_tasks()), coroutines], memory


async def check(run: Run, over: Transport, threads: str, rounds: int) -> None:
    """Of all rounds no more is left than of the first one."""
    async with run(SCRIPT % threads) as served:
        await in_thread(kill_a_crowd, served, over, PATHS)
        before, memory_before = await left(served)
        for _ in range(rounds):
            await in_thread(kill_a_crowd, served, over, PATHS)
        after, memory = await left(served)
        assert await served.body(over, "/?id=2") == "good"
    assert after == before
    # Less than a hundred bytes for each handler that ran: a coroutine has 450.
    assert memory - memory_before < 100 * COUNT * rounds * 2 // 5, memory - memory_before


@on_four
async def test_two_crowds_that_are_killed(run: Run, over: Transport, threads: str) -> None:
    await check(run, over, threads, 2)


@pytest.mark.soak
@on_four
async def test_a_hundred_crowds_that_are_killed(run: Run, over: Transport, threads: str) -> None:
    await check(run, over, threads, 100)
