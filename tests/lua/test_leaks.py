"""What is over leaves nothing behind, and closing leaves nobody waiting."""

import gc
import logging
import weakref
from typing import Any

import pytest
from tests.lua.conftest import Serve, Served

from httpng_core import Runner
from httpng_core.languages import Done, Job, StateLock


def fibers_of(served: Served) -> int:
    return served.app.statistics().fibers


MEMORY = """
        local function memory()
          collectgarbage() collectgarbage()
          return ('%d'):format(collectgarbage('count') * 1024)
        end
"""


def memory_of(served: Served) -> int:
    """Bytes that Lua holds after a collection."""
    memory = int(served.answer("/memory").body)
    served.loop.forget()
    gc.collect()
    return memory


def exchanges_of(served: Served) -> int:
    """How many exchanges Lua still holds."""
    return served.app.statistics().exchanges_held


def waits_of(served: Served) -> int:
    return served.app.statistics().waits


PATHS = ("/plain", "/wait", "/fiber", "/coroutine", "/error", "/slow", "/old", "/stuck", "/gone")


def test_a_thousand_requests_leave_nothing(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "httpng")
    served = serve(
        f"""{MEMORY}
        if jit then jit.off() end -- compiled code takes memory, at moments of its own
        function handler(req, io)
          if req.path == '/memory' then return memory()
          elseif req.path == '/wait' then fiber.sleep(0.1) io:write('x') io:wait(0)
          elseif req.path == '/fiber' then
            local ch = fiber.channel(0)
            fiber.create(function() ch:put('x') end)
            fiber.create(function() ch:get(0.1) end)
            return ch:get(0.1) or 'x'
          elseif req.path == '/coroutine' then
            local co = coroutine.wrap(function() fiber.sleep(0.1) coroutine.yield('x') end)
            return co()
          elseif req.path == '/error' then fiber.sleep(0.1) error('x')
          elseif req.path == '/slow' then io.send_window = 10 io:write(('x'):rep(11), 0.1) io:close()
          elseif req.path == '/old' then
            io.send_window = 10
            io:write_header(200, {{a = 'b'}}, ('x'):rep(11), true)
          elseif req.path == '/stuck' then
            pcall(string.gsub, 'x', 'x', function() fiber.sleep(1) end)
          elseif req.path == '/gone' then io:write(('x'):rep(2000), 9) end
        end""",
        default_send_window=1000,
    )

    def requests(count: int) -> None:
        for number in range(count):
            path = PATHS[number % len(PATHS)]
            client = served.ask(path, room=0 if path in ("/slow", "/old", "/gone") else 1e9)
            served.loop.advance(0.2)
            if path == "/gone":
                client.reset()
            else:
                client.give_room()
            served.loop.forget()

    requests(1700)  # by then no table doubles any more, as those of LuaJIT do at moments of its own
    before = memory_of(served)
    requests(1000)
    after = memory_of(served)
    assert fibers_of(served) == 0
    assert exchanges_of(served) <= 1  # that of the request that asked
    assert waits_of(served) == 0
    assert len(served.loop.runner.timers) == 0
    assert after - before < 2000


def test_closing_the_runner_closes_what_waits(serve: Serve) -> None:
    served = serve(
        """
        local ch = fiber.channel(0)
        fiber.create(function() fiber.sleep(1e6) end)
        function handler(req, io)
          fiber.create(function() ch:get() end)
          coroutine.wrap(function() io:write(('x'):rep(2e6)) end)()
        end"""
    )
    served.ask(room=10)
    assert fibers_of(served) == 3
    served.loop.runner.close()
    assert fibers_of(served) == 0
    served.loop.advance(1e7)


@pytest.mark.parametrize("lua", ["lua54"], indirect=True)
def test_variables_to_be_closed_are_closed_innermost_first(serve: Serve) -> None:
    served = serve(
        """
        closed = {}
        local function guard(name)
          return setmetatable({}, {__close = function() closed[#closed + 1] = name end})
        end
        function handler(req, io)
          if req.path == '/closed' then return table.concat(closed, ' ') end
          local outer <close> = guard('outer')
          coroutine.wrap(function()
            local middle <close> = guard('middle')
            coroutine.wrap(function()
              local inner <close> = guard('inner')
              local stubborn <close> = setmetatable({}, {__close = function() fiber.sleep(1) end})
              fiber.sleep(1e6)
            end)()
          end)()
        end"""
    )
    served.ask()
    served.loop.runner.close()
    assert served.answer("/closed").body == b"inner middle outer"


