"""What a handler is told of its request."""

import pytest
from tests.lua.conftest import Serve

from httpng_core import Address

DUMP = """
local function dump(value)
  if type(value) == 'number' then return ('%d'):format(value) end
  if type(value) ~= 'table' then return tostring(value) end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = name .. '=' .. dump(value[name]) end
  return '{' .. table.concat(names, ',') .. '}'
end
function handler(req, io) return dump(req) end
"""


def test_all_of_it(serve: Serve) -> None:
    served = serve(DUMP)
    client = served.loop.connect()
    client.send(
        b"POST /a%20b?x=1&y HTTP/1.1\r\nHost: [::1]:8080\r\nX-A: one\r\nx-a: two\r\n"
        b"Cookie: a=1\r\ncookie: b=2\r\nContent-Length: 4\r\nX-Latin: \xe4\r\n\r\n\0\xffab"
    )
    assert client.responses()[0].body == (
        b"{body=\0\xffab,"
        b"headers={content-length=4,cookie=a=1; b=2,host=[::1]:8080,x-a=one, two,x-latin=\xe4},"
        b"host=[::1],is_websocket=false,method=POST,"
        b"ouraddr={family=AF_INET,host=192.0.2.2,port=80,protocol=tcp,type=SOCK_STREAM},"
        b"path=/a%20b?x=1&y,"
        b"peer={family=AF_INET,host=192.0.2.1,port=50000,protocol=tcp,type=SOCK_STREAM},"
        b"query=x=1&y,version_major=1,version_minor=1}"
    )


def test_ipv6_ends(serve: Serve) -> None:
    served = serve(
        "function handler(req, io) return req.peer.family .. req.peer.host .. req.ouraddr.family end"
    )
    now = served.loop.clock.now
    connection = served.app.connection(now, peer=Address("fe80::1", 5, "AF_INET6"))
    client = served.loop.connect()
    client.connection = connection
    client.get()
    assert client.responses()[0].body == b"AF_INET6fe80::1AF_INET"


@pytest.mark.parametrize(
    ("target", "query"), [("/", "nil"), ("/?", ""), ("/?id=2", "id=2"), ("/?id=3?x", "id=3?x")]
)
def test_query(serve: Serve, target: str, query: str) -> None:
    served = serve("function handler(req, io) return tostring(req.query) end")
    assert served.answer(target).body.decode() == query


