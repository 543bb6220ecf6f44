"""Ten defects of the original, none of which is here."""

import pytest
from tests.driver.harness import Client, in_thread
from tests.driver.http2_client import Client2
from tests.driver.net import HTTP1, Transport
from tests.lua.requirements.scripts import HTTP1_TLS, HTTP2, HTTP2_TLS, Run, each, on_four

pytestmark = pytest.mark.anyio

ALL_BYTES = bytes(range(256))


# 1. Request headers and body garbled --------------------------------------------------------------------

ECHO = """
local waiting = fiber.cond()
local count = 0
httpng.cfg{listen = both, handler = function(req)
  count = count + 1
  if count < 3 then waiting:wait() else waiting:broadcast() end
  local names = {}
  for name in pairs(req.headers) do
    if name:sub(1, 2) == 'x-' then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = name .. '=' .. req.headers[name] end
  return table.concat(names, ';') .. '|' .. req.body
end}
"""


def post(client: Client, headers: list[tuple[str, str]], body: bytes) -> None:
    """Sends a request with a body."""
    if isinstance(client, Client2):
        client.post(headers, body)
    else:
        client.send(client.prepare("/", "POST", [*headers, ("Content-Length", str(len(body)))]) + body)


@on_four
async def test_1_headers_and_bodies_arrive_as_they_were_sent(run: Run, over: Transport) -> None:
    """Also where three requests are there before the first one's handler goes on."""
    async with run(ECHO) as served:
        with served.client(over) as one, served.client(over) as two, served.client(over) as three:
            clients = (one, two, three)
            for number, client in enumerate(clients):
                await in_thread(client.shake)
                headers = [(f"x-{at:02}", f"{number}-{at}" * (at + 1)) for at in range(30)]
                post(client, headers, ALL_BYTES * (50 + number) + bytes([number]))
            for number, client in enumerate(clients):
                told = ";".join(f"x-{at:02}={f'{number}-{at}' * (at + 1)}" for at in range(30))
                received = await in_thread(client.read_response)
                assert received.body == told.encode() + b"|" + ALL_BYTES * (50 + number) + bytes([number])


# 2. and 3. What a handler returns -----------------------------------------------------------------------


@on_four
async def test_2_a_handler_that_returns_nil_and_sends_nothing_is_answered(run: Run, over: Transport) -> None:
    async with run("httpng.cfg{listen = both, handler = function() return nil end}") as served:
        received = await served.get(over)
    assert (received.status, received.body, received.complete) == (200, b"", True)


@pytest.mark.parametrize("value", ["42", "true"])
@on_four
async def test_3_a_handler_that_returns_what_is_no_response_is_answered_with_500(
    run: Run, over: Transport, value: str
) -> None:
    source = f"""
        httpng.cfg{{listen = both, handler = function(req)
          if req.path == '/wrong' then return {value} end
          return 'alive'
        end}}
    """
    async with run(source) as served:
        with served.client(over) as client:
            await in_thread(client.shake)
            received = await in_thread(client.get, "/wrong")
            assert (received.status, received.body) == (500, b"Path handler execution error")
            assert (await in_thread(client.get)).body == b"alive"


# 4. Upgrading an HTTP/2 request -------------------------------------------------------------------------


@each(HTTP2, HTTP2_TLS)
async def test_4_upgrading_a_request_of_http_2_that_asked_for_none_is_an_error_of_the_handler(
    run: Run, over: Transport
) -> None:
    source = """
        httpng.cfg{listen = both, handler = function(req, io)
          if req.path == '/upgrade' then
            local ws = io:upgrade_to_websocket()
            return ws and 'upgraded' or 'the client is gone'
          end
          return 'alive'
        end}
    """
    async with run(source) as served:
        with served.client(over) as client:
            await in_thread(client.shake)
            received = await in_thread(client.get, "/upgrade")
            assert (received.status, received.body) == (500, b"Path handler execution error")
            assert (await in_thread(client.get)).body == b"alive"


# 5. and 6. Bodies where there must be none --------------------------------------------------------------


