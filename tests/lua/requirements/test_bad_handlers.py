"""Handlers that make mistakes: what raises in them, and what their clients get."""

import pytest
from tests.driver.net import Transport
from tests.lua.requirements.scripts import Run, on_four

pytestmark = pytest.mark.anyio

TELLING = """
local seen = {}
-- Says in a line of `/told` what `fn(...)` brought.
local function call(fn, ...)
  local done, value = pcall(fn, ...)
  seen[#seen + 1] = tostring(done) .. ' ' .. tostring(value)
end
local sites = {{path = '/told', handler = function() return table.concat(seen, '\\n') end}}
local function serve(handler) httpng.cfg{listen = both, sites = sites, handler = handler} end
"""


@on_four
async def test_wrong_calls_of_write_raise(run: Run, over: Transport) -> None:
    source = f"""{TELLING}
        serve(function(req, io)
          call(io.write, io)
          call(io.write, {{_shuttle = 42}}, 'a')
          call(io.write, 42, 'a')
          call(io.write, nil, 'a')
          io:write('foo', true)
        end)
    """
    async with run(source) as served:
        assert await served.body(over) == "foo"
        told = (await served.body(over, "/told")).split("\n")
    assert told == ["false Not enough parameters"] + ["false shuttle is invalid"] * 3


@on_four
async def test_a_write_after_the_end_of_the_response_does_not_return_false(run: Run, over: Transport) -> None:
    """The old form returns true, the new one a `send_result` that is cancelled."""
    source = f"""{TELLING}
        serve(function(req, io)
          call(io.write, io, 'foo', true)
          call(io.write, io, 'foo', false)
          local ended, result = pcall(io.write, io, 'foo')
          call(httpng.cancelled, ended and result)
          call(httpng.body_bytes_sent, ended and result)
          call(io.close, io)
        end)
    """
    async with run(source) as served:
        assert await served.body(over) == "foo"
        told = (await served.body(over, "/told")).split("\n")
    assert told == ["true true", "true true", "true true", "true 0", "true nil"]


@on_four
async def test_wrong_calls_of_write_header_raise(run: Run, over: Transport) -> None:
    source = f"""{TELLING}
        serve(function(req, io)
          call(io.write_header, io)
          call(io.write_header, {{_shuttle = 42}}, 200)
          call(io.write_header, io, 'a')
          io:write_header('200', nil, 'foo', true)
        end)
    """
    async with run(source) as served:
        assert await served.body(over) == "foo"
        told = (await served.body(over, "/told")).split("\n")
    assert told == [
        "false Not enough parameters",
        "false shuttle is invalid",
        "false HTTP code is not an integer",
    ]


@on_four
async def test_a_second_write_header_raises(run: Run, over: Transport) -> None:
    """The first one, which ends the response, returns true."""
    source = f"""{TELLING}
        serve(function(req, io)
          call(io.write_header, io, 200, nil, 'a', true)
          call(io.write_header, io, 200)
          io:close()
        end)
    """
    async with run(source) as served:
        assert await served.body(over) == "a"
        told = (await served.body(over, "/told")).split("\n")
    assert told == ["true true", "false Handler has already written header"]


@on_four
async def test_a_close_without_io_raises(run: Run, over: Transport) -> None:
    source = f"""{TELLING}
        serve(function(req, io)
          call(io.close)
          call(io.close, {{_shuttle = 42}})
          io:write('open')
          io:close()
        end)
    """
    async with run(source) as served:
        assert await served.body(over) == "open"
        told = (await served.body(over, "/told")).split("\n")
    assert told == [
        "false Not enough parameters: called with a dot, use a colon",
        "false shuttle is invalid",
    ]


@on_four
async def test_wrong_calls_of_upgrade_to_websocket_raise(run: Run, over: Transport) -> None:
    source = f"""{TELLING}
        serve(function(req, io)
          call(io.upgrade_to_websocket, {{_shuttle = 42}})
          io:write_header(200, nil, 'a', true)
          call(io.upgrade_to_websocket, io)
        end)
    """
    async with run(source) as served:
        assert await served.body(over) == "a"
        told = (await served.body(over, "/told")).split("\n")
    assert told == [
        "false shuttle is invalid",
        "false Unable to upgrade to WebSockets after sending HTTP headers",
    ]


@on_four
async def test_a_handler_that_raises_is_answered_with_500(run: Run, over: Transport) -> None:
    source = f"{TELLING} serve(function() error 'foo' end)"
    async with run(source) as served:
        received = await served.get(over)
        assert await served.body(over, "/told") == ""
    assert (received.status, received.body, received.complete) == (500, b"Path handler execution error", True)
    assert received.headers is not None
    assert received.headers["content-type"] == "text/plain; charset=utf-8"
