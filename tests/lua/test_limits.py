"""The time limit: what would run for ever is stopped, whatever it catches, and the server lives."""

from math import inf

import pytest
from tests.lua.cage import LIMIT, Cage, Told, cage
from tests.lua.conftest import BEFORE

__all__ = ["cage"]

STOPPED = "stopped after 0.1 s without letting others run (handler_time_limit)"
HOG = "while true do end"
FIRST_LINE = BEFORE.count("\n") + 1
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
        io.headers = setmetatable({}, {__index = function() while true do end end})
        while io.headers.x do end""",
    "__index of io": """
        setmetatable(req, nil) setmetatable(req, {__index = function() while true do end end})
        return req.nothing""",
    "__serialize": "json.encode(setmetatable({}, {__serialize = function() while true do end end}))",
    "a table returned": """
        return setmetatable({}, {__index = function() while true do end end})""",
    # With work in C in between.
    "long strings": "local s = ('x'):rep(1e4) while true do local _ = s:upper() end",
    "large table": """
        local t = {} for i = 1, 1e3 do t[i] = i end
        while true do table.insert(t, 1, 0) table.remove(t, 1) end""",
    # Our own functions, turned against us.
    "ring of a channel": """
        local channel = fiber.channel(0)
        local ring = {__newindex = {}, __index = {wait = 1e9, after = {}, before = {}}}
        channel.getters.after = setmetatable({}, ring)
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
    "__gc": """
        pcall(setmetatable, {}, {__gc = function() while true do end end})
        while true do local _ = {} end""",
}


def attack(body: str) -> str:
    return f"local json, log = require 'json', require 'log'\nfunction attack(req, io) {body}\nend\n{ALIVE}"


OPEN = ["while", "pcall again and again", "coroutines again and again", "__close in pcall"]


@pytest.mark.parametrize(
    ("name", "sandbox"), [*((name, True) for name in [*ENDLESS, *LUA54]), *((name, False) for name in OPEN)]
)
def test_what_does_not_let_others_run_is_stopped(cage: Cage, lua: str, name: str, sandbox: bool) -> None:
    if name in LUA54 and lua != "lua54":
        pytest.skip("Lua 5.4 only")
    source = attack({**ENDLESS, **LUA54}[name])
    told = cage.serve(source, "/", "/", "/alive", lua=lua, handler_time_limit=LIMIT, sandbox=sandbox)
    assert told.error == ""
    assert [status for status, _ in told.answers] == [500, 500, 200]
    assert told.log.count("handler error on POST / of ") == 2


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


# Where else Lua runs -----------------------------------------------------------------------------------


def limited(cage: Cage, source: str, lua: str, *paths: str) -> Told:
    told = cage.serve(source, *paths, lua=lua, handler_time_limit=LIMIT)
    assert told.error == ""
    return told


@pytest.mark.parametrize("memory", [None, 64 << 20], ids=["alone", "with a limit of memory"])
def test_it_is_told_with_the_line_and_a_traceback(cage: Cage, lua: str, memory: int | None) -> None:
    source = f"local function spin()\n{HOG}\nend\n{attack('spin()')}"
    told = cage.serve(source, "/", lua=lua, handler_time_limit=LIMIT, lua_memory_limit=memory)
    assert f"script.lua:{FIRST_LINE + 1}: {STOPPED}\nstack traceback:\n" in told.log
    assert f"script.lua:{FIRST_LINE + 4}: in function" in told.log


def test_a_response_that_has_begun_is_aborted(cage: Cage, lua: str) -> None:
    told = limited(cage, attack(f"io:write('begun') io:wait(0) {HOG}"), lua, "/", "/alive")
    assert told.answers == [(0, ""), (200, "alive")]
    assert STOPPED in told.log


def test_a_handler_that_waited_has_its_time_anew(cage: Cage, lua: str) -> None:
    told = limited(
        cage,
        attack(
            f"""
            for i = 1, 20 do
              local until_ = fiber.clock() + {LIMIT / 2}
              while fiber.clock() < until_ do end
              fiber.yield()
            end
            coroutine.wrap(function() fiber.sleep(1) {HOG} end)()"""
        ),
        lua, "/", "/alive",
    )  # fmt: skip
    assert told.answers == [(500, "Path handler execution error"), (200, "alive")]
    assert told.log.count(STOPPED) == 1