@on_four
async def test_5_a_body_longer_than_its_content_length_does_not_run_into_the_next_response(
    run: Run, over: Transport
) -> None:
    source = """
        local told
        httpng.cfg{listen = both, handler = function(req, io)
          if req.path == '/told' then return told end
          io.headers['content-length'] = 3
          io:write('foo')
          local sent, why = pcall(io.write, io, 'bar')
          told = tostring(sent) .. ' ' .. tostring(why)
          io:close()
        end}
    """
    async with run(source) as served:
        with served.client(over) as client:
            await in_thread(client.shake)
            assert (await in_thread(client.get)).body == b"foo"
            told = (await in_thread(client.get, "/told")).body
    assert told.startswith(b"false content-length is 3, ")


@pytest.mark.parametrize("status", [204, 304])
@on_four
async def test_6_no_body_of_204_and_304_goes_on_the_wire(run: Run, over: Transport, status: int) -> None:
    source = f"""
        httpng.cfg{{listen = both, handler = function(req, io)
          if req.path == '/next' then return 'next' end
          io:write_header({status}, nil, 'no body', true)
        end}}
    """
    async with run(source) as served:
        with served.client(over) as client:
            await in_thread(client.shake)
            received = await in_thread(client.get)
            assert (received.status, received.body, received.complete) == (status, b"", True)
            assert (await in_thread(client.get, "/next")).body == b"next"
            assert b"no body" not in client.surplus


# 7. Host ------------------------------------------------------------------------------------------------


@on_four
async def test_7_the_host_may_be_an_address_of_ipv6(run: Run, over: Transport) -> None:
    async with run("httpng.cfg{listen = both, handler = function(req) return req.host end}") as served:
        for authority in ("[::1]", "[::1]:3300"):
            with served.client(over) as client:
                client.authority = authority
                await in_thread(client.shake)
                assert (await in_thread(client.get)).body == b"[::1]"


# 8. No write timeout ------------------------------------------------------------------------------------


@on_four
async def test_8_a_stalled_client_holds_a_write_no_longer_than_its_timeout(run: Run, over: Transport) -> None:
    """The new form returns a result, the old one, which gives the exchange up, true."""
    source = """
        local told = fiber.channel(1)
        httpng.cfg{listen = both, handler = function(req, io)
          if req.path == '/told' then return told:get() end
          io.send_window = 65536
          local before = fiber.clock()
          local late = io:write(('x'):rep(20000000), 0.1)
          local first, current = fiber.clock() - before, io:get_send_stats().current
          io.send_timeout = 0.1
          local count, over = 0, false
          while not over and count < 4 do
            count, over = count + 1, io:write(('x'):rep(65536), false)
          end
          local second = fiber.clock() - before - first
          told:put(table.concat({
            tostring(httpng.cancelled(late)),
            tostring(httpng.body_bytes_sent(late) == current and current < 20000000),
            tostring(over),
            tostring(io:get_send_stats().cancelled),
            tostring(first >= 0.1 and second >= 0.1),
          }, ' '))
        end}
    """
    async with run(source) as served:
        with served.client(over) as client:
            await in_thread(client.shake)
            client.request()
            assert await served.body(over, "/told") == "false true true true true"


# 9. obs-fold --------------------------------------------------------------------------------------------


@each(HTTP1, HTTP1_TLS)
async def test_9_a_header_line_that_is_folded_is_refused(run: Run, over: Transport) -> None:
    """A server may take its line break for spaces, or refuse it (RFC 9112, 5.2)."""
    source = """
        httpng.cfg{listen = both, handler = function(req)
          return tostring(req.headers['']) .. ' ' .. req.headers['x-a'] .. ' ' .. req.headers['x-b']
        end}
    """
    async with run(source) as served:
        with served.client(over) as client:
            await in_thread(client.shake)
            request = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: one\r\n two\r\nX-B: three\r\n\r\n"
            answer = await in_thread(client.ask, request)
            assert (answer.status, answer.body) == (400, b'folded header line: " two"')


# 10. -1 as "maximum" ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["threads", "max_conn_per_thread", "max_body_len", "shuttle_size"],
)
async def test_10_minus_one_is_no_maximum(run: Run, name: str) -> None:
    source = f"""
        local told = refused(httpng.cfg, {{{name} = -1, handler = function() end}})
        httpng.cfg{{listen = plain, handler = function() return told end}}
    """
    small = "shuttle_size is too small for Lua handlers"
    async with run(source) as served:
        told = await served.body()
    assert told == small if name == "shuttle_size" else told.startswith(f"{name} is -1, must be an integer, ")
