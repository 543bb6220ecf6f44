"""Running a script: what goes wrong in one line, which Lua, modules beside it, shutting down."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
from tests.lua.conftest import Serve, Served, Write

from httpng_core import Application, ConfigError, ServerState
from httpng_core.languages import StateLock
from httpng_core.testing import Clock, Loopback
from httpng_lua import LuaApplication

CFG = "require 'httpng'.cfg{handler = function() return _VERSION end}\n"
MARK = b"\xef\xbb\xbf"  # of the byte order
NO_CFG = "No handlers specified: the script ended without httpng.cfg{handler = ...}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = = 1", ":1: unexpected symbol near '='"),
        ("\n\nfor", ":3: "),
        (f"{CFG}\nerror('boom')", ":3: boom"),
        ("error('boom', 0)", ": boom"),
        ("error{code = 5}", ": {code=5}"),
        ("local x = nil .. ''", ":1: attempt to concatenate a nil value"),
        ("require 'nonsense'", ":1: module 'nonsense' not found"),
        ("", f": {NO_CFG}"),
        ("return 5", f": {NO_CFG}"),
        ("pcall(require 'httpng'.cfg, {})", f": {NO_CFG}"),
        ("\x1bLua", ": a script is text, not bytecode"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(write: Write, lua: str, source: str, message: str) -> None:
    path = write(source)
    with pytest.raises(ConfigError) as caught:
        LuaApplication(path, clock=Clock(), lua=lua)
    said = str(caught.value)
    assert "\n" not in said
    assert f"script.lua{message}" in said


def test_a_script_may_wait_before_it_says_what_is_served(write: Write, lua: str) -> None:
    served = Served(write(f"require 'fiber'.sleep(1) {CFG}"), lua, {"listen": None})
    served.loop.advance(0.9)
    assert not served.loop.server.listens
    assert (served.app.lifecycle.state, served.app.has_ended) == (ServerState.STOPPED, False)
    served.loop.advance(0.2)
    assert served.answer().body.startswith(b"Lua 5")
    assert (served.app.lifecycle.state, served.app.has_ended) == (ServerState.RUNNING, True)
    assert served.app.failure is None
    assert served.app.listen[0].port == 3300


BEFORE_CFG = [
    "fiber.create(function() end)",
    "fiber.create(function() fiber.create(function() end) end)",
    "fiber.new(function() end)",
]


@pytest.mark.parametrize("call", BEFORE_CFG)
def test_what_does_not_wait_is_no_wait_however_long_it_takes(write: Write, lua: str, call: str) -> None:
    clock = Clock()

    def late() -> float:
        """Each look at the clock is a second later, as on a machine that is very busy."""
        clock.now += 1
        return clock.now

    script = f"""
        local httpng, fiber = require 'httpng', require 'fiber'
        for i = 1, 1000 do {call} end
        {CFG}"""
    app = LuaApplication(write(script), clock=late, lua=lua)
    assert app.has_ended
    assert app.listen[0].port == 3300


def test_after_cfg_others_have_their_turn(write: Write, lua: str) -> None:
    served = Served(write(f"{CFG} for i = 1, 1000 do require 'fiber'.create(function() end) end"), lua, {})
    assert served.app.lifecycle.state is ServerState.RUNNING
    assert not served.app.has_ended
    assert served.answer().body.startswith(b"Lua 5")
    assert served.app.has_ended


def test_what_a_script_has_created_before_cfg_does_not_keep_it_from_that(write: Write, lua: str) -> None:
    script = f"""
        local fiber = require 'fiber'
        fiber.create(function() while true do fiber.create(function() end) end end)
        {CFG}"""
    app = LuaApplication(write(script), clock=Clock(), lua=lua)
    assert app.has_ended
    assert app.listen[0].port == 3300


@pytest.mark.parametrize("ending", ["", "error('boom')", "pcall(require 'httpng'.cfg, {})"])
def test_a_script_that_waited_and_made_no_cfg(write: Write, lua: str, ending: str) -> None:
    served = Served(write(f"require 'fiber'.sleep(1) {ending}"), lua, {})
    assert served.app.failure is None
    served.loop.advance(1)
    assert served.app.has_ended
    assert not served.loop.server.listens
    assert f"script.lua: {NO_CFG}" in str(served.app.failure)


def test_what_a_script_can_say_no_more_once_it_has_waited(write: Write, lua: str) -> None:
    other = {"luajit21": "lua54", "lua54": "luajit21"}[lua]
    path = write(
        f"""
        local httpng, fiber = require 'httpng', require 'fiber'
        local told = {{}}
        local function try(key, value)
          local _, message = pcall(httpng.cfg, {{handler = print, [key] = value}})
          told[#told + 1] = message
        end
        fiber.yield()
        try('lua', '{other}')
        try('sandbox', true)
        try('lua_memory_limit', 2^30)
        try('handler_time_limit', 1)
        try('threads', 0)
        httpng.cfg{{lua = '{lua}', sandbox = false, handler = function()
          return table.concat(told, '\\n')
        end}}"""
    )
    served = Served(path, lua, {})
    served.loop.advance(0)
    assert served.answer().body.decode().split("\n") == [
        "lua can't be changed: the script has run",
        "sandbox can't be changed: the script has run",
        "lua_memory_limit can't be changed: the script has run",
        "handler_time_limit can't be changed: the script has run",
        "threads is 0, must be an integer, 1 .. 16",
    ]


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        LuaApplication(tmp_path / "none.lua", clock=Clock())
    assert str(caught.value) == f"{tmp_path}/none.lua: No such file or directory"
    with pytest.raises(ConfigError, match="Is a directory"):
        LuaApplication(tmp_path, clock=Clock())


@pytest.mark.parametrize("before", [b"", MARK, MARK * 2, b"#!lua\n", MARK + b"#\n"])
@pytest.mark.parametrize("sandbox", [False, True])
def test_bytecode_is_not_run(write: Write, lua: str, before: bytes, sandbox: bool) -> None:
    """It could leave the sandbox, and LuaJIT runs it where lupa says that it mustn't."""
    dump = b"return string.dump((loadstring or load)(...))"
    bytecode = import_module(f"lupa.{lua}").LuaRuntime(encoding=None).execute(dump, CFG.encode())
    path = write("")
    path.write_bytes(before + bytecode)
    with pytest.raises(ConfigError) as caught:
        LuaApplication(path, clock=Clock(), lua=lua, overrides={"sandbox": sandbox})
    if not before:
        assert str(caught.value) == f"{path}: a script is text, not bytecode"


def test_what_loadfile_skips(write: Write, lua: str) -> None:
    path = write(f"\ufeff#!/usr/bin/env httpng\n{CFG}error('line ' .. 3)")
    with pytest.raises(ConfigError, match=r"script\.lua:3: line 3"):
        LuaApplication(path, clock=Clock(), lua=lua)


def body_of(app: LuaApplication, clock: Clock) -> bytes:
    client = Loopback(app, clock=clock).connect()
    client.get()
    return client.responses()[0].body


@pytest.mark.parametrize(
    ("argument", "key", "override", "version"),
    [
        (None, "", None, b"Lua 5.1"),
        ("lua54", "", None, b"Lua 5.4"),
        ("luajit21", "", None, b"Lua 5.1"),
        (None, "lua54", None, b"Lua 5.4"),
        ("lua54", "luajit21", None, b"Lua 5.1"),
        ("lua54", "lua54", None, b"Lua 5.4"),
        (None, "lua54", "luajit21", b"Lua 5.1"),
        ("luajit21", "luajit21", "lua54", b"Lua 5.4"),
    ],
)
def test_which_lua(
    write: Write, argument: str | None, key: str, override: str | None, version: bytes
) -> None:
    lua = f", lua = '{key}'" if key else ""
    path = write(f"require 'httpng'.cfg{{handler = function() return _VERSION end{lua}}}")
    clock = Clock()
    app = LuaApplication(path, clock=clock, lua=argument, overrides={"lua": override})
    assert body_of(app, clock) == version


def test_a_script_that_names_another_lua_each_time(write: Write) -> None:
    path = write("require 'httpng'.cfg{handler = print, lua = jit and 'lua54' or 'luajit21'}")
    with pytest.raises(ConfigError, match="it names another Lua each time it is run"):
        LuaApplication(path, clock=Clock())


def test_one_that_catches_the_start_anew_is_run_anew_all_the_same(write: Write) -> None:
    path = write(
        """
        local httpng = require 'httpng'
        pcall(httpng.cfg, {handler = function() return _VERSION end, lua = 'lua54'})"""
    )
    clock = Clock()
    assert body_of(LuaApplication(path, clock=clock), clock) == b"Lua 5.4"


@pytest.mark.parametrize("name", ["lua51", 5, "LuaJIT"])
def test_a_lua_that_is_none(write: Write, name: str) -> None:
    with pytest.raises(ConfigError, match=f"lua is {name!r}, must be luajit21 or lua54"):
        LuaApplication(write(CFG), clock=Clock(), lua=name)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("lupa", r"Lua handlers need lupa: pip install httpng-lua"),
        ("lupa.luajit21", "this lupa was built without luajit21"),
    ],
)
def test_without_lupa(write: Write, monkeypatch: pytest.MonkeyPatch, missing: str, message: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=message):
        LuaApplication(write(CFG), clock=Clock())


