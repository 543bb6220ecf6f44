"""fiber.channel: who waits for whom, and for how long."""

import pytest
from tests.lua.conftest import Serve


def test_values_come_out_in_order_and_may_be_anything(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local ch, list = fiber.channel(4), {}
          see(ch:is_empty(), ch:is_full(), ch:count())
          see(ch:put(1), ch:put(nil), ch:put(false), ch:put(list))
          see(ch:is_empty(), ch:is_full(), ch:count())
          see(ch:get(), ch:get(), ch:get(), ch:get() == list)
          see(ch:is_empty(), ch:is_full(), ch:count(), ch:is_closed(), ch:size(), fiber.channel():size())
        end"""
    )
    served.ask()
    assert served.seen() == [
        "true false 0",
        "true true true true",
        "false true 4",
        "1 nil false true",
        "true false 0 false 4 0",
    ]


def test_a_getter_waits_for_a_putter(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local ch = fiber.channel()
          fiber.create(function() fiber.sleep(1) see('put', ch:put('a')) see('put', ch:put('b')) end)
          see('got', ch:get())
          fiber.sleep(1)
          see('got', ch:get(5))
        end"""
    )
    served.ask()
    served.loop.advance(1)
    assert sorted(served.seen()) == ["got a", "put true"]
    served.loop.advance(1)
    assert sorted(served.seen()[2:]) == ["got b", "put true"]


def test_a_putter_waits_for_room(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local ch = fiber.channel(2)
          fiber.create(function()
            for i = 1, 5 do ch:put(i) see('put', i) end
          end)
          see('full', ch:is_full(), ch:count())
          for i = 1, 5 do see('got', ch:get()) fiber.sleep(1) end
        end"""
    )
    served.ask()
    served.loop.advance(5)
    said = served.seen()
    assert said[:4] == ["put 1", "put 2", "full true 2", "got 1"]
    assert [line for line in said if line.startswith("got")] == [f"got {n}" for n in range(1, 6)]
    assert said.index("put 3") > said.index("got 1")


@pytest.mark.parametrize(("timeout", "seconds"), [("1.5", 1.5), ("0", 0), ("-1", 0)])
def test_time_runs_out(serve: Serve, timeout: str, seconds: float) -> None:
    served = serve(
        f"""
        function handler(req, io)
          local ch = fiber.channel(0)
          local before = fiber.clock()
          see(ch:get({timeout}), ('%g'):format(fiber.clock() - before))
          before = fiber.clock()
          see(ch:put('x', {timeout}), ('%g'):format(fiber.clock() - before))
          see(ch:count(), ch:get(0))
        end"""
    )
    served.ask()
    served.loop.advance(4)
    assert served.seen() == [f"nil {seconds:g}", f"false {seconds:g}", "0 nil"]


def test_who_gave_up_gets_nothing_and_costs_nothing(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local ch = fiber.channel(0)
          for i = 1, 3 do fiber.create(function() see(i, ch:get(i)) end) end
          fiber.sleep(1.5)
          see('put', ch:put('x', 0))
          see('put', ch:put('y', 0))
          see('put', ch:put('z', 0))
        end"""
    )
    served.ask()
    served.loop.advance(5)
    said = served.seen()
    assert said[0] == "1 nil"
    assert sorted(said[1:]) == ["2 x", "3 y", "put false", "put true", "put true"]


def test_a_value_is_not_given_to_one_whose_time_was_just_up(serve: Serve) -> None:
    """The timer has fired, the getter has not run yet: the value must go to the next."""
    served = serve(
        """
        function handler(req, io)
          local ch = fiber.channel(0)
          fiber.create(function() fiber.sleep(1) see('put', ch:put('x', 0)) end)
          fiber.create(function() see('first', ch:get(1)) end)
          fiber.create(function() see('second', ch:get(2)) end)
        end"""
    )
    served.ask()
    served.loop.advance(3)
    assert sorted(served.seen()) == ["first nil", "put true", "second x"]


def test_close_lets_all_go(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local full, empty = fiber.channel(1), fiber.channel(1)
          full:put('dropped')
          fiber.create(function() see('put', full:put('x')) end)
          fiber.create(function() see('get', empty:get()) end)
          fiber.sleep(1)
          full:close() empty:close() empty:close()
          see(full:is_closed(), empty:is_closed(), full:count())
          see(full:get(), full:put('x'), empty:get(9), empty:put('x', 9))
        end"""
    )
    served.ask()
    served.loop.advance(1)
    assert sorted(served.seen()) == sorted(["true true 0", "nil false nil false", "put false", "get nil"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("fiber.channel(-1)", "the size of a channel is an integer, 0 or more"),
        ("fiber.channel('x')", "the size of a channel is an integer, 0 or more"),
        ("fiber.channel(false)", "the size of a channel is an integer, 0 or more"),
        ("fiber.channel(1).put('x', 1)", "channel is invalid: called with a dot, use a colon"),
        ("fiber.channel(1).get({})", "channel is invalid"),
        ("fiber.channel(1).close(5)", "channel is invalid: called with a dot, use a colon"),
        ("fiber.channel(1).count(fiber.cond())", "channel is invalid"),
        ("fiber.channel(1).is_closed()", "channel is invalid: called with a dot, use a colon"),
        ("fiber.channel(1).is_full()", "channel is invalid: called with a dot, use a colon"),
        ("fiber.channel(1).is_empty()", "channel is invalid: called with a dot, use a colon"),
        ("fiber.channel(1).size()", "channel is invalid: called with a dot, use a colon"),
        ("fiber.channel(1.5)", "the size of a channel is an integer, 0 or more"),
        ("fiber.channel(1):get('x')", "timeout must be a number of seconds"),
        ("fiber.channel(1):put(1, 0/0)", "timeout must be a number of seconds"),
    ],
)
def test_mistakes(serve: Serve, call: str, message: str) -> None:
    served = serve(f"function handler(req, io) see(pcall(function() {call} end)) end")
    served.ask()
    [said] = served.seen()
    assert said.startswith("false ")
    assert said.endswith(message)


def test_it_can_not_wait_in_a_c_function_and_loses_no_value_there(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local ch = fiber.channel(0)
          see((pcall(string.gsub, 'x', 'x', function() ch:get() end)))
          fiber.create(function() see('got', ch:get()) end)
          see('put', ch:put('value', 0))
        end"""
    )
    served.ask()
    assert sorted(served.seen()) == ["false", "got value", "put true"]
