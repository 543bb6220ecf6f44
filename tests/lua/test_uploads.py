"""Bodies that Lua handlers read while they come in, trailers, and informational responses."""

import pytest
from tests.lua.conftest import BEFORE, Serve, Served, Write

from httpng_core.testing import Client

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n"
READ = """
function handler(req, io)
  while true do
    local piece, why = req:read()
    see('read', piece, why)
    if not piece then return why or 'done' end
  end
end
"""
STREAMED = {"stream_bodies": True}


def test_pieces_as_they_come(serve: Serve) -> None:
    served = serve(READ, **STREAMED)
    client = served.loop.connect()
    client.send(HEAD)
    assert served.answer("/seen").body == b""
    client.send(b"hello")
    assert served.answer("/seen").body == b"read hello nil"
    client.send(b"world")
    assert client.responses()[0].body == b"done"
    assert served.answer("/seen").body == b"read hello nil\nread world nil\nread nil nil"


def test_a_client_that_leaves(serve: Serve) -> None:
    served = serve(READ, **STREAMED)
    client = served.loop.connect()
    client.send(HEAD + b"hello")
    client.reset()
    assert served.answer("/seen").body == b"read hello nil\nread nil cancelled"


def test_a_timeout_loses_nothing(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local piece, why = req:read(2)
          see(piece, why)
          see(req:read())
          see(pcall(req.read, req, -1))
          see(pcall(req.read, req, 'x'))
        end
        """,
        **STREAMED,
    )
    client = served.loop.connect()
    client.send(HEAD)
    served.loop.advance(2)
    client.send(b"hello")
    seen = served.answer("/seen").body.splitlines()
    assert seen[:2] == [b"nil timeout", b"hello nil"] or seen[:2] == [b"nil timeout", b"hello"]
    assert b"timeout must be 0 or more seconds" in seen[2]
    assert b"timeout must be a number of seconds, not string" in seen[3]


def test_the_body_of_a_streamed_request_says_what_to_do(serve: Serve) -> None:
    served = serve(
        "function handler(req, io) return select(2, pcall(function() return req.body end)) end", **STREAMED
    )
    client = served.loop.connect()
    client.send(HEAD + b"helloworld")
    assert b"read it with req:read()" in client.responses()[0].body


def test_a_whole_body_is_one_piece(serve: Serve) -> None:
    served = serve(READ)
    client = served.loop.connect()
    client.send(HEAD + b"helloworld")
    assert served.answer("/seen").body == b"read helloworld nil\nread nil nil"
    assert served.answer().body == b"done"


def test_sites_and_cfg_say_who_streams(write: Write, lua: str) -> None:
    script = """
    local function tell(req) return req:read() .. ' ' .. tostring((pcall(function() return req.body end))) end
    httpng.cfg{stream_body = %s, sites = {
      {path = '/streamed', handler = tell, stream_body = true},
      {path = '/whole', handler = tell, stream_body = false},
      {path = '/', handler = tell},
    }}
    """
    for default in ("true", "false"):
        served = Served(write(BEFORE + script % default), lua, {})
        for path, is_whole in (("/streamed", False), ("/whole", True), ("/", default == "false")):
            client = served.loop.connect()
            client.send(HEAD.replace(b"/ ", path.encode() + b" ", 1) + b"helloworld")
            wanted = b"helloworld true" if is_whole else b"helloworld false"
            assert client.responses()[0].body == wanted, (default, path)


def test_what_the_client_breaks_is_answered_with_its_status(serve: Serve) -> None:
    served = serve(READ, stream_bodies=True, max_stream_len=5)
    client = served.loop.connect()
    client.send(CHUNKED + b"a\r\nhelloworld\r\n")
    assert client.responses()[0].status == 413
    client = served.loop.connect()
    client.send(CHUNKED + b"hello\r\n")
    assert client.responses()[0].status == 400
    client = served.loop.connect()
    client.send(CHUNKED)
    served.loop.advance(31)
    assert client.responses()[0].status == 408


def test_trailers_both_ways_and_early_hints(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write_informational(103, {link = 'x'})
          see(req.trailers.x)
          local piece = req:read()
          while piece do io:write(piece) piece = req:read() end
          see(req.trailers.x)
          io:close({digest = req.trailers.x})
          see(pcall(io.write_informational, io, 200))
        end
        """,
        **STREAMED,
    )
    client = served.loop.connect()
    client.send(CHUNKED + b"5\r\nhello\r\n")
    client.send(b"0\r\nX: y\r\n\r\n")
    wire = client.take()
    assert wire.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert wire.endswith(b"5\r\nhello\r\n0\r\ndigest: y\r\n\r\n")
    seen = served.answer("/seen").body
    assert seen.startswith(b"nil\ny\n")
    assert b"102..199" in seen


