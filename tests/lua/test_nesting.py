"""C that calls Lua back nests only so deep in a confined state: LuaJIT doesn't count, and crashes."""

import pytest
from tests.lua.cage import Cage, cage

__all__ = ["cage"]

NESTED = {
    "gsub": "local function f() return (('x'):gsub('x', f)) end f()",
    "gsub with a table": """
        local t = setmetatable({}, {})
        getmetatable(t).__index = function() return (('x'):gsub('x', t)) end
        return (('x'):gsub('x', t))""",
    "coroutines": "local function f() return coroutine.wrap(f)() end f()",
    "resumed": "local function f() assert(coroutine.resume(coroutine.create(f))) end f()",
    "fibers": "local function f() fiber.create(f) end f() error('x')",
    "coroutines and gsub": """
        local function f() return coroutine.wrap(function() return (('x'):gsub('x', f)) end)() end
        f()""",
    "sort": "local function f() table.sort({3, 2, 1}, function(a, b) f() return a < b end) end f()",
    "tostring": """
        local t
        t = setmetatable({}, {__tostring = function() return 'x' .. tostring(t) end})
        tostring(t)""",
    "format": """
        local t
        t = setmetatable({}, {__tostring = function() return ('%s'):format(t) end})
        tostring(t)""",
    "pcall": "local function f() return assert(pcall(f)) end f()",
    "metamethods": """
        local t = setmetatable({}, {})
        getmetatable(t).__index = function(_, k) return t[k] .. 'x' end
        t.x()""",
    "json": """
        local t = setmetatable({}, {})
        getmetatable(t).__serialize = function() return {t} end
        require 'json'.encode(t)""",
}


@pytest.mark.parametrize(
    "limits", [{}, {"lua_memory_limit": 64 << 20, "handler_time_limit": 1000}], ids=["sandbox", "all"]
)
@pytest.mark.parametrize("name", NESTED)
def test_what_nests_too_deep_raises(cage: Cage, lua: str, name: str, limits: dict[str, object]) -> None:
    source = f"""
        function handler(req, io)
          if req.path == '/alive' then return 'alive' end
          {NESTED[name]}
        end"""
    told = cage.serve(source, "/", "/alive", lua=lua, sandbox=True, **limits)
    assert told.error == ""
    assert [status for status, _ in told.answers] == [500, 200]
