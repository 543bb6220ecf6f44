"""The sandbox: what a script can't reach, and what it can't break."""

from pathlib import Path

import pytest
from tests.lua.cage import Cage, cage
from tests.lua.conftest import Serve

__all__ = ["cage"]

_GLOBALS = """
    _G _VERSION assert box coroutine error getmetatable ipairs math next pairs pcall print rawequal rawget
    rawset require select setmetatable string table tonumber tostring type xpcall
"""
_GONE = """
    os io debug package load loadstring loadfile dofile collectgarbage getfenv setfenv newproxy jit ffi module
    gcinfo python host core string.dump warn
"""
GLOBALS, GONE = _GLOBALS.split(), _GONE.split()


def seen(serve: Serve, source: str) -> list[str]:
    """What a script in the sandbox sees: at its top, and in a handler."""
    served = serve(f"function handler(req, io) {source} end", sandbox=True)
    assert served.answer().status == 200
    return served.seen()


# What there is -----------------------------------------------------------------------------------------


def test_there_is_what_is_named_and_nothing_else(serve: Serve, lua: str) -> None:
    extra = ["bit", "unpack"] if lua == "luajit21" else ["rawlen", "utf8"]
    found = seen(serve, "for name in pairs(_G) do see(name) end")
    assert sorted(set(found) - {"seen", "see", "told", "handler", "first"}) == sorted(GLOBALS + extra)


@pytest.mark.parametrize("name", GONE)
def test_what_is_gone(serve: Serve, name: str) -> None:
    assert seen(serve, f"see(_G.{name})") == ["nil"]


def test_nothing_in_reach_is_of_the_host(serve: Serve) -> None:
    """All tables, metatables and fields from every value that a script can get at."""
    found = seen(
        serve,
        """
        local known, count = {}, 0
        local function look(value, path)
          if type(value) == 'userdata' or type(value) == 'thread' then
            if value ~= require 'json'.null then see(path, type(value)) end
          elseif type(value) == 'table' and not known[value] then
            known[value], count = true, count + 1
            look(getmetatable(value), path .. '#')
            for key, item in pairs(value) do
              look(key, path .. '?')
              look(item, path .. '.' .. tostring(key))
            end
          end
        end
        look(_G, '_G') look(req, 'req') look(io, 'io') look(fiber.self(), 'fiber')
        look(getmetatable(''), 'string')
        for _, name in ipairs{'httpng', 'httpng.router', 'fiber', 'json', 'log'} do
          look(require(name), name)
        end
        look(httpng.feed(), 'feed') look(httpng.router.new(), 'router')
        look(fiber.channel(1), 'channel') look(fiber.cond(), 'cond')
        see(count > 20)""",
    )
    assert found == ["true"]


def test_nothing_is_left_of_it_in_what_modules_there_are(serve: Serve) -> None:
    for name in (
        "os",
        "io",
        "debug",
        "package",
        "jit",
        "ffi",
        "string.buffer",
        "table.new",
        "_G",
        "python",
        "bit",
    ):
        [said] = seen(serve, f"see(pcall(require, '{name}'))")
        assert said.startswith("false ")
        assert f"module '{name}' not found: in the sandbox there are ours, and those beside" in said


def test_our_modules(serve: Serve) -> None:
    assert seen(
        serve,
        """
        local json, log = require 'json', require 'log'
        see(require 'httpng' == httpng, require 'fiber' == fiber, httpng.router == require 'httpng.router')
        see(json.encode({a = {1, json.null}}), json.decode('[{}]')[1] ~= nil, box.NULL == nil)
        log.info('x')
        see(fiber.self():status(), fiber.clock() > 0)
        local c = fiber.channel(1) c:put('x') see(c:get())
        see(('x'):rep(3), ('%d'):format(5), #'abc')""",
    ) == ["true true true", '{"a":[1,null]} true true', "running true", "x", "xxx 5 3"]


# Modules beside the script -----------------------------------------------------------------------------


def test_modules_beside_the_script_are_in_the_sandbox_too(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "one.lua").write_text(
        "shared = 'global' return {os = os, io = io, debug = debug, load = load}"
    )
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "init.lua").write_text("\ufeff#!lua\nreturn 'two ' .. ...")
    (tmp_path / "two" / "three.lua").write_text("nothing = true")
    assert seen(
        serve,
        """
        see(next(require 'one'), shared, require 'one' == require 'one')
        see(require 'two', require 'two.three', nothing)""",
    ) == ["nil global true", "two two true true"]


