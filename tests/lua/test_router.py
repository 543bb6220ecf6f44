"""httpng.router: routes in Lua. What matches what is told in tests/core/app/test_router.py."""

import pytest
from tests.lua.conftest import Serve, Served, Write

from httpng_core.testing import Clock, Loopback
from httpng_lua import LuaApplication

ROUTER = """
local router = require 'httpng.router'.new()
function handler(req, io) return router(req, io) end
local function tell(...)
  local names = {...}
  return function(req, io)
    local told = {}
    for _, name in ipairs(names) do told[#told + 1] = tostring(req:stash(name)) end
    return table.concat(told, ' ')
  end
end
"""


def bodies(served: Served, *paths: str) -> list[bytes]:
    return [served.answer(path).body for path in paths]


def test_placeholders_are_stashed_as_bytes(serve: Serve) -> None:
    served = serve(
        f"""{ROUTER}
        router:route({{path = '/'}}, function() return 'root' end)
              :route({{path = '/users/:id'}}, tell('id', 'other'))
              :route({{path = '/users/#id/posts/:post'}}, tell('id', 'post'))
              :route({{path = '/files/*rest'}}, tell('rest'))
              :route({{path = '/users/me'}}, function() return 'me' end)"""
    )
    assert bodies(
        served, "/", "/users/5?q", "/users/me", "/users/a.b/posts/7", "/files/a/b", "/users/%FF%00"
    ) == [b"root", b"5 nil", b"me", b"a.b 7", b"a/b", b"\xff\x00 nil"]


def test_404_405_method_and_host(serve: Serve) -> None:
    served = serve(
        f"""{ROUTER}
        router:route({{path = '/x', method = 'GET', host = 'TEST'}}, function() return 'mine' end)
        router:route({{path = '/x', method = 'PUT'}}, function() return 'put' end)
        router:route({{path = '/y', host = 'elsewhere'}}, function() return 'never' end)"""
    )
    assert served.answer("/x").body == b"mine"
    refused = []
    for path, method in (("/y", "GET"), ("/x", "POST")):
        refused += served.ask(path, method=method).responses(method)
    assert [(one.status, one.body, one.headers.get("allow")) for one in refused] == [
        (404, b"not found", None),
        (405, b"method not allowed", "GET, HEAD, PUT"),
    ]
    assert refused[0].headers["content-type"] == "text/plain; charset=utf-8"


def test_a_router_is_a_handler_of_cfg(write: Write, lua: str) -> None:
    path = write(
        """
        local httpng, fiber = require 'httpng', require 'fiber'
        local router = httpng.router.new()
        router:route({path = '/:id'}, function(req, io)
          fiber.sleep(1)
          io:write('slept ' .. req:stash('id'))
        end)
        local cfg = {handler = router}
        httpng.cfg(cfg)
        assert(cfg.handler == router)
        router:route({path = '/late'}, function() return 'late' end)
        """
    )
    clock = Clock()
    loop = Loopback(LuaApplication(path, clock=clock, lua=lua), clock=clock)
    slept, late = loop.connect(), loop.connect()
    slept.get("/5")
    late.get("/late")
    assert late.responses()[0].body == b"late"
    loop.advance(1)
    assert slept.responses()[0].body == b"slept 5"


def test_nested_routers_and_a_stash_of_ones_own(serve: Serve) -> None:
    served = serve(
        f"""{ROUTER}
        local inner = httpng.router.new()
        inner:route({{path = '/:kind/:id'}}, function(req)
          req:stash('seen', 'yes')
          return tell('rest', 'kind', 'id', 'seen')(req)
        end)
        router:route({{path = '/users/*rest'}}, inner)"""
    )
    assert bodies(served, "/users/5") == [b"5 users 5 yes"]


def test_without_a_router_the_stash_is_empty(serve: Serve) -> None:
    served = serve(
        """function handler(req)
          local before = req:stash('x')
          req:stash('x', 5)
          return tostring(before) .. ' ' .. req:stash('x') .. ' ' .. tostring(req.nothing)
        end"""
    )
    assert served.answer().body == b"nil 5 nil"


