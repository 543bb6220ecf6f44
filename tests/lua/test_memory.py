"""The limit of memory: what would grow for ever is stopped, whoever allocates, and the server lives."""

import gc
import logging

import pytest
from tests.lua.cage import Cage, cage
from tests.lua.conftest import Serve, Write
from tests.lua.test_leaks import fibers_of
from tests.lua.test_limits import attack

from httpng_core import ConfigError
from httpng_core.testing import Clock
from httpng_lua import LuaApplication

__all__ = ["cage"]

MIB = 1 << 20
LIMIT = 4 * MIB

GREEDY = {
    "table": "local t = {} while true do t[#t + 1] = #t end",
    "strings": "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
    "doubled": "local s = 'x' while true do s = s .. s end",
    "rep": "local s = ('x'):rep(1e9)",
    "concat": "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1e6 + i) end return table.concat(t)",
    "concat of anything": """
        return table.concat(setmetatable({}, {__index = type}), '', 1, 1e12) .. ('x'):rep(1e9)""",
    "format": "return ('%s%s'):rep(1000):format(('x'):rep(1e6), ('x'):rep(1e6), ('x'):rep(1e6))",
    "gsub": "return (('x'):rep(1e6):gsub('x', ('x'):rep(1000)))",
    "closures": "local t = {} while true do t[#t + 1] = function() return t end end",
    "coroutines": "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    "fibers": """
        local c = fiber.cond()
        local _, e = pcall(function()
          while fiber.create(c.wait, c):status() ~= 'dead' do end -- else it had no memory to wait, and is logged
          error('no memory to wait')
        end)
        c:broadcast() error(e)""",
    "fibers to come": """
        local c, over, failed = fiber.cond(), false, false
        local function wait() if not over and not pcall(c.wait, c) then failed = true end end
        local _, e = pcall(function() while not failed do fiber.new(wait) end error('no memory to wait') end)
        over = true c:broadcast() error(e)""",
    "channel": "local c = fiber.channel(1e9) while true do c:put({}) end",
    "stack": "local function f(n) return 1 + f(n + 1) end return f(1)",
    "arguments": """
        local t = {} for i = 1, 1e6 do t[i] = i end
        while true do t[#t + 1] = {unpack(t, 1, 7000)} end""",
    "json": "local t = {} for i = 1, 1e4 do t[i] = ('x'):rep(1000) end return json.encode(t)",
    "in a coroutine": "coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)()",
    "in a comparison": "table.sort({3, 2, 1}, function() local t = {} while true do t[#t + 1] = {} end end)",
    "in a replacement": "string.gsub('x', 'x', function() local t = {} while true do t[#t + 1] = {} end end)",
    "in a metamethod": """
        return setmetatable({}, {
          __index = function() local t = {} while true do t[#t + 1] = {} end end,
        }).x""",
    "in a message": "error(('x'):rep(1e9))",
    "in __tostring": "error(setmetatable({}, {__tostring = function() return ('x'):rep(1e9) end}))",
    "caught, and more": """
        local t = {}
        pcall(function() while true do t[#t + 1] = {} end end)
        while true do t[#t + 1] = {} end""",
    "headers": "for i = 1, 1e7 do io.headers['x' .. i] = 'x' end",
    "stash": "for i = 1, 1e7 do req:stash('x' .. i, i) end",
}


@pytest.mark.parametrize("others", [{}, {"sandbox": True, "handler_time_limit": 100}], ids=["open", "all"])
@pytest.mark.parametrize("name", GREEDY)
def test_what_takes_too_much_fails_alone(cage: Cage, lua: str, name: str, others: dict[str, object]) -> None:
    paths = ["/"] * 3 + ["/alive"]
    told = cage.serve(attack(GREEDY[name]), *paths, lua=lua, lua_memory_limit=LIMIT, **others)
    assert told.error == ""
    assert [status for status, _ in told.answers] == [500, 500, 500, 200]
    assert told.log.count("handler error on POST /") == 3


@pytest.mark.parametrize("more", range(0, 8000, 1000))
def test_what_it_held_is_let_go_of_wherever_memory_runs_out(cage: Cage, lua: str, more: int) -> None:
    """The limit decides at which of the last steps there is none."""
    limits = {"lua_memory_limit": LIMIT + more, "sandbox": True, "handler_time_limit": 100}
    told = cage.serve(attack(GREEDY["caught, and more"]), *["/"] * 6, "/alive", lua=lua, **limits)
    assert [status for status, _ in told.answers] == [500] * 6 + [200]


def test_a_body_larger_than_all_memory(cage: Cage, lua: str) -> None:
    source = attack("return #req.body .. ''")
    told = cage.serve(
        source, f"/ {8 * MIB}", "/ 1000", "/alive", lua=lua, lua_memory_limit=LIMIT, max_body_len=16 * MIB
    )
    assert told.answers[1:] == [(200, "1000"), (200, "alive")]
    assert told.answers[0][0] == 500
    assert "not enough memory" in told.log


HOARD = "hoard = hoard or {} while true do hoard[#hoard + 1] = ('x'):rep(100) .. #hoard end"


def test_what_is_kept_may_leave_nothing_for_others_who_get_an_answer_all_the_same(
    cage: Cage, lua: str
) -> None:
    paths = ["/", *["/alive", f"/alive {MIB}"] * 50]
    told = cage.serve(attack(HOARD), *paths, lua=lua, lua_memory_limit=LIMIT)
    assert {status for status, _ in told.answers} <= {200, 500}
    assert told.answers[0][0] == 500


def test_what_the_host_hands_over_when_memory_is_full(cage: Cage, lua: str) -> None:
    """The host's texts, and its values, come to a state that can't take another byte."""
    source = attack(
        f"""
        local router = httpng.router.new():route({{path = '/*rest'}}, function() return 'x' end)
        local path = '/' .. ('y'):rep(60000)
        local ok, e = pcall(function() {HOARD} end)
        for i = 1, 100 do
          pcall(router, {{path = path, method = 'GET', host = 'x'}}, io)
          pcall(io.write, io, 'x', -1)
          pcall(httpng.cfg, {{nonsense = 1}})
          pcall(httpng.force_decrease_threads)
          pcall(httpng.body_bytes_sent, 12345)
        end
        hoard = nil
        error(e)"""
    )
    told = cage.serve(source, "/", "/", "/alive", lua=lua, lua_memory_limit=LIMIT, sandbox=True)
    assert [status for status, _ in told.answers] == [500, 500, 200]


def test_functions_in_assembler_when_memory_is_full(cage: Cage, lua: str) -> None:
    """LuaJIT puts the error where the stack ended some time ago."""
    source = attack(
        """
        local kept, text = {}, {}
        for at = 1, 1000 do kept[at], text[at] = '', at end
        text = table.concat(text, 'x')
        local function deep(level, made)
          local a, b, c, d, e, f = 1, 2, 3, 4, 5, 6
          if level > 0 then return (deep(level - 1, made)) end
          for at = 1, 1000 do kept[at] = made(at) end
        end
        local function call(made)
          local hoard, n = nil, 0
          for _, size in ipairs{10000, 1000, 50} do
            while pcall(function() hoard = {hoard, ('y'):rep(size) .. n} end) do n = n + 1 end
          end
          for level = 1, 20 do pcall(deep, level, made) end
        end
        call(function(at) return text:sub(at, at + 30) end)
        call(function(at) return tostring(at + 0.25) end)
        call(function(at) return text:upper() end)
        call(function(at) return text:reverse() end)
        call(function(at) return text:lower() end)
        error('done')"""
    )
    told = cage.serve(source, "/", "/", "/", "/alive", lua=lua, lua_memory_limit=MIB)
    assert [status for status, _ in told.answers] == [500, 500, 500, 200]


def test_what_is_then_done_in_another_way_gives_the_same(serve: Serve) -> None:
    source = """
        function handler()
          local out, text = {}, 'Some Text'
          local function tell(...)
            local list = {...}
            for at = 1, select('#', ...) do list[at] = tostring(list[at]) end
            out[#out + 1] = table.concat(list, ' ')
          end
          for from = -12, 12 do
            for to = -12, 12 do tell(text:sub(from, to)) end
            tell(text:sub(from), (''):sub(from))
          end
          tell(string.sub(12345, 2, 3), text:sub('2', '3'), (pcall(string.sub)), (pcall(string.sub, {}, 1)))
          tell((pcall(string.sub, 'x')), (pcall(string.sub, 'x', {})), (pcall(string.sub, 'x', 1, {})))
          for code = -1, 257 do tell(pcall(string.char, code) and string.char(code):byte()) end
          tell(string.char(), string.char(65, 66), (pcall(string.char, 'x')), string.char('65'))
          for _, number in ipairs{0, 1, -1, 1.5, 1e15, 1e16, 1e300, 1/0, -1/0, 2^53, 0.1, 1/3} do
            tell(number)
          end
          tell(nil, true, 'x', tostring(nil), (pcall(tostring)))
          tell(text:lower(), text:upper(), text:reverse(), (''):lower(), ('a\\nb'):upper())
          tell(string.reverse(12))
          tell((pcall(string.lower)), (pcall(string.upper, {})))
          return table.concat(out, '\\n')
        end"""
    bodies = [serve(source, **overrides).answer().body for overrides in ({}, {"lua_memory_limit": LIMIT})]
    assert len(bodies[0]) > 3000
    assert bodies[0] == bodies[1]


def test_on_gap_may_take_too_much(cage: Cage, lua: str) -> None:
    source = attack(
        """
        local feed = httpng.feed{}
        fiber.create(function()
          for i = 1, 100 do feed:publish(('x'):rep(1000), 1) end
          fiber.yield()
          feed:close()
        end)
        feed:publish('y', 1) feed:publish('z', 1)
        return io:follow(feed, {on_gap = function() local t = {} while true do t[#t + 1] = {} end end})"""
    )
    told = cage.serve(source, "/", "/alive", lua=lua, lua_memory_limit=LIMIT)
    assert told.answers[1] == (200, "alive")


def test_failures_leave_nothing_behind(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "httpng")
    served = serve(
        attack("local t = {} while true do t[#t + 1] = {} end")
        + """
        local other = handler
        function handler(req, io)
          if req.path ~= '/collect' then return other(req, io) end
          collectgarbage() collectgarbage()
          return 'done'
        end""",
        lua_memory_limit=2 * MIB,
    )
    used = []
    for _ in range(2):
        for _ in range(50):
            assert served.answer().status == 500
            served.loop.forget()
        gc.collect()
        assert served.answer("/collect").body == b"done"
        used.append(served.app.statistics().memory or 0)
    assert fibers_of(served) == 0
    assert used[1] - used[0] < 10_000


def test_a_script_that_takes_too_much(write: Write, lua: str) -> None:
    for source in ("local t = {} while true do t[#t + 1] = {} end", f"local x = '{'x' * 3 * MIB}'"):
        with pytest.raises(ConfigError, match=r"not enough memory"):
            LuaApplication(write(source), clock=Clock(), lua=lua, overrides={"lua_memory_limit": 2 * MIB})


@pytest.mark.parametrize("limit", ["2^64", "1e300"])
def test_a_limit_larger_than_all_memory(serve: Serve, limit: str) -> None:
    served = serve(
        f"""
        function handler() return 'fine' end
        local cfg = httpng.cfg
        httpng.cfg = function(t) t.lua_memory_limit = {limit} return cfg(t) end"""
    )
    assert served.answer().body == b"fine"
