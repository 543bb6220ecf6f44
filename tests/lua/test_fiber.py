"""The module fiber: sleeping, clocks, created fibers, and whose error is whose."""

import pytest
from tests.lua.conftest import Serve, Served, Write

from httpng_core.testing import Clock, Loopback
from httpng_lua import LuaApplication


def test_sleep_and_clock(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local before = fiber.clock()
          for _, seconds in ipairs{1, 0.25, 0, -1} do
            see(fiber.sleep(seconds), ('%g'):format(fiber.clock() - before))
          end
        end"""
    )
    client = served.ask()
    served.loop.advance(2)
    assert client.responses()[0].complete
    assert served.seen() == ["nil 1", "nil 1.25", "nil 1.25", "nil 1.25"]


def test_others_run_while_one_sleeps(serve: Serve) -> None:
    served = serve(
        "function handler(req, io) fiber.sleep(req.path == '/slow' and 10 or 1) return req.path end"
    )
    slow, fast = served.ask("/slow"), served.ask("/fast")
    served.loop.advance(1)
    assert (slow.responses(), fast.responses()[0].body) == ([], b"/fast")
    served.loop.advance(9)
    assert slow.responses()[0].body == b"/slow"


def test_yield_lets_others_run(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          for i = 1, 3 do see(req.path, i) fiber.yield() end
        end"""
    )
    client = served.loop.connect()
    other = served.loop.connect()
    for one, path in ((client, "a"), (other, "b")):
        head = f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        one.connection.receive_data(head, served.loop.clock.now)
    served.loop.settle()
    assert served.seen() == ["/a 1", "/b 1", "/a 2", "/b 2", "/a 3", "/b 3"]


@pytest.mark.parametrize("call", ["fiber.sleep()", "fiber.sleep('x')", "fiber.sleep(0/0)"])
def test_sleep_needs_a_number(serve: Serve, call: str) -> None:
    served = serve(f"function handler(req, io) see(pcall(function() {call} end)) end")
    served.ask()
    [said] = served.seen()
    assert said.endswith("fiber.sleep needs a number of seconds")


def test_sleep_for_ever(serve: Serve) -> None:
    served = serve("function handler(req, io) fiber.sleep(math.huge) end")
    client = served.ask()
    served.loop.advance(1e9)
    assert client.responses() == []


def test_time_is_there_with_a_wall_clock(write: Write, lua: str) -> None:
    path = write(
        """
        local fiber = require 'fiber'
        require 'httpng'.cfg{handler = function() return tostring(fiber.time and fiber.time()) end}"""
    )
    for wall_clock, body in ((None, b"nil"), (lambda: 12.5, b"12.5")):
        clock = Clock()
        loop = Loopback(LuaApplication(path, clock=clock, wall_clock=wall_clock, lua=lua), clock=clock)
        client = loop.connect()
        client.get()
        assert client.responses()[0].body == body


def test_create_runs_at_once_until_the_first_wait(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local f = fiber.create(function(...)
            see('begins', ...)
            fiber.sleep(1)
            see('goes on')
          end, 1, nil, 'x')
          see('created', f:status(), type(f:id()))
          fiber.sleep(2)
          see(f:status())
          local short = fiber.create(function() see('short', coroutine.isyieldable()) return {} end)
          see(short:status(), short:id() ~= f:id())
          fiber.create(function(me) see(coroutine.status(me)) end, coroutine.running())
        end"""
    )
    served.ask()
    served.loop.advance(3)
    assert served.seen() == [
        "begins 1 nil x",
        "created suspended number",
        "goes on",
        "dead",
        "short true",
        "dead true",
        "normal",
    ]


def test_a_running_fiber_says_so(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local me
          me = fiber.create(function() fiber.sleep(1) see(me:status()) end)
        end"""
    )
    served.ask()
    served.loop.advance(1)
    assert served.seen() == ["running"]


def test_create_needs_a_function(serve: Serve) -> None:
    served = serve("function handler(req, io) see(pcall(fiber.create, 5)) end")
    served.ask()
    assert served.seen()[0].endswith("fiber.create needs a function")


