"""Ten minutes of clients of all kinds, while workers are replaced: nothing is left of those that went."""

import json
import os
import time
from itertools import cycle, islice
from pathlib import Path

import pytest
from tests.backends.stream_clients import (
    EventClient,
    Habit,
    Http2Client,
    MessageClient,
    StreamClient,
    StreamClients,
)
from tests.backends.test_streams_over_reloads import reload, until_current
from tests.backends.test_workers import Program, program

SECONDS = float(os.environ.get("CROWD_SECONDS", "600"))
LIFE = float(os.environ.get("CROWD_LIFE", "60"))
"""Seconds after which the workers are replaced."""
CLIENTS = 200
HABITS: tuple[Habit, ...] = (*("reads",) * 5, *("is slow",) * 3, "stalls", "resets")
PYTHON = """
import asyncio, gc, itertools, json, os, threading, time
from httpng import Feed, Resume

events, messages = Feed(resume=Resume(retry=0)), Feed(resume=Resume(id_line="{id} ", first=None, gap="gap"))

def publish():
    for key in itertools.cycle("abcde"):
        number = time.time_ns() // 20_000_000
        events.publish_threadsafe(f"data: {key} {number} {'.' * 200}\\n\\n", key)
        messages.publish_threadsafe(f"{key} {number}", key)
        time.sleep(0.02)

threading.Thread(target=publish, daemon=True).start()

async def app(req, io):
    if req.path == "/left":
        gc.collect()
        tasks = sum(not task.done() for task in asyncio.all_tasks())
        io.headers = {"content-type": "application/json"}
        return json.dumps([os.getpid(), tasks])
    if "upgrade" in req.headers:
        ws = await io.accept_websocket()
        await ws.follow(messages, since=req.query or None)
        return
    io.headers = {"content-type": "text/event-stream"}
    await io.follow(events, since=req.headers.get("last-event-id"), until_draining=True)
    await io.write("event: bye\\ndata:\\n\\n")
"""
LUA = """
local httpng = require 'httpng'
local fiber = require 'fiber'
if jit then jit.off() end -- compiled code takes memory, at moments of its own
local events = httpng.feed{resume = {retry = 0}}
local messages = httpng.feed{resume = {id_line = '{id} ', first = false, gap = 'gap'}}
local who = math.floor(fiber.time() * 1e6)
local alive = setmetatable({}, {__mode = 'k'})
fiber.create(function()
  while true do
    for key in ('abcde'):gmatch '.' do
      local number = math.floor(fiber.time() * 50)
      events:publish(('data: %s %d %s\\n\\n'):format(key, number, ('.'):rep(200)), key)
      messages:publish(('%s %d'):format(key, number), key)
      fiber.sleep(0.02)
    end
  end
end)
httpng.cfg{listen = '127.0.0.1:0', workers = 2, stall_timeout = 5, handler = function(req, io)
  alive[coroutine.running()] = true
  if req.path == '/left' then
    collectgarbage() collectgarbage()
    local running = 0
    for _ in pairs(alive) do running = running + 1 end
    return ('[%d, %d]'):format(who, running)
  end
  if req.headers.upgrade then
    local ws = io:upgrade_to_websocket()
    ws:follow(messages, {since = req.query})
    return
  end
  io.headers = {['content-type'] = 'text/event-stream'}
  io:follow(events, {since = req.headers['last-event-id'], until_draining = true})
  io:write('event: bye\\ndata:\\n\\n')
end}
"""


def crowd_of(server: Program) -> StreamClients:
    """Of each protocol as many, and of each habit its share."""
    habits = cycle(HABITS)
    kinds: list[type[StreamClient]] = [EventClient, MessageClient, Http2Client]
    made = [kind(habit) for habit in islice(habits, CLIENTS // len(kinds)) for kind in kinds]
    return StreamClients(server.address, made)


def memory_of(server: Program) -> tuple[int, list[int]]:
    """KiB of memory of the supervisor, and of each worker."""
    return _memory(server.process.pid), [_memory(pid) for pid in _children(server.process.pid)]


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


def left(server: Program) -> list[tuple[int, int]]:
    """Of each worker, in an order of their own: descriptors; tasks, or coroutines of Lua."""
    running: dict[int, int] = {}

    def all_are_asked() -> bool:
        who, count = json.loads(server.get("/left"))
        running[who] = count
        return len(running) == 2

    server.until(all_are_asked, "each of the workers has answered")
    descriptors = [len(os.listdir(f"/proc/{pid}/fd")) for pid in _children(server.process.pid)]
    return list(zip(sorted(descriptors), sorted(running.values()), strict=True))


@pytest.mark.soak
@pytest.mark.parametrize("script", ["app.py:app", "app.lua"])
def test_nothing_is_left_of_a_mixed_crowd(tmp_path: Path, script: str) -> None:
    (tmp_path / "app.py").write_text(PYTHON)
    (tmp_path / "app.lua").write_text(LUA)
    options = ["-m", "httpng_asyncio", script]
    if script.endswith(":app"):
        options += ["--listen", "127.0.0.1:0", "--workers", "2", "--stall-timeout", "5"]
    with program(tmp_path, *options) as server:
        alone = left(server)
        ends = time.monotonic() + SECONDS
        memory: list[tuple[int, list[int]]] = []
        with crowd_of(server) as crowd:
            while time.monotonic() < ends or len(memory) < 2:
                time.sleep(LIFE)
                # At each of these looks workers are as old.
                memory.append(memory_of(server))
                until_current(server, crowd)
                reload(server)
                server.until(lambda: len(_children(server.process.pid)) == 2, "the old ones are gone")
        print(f"KiB of the supervisor and of each worker: {memory}")
        assert crowd.failures() == []
        how = {end.how for client in crowd.clients for end in client.ends if client.habit == "reads"}
        assert how <= {"goodbye", "1012"}
        server.until(lambda: left(server) == alone, f"nothing is left but {alone}")
        # Flat after the first look: how much workers hold depends on which clients they have.
        (supervisor, workers), *later = memory
        assert max(each for each, _ in later) <= supervisor + 1024
        assert max(sum(each) for _, each in later) <= sum(workers) * 1.1
        assert server.end() == 0
