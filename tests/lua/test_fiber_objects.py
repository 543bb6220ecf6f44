"""The fibers of the module fiber as objects: created now or later, who they are, cancelled."""

import logging

import pytest
from tests.lua.conftest import Serve
from tests.lua.test_leaks import fibers_of, waits_of


def test_new_begins_when_its_caller_waits(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local f = fiber.new(function(...)
            see('begins', select('#', ...), ...)
            fiber.sleep(1)
            see('ends')
          end, 1, nil, 'x', nil)
          see('made', f:status())
          fiber.yield()
          see(f:status())
          fiber.sleep(2)
          see(f:status())
        end"""
    )
    served.ask()
    served.loop.advance(2)
    assert served.seen() == ["made suspended", "begins 4 1 nil x nil", "suspended", "ends", "dead"]


def test_new_before_the_server_runs(serve: Serve) -> None:
    served = serve("fiber.new(function() see('ran', type(fiber.self():id())) end) see('made')")
    served.loop.settle()
    assert served.seen() == ["made", "ran number"]


def test_an_error_in_a_new_fiber_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve("function handler(req, io) fiber.new(error, 'boom', 0) return 'fine' end")
    assert served.answer().body == b"fine"
    assert "error in a fiber: boom" in caplog.text


def test_self_is_the_fiber_that_runs_also_inside_a_users_coroutine(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local me, inner = fiber.self(), nil
          local other = fiber.create(function()
            inner = fiber.self()
            coroutine.wrap(function()
              see(fiber.self() == inner)
              fiber.sleep(1)
              see(fiber.self() == inner)
            end)()
          end)
          see(inner == other, me ~= other, fiber.self() == me, me:id() ~= other:id(), me:status())
          fiber.sleep(2)
          see(fiber.self() == me)
        end"""
    )
    served.ask()
    served.loop.advance(2)
    assert served.seen() == ["true", "true true true true running", "true", "true"]


def test_outside_of_all_fibers_there_is_no_self(serve: Serve) -> None:
    served = serve(
        """
        local feed = httpng.feed{policy = 'every', max_queued = 3, overflow = 'drop_oldest'}
        function handler(req, io)
          see(io:follow(feed, {timeout = 5, on_gap = function()
            see(pcall(fiber.self))
            see(pcall(coroutine.wrap(function() fiber.sleep(1) end)))
          end}))
        end
        fiber.create(function() fiber.sleep(1) for i = 1, 9 do feed:publish('x') end feed:close() end)"""
    )
    served.ask()
    served.loop.advance(5)
    first, second, end = served.seen()
    assert first == "false no fiber runs here"
    assert second.startswith("false ")
    assert "can't wait inside a function" in second
    assert end == "nil"