def test_before_runs_in_order_may_wait_and_may_answer(serve: Serve) -> None:
    served = serve(
        f"""{ROUTER}
        router:before(function(req) see('first', req:stash('id')) fiber.sleep(1) end)
              :before(function(req) if req:stash('id') == '5' then return {{status = 403}} end end)
        router:route({{path = '/:id'}}, function() see('handler') return 'fine' end)
        local own = handler
        function handler(req, io) return own(req, io) end"""
    )
    clients = [served.ask(path) for path in ("/4", "/5", "/a/b")]
    served.loop.advance(1)
    assert [client.responses()[0].status for client in clients] == [200, 403, 404]
    assert served.seen() == ["first 4", "first 5", "handler"]


def test_delete(serve: Serve) -> None:
    served = serve(
        f"""{ROUTER}
        router:route({{path = '/x', name = 'x'}}, function() return 'x' end)
        router:route({{path = '/delete'}}, function() router:delete('x') return 'deleted' end)"""
    )
    assert bodies(served, "/x", "/delete", "/x", "/delete")[:3] == [b"x", b"deleted", b"not found"]
    assert served.answer("/delete").status == 500


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("router.route({}, {path = '/'}, print)", "router is invalid"),
        ("router.delete()", "router is invalid: called with a dot, use a colon"),
        ("router.before(5)", "router is invalid: called with a dot, use a colon"),
        ("router:route()", "options must be a table, not nil"),
        ("router:route({}, print)", "a route needs a path"),
        ("router:route({path = 5}, print)", "path of a route must be a string, not number"),
        ("router:route({path = '/', method = {}}, print)", "method of a route must be a string, not table"),
        ("router:route({path = '/', host = 5}, print)", "host of a route must be a string, not number"),
        ("router:route({path = '/', name = 5}, print)", "name of a route must be a string, not number"),
        ("router:route({path = 'x'}, print)", "path 'x' of a route must begin with '/'"),
        (
            "router:route({path = '/', methods = 'x'}, print)",
            "unknown parameter methods; the nearest known one is method",
        ),
        ("router:route({path = '/'})", "handler is not a function"),
        ("router:route({path = '/'}, {})", "handler is not a function"),
        ("router:before('x')", "before is not a function"),
        ("router:delete('x')", "there is no route 'x'"),
        ("router:delete()", "name of a route must be a string, not nil"),
        ("router({path = '/', host = 'x'})", "method of a request must be a string, not nil"),
        ("router({path = '/', host = 5, method = 'GET'})", "host of a request must be a string, not number"),
        (
            "router({path = print, host = 'x', method = 'GET'})",
            "path of a request must be a string, not function",
        ),
    ],
)
def test_mistakes(serve: Serve, call: str, message: str) -> None:
    served = serve(f"{ROUTER} see(pcall(function() {call} end)) handler = function() end")
    assert served.seen() == [f"false {message}"]


def test_an_error_in_a_routed_handler_is_one_of_the_handler(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(f"{ROUTER} router:route({{path = '/x'}}, function() error('boom') end)")
    assert served.answer("/x").status == 500
    assert "boom" in caplog.text


def test_routers_that_nobody_holds_are_forgotten(serve: Serve) -> None:
    served = serve(
        """
        function handler(req)
          collectgarbage() collectgarbage()
          for i = 1, 100 do httpng.router.new():route({path = '/x'}, handler) end
          return 'x'
        end"""
    )
    for _ in range(20):
        served.answer()
    assert served.app.statistics().routers < 400


def test_the_access_log_has_the_route_of_a_router(
    write: Write, lua: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "httpng.access")
    path = write(
        """
        local httpng = require 'httpng'
        local inner, outer = httpng.router.new(), httpng.router.new()
        inner:route({path = '/users/:id'}, function(req, io) return 'user' end)
        outer:route({path = '/users/*rest'}, inner)
        outer:route({path = '/made-up'}, function(req, io)
          return inner({method = 'GET', host = 'x', path = '/users/5'}, {})
        end)
        httpng.cfg{handler = outer, access_log = true}
        """
    )
    clock = Clock()
    loop = Loopback(LuaApplication(path, clock=clock, lua=lua), clock=clock)
    for target in ("/users/7", "/made-up", "/nothing"):
        loop.connect().get(target)
    routes = [record.access["route"] for record in caplog.records]  # type: ignore[attr-defined]
    assert routes == ["/users/:id", "/made-up", "-"]
