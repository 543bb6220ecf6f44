"""Calls that wait inside pcall, inside users' own coroutines, and where they can't wait at all."""

import pytest
from tests.lua.conftest import Serve


def test_pcall_and_xpcall_around_calls_that_wait(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          see(pcall(function() fiber.sleep(1) return told(io:write('a')), 2 end))
          see(xpcall(function() fiber.sleep(1) error('inner', 0) end, function(e) return 'seen ' .. e end))
          see(pcall(pcall, error, 'x'))
        end"""
    )
    client = served.ask()
    served.loop.advance(2)
    assert client.responses()[0].complete
    assert served.seen() == ["true nil 2", "false seen inner", "true false x"]


def test_a_call_inside_a_users_coroutine_waits_in_the_fiber(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local co = coroutine.create(function(first)
            see('in', first)
            fiber.sleep(1)
            local second = coroutine.yield('one', 1)
            see('in', second, told(io:write('b')))
            fiber.sleep(1)
            return 'two', nil, 2
          end)
          see(coroutine.status(co))
          see(coroutine.resume(co, 'A'))
          see(coroutine.status(co))
          see(coroutine.resume(co, 'B'))
          see(coroutine.status(co))
          see(coroutine.resume(co))
        end"""
    )
    client = served.ask()
    served.loop.advance(1.5)
    assert served.seen()[:3] == ["suspended", "in A", "true one 1"]
    served.loop.advance(1)
    assert client.responses()[0].body == b"b"
    assert served.seen()[3:] == [
        "suspended",
        "in B nil",
        "true two nil 2",
        "dead",
        "false cannot resume dead coroutine",
    ]


def test_nested_coroutines_and_generators(serve: Serve) -> None:
    served = serve(
        """
        local function numbers(io)
          return coroutine.wrap(function()
            local inner = coroutine.wrap(function()
              for i = 1, 3 do fiber.sleep(1) coroutine.yield(i) end
            end)
            for i in inner do io:write(i) coroutine.yield(i * 10) end
          end)
        end
        function handler(req, io)
          for n in numbers(io) do io:write(',' .. n .. ' ') end
        end"""
    )
    client = served.ask()
    served.loop.advance(3)
    assert client.responses()[0].body == b"1,10 2,20 3,30 "
    assert client.responses()[0].complete


def test_many_waits_in_a_coroutine_keep_the_stack_flat(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          coroutine.wrap(function() for i = 1, 20000 do fiber.yield() end end)()
          return 'done'
        end"""
    )
    client = served.loop.connect()
    client.connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", served.loop.clock.now)
    while not client.received:
        try:
            served.loop.settle()
        except AssertionError:
            continue
    assert client.responses()[0].body == b"done"


def test_errors_in_users_coroutines_stay_theirs(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local co = coroutine.create(function() fiber.sleep(1) error({code = 7}) end)
          local ok, e = coroutine.resume(co)
          see(ok, e.code, coroutine.status(co))
          local ok, e = pcall(coroutine.wrap(function() fiber.sleep(1) error({code = 8}) end))
          see(ok, e.code)
          local ok, e = pcall(coroutine.wrap(function() error('text', 0) end))
          see(ok, (e:gsub('^.*: ', '')))
          see(pcall(coroutine.wrap(function() return 5 end)))
        end"""
    )
    served.ask()
    served.loop.advance(2)
    assert served.seen() == ["false 7 dead", "false 8", "false text", "true 5"]


def test_what_a_user_yields_never_passes_for_a_wait(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local liar = setmetatable({}, {__eq = function() return true end})
          local co = coroutine.wrap(function() coroutine.yield(liar) coroutine.yield(2, 'x') return 'end' end)
          see(co() == liar, co())
          see(co())
          see(pcall(coroutine.yield, 1))
          return {status = 2 + 200, body = 'wait'}
        end"""
    )
    assert served.answer().status == 202
    first, second, third = served.seen()
    assert (first, second) == ("true 2 x", "end")
    assert third.startswith("false ")
    assert third.endswith("attempt to yield from outside a coroutine")


def test_a_coroutine_that_waits_belongs_to_its_fiber(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local me = coroutine.running()
          local co = coroutine.create(function() fiber.sleep(1) return 'slept' end)
          fiber.create(function()
            fiber.sleep(0.5)
            see(coroutine.status(co))
            see(coroutine.resume(co))
            see(coroutine.resume(me))
            if coroutine.close then
              see(select('#', pcall(coroutine.close, co)), (pcall(coroutine.close, co)))
              see(pcall(coroutine.close, me))
            end
          end)
          see(coroutine.resume(co))
          see(coroutine.status(co))
        end"""
    )
    client = served.ask()
    served.loop.advance(2)
    assert client.responses()[0].complete
    said = served.seen()
    assert said[:3] == ["normal", *["false cannot resume a coroutine that waits for the server"] * 2]
    assert said[-2:] == ["true slept", "dead"]
    if len(said) > 5:
        assert said[3] == "2 false"
        assert said[4].endswith("cannot close a coroutine that waits for the server")