def test_names(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local f = fiber.create(function() fiber.sleep(1) end)
          see(f:name(), fiber.name(), f:name('ticker'), f:name(), fiber.name())
          see(fiber.name('mine'), fiber.self():name())
          see(pcall(f.name, f, 5))
          fiber.sleep(1)
          see(pcall(f.name, f))
          see(f:status(), type(f:id()))
        end"""
    )
    served.ask()
    served.loop.advance(1)
    assert served.seen() == [
        "lua lua nil ticker lua",
        "nil mine",
        "false name of a fiber must be a string, not number",
        "false the fiber is dead",
        "dead number",
    ]


@pytest.mark.parametrize("call", ["name", "cancel", "id", "status"])
def test_a_wrong_self(serve: Serve, call: str) -> None:
    served = serve(
        f"function handler(req, io) local f = fiber.self().{call} see(pcall(f)) see(pcall(f, {{}})) end"
    )
    served.ask()
    assert served.seen() == [
        "false fiber is invalid: called with a dot, use a colon",
        "false fiber is invalid",
    ]


def test_new_needs_a_function(serve: Serve) -> None:
    served = serve("function handler(req, io) see(pcall(fiber.new)) end")
    served.ask()
    assert served.seen()[0].endswith("fiber.new needs a function")


# Cancelling --------------------------------------------------------------------------------------------

WAITS = [
    "fiber.sleep(100)",
    "fiber.channel():get()",
    "fiber.channel():put(1, 100)",
    "fiber.cond():wait()",
    "io:wait(0, 100)",
    "io:write(('x'):rep(11), 100)",
    "io:follow(httpng.feed())",
    "coroutine.wrap(function() coroutine.wrap(function() fiber.sleep(100) end)() end)()",
]


@pytest.mark.parametrize("call", WAITS)
def test_cancel_ends_the_wait_that_a_fiber_is_in(serve: Serve, call: str) -> None:
    served = serve(
        f"""
        function handler(req, io)
          io.headers = {{}}
          io:write('1234567890')
          local f = fiber.create(function()
            local ok, e = pcall(function() {call} end)
            see(ok, (tostring(e):gsub('^.*: ', '')), ('%g'):format(fiber.clock()))
          end)
          fiber.sleep(1)
          f:cancel() f:cancel()
          see('on', f:status())
          fiber.yield()
          see(f:status())
          io:close()
        end""",
        default_send_window=10,
    )
    began = served.loop.clock.now
    client = served.ask(room=0)
    served.loop.advance(1)
    client.give_room()
    assert served.seen() == ["on suspended", f"false fiber is cancelled {began + 1:g}", "dead"]
    assert client.responses()[0].body == b"1234567890"
    assert len(served.loop.runner.timers) == 0
    assert waits_of(served) == 0


@pytest.mark.parametrize("call", [*WAITS, "fiber.yield()", "fiber.sleep(0)", "fiber.testcancel()"])
def test_a_fiber_that_was_not_waiting_raises_at_its_next_wait(serve: Serve, call: str) -> None:
    served = serve(
        f"""
        function handler(req, io)
          io:write('1234567890')
          local f
          f = fiber.new(function()
            f:cancel()
            see('still here', fiber.clock())
            for i = 1, 2 do see(i, (select(2, pcall(function() {call} end)):gsub('^.*: ', ''))) end
          end)
          fiber.yield() fiber.yield() fiber.yield() fiber.yield()
          io:close()
        end""",
        default_send_window=10,
    )
    client = served.ask(room=0)
    client.give_room()
    said = served.seen()
    assert said[0].startswith("still here")
    assert said[1:] == ["1 fiber is cancelled", "2 fiber is cancelled"]
    assert client.responses()[0].body == b"1234567890"
    assert len(served.loop.runner.timers) == 0
    assert waits_of(served) == 0


def test_one_that_catches_it_for_ever_does_not_stop_others(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          if req.path == '/end' then done = true return 'others run' end
          local f = fiber.create(function() while not done do pcall(fiber.sleep, 1) end see('over') end)
          f:cancel()
        end"""
    )
    served.loop.connect().connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0)
    for _ in range(3):
        with pytest.raises(AssertionError, match="did not come to rest"):
            served.loop.settle()
    assert served.answer("/end").body == b"others run"
    assert served.seen() == ["over"]


def test_calls_that_need_not_wait_work_in_a_cancelled_fiber(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local f = fiber.create(function()
            local ch = fiber.channel(1)
            pcall(fiber.sleep, 9)
            see(told(io:write('bye')), ch:put('x'), ch:get(), fiber.self():status())
            io:close()
          end)
          f:cancel()
          fiber.sleep(1)
        end"""
    )
    client = served.ask()
    served.loop.advance(1)
    assert client.responses()[0].body == b"bye"
    assert served.seen() == ["nil true x running"]


def test_what_a_wait_has_brought_already_is_not_lost(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local ch, cond = fiber.channel(), fiber.cond()
          local f = fiber.create(function()
            see('got', ch:get())
            see('next', pcall(fiber.sleep, 1))
          end)
          local g = fiber.create(function() see('woken', cond:wait()) end)
          ch:put('value')
          cond:signal()
          f:cancel()
          g:cancel()
        end"""
    )
    served.ask()
    assert served.seen() == ["got value", "woken true", "next false fiber is cancelled"]