def test_modules_beside_the_script(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "one.lua").write_text("return {name = 'one', fiber = require 'fiber'}")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "init.lua").write_text("return 'two ' .. ...")
    served = serve(
        """
        local one = require 'one'
        see(one.name, require 'two', one == require 'one', one.fiber == require 'fiber')
        package.loaded.one = nil
        see(one == require 'one')"""
    )
    assert served.seen() == ["one two two true true", "false"]


def test_package_loaded(serve: Serve) -> None:
    served = serve(
        """
        for _, name in ipairs{'httpng', 'fiber'} do
          local before = require(name)
          see(package.loaded[name] == before)
          package.loaded[name] = nil
          see(require(name) == before, package.loaded[name] == before)
        end"""
    )
    assert served.seen() == ["true", "true true"] * 2


def test_the_host_is_out_of_reach(serve: Serve) -> None:
    served = serve(
        """
        local function look(value, depth)
          -- What LuaJIT has of its own, which any script can require.
          if package.loaded.ffi and value == package.loaded.ffi then return end
          if type(value) == 'userdata' and io.type(value) ~= 'file' then see(value) end
          if type(value) == 'table' and depth < 6 then
            for key, item in pairs(value) do look(key, depth + 1) look(item, depth + 1) end
          end
        end
        see(python, package.loaded.python)
        look(_G, 0)
        function handler(...) look({...}, 0) end"""
    )
    served.ask()
    assert served.seen() == ["nil nil"]


