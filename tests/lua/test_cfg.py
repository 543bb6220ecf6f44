"""httpng.cfg: what it takes, what it refuses and how it says so."""

import os
import re
from math import inf

import pytest
from tests.lua.conftest import Serve, Write

from httpng_core import LUA_DEFAULT_LISTEN, ConfigError, ListenAddress, Settings
from httpng_core.testing import Clock
from httpng_lua import LuaApplication

WRONG = [
    ("nil", "No parameters specified"),
    ("", "No parameters specified"),
    ("5", "parameters must be a table, not number"),
    ("require 'httpng', {handler = h}", "cfg is called with a dot: httpng.cfg{...}"),
    ("{}", "No handlers specified"),
    ("{listen = 3300}", "No handlers specified"),
    ("{handler = 5}", "handler is not a function"),
    ("{handler = {}}", "handler is not a function"),
    ("{handler = coroutine.create(print)}", "handler is not a function"),
    ("{sites = {}}", "No handlers specified"),
    ("{handler = h, sites = 5}", "sites is not a table"),
    ("{sites = h}", "sites is not a table"),
    ("{sites = {5}}", "sites is not a table of tables"),
    ("{sites = {path = '/', handler = h}}", "sites is not a table of tables"),
    ("{sites = {a = {path = '/', handler = h}}}", "sites is not an array: its order would be left to chance"),
    ("{sites = {{}}}", "sites[].path is nil"),
    ("{sites = {{'/', h}}}", "sites[].path is nil"),
    ("{sites = {{path = null, handler = h}}}", "sites[].path is nil"),
    ("{sites = {{path = 5, handler = h}}}", "sites[].path is not a string"),
    ("{sites = {{path = {}, handler = h}}}", "sites[].path is not a string"),
    ("{sites = {{path = '/'}}}", "sites[].handler is not a function or string"),
    ("{sites = {{path = '/', handler = 5}}}", "sites[].handler is not a function or string"),
    ("{sites = {{path = '/', handler = {}}}}", "sites[].handler is not a function or string"),
    ("{sites = {{path = '/', handler = h}, {path = '/', handler = h}}}", 'There can be only one "/"'),
    ("{sites = {{path = '/', handler = h}}, handler = h}", 'There can be only one "/"'),
    (
        "{sites = {{path = '/', handler = h}, {path = '/a', handler = h}}}",
        'Can\'t add other paths after adding "/"',
    ),
    ("{sites = {{path = '/a', handler = h}, {path = '/a', handler = h}}}", "Can't add duplicate paths"),
    ("{sites = {{path = '/a', handler = 5}}, handler = 5}", "sites[].handler is not a function or string"),
    ("{sites = {{path = '/a', handler = h}}, handler = 5}", "handler is not a function"),
    ("{sites = 5, max_body_len = 'x'}", "parameter max_body_len is not a number"),
    ("{sites = 5, shuttle_size = 64}", "sites is not a table"),
    ("{shuttle_size = 64}", "No handlers specified"),
    ("{sites = 5, shuttle_size = 'x'}", "parameter shuttle_size is not a number"),
    ("{shuttle_size = 64, handler = h, min_proto_version = 1}", "shuttle_size is too small for Lua handlers"),
    ("{handler = h, threads = 17}", "threads is 17, must be an integer, 1 .. 16"),
    (
        "{handler = h, thread_termination_timeout = 'x'}",
        "parameter thread_termination_timeout is not a number",
    ),
    ("{handler = h, c_sites_func = 5}", "c_sites_func must be a function"),
    ("{handler = h, c_sites_func = h}", "c_sites_func: native C handlers are not supported"),
    (
        "{handler = h, defaultsendwindow = 5}",
        "unknown parameter defaultsendwindow; the nearest known one is default_send_window",
    ),
    ("{handler = h, [true] = 5}", "unknown parameter true; the nearest known one is threads"),
    ("{handler = h, [h] = 5}", "unknown parameter a function; the nearest known one is default_send_timeout"),
    (
        "{sites = {[true] = {path = '/', handler = h}}}",
        "sites is not an array: its order would be left to chance",
    ),
    ("{handler = h, [{}] = 5}", "unknown parameter a table; the nearest known one is max_stream_len"),
    (
        "{handler = h, listen = {[h] = 5}}",
        "unknown parameter a function in listen; the nearest known one is uses_sni",
    ),
    ("{handler = h, listen = {6600 / 2, 3300}}", "Duplicate listeners for 0.0.0.0:3300 found"),
    ("{handler = h, listen = {port = 10 / 4}}", "port must be an integer, not float"),
    ("{handler = h, max_body_len = 'x'}", "parameter max_body_len is not a number"),
    ("{handler = h, max_body_len = {}}", "parameter max_body_len is not a number"),
    ("{handler = h, max_body_len = -1}", "max_body_len is -1, must be an integer, 0 .. 68719476736"),
    ("{handler = h, default_send_timeout = 0/0}", "parameter default_send_timeout is not a number"),
    ("{handler = h, shuttle_size = 64}", "shuttle_size is too small for Lua handlers"),
    ("{handler = h, uvloop = true}", "uvloop is not a parameter of cfg: it is an option of the command line"),
    ("{handler = h, listen = 70000}", "invalid port specified"),
    ("{handler = h, listen = 80.5}", "port must be an integer, not float"),
    ("{handler = h, listen = true}", "unknown listen_conf type"),
    ("{handler = h, listen = {}}", "listen is empty"),
    ("{handler = h, listen = {8080, '8080'}}", "Duplicate listeners for 0.0.0.0:8080 found"),
    ("{handler = h, listen = {{port = 'x'}}}", "'port' must be a number"),
    ("{handler = h, listen = {addr = 5}}", "'addr' must be a string"),
    ("{handler = h, listen = {tls = true}}", "'tls' must be a table"),
    ("{handler = h, listen = {tls = {certificate_file = 'c'}}}", "'tls' should be an array"),
    ("{handler = h, listen = {tls = {}}}", "'tls' is empty: it needs a certificate with its key"),
    ("{handler = h, listen = {tls = {{}}}}", "missing 'certificate_file' or 'certificate_key_file'"),
    (
        "{handler = h, listen = {tls = {{certificate_file = 'c'}}}}",
        "missing 'certificate_file' or 'certificate_key_file'",
    ),
    (
        "{handler = h, listen = 'https://x'}",
        "listen on https: TLS needs a table {addr, port, tls}, for its certificates",
    ),
    ("{handler = h, min_proto_version = 1}", "min_proto_version is not a string"),
    ("{handler = h, min_proto_version = 'tls2'}", "unknown min_proto_version specified"),
    ("{handler = h, openssl_security_level = {}}", "openssl_security_level is not a number"),
    ("{handler = h, openssl_security_level = 6}", "openssl_security_level is invalid"),
    ("{handler = 5, min_proto_version = 1}", "handler is not a function"),
    (
        "{handler = h, min_proto_version = 'tls2', openssl_security_level = 6}",
        "unknown min_proto_version specified",
    ),
    ("{handler = h, lua = 'lua51'}", "lua is 'lua51', must be luajit21 or lua54"),
    ("{listen = 70000, c_sites_func = 5}", "invalid port specified"),
    ("{c_sites_func = 5, max_body_len = 'x'}", "c_sites_func must be a function"),
    ("{handler = 5, max_body_len = 'x'}", "parameter max_body_len is not a number"),
]