def test_who_was_cancelled_takes_no_value_and_no_signal(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local ch, other, cond = fiber.channel(), fiber.channel(), fiber.cond()
          local f = fiber.create(function() ch:get() end)
          local g = fiber.create(function() cond:wait() end)
          local h = fiber.create(function() other:put('never') end)
          fiber.create(function() see('woken', cond:wait()) end)
          f:cancel() g:cancel() h:cancel()
          cond:signal()
          see(ch:put('x', 0), other:get(0))
          fiber.create(function() see('got', ch:get()) end)
          see(ch:put('y', 0))
        end"""
    )
    served.ask()
    said = served.seen()
    assert said[:2] == ["false nil", "true"]
    assert sorted(said[2:]) == ["got y", "woken true"]


def test_the_end_of_a_cancelled_fiber_is_not_logged_as_an_error(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(
        """
        function handler(req, io)
          local quiet = fiber.create(function() coroutine.wrap(function() fiber.sleep(9) end)() end)
          fiber.create(function() fiber.self():cancel() fiber.testcancel() end)
          local loud = fiber.create(function() pcall(fiber.sleep, 9) error('boom') end)
          local table_ = fiber.create(function() pcall(fiber.sleep, 9) error({code = 5}) end)
          quiet:cancel() loud:cancel() table_:cancel()
        end"""
    )
    served.ask()
    first, second = (record.getMessage().partition("\n")[0] for record in caplog.records)
    assert first.endswith(": boom")
    assert second == "error in a fiber: {code=5}"
    assert fibers_of(served) == 0


def test_a_cancelled_handler_has_failed(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve(
        """
        local me
        function handler(req, io)
          if req.path == '/stop' then me:cancel() return 'stopped' end
          me = fiber.self()
          if req.path == '/begun' then io:write('begun') end
          fiber.sleep(100)
        end"""
    )
    waiting = served.ask("/")
    assert served.answer("/stop").body == b"stopped"
    assert waiting.responses()[0].status == 500
    begun = served.ask("/begun")
    served.ask("/stop")
    assert begun.received.endswith(b"\r\n5\r\nbegun\r\n")
    assert begun.closed
    assert caplog.text.count("handler error on GET /begun of ") == 1


def test_cancel_by_id_and_of_the_dead(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local f = fiber.create(function() see(pcall(fiber.sleep, 9)) end)
          local g = fiber.create(function() see(pcall(fiber.sleep, 9)) end)
          fiber.cancel(f:id())
          fiber.cancel(g)
          fiber.yield()
          for _, call in ipairs{fiber.cancel, f.cancel} do see(pcall(call, f)) end
          see(pcall(fiber.cancel, f:id()))
          see(pcall(fiber.cancel, 'x'))
        end"""
    )
    served.ask()
    assert served.seen() == [
        *["false fiber is cancelled"] * 2,
        *["false the fiber is dead"] * 3,
        "false fiber is invalid",
    ]


def test_a_cancelled_fiber_of_a_script_that_is_not_served_yet(serve: Serve) -> None:
    served = serve("local f = fiber.create(function() see(pcall(fiber.sleep, 9)) end) f:cancel()")
    served.loop.settle()
    assert served.seen() == ["false fiber is cancelled"]


def test_pcall_can_not_swallow_the_end_of_the_server(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          fiber.create(function() while true do see('sleeps') pcall(fiber.sleep, 1) end end)
          while true do pcall(io.wait, io, 0, 1) see(pcall(fiber.sleep, 1)) end
        end"""
    )
    served.ask()
    assert fibers_of(served) == 2
    before = served.seen()
    served.loop.runner.close()
    assert fibers_of(served) == 0
    served.loop.advance(100)
    assert served.seen() == before


def test_thousands_that_were_cancelled_leave_nothing(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "httpng")
    served = serve(
        """
        if jit then jit.off() end -- compiled code takes memory, at moments of its own
        local ch, cond = fiber.channel(), fiber.cond()
        local function memory() collectgarbage() collectgarbage() return collectgarbage('count') * 1024 end
        local function round()
          local others = {}
          for i = 1, 50 do
            others[#others + 1] = fiber.create(function() ch:get() end)
            others[#others + 1] = fiber.create(function() cond:wait(i) end)
            others[#others + 1] = fiber.new(function() fiber.self():name('x') ch:get(100) end)
          end
          fiber.yield()
          for _, one in ipairs(others) do one:cancel() end
          fiber.yield()
        end
        function handler(req, io)
          for i = 1, 20 do round() end
          return ('%d'):format(memory())
        end"""
    )
    before = int(served.answer().body)
    served.answer()
    after = int(served.answer().body)
    assert after - before < 5000
    assert fibers_of(served) == 0
    assert waits_of(served) == 0
    assert len(served.loop.runner.timers) == 0