@pytest.mark.parametrize("lua", ["lua54"], indirect=True)
def test_users_close_their_coroutines(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local co = coroutine.create(function()
            local guard <close> = setmetatable({}, {__close = function() see('closed') end})
            coroutine.yield()
          end)
          coroutine.resume(co)
          see(coroutine.close(co), coroutine.status(co))
          pcall(coroutine.wrap(function()
            local guard <close> = setmetatable({}, {__close = function() see('closed') end})
            error('x')
          end))
        end"""
    )
    served.ask()
    assert served.seen() == ["closed", "true dead", "closed"]


CANT_WAIT = "can't wait inside a function that was called by a C function, such as table.sort"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("fiber.sleep(1)", CANT_WAIT),
        ("io:write('abc')", CANT_WAIT),
        ("io:wait(0)", CANT_WAIT),
        ("coroutine.wrap(function() local ok, e = pcall(fiber.sleep, 1) error(e, 0) end)()", CANT_WAIT),
        ("coroutine.wrap(function() fiber.yield() end)()", None),
        ("fiber.yield()", None),
    ],
)
def test_where_nothing_can_wait_a_wait_raises(serve: Serve, call: str, message: str | None) -> None:
    served = serve(
        f"""
        function handler(req, io)
          io:write('1234567890')
          local ok, e = pcall(string.gsub, 'x', 'x', function() {call} end)
          see(ok, ok and '' or (e:gsub('^[^ ]+:%d+: ', '')))
          io:close()
        end""",
        default_send_window=10,
    )
    client = served.ask(room=0)
    served.loop.advance(1)
    client.give_room()
    assert served.seen() == (["true "] if message is None else [f"false {message}"])
    assert client.responses()[0].body == b"1234567890"
    assert client.responses()[0].complete


def test_calls_with_room_work_there(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local names = {}
          for i = 1, 100 do names[i] = (i * 37) % 101 end
          table.sort(names, function(a, b) io:write('.') return a < b end)
        end"""
    )
    assert len(served.answer().body) > 200


def test_metamethods_and_iterators_may_wait(serve: Serve) -> None:
    served = serve(
        """
        local slow = setmetatable({}, {
          __index = function(_, key) fiber.sleep(1) return key .. '!' end,
          __call = function(_, x) fiber.sleep(1) return x + 1 end,
          __add = function(_, x) fiber.sleep(1) return x end,
        })
        local function each(_, at) fiber.sleep(1) if at < 2 then return at + 1 end end
        function handler(req, io)
          see(slow.key, slow(1), slow + 5)
          for at in each, nil, 0 do see(at) end
        end"""
    )
    served.ask()
    served.loop.advance(7)
    assert served.seen() == ["key! 2 5", "1", "2"]


def test_a_handlers_own_coroutine_is_dead_when_it_has_ended(serve: Serve) -> None:
    served = serve(
        """
        local mine
        function handler(req, io)
          if req.path == '/mine' then mine = coroutine.running() return 'x' end
          local ok, message = coroutine.resume(mine, function() end)
          return coroutine.status(mine) .. ' ' .. tostring(ok) .. ' ' .. message
        end"""
    )
    served.answer("/mine")
    for _ in range(3):
        assert served.answer("/").body == b"dead false cannot resume dead coroutine"


@pytest.mark.parametrize("how", ["returns", "waits"])
def test_globals_that_a_handler_sets_for_its_coroutine_are_not_the_next_ones(serve: Serve, how: str) -> None:
    """Coroutines are used again, so what `setfenv(0, ...)` changes must not stay with them."""
    served = serve(
        f"""
        local load = loadstring or load
        function handler(req, io)
          if req.path == '/set' then
            if setfenv then setfenv(0, {{mine = true}}) end
            if '{how}' == 'waits' then fiber.sleep(1) end
            return tostring(load('return mine')())
          end
          return tostring(load('return mine')()) .. type(load('return print')())
        end"""
    )
    for _ in range(3):
        client = served.ask("/set")
        served.loop.advance(2)
        (response,) = client.responses()
        assert response.body in (b"true", b"nil")
        assert served.answer("/").body == b"nilfunction"
