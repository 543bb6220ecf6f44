"""Scripts that are served to scripted clients, on both Lua runtimes."""

from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest

from httpng_core.languages import StateLock
from httpng_core.testing import Client, Clock, Loopback, ReceivedResponse
from httpng_lua import LuaApplication

BEFORE = """
local httpng, fiber = require 'httpng', require 'fiber'
local seen = {}
local function see(...)
  local told = {...}
  for i = 1, select('#', ...) do told[i] = tostring(told[i]) end
  seen[#seen + 1] = table.concat(told, ' ')
end
-- A send_result in words.
local function told(r)
  if r == nil then return 'nil' end
  local kind, value = 'header', ''
  local is_write, n = pcall(httpng.body_bytes_sent, r)
  local is_wait, met = pcall(httpng.reached, r)
  if is_write then kind, value = 'write', ' ' .. ('%d'):format(n) end
  if is_wait then kind, value = 'wait', ' ' .. tostring(met) end
  return kind .. value .. (httpng.cancelled(r) and ' cancelled' or '')
end
local function handler(req, io) end
"""
AFTER = """
local function first(req, io)
  if req.path == '/seen' then return table.concat(seen, '\\n') end
  return handler(req, io)
end
httpng.cfg{handler = first}
"""


class Served:
    """A script being served. `handler` is what it calls for all but `/seen`, which tells what it saw."""

    def __init__(
        self, path: Path, lua: str, overrides: dict[str, object], lock: StateLock | None = None
    ) -> None:
        clock = Clock()
        self.app = LuaApplication(path, clock=clock, lua=lua, overrides=overrides)
        if lock is not None:
            self.app.use_lock(lock)
        self.loop = Loopback(self.app, clock=clock)

    def ask(self, path: str = "/", room: float = inf, method: str = "GET") -> Client:
        client = self.loop.connect(room)
        client.get(path, method)
        return client

    def answer(self, path: str = "/") -> ReceivedResponse:
        [response] = self.ask(path).responses()
        assert response.complete
        return response

    def seen(self) -> list[str]:
        body = self.answer("/seen").body
        return body.decode().split("\n") if body else []


Serve = Callable[..., Served]
Write = Callable[[str], Path]


@pytest.fixture(params=["luajit21", "lua54"])
def lua(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a script as it is."""

    def write(source: str) -> Path:
        path = tmp_path / "script.lua"
        path.write_text(source)
        return path

    return write


@pytest.fixture
def serve(write: Write, lua: str) -> Serve:
    """Serves a script that defines `handler`."""

    def serve(source: str, *, lock: StateLock | None = None, **overrides: object) -> Served:
        return Served(write(f"{BEFORE}{source}{AFTER}"), lua, overrides, lock)

    return serve