def test_modules_that_are_wrong(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "bad.lua").write_text("x = = 1")
    (tmp_path / "loop.lua").write_text("return require 'loop'")
    (tmp_path / "raises.lua").write_text("error('boom', 0)")
    (tmp_path / "bytecode.lua").write_bytes(b"\x1bLua")
    said = seen(
        serve,
        """
        for _, name in ipairs{'bad', 'loop', 'raises', 'raises', 'bytecode'} do see(pcall(require, name)) end
        see(pcall(require, 5))""",
    )
    assert "bad.lua:1: unexpected symbol near '='" in said[0]
    assert "module 'loop' requires itself, or failed before" in said[1]
    assert said[2] == "false boom"
    assert "module 'raises' requires itself, or failed before" in said[3]
    assert said[4].startswith("false ")
    assert "name of a module must be a string, not number" in said[5]


@pytest.mark.parametrize(
    "name", ["../secret", "..secret", "/etc/passwd", "a..b", "", ".", "secret\\0", "a/b"]
)
def test_nothing_outside_of_its_folder_is_read(serve: Serve, tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "secret.lua").write_text("return 'secret'")
    [said] = seen(serve, f"see(pcall(require, '{name}'))")
    assert "not found: in the sandbox" in said


# What can't be changed ---------------------------------------------------------------------------------

