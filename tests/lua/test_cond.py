"""fiber.cond: waiting until another fiber says so."""

import pytest
from tests.lua.conftest import Serve


def test_signal_wakes_one_and_broadcast_all_in_order(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local cond = fiber.cond()
          for i = 1, 4 do fiber.create(function() see(i, cond:wait()) end) end
          cond:signal()
          fiber.yield()
          see('then')
          cond:broadcast()
          fiber.yield()
          cond:signal() cond:broadcast() -- nobody waits: nothing is kept
          fiber.create(function() see('late', cond:wait(1)) end)
          fiber.sleep(2)
        end"""
    )
    served.ask()
    served.loop.advance(2)
    assert served.seen() == ["1 true", "then", "2 true", "3 true", "4 true", "late false"]


@pytest.mark.parametrize(("timeout", "seconds"), [("1.5", 1.5), ("0", 0), ("-1", 0)])
def test_time_runs_out(serve: Serve, timeout: str, seconds: float) -> None:
    served = serve(
        f"""
        function handler(req, io)
          local before = fiber.clock()
          see(fiber.cond():wait({timeout}), ('%g'):format(fiber.clock() - before))
        end"""
    )
    served.ask()
    served.loop.advance(2)
    assert served.seen() == [f"false {seconds:g}"]


def test_who_waits_again_is_woken_by_the_next_broadcast_only(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local cond = fiber.cond()
          fiber.create(function() cond:wait() see('once') cond:wait() see('twice') end)
          cond:broadcast()
          fiber.yield() fiber.yield()
          see('again')
          cond:broadcast()
        end"""
    )
    served.ask()
    assert served.seen() == ["once", "again", "twice"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("fiber.cond():wait('x')", "timeout must be a number of seconds"),
        ("fiber.cond():wait(0/0)", "timeout must be a number of seconds"),
        ("fiber.cond().wait()", "cond is invalid: called with a dot, use a colon"),
        ("fiber.cond().signal({})", "cond is invalid"),
        ("fiber.cond().broadcast(fiber.channel())", "cond is invalid"),
        ("string.gsub('x', 'x', function() fiber.cond():wait() end)", "such as table.sort"),
    ],
)
def test_mistakes(serve: Serve, call: str, message: str) -> None:
    served = serve(f"function handler(req, io) see(pcall(function() {call} end)) end")
    served.ask()
    [said] = served.seen()
    assert said.startswith("false ")
    assert said.endswith(message)