def test_trailers_of_a_whole_request(serve: Serve) -> None:
    served = serve("function handler(req, io) return tostring(req.trailers.x) end")
    client = served.loop.connect()
    client.send(CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n")
    assert client.responses()[0].body == b"y"
    assert served.answer().body == b"nil"


@pytest.mark.parametrize("wait", [True, False])
def test_another_fiber_reads(serve: Serve, wait: bool) -> None:
    served = serve(
        """
        function handler(req, io)
          local done = fiber.channel(1)
          fiber.create(function() done:put(req:read()) end)
          return done:get()
        end
        """,
        **STREAMED,
    )
    client = served.loop.connect()
    client.send(HEAD if wait else HEAD + b"hello")
    if wait:
        client.send(b"hello")
    assert client.responses()[0].body == b"hello"


ROUTES = """
local function tell(req)
  local is_whole = pcall(function() return req.body end)
  return (req:read() or '-') .. ' ' .. tostring(is_whole) .. ' ' .. (req:stash('name') or '')
end
local inner, router = httpng.router.new(), httpng.router.new()
inner:route({path = '/in/plain'}, tell)
inner:route({path = '/in/whole', stream_body = false}, tell)
router:route({path = '/streamed/:name', method = 'POST', stream_body = true}, tell)
router:route({path = '/whole', stream_body = false}, tell)
router:route({path = '/plain'}, tell)
router:route({path = '/in/*rest', stream_body = true}, inner)
router:route({path = '/guarded', stream_body = true}, tell)
router:before(function(req) if req.path == '/guarded' then return {status = 403} end end)
httpng.cfg{stream_body = %s, sites = {{path = '/', handler = router, stream_body = %s}}}
"""


def ask(served: Served, path: bytes) -> Client:
    client = served.loop.connect()
    client.send(HEAD.replace(b"/ ", path + b" ", 1))
    return client


@pytest.mark.parametrize(
    ("cfg", "site", "default"), [("true", "nil", True), ("true", "false", False), ("false", "true", True)]
)
def test_routes_say_who_streams(write: Write, lua: str, cfg: str, site: str, default: bool) -> None:
    served = Served(write(BEFORE + ROUTES % (cfg, site)), lua, {})
    streams = {b"/streamed/it": True, b"/whole": False, b"/plain": default}
    streams |= {b"/in/plain": True, b"/in/whole": False}
    for path, is_streamed in streams.items():
        client = ask(served, path)
        client.send(b"hello")
        name = b"it" if b"it" in path else b""
        if is_streamed:
            assert client.responses()[0].body == b"hello false " + name
        else:
            assert client.responses() == []
            client.send(b"world")
            assert client.responses()[0].body == b"helloworld true " + name


def test_what_no_handler_reads_is_answered_at_once(write: Write, lua: str) -> None:
    """Before its body has come: there is no route, the method is another, or a function before says no."""
    served = Served(write(BEFORE + ROUTES % ("false", "nil")), lua, {})
    answers = [(b"/nowhere", 404), (b"/guarded", 403)]
    for path, status in answers:
        assert ask(served, path).responses()[0].status == status
    client = served.loop.connect()
    client.send(HEAD.replace(b"POST / ", b"PUT /streamed/it ", 1))
    assert client.responses()[0].status == 405


def test_a_route_that_streams_comes_and_goes(write: Write, lua: str) -> None:
    script = """
    local function tell(req) return tostring((pcall(function() return req.body end))) end
    local router = httpng.router.new()
    router:route({path = '/'}, function(req)
      if req.body == 'streamed00' then
        router:route({path = '/x', name = 'x', stream_body = true}, tell)
      else
        router:delete('x')
      end
      return 'done'
    end)
    router:route({path = '/*rest'}, tell)
    httpng.cfg{handler = router}
    """
    served = Served(write(BEFORE + script), lua, {})

    def told(path: bytes, body: bytes) -> bytes:
        client = ask(served, path)
        client.send(body)
        return client.responses()[0].body

    assert told(b"/x", b"helloworld") == b"true"
    assert told(b"/", b"streamed00") == b"done"
    assert told(b"/x", b"helloworld") == b"false"
    assert told(b"/", b"deleted...") == b"done"
    assert told(b"/x", b"helloworld") == b"true"


def test_a_wrong_stream_body_of_a_route_raises(serve: Serve) -> None:
    served = serve(
        """
        local router = httpng.router.new()
        see(select(2, pcall(router.route, router, {path = '/', stream_body = 1}, function() end)))
        """
    )
    assert served.seen() == ["stream_body of a route must be true or false, not number"]
