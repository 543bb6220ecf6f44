"""Handlers that take no `io`: nothing is kept for what they can't ask for, and all else is as ever."""

import gc

import pytest
from tests.lua.conftest import Served, Write

from httpng_core import Address

ASK = b"GET /%b HTTP/1.1\r\nHost: x\r\nX-Name: %b\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


def serve(write: Write, lua: str, source: str, **overrides: object) -> Served:
    script = (
        f"local httpng, fiber = require 'httpng', require 'fiber'\n{source}\nhttpng.cfg{{handler = handler}}"
    )
    return Served(write(script), lua, dict(overrides))


KEEPER = """
local kept = {}
function handler(req)
  if req.path == '/kept' then
    local told = {}
    for i, one in ipairs(kept) do
      told[i] = one.path .. ' ' .. one.headers['x-name'] .. ' ' .. one.peer.host .. ' ' .. one.ouraddr.port
    end
    kept = {}
    return table.concat(told, '\\n')
  end
  kept[#kept + 1] = req
  return {body = 'hello'}
end
"""


def test_a_request_that_is_kept_tells_all_when_its_exchange_is_long_over(write: Write, lua: str) -> None:
    served = serve(write, lua, KEEPER)
    for number in range(3):
        client = served.loop.connect()
        client.send(ASK % (b"%d" % number, b"n%d" % number))
        assert client.responses()[0].body == b"hello"
        client.reset()
        served.loop.forget()
    assert served.answer("/kept").body == b"/0 n0 192.0.2.1 80\n/1 n1 192.0.2.1 80\n/2 n2 192.0.2.1 80"


def test_nothing_is_kept(write: Write, lua: str) -> None:
    served = serve(write, lua, KEEPER)
    served.answer("/1" * 30)
    told = served.app.statistics()
    assert (told.exchanges, told.exchanges_held, told.fibers, told.waits) == (0, 0, 0, 0)
    served.loop.forget()
    gc.collect()


@pytest.mark.parametrize(
    "handler", ["function(req, io)", "function(...) local req, io = ...;", "function(_, io)"]
)
def test_who_can_take_it_gets_it(write: Write, lua: str, handler: str) -> None:
    served = serve(write, lua, f"handler = {handler} io.headers.a = 'b' return 'x' end")
    response = served.answer()
    assert (response.body, response.headers["a"]) == (b"x", "b")
    assert served.app.statistics().exchanges == 1


@pytest.mark.parametrize(
    ("returned", "status", "body"),
    [
        ("nil", 200, b""),
        ("'x'", 200, b"x"),
        ("{status = 204}", 204, b""),
        ("7", 500, b"Path handler execution error"),
        ("error('x')", 500, b"Path handler execution error"),
        ("fiber.sleep(0) or 'slept'", 200, b"slept"),
        ("{status = 600}", 500, b"Path handler execution error"),
    ],
)
def test_what_it_returns(write: Write, lua: str, returned: str, status: int, body: bytes) -> None:
    served = serve(write, lua, f"function handler() return {returned} end")
    for _ in range(2):
        client = served.ask()
        served.loop.advance(0.1)
        [response] = client.responses()
        assert (response.status, response.body) == (status, body)
    assert served.app.statistics().fibers == 0


def test_a_body_that_comes_in_while_it_runs(write: Write, lua: str) -> None:
    served = serve(
        write,
        lua,
        "function handler(req) local a, b = req:read(), req:read() return a .. '+' .. b end",
        stream_bodies=True,
    )
    client = served.loop.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
    client.send(b"cd")
    assert client.responses()[0].body == b"ab+cd"


def test_trailers_and_a_websocket_that_is_asked_for_are_told(write: Write, lua: str) -> None:
    served = serve(
        write,
        lua,
        "function handler(req) return tostring(req.is_websocket) .. (req.trailers.a or '-') .. req.body end",
    )
    client = served.loop.connect()
    client.send(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n"
    )
    assert client.responses()[0].body == b"falsebok"
    client = served.loop.connect()
    client.send(UPGRADE)
    assert client.responses()[0].body == b"true-"


def test_over_http2(write: Write, lua: str) -> None:
    served = serve(write, lua, "function handler(req) return req.headers['x-name'] .. req.version_major end")
    peer = served.loop.connect_http2()
    fields = ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x"))
    number = peer.http2.h2.get_next_available_stream_id()
    peer.http2.send_fields(number, (*fields, ("x-name", "two words: and a colon")), b"")
    served.loop.settle()
    assert bytes(peer.http2.streams[number].body) == b"two words: and a colon2"


@pytest.mark.parametrize(
    "peer", [Address("", 0, "AF_UNIX"), Address("/a b\n1 2", 0, "AF_UNIX"), Address("::1", 5, "AF_INET6")]
)
def test_the_ends_of_the_connection(write: Write, lua: str, peer: Address) -> None:
    served = serve(
        write,
        lua,
        """
        function handler(req)
          local told = {}
          for _, one in ipairs({req.peer, req.ouraddr}) do
            told[#told + 1] = one.host .. '|' .. one.port .. '|' .. one.family
          end
          return table.concat(told, '|')
        end""",
    )
    for end in (peer, Address(peer.host + "2", 7, peer.family), peer):
        client = served.loop.connect()
        client.connection = served.app.connection(
            served.loop.clock.now, peer=end, ouraddr=Address("/ours", 0, "AF_UNIX")
        )
        client.get()
        told = f"{end.host}|{end.port}|{end.family}|/ours|0|AF_UNIX"
        assert client.responses()[0].body == told.encode()


def test_no_fiber_has_the_id_of_another(write: Write, lua: str) -> None:
    served = serve(
        write,
        lua,
        """
        local ids, dead = {}, nil
        function handler(req)
          if req.path == '/name' then
            fiber.name('named')
            dead = fiber.self()
          elseif req.path == '/id' then
            local id = fiber.self():id()
            ids[#ids + 1] = id
            for i = 1, #ids - 1 do assert(ids[i] ~= id) end
            for past = 1, id - 1 do
              local ok, failure = pcall(fiber.cancel, past)
              assert(not ok and tostring(failure):find('dead'), past)
            end
          end
          return fiber.name() .. (dead and dead:status() or '')
        end""",
    )
    assert served.answer().body == b"lua"
    assert served.answer("/id").body == b"lua"
    assert served.answer("/name").body == b"namedrunning"
    assert served.answer("/id").body == b"luadead"
    assert served.answer().body == b"luadead"
    assert served.answer("/id").body == b"luadead"


def test_a_fiber_that_nobody_knew_is_used_again(write: Write, lua: str) -> None:
    served = serve(
        write,
        lua,
        """
        local before = nil
        function handler(req)
          local co = coroutine.running()
          if req.path == '/dead' then return coroutine.status(before) end
          local is_same = co == before
          before = co
          return tostring(is_same)
        end""",
    )
    assert served.answer().body == b"false"
    # It has been seen, and so must be found dead.
    assert served.answer("/dead").body == b"dead"
    assert served.answer().body == b"false"