def test_the_script_itself_may_wait_for_ever_without_a_server(serve: Serve) -> None:
    served = serve("fiber.create(function() fiber.sleep(1) see('went on') end)")
    assert fibers_of(served) == 1
    served.loop.advance(1)
    assert served.seen() == ["went on"]
    assert fibers_of(served) == 0


def test_runtimes_are_let_go_of_whatever_waits(serve: Serve) -> None:
    apps = []
    for _ in range(20):
        served = serve(
            """
            function handler(req, io)
              fiber.create(function() fiber.sleep(1e6) end)
              coroutine.wrap(function() io:write(('x'):rep(2e6)) end)()
            end"""
        )
        served.ask(room=0)
        apps.append(weakref.ref(served.app))
        del served
        gc.collect()
    # Lua has calls of the application's: it would keep it.
    assert [app() for app in apps] == [None] * 20


def test_an_exchange_can_be_asked_about_for_as_long_as_its_io_is_held(serve: Serve) -> None:
    served = serve(
        f"""{MEMORY}
        function handler(req, io)
          if req.path == '/memory' then return memory()
          elseif req.path == '/keep' then kept = io
          elseif req.path == '/drop' then kept = nil
          elseif req.path == '/look' then
            local stats = kept:get_send_stats()
            return stats.current .. ' ' .. stats.sent .. ' ' .. told(kept:write('late'))
          end
          return 'x'
        end"""
    )
    served.ask("/keep")
    for _ in range(150):
        served.ask()
    memory_of(served)
    assert exchanges_of(served) == 2
    assert served.answer("/look").body == b"1 1 write 0 cancelled"
    served.ask("/drop")
    memory_of(served)
    assert exchanges_of(served) <= 1


def test_statistics_tell_what_there_is(serve: Serve, lua: str) -> None:
    served = serve(
        """
        local feed, router = httpng.feed(), httpng.router.new()
        feed:publish('x')
        function handler(req, io)
          io:follow(feed)
        end"""
    )
    before = served.app.statistics()
    assert (before.fibers, before.waits, before.exchanges, before.exchanges_held) == (0, 0, 0, 0)
    served.ask()
    now = served.app.statistics()
    assert (now.runtime, now.sandbox, now.memory_limit, now.time_limit) == (lua, False, None, None)
    assert (now.fibers, now.waits, now.exchanges, now.exchanges_held) == (1, 1, 1, 1)
    assert now.memory is None
    assert now.routers == 1
    assert [(feed.published, feed.followers, feed.delivered) for feed in now.feeds] == [(1, 1, 1)]
    assert len(now.handlers) == 1


def test_the_host_asks_by_itself(serve: Serve) -> None:
    served = serve("function handler(req, io) return ('x'):rep(10000) end")
    most = 0
    for _ in range(1000):
        served.ask()
        served.loop.forget()
        most = max(most, served.app.statistics().exchanges)
    assert most < 500


class Shortage(StateLock):
    """A lock behind which there is no memory for the next call into Lua, if the test says so."""

    is_next = False

    def enter(self) -> bool:
        return not self.is_next

    def call(self, home: Runner, job: Job, done: Done) -> Any:
        if self.is_next:
            self.is_next = False
            raise MemoryError("not enough memory")
        return super().call(home, job, done)


def test_lua_out_of_memory_is_one_handlers_trouble(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    shortage = Shortage()
    served = serve("function handler(req, io) return 'fine' end", lock=shortage)
    shortage.is_next = True
    assert served.answer().status == 500
    assert "not enough memory" in caplog.text
    assert served.answer().body == b"fine"


def test_nor_is_it_more_than_that_of_one_fiber(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    shortage = Shortage()
    served = serve(
        """
        fiber.create(function() fiber.sleep(1) end)
        function handler(req, io) return 'fine' end""",
        lock=shortage,
    )
    shortage.is_next = True
    served.loop.advance(1)
    assert "error in a fiber" in caplog.text
    assert "not enough memory" in caplog.text
    assert fibers_of(served) == 0
    assert served.answer().body == b"fine"