def test_http_1_0_without_a_host(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local version = ('%d.%d'):format(req.version_major, req.version_minor)
          return ('%s %s %q %s'):format(req.host, version, req.body, tostring(req.https))
        end"""
    )
    client = served.loop.connect()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.responses()[0].body == b'default 1.0 "" nil'


VERSION = """
  local function version(req) return tostring(req.version_major) .. '.' .. tostring(req.version_minor) end
  function handler(req)
    %s
    return version(req)
  end"""


@pytest.mark.parametrize("sent", ["1.0", "1.1"])
@pytest.mark.parametrize("first", ["", "local _ = req.headers"])
@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("", "1.%s"),
        ("req.version_minor = nil", "1.nil"),
        ("req.version_major = nil", "nil.%s"),
        ("req.version_major, req.version_minor = 2, 3", "2.3"),
        ("rawset(req, 'version_minor', 7)", "1.7"),
        ("rawset(req, 'version_minor', 7); local _ = req.headers", "1.7"),
        ("version(req); req.version_minor = nil; local _ = req.headers", "1.nil"),
    ],
)
def test_the_version_is_a_field_like_any_other(
    serve: Serve, sent: str, first: str, change: str, shown: str
) -> None:
    served = serve(VERSION % f"{first}\n{change}")
    client = served.loop.connect()
    client.send(f"GET / HTTP/{sent}\r\nHost: x\r\n\r\n".encode())
    assert client.responses()[0].body.decode() == (shown % sent[2:] if "%" in shown else shown)


WALK = """
  function handler(req)
    local found = {}
    for name, value in WALKED do
      found[#found + 1] = type(name) .. ' ' .. name
    end
    table.sort(found)
    return table.concat(found, ',')
  end"""


@pytest.mark.parametrize("walked", ["pairs(req)", "next, req, nil"])
@pytest.mark.parametrize("sent", ["1.0", "1.1"])
def test_who_walks_through_a_request_meets_its_fields_alone(serve: Serve, sent: str, walked: str) -> None:
    served = serve(WALK.replace("WALKED", walked))
    client = served.loop.connect()
    client.send(f"GET / HTTP/{sent}\r\nHost: x\r\n\r\n".encode())
    names = "body headers host is_websocket method ouraddr path peer version_major version_minor"
    assert client.responses()[0].body.decode() == ",".join(f"string {name}" for name in names.split())


FORGED = {
    "req['\\0ends'] = 'x'": "not enough values",
    "req['\\0lines'] = 5": "",
    "req['\\0lines'] = ('a: b\\r\\n'):rep(3000000)": "at most 65536",
}


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("sandbox", [False, True])
def test_who_forges_what_a_request_keeps_gets_an_error(serve: Serve, forged: str, sandbox: bool) -> None:
    served = serve(
        f"""
        function handler(req)
          {forged}
          local ok, failure = pcall(function() return req.headers end)
          return tostring(ok) .. tostring(failure)
        end""",
        sandbox=sandbox,
    )
    body = served.answer().body.decode()
    assert body.startswith("false")
    assert FORGED[forged] in body


def test_a_long_head_is_read_where_it_may_be_long(serve: Serve) -> None:
    served = serve("function handler(req) return tostring(#req.headers.x) end", shuttle_size=300_000)
    client = served.loop.connect()
    client.get(headers={"X": "a" * 200_000})
    assert client.responses()[0].body == b"200000"


def test_the_number_of_an_exchange_is_in_no_request(serve: Serve) -> None:
    """With the real `next`, which `pairs` of any other table gives."""
    served = serve(
        """
        function handler(req)
          local found = {}
          for key in pairs({}), req do found[#found + 1] = type(key) end
          table.sort(found)
          return table.concat(found, ' ')
        end"""
    )
    client = served.loop.connect()
    client.send(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert set(client.responses()[0].body.split()) == {b"string"}


def test_a_websocket_handshake_is_seen(serve: Serve) -> None:
    served = serve("function handler(req, io) return tostring(req.is_websocket) end")
    client = served.loop.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert client.responses()[0].body == b"true"


def test_a_request_is_the_handlers_own(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          see(req.mine, io.mine, io.headers.mine)
          req.mine, io.mine, io.headers.mine = 1, 2, 3
        end"""
    )
    for _ in range(2):
        served.ask()
    assert served.seen() == ["nil nil nil"] * 2


def test_what_is_put_into_a_request_stays_there(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          req.headers, req.peer = 'mine', nil
          return req.headers .. tostring(req.peer) .. req.ouraddr.host
        end"""
    )
    assert served.answer().body == b"minenil192.0.2.2"


def test_next_finds_all_of_a_request(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local found = 0
          local name = next(req)
          while name do
            assert(type(name) == 'string')
            found, name = found + 1, next(req, name)
          end
          return ('%d'):format(found)
        end"""
    )
    # method, path, host, body, two of the version; headers, is_websocket, peer, ouraddr.
    assert served.answer().body == b"10"


def test_a_request_that_is_kept_can_be_asked_when_its_exchange_is_over(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          if req.path == '/keep' then kept = req return 'x' end
          if req.path == '/other' then return 'x' end
          collectgarbage() collectgarbage()
          return kept.headers.host .. kept.peer.host
        end"""
    )
    served.ask("/keep")
    for _ in range(150):
        served.answer("/other")
    assert served.answer("/").body == b"test192.0.2.1"