@pytest.mark.parametrize(("parameters", "message"), WRONG)
def test_what_is_refused_and_how(write: Write, lua: str, parameters: str, message: str) -> None:
    path = write(f"local function h() end local null\nrequire 'httpng'.cfg({parameters})")
    with pytest.raises(ConfigError) as caught:
        LuaApplication(path, clock=Clock(), lua=lua)
    found = re.search(r"script\.lua:2: (.*)", str(caught.value))
    assert found is not None
    assert found[1].partition(": listen")[0] == message.partition(": listen")[0]


@pytest.mark.parametrize(("parameters", "message"), WRONG)
def test_a_refusal_can_be_caught_and_leaves_nothing(
    serve: Serve, lua: str, parameters: str, message: str
) -> None:
    if "lua = " in parameters:
        return
    served = serve(
        f"""
        local function h() end local null
        see(pcall(function() httpng.cfg({parameters}) end))
        see(pcall(httpng.shutdown))
        function handler() return 'served' end"""
    )
    assert served.answer().body == b"served"
    first, second = served.seen()
    assert first.partition(": listen")[0] == f"false {message}".partition(": listen")[0]
    assert second == "false Server is not launched"


def test_cfg_returns_true_and_leaves_the_table_alone(serve: Serve) -> None:
    served = serve(
        """
        local given = {handler = function() return table.concat(seen, ';') end, listen = {'8080', ':8081'}}
        see(httpng.cfg(given))
        see(#given.listen, given.listen[1], given.listen[2])
        local count = 0
        for _ in pairs(given) do count = count + 1 end
        see(count)
        httpng = {cfg = function() end}"""
    )
    assert served.answer().body == b"true;2 8080 :8081;3".replace(b"3", b"2")


