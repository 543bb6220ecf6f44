"""The time limit and the limit of memory: what would run, or grow, for ever is stopped, and the server lives."""

import pytest
from tests.lua.cage import LIMIT, Cage, cage

__all__ = ["cage"]

STOPPED = "stopped after 0.1 s without letting others run (handler_time_limit)"
ALIVE = "function handler(req, io) if req.path == '/alive' then return 'alive' end return attack(req, io) end"

# What is in no fiber, needs the handler, or runs elsewhere comes further down.
ENDLESS = {
    "while": "while true do end",
    "repeat": "repeat until false",
    "goto": "::again:: goto again",
    "for": "for i = 1, 1e15 do end",
    "tail call": "local function f() return f() end f()",
    "long work": "local n = 0 for i = 1, 1e15 do n = (n + i) % 7 end",
    "strings": "while true do local s = ('x'):rep(10) .. 'y' end",
    # Who catches the error gets no further.
    "pcall": "pcall(function() while true do end end) while true do end",
    "pcall again and again": "while true do pcall(function() while true do end end) end",
    "pcall in pcall": """
        local function f(n) if n == 0 then while true do end end pcall(f, n - 1) while true do end end
        while true do f(50) end""",
    "xpcall": "while true do xpcall(function() while true do end end, function(e) return e end) end",
    "handler of xpcall": """
        xpcall(function() while true do end end, function() while true do end end)""",
    "handler of an error": "xpcall(error, function() while true do end end)",
    "coroutine": "coroutine.wrap(function() while true do end end)()",
    "coroutine in a coroutine": """
        coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)()""",
    "coroutines again and again": """
        while true do coroutine.resume(coroutine.create(function() while true do end end)) end""",
    "wrapped again and again": """
        while true do pcall(coroutine.wrap(function() while true do end end)) end""",
    "a coroutine that goes on": """
        local co = coroutine.create(function() while true do pcall(function() while true do end end) end end)
        while true do coroutine.resume(co) end""",
    "coroutines that yield": """
        local co = coroutine.wrap(function() while true do coroutine.yield() end end)
        while true do co() end""",
    # Inside what C calls back.
    "comparison": "table.sort({3, 2, 1}, function() while true do end end)",
    "comparison with pcall": """
        while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end""",
    "replacement": "string.gsub('x', 'x', function() while true do end end)",
    "table of replacements": """
        string.gsub('x', 'x', setmetatable({}, {__index = function() while true do end end}))""",
    "iterator": "for _ in function() return 1 end do end",
    "iterator that hangs": "for _ in function() while true do end end do end",
    # Metamethods.
    "__index": "local _ = setmetatable({}, {__index = function() while true do end end}).x",
    "__newindex": "setmetatable({}, {__newindex = function() while true do end end}).x = 1",
    "__call": "setmetatable({}, {__call = function() while true do end end})()",
    "__concat": "local _ = setmetatable({}, {__concat = function() while true do end end}) .. 'x'",
    "__add": "local _ = setmetatable({}, {__add = function() while true do end end}) + 1",
    "__unm": "local _ = -setmetatable({}, {__unm = function() while true do end end})",
    "__eq": """
        local m = {__eq = function() while true do end end}
        local _ = setmetatable({}, m) == setmetatable({}, m)""",
    "__lt": """
        local m = {__lt = function() while true do end end}
        local _ = setmetatable({}, m) < setmetatable({}, m)""",
    "__tostring": "tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    "__tostring of itself": """
        tostring(setmetatable({}, {__tostring = function(t) return tostring(t) end}))""",
    "__tostring of an error": "error(setmetatable({}, {__tostring = function() while true do end end}))",
    "__index of headers": """
        io.headers = setmetatable({}, {__index = function() while true do end end}) while io.headers.x do end""",
    "__index of io": """
        setmetatable(req, nil) setmetatable(req, {__index = function() while true do end end})
        return req.nothing""",
    "__serialize": "json.encode(setmetatable({}, {__serialize = function() while true do end end}))",
    "a table returned": """
        return setmetatable({}, {__index = function() while true do end end})""",
    # In one call of C.
    "rep of nothing": "local _ = (''):rep(1e15) while true do end",
    "rep of nothing with nothing between": "string.rep('', 1e15, '') while true do end",
    "move": "table.move({}, 1, 1e15, 2)",
    "move backwards": "table.move({}, 1, 1e15, 0)",
    "find": "string.find(('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30) .. 'b')",
    "method find": "local _ = (('x'):rep(30000)):find('.-.-.-.-b')",
    "match": "string.match(('x'):rep(30000), '.*.*.*b')",
    "gmatch": "for _ in string.gmatch(('x'):rep(30000), '.-.-.-b') do end",
    "gsub": "string.gsub(('x'):rep(30000), '.-.-.-b', '')",
    "quadratic": "local s = ('x'):rep(1e6) while true do string.find(s, 'x*b') end",
    "plain": "string.find(('a'):rep(2e6), ('a'):rep(1e6) .. 'b', 1, true)",
    "plain without saying so": "string.find(('a'):rep(2e6), ('a'):rep(1e6) .. 'b')",
    "large strings": "local s = ('x'):rep(1e6) while true do local _ = s:upper() end",
    "large table": """
        local t = {} for i = 1, 1e5 do t[i] = i end
        while true do table.insert(t, 1, 0) table.remove(t, 1) end""",
    # Our own functions, turned against us.
    "ring of a channel": """
        local channel = fiber.channel(0)
        channel.getters.after = setmetatable({}, {__newindex = {}, __index = {wait = 1e9, after = {}, before = {}}})
        channel:put(1)""",
    "log": "log.info(setmetatable({}, {__serialize = function() while true do end end}))",
}

LUA54 = {
    "__close": """
        local guard <close> = setmetatable({}, {__close = function() while true do end end})
        while true do end""",
    "__close in pcall": """
        pcall(function()
          local guard <close> = setmetatable({}, {__close = function() while true do end end})
          while true do end
        end)""",
    "__close in a coroutine": """
        while true do
          local co = coroutine.create(function()
            local guard <close> = setmetatable({}, {__close = function() while true do end end})
            while true do end
          end)
          coroutine.resume(co)
          coroutine.close(co)
        end""",
    "__close in a wrapped coroutine": """
        pcall(coroutine.wrap(function()
          local guard <close> = setmetatable({}, {__close = function() while true do end end})
          while true do end
        end))""",
    "__close of what was closed": """
        local co = coroutine.create(function()
          local guard <close> = setmetatable({}, {__close = function() while true do end end})
          coroutine.yield()
        end)
        coroutine.resume(co)
        coroutine.close(co)""",
    "__len of insert": """
        table.insert(setmetatable({}, {__len = function() return 1 << 40 end}), 1, 1) while true do end""",
    "__len of remove": """
        pcall(table.remove, setmetatable({}, {__len = function() return 1 << 40 end}), 1) while true do end""",
    "__len of sort": """
        pcall(table.sort, setmetatable({}, {__len = function() return 2^31 - 2 end}), pcall)
        while true do end""",
    "__gc": """
        pcall(setmetatable, {}, {__gc = function() while true do end end})
        while true do local _ = {} end""",
}


def limited(cage: Cage, source: str, lua: str, *paths: str, **overrides: object) -> list[tuple[int, str]]:
    """Serves an attack; checks that the server lives on."""
    told = cage.serve(source, *(paths or ("/",)), "/alive", lua=lua, handler_time_limit=LIMIT, **overrides)
    assert told.error == ""
    *answers, alive = told.answers
    assert alive == (200, "alive")
    return answers


def attack(body: str) -> str:
    return f"local json, log = require 'json', require 'log'\nfunction attack(req, io) {body}\nend\n{ALIVE}"


@pytest.mark.parametrize("sandbox", [False, True], ids=["open", "sandbox"])
@pytest.mark.parametrize("name", [*ENDLESS, *LUA54])
def test_what_does_not_let_others_run_is_stopped(cage: Cage, lua: str, name: str, sandbox: bool) -> None:
    if name in LUA54 and lua != "lua54":
        pytest.skip("Lua 5.4 only")
    source = attack({**ENDLESS, **LUA54}[name])
    told = cage.serve(source, "/", "/", "/alive", lua=lua, handler_time_limit=LIMIT, sandbox=sandbox)
    assert told.error == ""
    assert [status for status, _ in told.answers] == [500, 500, 200]
    assert told.log.count("handler error on POST /: ") == 2


def test_a_cfg_that_is_stopped_leaves_the_way_free(cage: Cage, lua: str) -> None:
    source = """
        local sites = {}
        for n = 1, 20000 do sites[n] = {path = '/' .. n, handler = see} end
        function handler(req, io)
          if req.path == '/again' then return tostring(pcall(httpng.cfg, {handler = first_of_all})) end
          while true do pcall(httpng.cfg, {sites = sites, nonsense = 1}) end
        end
        function first_of_all(req, io) return 'configured' end"""
    told = cage.serve(source, "/", "/again", "/", lua=lua, handler_time_limit=LIMIT)
    assert told.answers == [(500, told.answers[0][1]), (200, "true"), (200, "configured")]