@pytest.mark.parametrize("start", ["create", "new"])
def test_a_fiber_is_stopped_and_its_creator_is_not(cage: Cage, lua: str, start: str) -> None:
    told = limited(
        cage, attack(f"fiber.{start}(function() fiber.yield() {HOG} end) return 'made'"), lua, "/", "/alive"
    )
    assert told.answers == [(200, "made"), (200, "alive")]
    assert "error in a fiber: " in told.log
    assert told.log.count(STOPPED) == 1


def test_on_gap_is_stopped(cage: Cage, lua: str) -> None:
    body = f"""
        local feed = httpng.feed()
        io.send_window = 10
        fiber.create(function() for i = 1, 9 do feed:publish('payload', 1) fiber.yield() end feed:close() end)
        feed:publish('first', 1) feed:publish('second', 1)
        local result = io:follow(feed, {{on_gap = function() see('gap') {HOG} end}})"""
    told = limited(cage, attack(body), lua, "/", "/alive")
    assert told.seen == ["gap"]
    assert told.answers[0][0] in (0, 500)
    assert told.answers[1] == (200, "alive")
    assert "on_gap: " in told.log
    assert STOPPED in told.log


def test_before_of_a_router_is_stopped(cage: Cage, lua: str) -> None:
    source = f"""
        local router = httpng.router.new()
        router:route({{path = '/alive'}}, function() return 'alive' end)
        router:before(function(req) if not req.path:find('alive') then {HOG} end end)
        router:route({{path = '/'}}, function() end)
        handler = router"""
    told = limited(cage, source, lua, "/", "/alive")
    assert told.answers == [(500, "Path handler execution error"), (200, "alive")]


def test_the_script_is_stopped_too(cage: Cage, lua: str) -> None:
    told = cage.serve(HOG, lua=lua, handler_time_limit=LIMIT)
    assert told.error.endswith(f"script.lua:{FIRST_LINE}: {STOPPED}")


def test_a_coroutine_that_was_stopped_is_not_closed_later(cage: Cage, lua: str) -> None:
    if lua != "lua54":
        pytest.skip("Lua 5.4 only")
    body = f"""
        if req.path == '/close' then return tostring(coroutine.close(kept)) end
        kept = coroutine.create(function()
          local guard <close> = setmetatable({{}}, {{__close = function() {HOG} end}})
          {HOG}
        end)
        coroutine.resume(kept)"""
    told = limited(cage, attack(body), lua, "/", "/close", "/alive")
    assert told.answers[1:] == [(200, "false"), (200, "alive")]


def test_what_is_quick_is_as_ever(cage: Cage, lua: str) -> None:
    body = """
        local t = {3, 1, 2}
        table.sort(t) table.insert(t, 1, 0) table.remove(t) table.move(t, 1, 2, 5)
        local long = {} for i = 1, 2000 do long[i] = i end
        table.insert(long, 1, 0) table.remove(long, 1) table.move(long, 1, 2000, 2)
        see(table.concat(t, ',', 1, 3), #long, long[1], long[2001], ('ab'):rep(3, '-'), (''):rep(5))
        see(pcall(table.move, 1, 2, 3, 4))
        see(xpcall(function(x) error(x, 0) end, function(e) return e .. '!' end, 'x'))
        see(('key = value'):match('^(%w+)%s*=%s*(%w+)$'))
        see(('hello world'):find('o w'), (('x'):rep(70000)):upper():sub(-1))
        see(pcall(string.find, 'x', {}), pcall(string.rep))
        see(select('#', ('x'):find('y')), (('a b'):gsub('%w', {a = 1})))
        for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do see(k, v) end"""
    told = limited(cage, attack(body), lua, "/")
    assert told.answers[0][0] == 200
    assert told.seen[0] == "0,1,2 2001 1 2000 ab-ab-ab "
    assert "bad argument #1" in told.seen[1]
    assert told.seen[2:4] == ["false x!", "key value"]
    assert told.seen[4].startswith("5 X")
    assert "bad argument" in told.seen[5]
    assert told.seen[6:] == ["1 1 b", "a 1", "b 2"]


def test_finalizers_are_refused(cage: Cage, lua: str) -> None:
    if lua != "lua54":
        pytest.skip("Lua 5.4 only")
    told = limited(cage, attack("see(pcall(setmetatable, {}, {__gc = print}))"), lua, "/")
    assert told.seen == ["false a finalizer (__gc) is refused where handler_time_limit is set"]


def test_no_limit_is_none(cage: Cage, lua: str) -> None:
    told = cage.serve(
        attack("for i = 1, 3e6 do end return tostring(jit and jit.status())"),
        lua=lua, handler_time_limit=inf,
    )  # fmt: skip
    assert told.answers == [(200, "true" if lua == "luajit21" else "nil")]
