"""httpng.cfg while the server runs, shutdown, and what of threads a script can say."""

from pathlib import Path

import pytest
from tests.lua.conftest import Serve, Served, Write
from tests.lua.taken_lock import TakenLock

from httpng_core import (
    Closing,
    ConfigError,
    Configuration,
    ServerState,
    ServerVerb,
    Settings,
)
from httpng_core.testing import Clock
from httpng_lua import LuaApplication

DO = """
        -- A request for /do/CHUNK runs the chunk as a handler; it sees what is here.
        env = setmetatable({httpng = httpng, fiber = fiber, see = see, told = seen}, {__index = _G})
        local function telling(name) return function() return name end end
        env.telling = telling
        function run(chunk)
          local fn = assert((loadstring or load)(chunk, 'chunk', 't', env))
          if setfenv then setfenv(fn, env) end
          return fn()
        end
"""


def runs(served: Served, chunk: str) -> str:
    """What a chunk of Lua that a handler runs returns, as text."""
    client = served.loop.connect()
    body = chunk.encode()
    client.send(b"POST /do HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    [response] = client.responses()
    return response.body.decode()


SCRIPT = f"""
{DO}
        function doing(req) return tostring(run(req.body)) end
        sites = {{{{path = '/do', handler = doing}}, {{path = '/old', handler = telling('old')}}}}
        env.sites, env.doing = sites, doing
        httpng.cfg{{sites = sites, handler = telling('root'), max_body_len = 5000, threads = 4}}
        httpng = {{cfg = function() end}}
"""


@pytest.fixture
def served(serve: Serve) -> Served:
    """A script whose site /do runs what a request brings; it has /old and / besides."""
    return serve(SCRIPT)


def bodies(served: Served, *paths: str) -> list[str]:
    return [served.answer(path).body.decode() for path in paths]


# Replacing ----------------------------------------------------------------------------------------------


def test_a_handler_replaces_what_is_served(served: Served) -> None:
    assert bodies(served, "/old", "/x") == ["old", "root"]
    chunk = """
      sites[2] = {path = '/new', handler = telling('new')}
      return httpng.cfg{sites = sites, stall_timeout = 7}
    """
    assert runs(served, chunk) == "true"
    assert bodies(served, "/old", "/new", "/x") == ["not found", "new", "not found"]
    assert served.app.settings == Settings(stall_timeout=7)


def test_all_sites_can_go(served: Served) -> None:
    assert runs(served, "return httpng.cfg{}") == "true"
    assert bodies(served, "/old", "/do", "/") == ["not found"] * 3


def test_a_site_before_the_root_can_be_added(served: Served) -> None:
    chunk = """
      return httpng.cfg{sites = {
        {path = '/', handler = telling('root 2')}, {path = '/a', handler = telling('a')}}}
    """
    assert runs(served, chunk) == "true"
    assert bodies(served, "/a/b", "/b") == ["a", "root 2"]


@pytest.mark.parametrize("made", ["fiber.create", "fiber.new"])
def test_a_created_fiber_reconfigures(served: Served, made: str) -> None:
    chunk = f"""
      {made}(function()
        fiber.sleep(1)
        httpng.cfg{{handler = telling('from a fiber')}}
      end)
      return 'begun'
    """
    assert runs(served, chunk) == "begun"
    assert bodies(served, "/old") == ["old"]
    served.loop.advance(1)
    assert bodies(served, "/old") == ["from a fiber"]


def test_before_a_server_runs(write: Write, lua: str) -> None:
    path = write(
        """
        local httpng = require 'httpng'
        httpng.cfg{handler = function() return 'first' end, listen = 8080, shuttle_size = 2048}
        httpng.cfg{handler = function() return 'second' end}
        ok, said = pcall(httpng.cfg, {listen = 8081})
        httpng.cfg{sites = {{path = '/said', handler = function() return said end}}}"""
    )
    served = Served(path, lua, {})
    assert [one.port for one in served.app.listen] == [8080, 8080]
    assert served.app.settings.shuttle_size == 2048
    assert bodies(served, "/said", "/") == ["listen can't be changed on reconfiguration", "not found"]


def test_there_may_be_thousands_of_sites(served: Served) -> None:
    chunk = """
      local many = {{path = '/do', handler = doing}}
      for n = 1, 3000 do many[#many + 1] = {path = '/n' .. n, handler = telling('site ' .. n)} end
      return httpng.cfg{sites = many}
    """
    assert runs(served, chunk) == "true"
    assert bodies(served, "/n1", "/n3000", "/n3001") == ["site 1", "site 3000", "not found"]


def test_routers_can_be_replaced(served: Served) -> None:
    chunk = """
      local router = require 'httpng.router'.new()
      router:route({path = '/r/:id'}, function(req) return 'routed ' .. req:stash('id') end)
      local callable = setmetatable({}, {__call = function() return 'never' end})
      see(pcall(httpng.cfg, {handler = callable}))
      return httpng.cfg{handler = router, sites = {{path = '/told', handler = function() return told[1] end}}}
    """
    assert runs(served, chunk) == "true"
    assert bodies(served, "/r/5", "/told") == ["routed 5", "false handler is not a function"]
    assert served.answer("/other").status == 404


def test_directories_come_and_go(served: Served, tmp_path: Path) -> None:
    files = f"{{path = '/f', handler = '{tmp_path}'}}"
    runs(served, f"httpng.cfg{{sites = {{{{path = '/do', handler = doing}}, {files}}}}}")
    assert served.app.directories == [str(tmp_path)]
    said = runs(served, "return select(2, pcall(httpng.cfg, {sites = {{path = '/f', handler = doing}}}))")
    assert said == "replacing file handler with Lua handler is not supported"
    said = runs(served, "return select(2, pcall(httpng.cfg, {sites = {{path = '/do', handler = '/srv'}}}))")
    assert said == "replacing Lua handler with file handler is not supported"
    assert served.app.directories == [str(tmp_path)]


# What runs ----------------------------------------------------------------------------------------------


def test_handlers_that_run_finish_as_they_began(serve: Serve) -> None:
    served = serve(
        """
        local function named(name)
          return function(req, io)
            io:write(name .. ' begins, ')
            fiber.sleep(1)
            if req.path == '/reload' then httpng.cfg{handler = named_new} end
            collectgarbage()
            fiber.sleep(1)
            io:write(name .. ' ends')
          end
        end
        named_new = named('new')
        httpng.cfg{handler = named('old')}
        local cfg = httpng.cfg
        httpng = {cfg = function(t) if t.handler == named_new then return cfg(t) end end}"""
    )
    clients = [served.ask("/reload"), served.ask("/")]
    served.loop.advance(1)
    later = served.ask("/")
    served.loop.advance(3)
    said = [client.responses()[0].body for client in (*clients, later)]
    assert said == [b"old begins, old ends", b"old begins, old ends", b"new begins, new ends"]


@pytest.mark.parametrize("http2", [False, True])
def test_open_connections_find_the_new_one(served: Served, http2: bool) -> None:
    if http2:
        stream_client = served.loop.connect_http2()
        assert stream_client.request("/old").body == b"old"
        runs(served, "httpng.cfg{handler = telling('new')}")
        assert stream_client.request("/old").body == b"new"
    else:
        client = served.loop.connect()
        client.get("/old")
        runs(served, "httpng.cfg{handler = telling('new')}")
        client.get("/old")
        assert [one.body for one in client.responses()] == [b"old", b"new"]


def test_open_connections_are_under_the_new_settings(served: Served) -> None:
    client = served.loop.connect()
    client.get("/old")
    runs(served, "httpng.cfg{handler = telling('new'), max_body_len = 5}")
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n123456")
    assert [one.status for one in client.responses()] == [200, 413]


def test_a_request_that_waits_for_its_start_gets_the_handler_of_now(serve: Serve) -> None:
    lock = TakenLock()
    served = serve(SCRIPT, lock=lock)
    client = served.ask("/old")
    assert client.take().endswith(b"old")
    lock.is_taken = True
    client.get("/old")
    lock.is_taken = False
    runs(served, "httpng.cfg{handler = telling('first'), sites = {{path = '/do', handler = doing}}}")
    runs(served, "httpng.cfg{handler = telling('second')}")
    lock.let_in()
    served.loop.settle()
    assert client.take().endswith(b"second")


def test_old_functions_are_let_go(serve: Serve) -> None:
    served = serve(
        """
        local held = setmetatable({}, {__mode = 'k'})
        local function fresh(name)
          local function handler(req)
            if req.path == '/count' then
              collectgarbage() collectgarbage()
              local count = 0
              for _ in pairs(held) do count = count + 1 end
              return ('%d'):format(count)
            end
            httpng_.cfg(_G.cfg('again'))
            return name
          end
          held[handler] = true
          return handler
        end
        httpng_ = httpng
        function cfg(name)
          return {handler = fresh(name), sites = {{path = '/a', handler = fresh(name)}}}
        end
        httpng.cfg(cfg('first'))
        httpng = {cfg = function() end}"""
    )
    assert [served.answer("/x").body for _ in range(50)] == [b"first"] + [b"again"] * 49
    # Those of now, and at most what a coroutine that isn't collected yet still has.
    assert int(served.answer("/count").body) <= 4
    for _ in range(5):
        runs_wrong = served.answer("/count").body
    assert int(runs_wrong) <= 4


def test_numbers_of_functions_are_not_used_again(served: Served) -> None:
    def numbers() -> tuple[int, ...]:
        return served.app.statistics().handlers

    first = numbers()
    runs(served, "return pcall(httpng.cfg, {handler = telling(1), sites = 5})")
    assert numbers() == first
    runs(served, "httpng.cfg{sites = sites}")
    second = numbers()
    assert len(first) == 3
    assert len(second) == 2
    # One was given away to the table that was refused.
    assert min(second) > max(first) + 1


# Refusing -----------------------------------------------------------------------------------------------

WRONG = [
    ("", "No parameters specified"),
    ("5", "parameters must be a table, not number"),
    ("{sites = {{path = '/n', handler = h}, {path = '/n', handler = h}}}", "Can't add duplicate paths"),
    ("{sites = {{path = '/old', handler = h}, {path = '/old', handler = h}}}", "duplicated site description"),
    ("{sites = {{path = '/', handler = h}}, handler = h}", "duplicated site description for /"),
    (
        "{sites = {{path = '/n', handler = h}, {path = '/n', handler = h}}, listen = 8080}",
        "Can't add duplicate paths",
    ),
    ("{handler = h, listen = 8080}", "listen can't be changed on reconfiguration"),
    ("{handler = h, listen = 3300}", "listen can't be changed on reconfiguration"),
    ("{handler = h, shuttle_size = 1024}", "Reconfiguration can't change shuttle_size"),
    ("{handler = h, shuttle_size = 64}", "Reconfiguration can't change shuttle_size"),
    ("{handler = h, min_proto_version = 'tls1.3'}", "min_proto_version can't be changed on reconfiguration"),
    ("{handler = h, min_proto_version = 'x'}", "unknown min_proto_version specified"),
    (
        "{handler = h, openssl_security_level = 2}",
        "openssl_security_level can't be changed on reconfiguration",
    ),
    ("{handler = h, notsent_lowat = 5}", "notsent_lowat can't be changed on reconfiguration"),
    ("{handler = h, threads = 0}", "threads is 0, must be an integer, 1 .. 16"),
    ("{handler = 5}", "handler is not a function"),
    ("{c_sites_func = h}", "c_sites_func: native C handlers are not supported"),
    ("{handler = h, uvloop = true}", "uvloop is not a parameter of cfg: it is an option of the command line"),
]


@pytest.mark.parametrize(("parameters", "message"), WRONG)
def test_what_is_refused_changes_nothing(served: Served, parameters: str, message: str) -> None:
    before = served.app.configuration
    said = runs(
        served,
        f"local function h() end return select(2, pcall(function() httpng.cfg({parameters}) end))",
    )
    assert said == message
    assert served.app.configuration is before
    assert bodies(served, "/old", "/x") == ["old", "root"]
    assert runs(served, "return httpng.cfg{handler = telling('new')}") == "true"
    assert bodies(served, "/old") == ["new"]


def test_another_lua_is_refused(served: Served, lua: str) -> None:
    other = {"luajit21": "lua54", "lua54": "luajit21"}[lua]
    said = runs(served, f"return select(2, pcall(httpng.cfg, {{handler = doing, lua = '{other}'}}))")
    assert said == "lua can't be changed on reconfiguration"
    assert runs(served, f"return httpng.cfg{{handler = doing, lua = '{lua}'}}") == "true"


NULLS = [
    ("shuttle_size = 1024", "Reconfiguration can't change shuttle_size"),
    ("min_proto_version = 'tls1.3'", "min_proto_version can't be changed on reconfiguration"),
    ("openssl_security_level = 5", "openssl_security_level can't be changed on reconfiguration"),
    ("listen = 8080", "listen can't be changed on reconfiguration"),
]


@pytest.mark.parametrize("lua", ["luajit21"], indirect=True)
@pytest.mark.parametrize(("first", "message"), NULLS)
def test_a_null_is_the_default_and_may_be_a_change(write: Write, lua: str, first: str, message: str) -> None:
    key = first.split()[0]
    path = write(
        f"""
        local httpng = require 'httpng'
        local function h() end
        httpng.cfg{{handler = h, {first}}}
        local ok, said = pcall(httpng.cfg, {{handler = h, {key} = box.NULL}})
        httpng.cfg{{handler = function() return said end, threads = box.NULL}}"""
    )
    assert bodies(Served(path, lua, {}), "/") == [message]


def test_a_null_where_that_is_so_already(served: Served) -> None:
    chunk = """
      return httpng.cfg{
        handler = telling('new'), shuttle_size = box.NULL, min_proto_version = box.NULL, lua = box.NULL,
        openssl_security_level = box.NULL, notsent_lowat = box.NULL, threads = box.NULL}
    """
    assert runs(served, chunk) == "true"
    assert bodies(served, "/") == ["new"]


def test_the_table_stays_as_it_is(served: Served) -> None:
    chunk = """
      local given = {sites = {{path = '/', handler = doing}, {path = '/a', handler = doing}}, threads = '2'}
      see(httpng.cfg(given), #given.sites, given.sites[1].path, given.sites[2].path, given.threads)
      see(pcall(httpng.cfg, {sites = given.sites, listen = given}))
      local count = 0
      for key in pairs(given) do count = count + 1 end
      return count .. ' ' .. table.concat(told, ';')
    """
    said = runs(served, chunk)
    assert said == "2 true 2 / /a 2;false listen can't be changed on reconfiguration"


def test_what_the_server_cannot_do_changes_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(configuration: Configuration) -> None:
        raise ConfigError(f"{len(configuration.sites)} sites are too many")

    monkeypatch.setattr(served.loop.server, "reconfigure", refuse)
    said = runs(served, "return select(2, pcall(httpng.cfg, {handler = telling('new')}))")
    assert said == "1 sites are too many"
    assert bodies(served, "/old") == ["old"]
    monkeypatch.undo()
    assert runs(served, "return httpng.cfg{handler = telling('new')}") == "true"
    assert bodies(served, "/old") == ["new"]


@pytest.mark.parametrize("lua", ["lua54"], indirect=True)
def test_it_is_not_done_within_itself(served: Served) -> None:
    chunk = """
      local inner
      local function walk(t)
        inner = select(2, pcall(httpng.cfg, {handler = telling('inner')}))
        return next, t
      end
      httpng.cfg{handler = telling('outer'), sites = setmetatable({}, {__pairs = walk})}
      return inner
    """
    assert runs(served, chunk) == "Reconfiguration is already in progress"
    assert bodies(served, "/") == ["outer"]


@pytest.mark.parametrize("lua", ["lua54"], indirect=True)
def test_a_table_that_cannot_be_read_changes_nothing(served: Served) -> None:
    chunk = """
      local function walk() error({code = 5}) end
      local sites = setmetatable({}, {__pairs = walk})
      local ok, said = pcall(httpng.cfg, {handler = telling('new'), sites = sites})
      return tostring(ok) .. ' ' .. said.code
    """
    assert runs(served, chunk) == "false 5"
    assert bodies(served, "/") == ["root"]
    assert runs(served, "return httpng.cfg{handler = telling('new')}") == "true"


def test_a_table_within_itself(served: Served) -> None:
    chunk = """
      local t = {handler = doing}
      t.sites = t
      return (pcall(httpng.cfg, t))
    """
    assert runs(served, chunk) == "false"
    assert runs(served, "return httpng.cfg{handler = telling('new')}") == "true"


def test_from_outside_of_the_script(served: Served) -> None:
    with pytest.raises(TypeError, match=r"by its own httpng\.cfg"):
        served.app.reconfigure(lambda req: "x")


def test_what_wins_goes_on_winning(write: Write, lua: str) -> None:
    path = write(
        """
        local httpng = require 'httpng'
        httpng.cfg{handler = function()
          httpng.cfg{handler = function() end, max_body_len = 1, lua = 'x'}
          return 'done'
        end}"""
    )
    overrides = {"max_body_len": 7, "listen": "127.0.0.1:80", "shuttle_size": 2048, "lua": lua}
    served = Served(path, lua, overrides)
    served.app.with_settings(stall_timeout=5)
    assert bodies(served, "/") == ["done"]
    settings = served.app.settings
    assert (settings.max_body_len, settings.stall_timeout, settings.shuttle_size) == (7, 5, 2048)
    assert [one.port for one in served.app.listen] == [80]


# Shutting down ------------------------------------------------------------------------------------------


def test_a_fiber_waits_until_all_is_down(served: Served) -> None:
    chunk = """
      fiber.create(function()
        httpng.shutdown()
        see('down', pcall(httpng.shutdown))
        see(pcall(httpng.force_decrease_threads))
        see(pcall(httpng.cfg, {}))
        see(httpng.cfg{handler = function() return table.concat(told, '\\n') end, shuttle_size = 1024})
      end)
      see('waits', pcall(httpng.shutdown))
      see(pcall(httpng.cfg, {}))
      see(pcall(httpng.force_decrease_threads))
      fiber.sleep(1)
      return 'handled'
    """
    client = served.loop.connect()
    body = chunk.encode()
    client.send(b"POST /do HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert client.connection.close_expected() is Closing.RESET
    served.loop.advance(6)
    assert bodies(served, "/")[0].split("\n") == [
        "waits false shutdown is in progress",
        "false shutdown is in progress",
        "false Shutdown is in progress",
        "down false Server is not launched",
        "false Not configured, nothing to terminate",
        "false No handlers specified",
        "true",
    ]
    assert served.app.settings.shuttle_size == 1024


def test_a_handler_does_not_wait_for_itself(served: Served) -> None:
    client = served.loop.connect()
    client.send(b"POST /do HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\nhttpng.shutdown()")
    served.loop.advance(6)
    # Its response is a part of what was reset.
    assert client.connection.close_expected() is Closing.RESET
    assert not client.responses()
    assert served.app.lifecycle.state is ServerState.STOPPED


def test_before_a_server_runs_it_is_down_at_once(write: Write, lua: str) -> None:
    path = write(
        """
        local httpng = require 'httpng'
        local said = {}
        local function say(ok, text) said[#said + 1] = tostring(ok) .. ' ' .. tostring(text) end
        say(pcall(httpng.shutdown))
        say(pcall(httpng.force_decrease_threads))
        httpng.cfg{handler = function() return 'first' end, listen = 8080}
        say(pcall(httpng.force_decrease_threads))
        say(pcall(httpng.shutdown))
        say(pcall(httpng.shutdown))
        say(pcall(httpng.cfg, {}))
        httpng.cfg{handler = function() return table.concat(said, '\\n') end, listen = 8081}"""
    )
    served = Served(path, lua, {})
    assert served.app.listen[0].port == 8081
    assert bodies(served, "/")[0].split("\n") == [
        "false Server is not launched",
        "false Not configured, nothing to terminate",
        "true nil",
        "true nil",
        "false Server is not launched",
        "false No handlers specified",
    ]


def test_a_script_that_stops_before_it_is_served(write: Write, lua: str) -> None:
    path = write("local h = require 'httpng' h.cfg{handler = function() end} h.shutdown()")
    app = LuaApplication(path, clock=Clock(), lua=lua)
    assert app.lifecycle.state is ServerState.STOPPED
    assert app.has_ended


def test_another_lua_cannot_be_asked_for_after_a_shutdown(write: Write, lua: str) -> None:
    other = {"luajit21": "lua54", "lua54": "luajit21"}[lua]
    path = write(
        f"""
        local h = require 'httpng'
        h.cfg{{handler = function() end}}
        h.shutdown()
        local ok, said = pcall(h.cfg, {{handler = function() end, lua = '{other}'}})
        h.cfg{{handler = function() return said end}}"""
    )
    assert bodies(Served(path, lua, {}), "/") == ["lua can't be changed on reconfiguration"]


# Threads ------------------------------------------------------------------------------------------------


def test_threads_that_are_not_gone_yet(served: Served) -> None:
    served.loop.server.keeps_threads = True
    assert runs(served, "return httpng.cfg{handler = doing}") == "true"
    assert served.app.lifecycle.state is ServerState.REDUCING
    said = runs(served, "return select(2, pcall(httpng.cfg, {handler = doing}))")
    assert said == "Unable to reconfigure until threads will shut down"
    assert runs(served, "httpng.force_decrease_threads() return 'gone'") == "gone"
    assert runs(served, "return httpng.cfg{handler = doing, threads = 2}") == "true"
    served.app.lifecycle.do(ServerVerb.REDUCE)
    assert runs(served, "return (pcall(httpng.cfg, {handler = doing}))") == "false"
    served.loop.server.end_threads()
    assert runs(served, "return (pcall(httpng.cfg, {handler = doing}))") == "true"