OBJECTS = {
    "io": "io", "req": "req", "fiber": "fiber.self()", "feed": "httpng.feed()",
    "router": "httpng.router.new()", "channel": "fiber.channel(1)", "cond": "fiber.cond()",
    "decoded": "require 'json'.decode('{}')",
    "string": "''", "httpng": "httpng", "json": "require 'json'", "box": "box",
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_metatables_of_ours_are_out_of_reach(serve: Serve, name: str) -> None:
    [metatable, changed] = seen(
        serve, f"local x = {OBJECTS[name]} see(getmetatable(x)) see(pcall(setmetatable, x, {{}}))"
    )
    assert metatable == "false"
    assert changed.startswith("false ")


@pytest.mark.parametrize("module", ["httpng", "httpng.router", "fiber", "json", "log", "box"])
def test_our_modules_are_read_only(serve: Serve, module: str) -> None:
    name = "box" if module == "box" else f"require '{module}'"
    said = seen(
        serve,
        f"""
        local m = {name}
        see(pcall(function() m.x = 1 end))
        see(pcall(rawset, m, 'x', 1))
        local ok, _, fields = pcall(pairs, m)
        pcall(function() fields.x = 1 end)
        see(m.x, rawget(m, 'x'))""",
    )
    for line in said[:2]:
        assert line.startswith("false ")
        assert "a module of the server is read-only in the sandbox" in line
    assert said[2] == "nil nil"


def test_pairs_of_a_module(serve: Serve, lua: str) -> None:
    found = seen(serve, "for name in pairs(fiber) do see(name) end")
    assert ("sleep" in found) == (lua == "lua54")


def test_others_are_not_touched_by_what_a_script_does_to_its_own(serve: Serve) -> None:
    """Everything that it can get at is replaced; then what the server offers is used."""
    served = serve(
        """
        local function bad() error('taken away') end
        local function handle(req, io)
          io:write_header(202, {a = 'b'})
          io:write('one ') io:write(2) io:wait(0)
          local router = httpng.router.new():route({path = '/:name'}, function(r) return r:stash('name') end)
          local channel, cond = fiber.channel(1), fiber.cond()
          fiber.create(function() channel:put(router(req, io)) cond:wait(1) end)
          local got = channel:get(1) .. require 'json'.encode({x = {1, 2}}) .. require 'json'.decode('"y"')
          require 'log'.info('%s', got)
          cond:signal()
          coroutine.wrap(function() fiber.sleep(0.1) end)()
          return got
        end
        function handler(req, io)
          if req.path == '/name' then return handle(req, io) end
          for _, library in next, {string, table, math, coroutine, utf8, bit} do
            if library ~= coroutine then for name in next, library do library[name] = bad end end
          end
          for _, name in next, {'type', 'pairs', 'ipairs', 'next', 'select', 'tostring', 'tonumber',
              'setmetatable', 'getmetatable', 'rawget', 'rawset', 'rawequal', 'pcall', 'xpcall',
              'assert', 'unpack'} do
            _G[name] = bad
          end
        end""",
        sandbox=True,
    )
    assert served.answer().status == 200
    client = served.ask("/name")
    served.loop.advance(1)
    [response] = client.responses()
    assert (response.status, response.body) == (202, b'one 2name{"x":[1,2]}y')


def test_a_strict_script_does_not_end_the_server(cage: Cage, lua: str) -> None:
    """lupa looks for the global `debug` outside of any protected call."""
    source = """
        setmetatable(_G, {__index = function(_, name) error('undefined ' .. name) end})
        _G.debug = setmetatable({}, {__index = function() error('no') end})
        function handler() return nonsense end"""
    told = cage.serve(source, "/", "/", lua=lua, sandbox=True)
    assert [status for status, _ in told.answers] == [500, 500]
    assert told.log.count("undefined nonsense") == 2


def test_a_fiber_s_inside_is_out_of_reach(serve: Serve) -> None:
    assert seen(
        serve,
        """
        for key, value in pairs(fiber.self()) do see(type(key), type(value)) end
        see(pcall(coroutine.resume, coroutine.running()))
        local made_up = {}
        for key in pairs(fiber.self()) do made_up[key] = 12345 end
        see(pcall(fiber.cancel, made_up))""",
    ) == [
        "table number",
        "true false cannot resume a coroutine that waits for the server",
        "false the fiber is dead",
    ]


def test_an_io_can_not_be_made_up(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          if req.path == '/other' then fiber.sleep(1) return 'whole' end
          for number = 1, 5 do
            local made_up = {}
            for key, value in pairs(io) do
              made_up[key] = type(value) == 'number' and number or value
            end
            see(pcall(io.write, made_up, 'x'))
          end
        end""",
        sandbox=True,
    )
    other = served.ask("/other")
    served.ask()
    served.loop.advance(1)
    assert other.responses()[0].body == b"whole"
    assert served.seen() == ["false shuttle is invalid"] * 5


NOT_PLAIN = {
    "a table as a path": "router({path = {}, method = 'GET', host = 'x'}, io)",
    "a function as a method": "router({path = '/', method = print, host = 'x'}, io)",
    "nothing": "router({}, io)",
    "no request": "router(nil, io)",
    "a changing path": """
        router(setmetatable({}, {
          __index = function(_, key) return key == 'path' and coroutine.create(print) or 'x' end,
        }))""",
    "a ring": "channel.getters.after = {wait = {}, before = {}, after = {}} channel:put(1)",
    "a ring of numbers": """
        channel.getters.after = {wait = 0 / 0, before = {}, after = channel.getters}
        channel:put(1)""",
    "a result": "httpng.body_bytes_sent(1e300)",
    "a level": "require 'log'.info(setmetatable({}, {__tostring = function() return {} end}))",
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_errors_are_never_objects_of_the_host(serve: Serve, name: str) -> None:
    for kind, ok in [
        said.split()
        for said in seen(
            serve,
            f"""
            local router, channel = httpng.router.new(), fiber.channel(1)
            router:route({{path = '/'}}, function() end)
            local ok, e = pcall(function() {NOT_PLAIN[name]} end)
            see(type(e), ok)""",
        )
    ]:
        assert kind in ("string", "nil")
        assert ok in ("true", "false")


@pytest.mark.parametrize(
    "error", ["setmetatable({}, {__tostring = function() return {} end})", "function() end", "{}"]
)
@pytest.mark.parametrize("sandbox", [False, True])
def test_an_error_that_is_no_text(
    serve: Serve, caplog: pytest.LogCaptureFixture, error: str, sandbox: bool
) -> None:
    served = serve(f"function handler() error({error}) end", sandbox=sandbox)
    assert served.answer().status == 500
    assert "handler error on GET /" in caplog.text


# Cancelling --------------------------------------------------------------------------------------------


def test_pcall_does_not_catch_the_end_of_the_server(serve: Serve) -> None:
    served = serve(
        """
        rounds = 0
        function handler(req, io)
          if req.path == '/rounds' then return tostring(rounds) end
          while true do pcall(fiber.sleep, 1) rounds = rounds + 1 end
        end""",
        sandbox=True,
    )
    served.ask()
    served.loop.advance(3)
    served.loop.runner.close()
    assert served.answer("/rounds").body == b"3"
    served.loop.advance(3)
    assert served.answer("/rounds").body == b"3"