def test_an_error_in_a_created_fiber_is_logged_and_hurts_nobody(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(
        """
        local function boom(what) error({what = what}) end
        function handler(req, io)
          fiber.create(boom, 'early')
          fiber.create(function() fiber.sleep(1) boom('late') end)
          fiber.sleep(2)
          return 'fine'
        end"""
    )
    client = served.ask()
    served.loop.advance(2)
    assert client.responses()[0].body == b"fine"
    early, late = (record.getMessage() for record in caplog.records)
    assert early.startswith('error in a fiber: {what="early"}\nstack traceback:')
    assert late.startswith('error in a fiber: {what="late"}\nstack traceback:')
    assert "script.lua:" in early
    assert "script.lua:" in late


def test_other_fibers_write_in_order(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write('0123456789')
          for _, name in ipairs{'a', 'b', 'c'} do
            fiber.create(function() see(name, told(io:write(name:rep(4)))) end)
          end
          see('main', told(io:write('dddd')))
        end""",
        default_send_window=10,
    )
    client = served.ask(room=0)
    assert served.seen() == []
    client.give_room()
    assert client.responses()[0].body == b"0123456789aaaabbbbccccdddd"
    assert served.seen() == ["a nil", "b nil", "c nil", "main nil"]


def test_fibers_that_outlive_their_handler(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write('0123456789')
          fiber.create(function() see('queued', told(io:write('never'))) end)
          fiber.create(function()
            fiber.sleep(1)
            see(told(io:write('late')), told(io:wait(0)), io:write('late', true))
            local stats = io:get_send_stats()
            see(stats.current, stats.sent, stats.cancelled)
            io:close()
            see(pcall(io.write_header, io, 200))
          end)
        end""",
        default_send_window=10,
    )
    client = served.ask()
    served.loop.advance(2)
    # The last write fell short, so the response is cut short.
    assert client.received.endswith(b"\r\na\r\n0123456789\r\n")
    assert client.closed
    said = served.seen()
    assert said[0] == "queued write 0 cancelled"
    assert said[1:3] == ["write 0 cancelled wait true cancelled true", "10 10 true"]


def test_a_queued_writer_is_cancelled_when_the_handler_returns(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          io:write('0123456789')
          fiber.create(function() see(told(io:write('never'))) end)
        end""",
        default_send_window=10,
    )
    client = served.ask(room=0)
    assert served.seen() == ["write 0 cancelled"]
    client.give_room()
    # The last write fell short, so the response is cut short.
    assert client.received.endswith(b"\r\na\r\n0123456789\r\n")
    assert client.closed


def test_the_script_goes_on_once_a_server_runs_it(write: Write, lua: str) -> None:
    source = """
        local httpng, fiber = require 'httpng', require 'fiber'
        local latest = 'nothing'
        local ch = fiber.channel(0)
        fiber.create(function() for tick = 1, 3 do fiber.sleep(1) latest = 'tick ' .. tick end end)
        fiber.create(function() latest = latest .. ' ' .. tostring(ch:get()) end)
        httpng.cfg{handler = function() return latest end}
        ch:put('early')
        fiber.sleep(10)
        latest = 'end'
    """
    clock = Clock()
    app = LuaApplication(write(source), clock=clock, lua=lua)
    clock.now += 0.5
    loop = Loopback(app, clock=clock)
    seen = []
    for seconds in (0, 0.5, 1, 20):
        loop.advance(seconds)
        client = loop.connect()
        client.get()
        seen.append(client.responses()[0].body)
    assert seen == [b"nothing early", b"tick 1", b"tick 2", b"end"]


def test_an_error_of_the_script_after_its_first_wait_is_logged(
    serve: Serve, write: Write, lua: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(
        """
        require 'httpng'.cfg{handler = function() return 'x' end}
        require 'fiber'.sleep(1)
        error('late')"""
    )
    served = Served(path, lua, {})
    served.loop.advance(1)
    assert "script.lua:4: late" in caplog.text
    assert served.answer().body == b"x"