def test_nor_is_it_within_the_reach_of_debug(serve: Serve) -> None:
    served = serve(
        """
        local _, host = debug.getupvalue(fiber.clock, 1)
        see(type(host.clock), pcall(function() return host.clock.__globals__ end))
        see(pcall(function() host.clock.x = 1 end))"""
    )
    read, written = served.seen()
    assert read.startswith("userdata false ")
    assert "objects of the host are closed to Lua" in read
    assert "objects of the host are closed to Lua" in written


def test_it_is_an_application(serve: Serve) -> None:
    assert isinstance(serve("").app, Application)


def test_it_is_served_once_and_by_its_clock(write: Write, lua: str) -> None:
    clock = Clock()
    app = LuaApplication(write(CFG), clock=clock, lua=lua)
    with pytest.raises(RuntimeError, match="by the clock that it was started with"):
        app.runner(Clock())
    app.runner(clock)
    with pytest.raises(RuntimeError, match="can be served once"):
        app.use_lock(StateLock())


def test_scripts_do_not_see_each_other(write: Write, lua: str) -> None:
    served = []
    for n in (1, 2):
        path = write(
            f"x = (x or 0) + {n} require 'httpng'.cfg{{handler = function() return tostring(x) end}}"
        )
        served.append(Served(path, lua, {}))
    assert [one.answer().body for one in served] == [b"1", b"2"]