def test_settings_arrive(write: Write, lua: str) -> None:
    path = write(
        """
        require 'httpng'.cfg{
          handler = function() end,
          listen = {16160 / 2, '127.0.0.1:8081', {addr = '127.0.0.1', port = 8082.0}},
          default_send_window = '1000',
          default_send_timeout = math.huge,
          max_body_len = 10.9,
          stall_timeout = 0.5,
          access_log = true,
          cancel_on_half_close = 'never',
          threads = nil,
        }"""
    )
    app = LuaApplication(path, clock=Clock(), lua=lua)
    assert app.settings.default_send_window == 1000
    assert app.settings.default_send_timeout == inf
    assert app.settings.max_body_len == 10
    assert app.settings.stall_timeout == 0.5
    assert app.settings.access_log is True
    assert app.settings.cancel_on_half_close == "never"
    assert [address.authority for address in app.listen] == [
        "0.0.0.0:8080",
        "[::]:8080",
        "127.0.0.1:8081",
        "127.0.0.1:8082",
    ]


@pytest.mark.parametrize("lua", ["luajit21"], indirect=True)
def test_a_null_of_the_ffi_is_the_default(write: Write, lua: str) -> None:
    path = write("""
        local null = require('ffi').new('void *')
        require 'httpng'.cfg{handler = function() end, listen = null, max_body_len = null, sites = null}
    """)
    app = LuaApplication(path, clock=Clock(), lua=lua)
    assert app.settings == Settings()
    assert tuple(app.listen) == LUA_DEFAULT_LISTEN


def test_defaults(write: Write, lua: str) -> None:
    app = LuaApplication(write("require 'httpng'.cfg{handler = function() end}"), clock=Clock(), lua=lua)
    assert app.settings.default_send_window == 1 << 20
    assert tuple(app.listen) == LUA_DEFAULT_LISTEN


def test_sites_have_handlers_of_their_own(serve: Serve) -> None:
    served = serve(
        """
        local function telling(name) return function(req, io) io:write(name .. ' ' .. req.path) end end
        local sites = {
          {path = '/foo', handler = telling('foo')},
          {path = '/sl/', handler = telling('sl')},
          {path = '/foo/below', handler = telling('hidden')},
        }
        httpng.cfg{sites = sites, handler = telling('the rest')}
        see(#sites, sites[1].path, type(sites[1].handler), getmetatable(sites))
        sites[1].handler = telling('changed later')
        httpng = {cfg = function() end}"""
    )
    paths = ["/foo", "/foo/below?q", "/foo1", "/sl/%2e", "/sl", "/x/../foo"]
    told = [served.answer(path).body.decode() for path in paths]
    assert told == [
        "foo /foo",
        "foo /foo/below?q",
        "the rest /foo1",
        "sl /sl/%2e",
        "the rest /sl",
        "foo /x/../foo",
    ]


def test_a_path_is_bytes_as_in_requests(serve: Serve) -> None:
    served = serve(
        """
        httpng.cfg{sites = {
          {path = '/caf\\233', handler = function() return 'Latin-1' end},
          {path = '/caf\\195\\169', handler = function() return 'UTF-8' end},
        }}
        httpng = {cfg = function() end}"""
    )
    assert [served.answer(path).body for path in ("/caf%E9", "/caf%C3%A9")] == [b"Latin-1", b"UTF-8"]
    named = [site.path for site in served.app.configuration.sites]
    assert [os.fsencode(path) for path in named] == [b"/caf\xe9", b"/caf\xc3\xa9"]


def test_what_no_site_takes_is_not_found(serve: Serve) -> None:
    served = serve(
        """
        httpng.cfg{sites = {{path = '/seen', handler = function() return table.concat(seen) end}}}
        httpng = {cfg = function() end}"""
    )
    response = served.answer("/seen1")
    assert (response.status, response.body) == (404, b"not found")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert served.answer("/seen").status == 200


def test_a_function_of_lua_stays_there(serve: Serve) -> None:
    [site] = serve("").app.configuration.sites
    with pytest.raises(TypeError, match="called in Lua"):
        site.handler()  # type: ignore[operator]


def test_overrides_win(write: Write, lua: str) -> None:
    path = write(
        """
        require 'httpng'.cfg{handler = function() end, listen = 'nowhere:1', default_send_window = 1}"""
    )
    overrides = {"listen": ["127.0.0.1:0"], "default_send_window": 7, "default_send_timeout": None}
    app = LuaApplication(path, clock=Clock(), lua=lua, overrides=overrides)
    assert app.settings.default_send_window == 7
    assert app.settings.default_send_timeout == 30
    assert tuple(app.listen) == (ListenAddress("127.0.0.1", 0),)
    with pytest.raises(ConfigError, match="default_send_window is -1"):
        LuaApplication(path, clock=Clock(), lua=lua, overrides={"default_send_window": -1})


def test_with_settings(serve: Serve) -> None:
    app = serve("", default_send_window=7).app
    assert app.with_settings(default_send_timeout=2) is app
    assert (app.settings.default_send_window, app.settings.default_send_timeout) == (7, 2)
    with pytest.raises(ConfigError, match="unknown parameter window"):
        app.with_settings(window=5)
    assert app.with_settings(default_send_timeout=3).settings.default_send_timeout == 3
