"""Calls that have room don't involve the host's loop, and yet others get their turn."""

import pytest
from tests.lua.conftest import Serve, Served

from httpng_core import CALLS_PER_TURN, SECONDS_PER_TURN


def turns_of(served: Served, path: str = "/") -> int:
    """How often the runner had to be called until the handler came to its end."""
    client = served.loop.connect()
    client.connection.receive_data(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), served.loop.clock.now)
    served.loop.runner.serve(client.connection)
    turns = 0
    while served.loop.runner.is_ready:
        served.loop.runner.run()
        turns += 1
    return turns


@pytest.mark.parametrize(
    "call",
    [
        "io:write('x')",
        "io:write('x', false)",
        "io:wait(0)",
        "coroutine.wrap(function() io:write('x') end)()",
        "pcall(io.write, io, 'x')",
    ],
)
def test_others_run_after_so_many_calls(serve: Serve, call: str) -> None:
    begin = "io:write('y')" if "wait" not in call else ""
    served = serve(
        f"""
        function handler(req, io)
          for i = 1, tonumber(req.query) do {call} end
          {begin}
        end"""
    )
    few, many = CALLS_PER_TURN // 2, CALLS_PER_TURN * 5
    assert turns_of(served, f"/?{few}") == 0
    assert turns_of(served, f"/?{many}") == 5


def test_creating_fibers_counts(serve: Serve) -> None:
    served = serve("function handler(req, io) for i = 1, 320 do fiber.create(function() end) end end")
    assert turns_of(served) == 5
    served = serve("function handler(req, io) for i = 1, 320 do fiber.new(function() end) end end")
    assert turns_of(served) == 5
    served = serve("function handler(req, io) for i = 1, 320 do fiber.create(io.write, io, 'x') end end")
    assert turns_of(served) >= 5


def test_calls_on_a_response_that_is_over_count_as_well(serve: Serve) -> None:
    served = serve("function handler(req, io) io:close() for i = 1, 640 do io:write('x') end end")
    assert turns_of(served) == 10


def test_calls_that_fail_at_once_do_not_lose_the_count(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          for i = 1, 128 do pcall(io.write, io, 'x', -1) io:write('x') end
        end"""
    )
    assert turns_of(served) == 2


def test_a_spinning_handler_does_not_stop_others(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          if req.path == '/spin' then while not done do io:write('') end return 'spun' end
          done = true
          return 'quick'
        end"""
    )
    client, other = served.loop.connect(), served.loop.connect()
    for one, path in ((client, "spin"), (other, "quick")):
        one.connection.receive_data(
            f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), served.loop.clock.now
        )
    served.loop.settle()
    assert other.responses()[0].body == b"quick"
    assert client.responses()[0].body == b"spun"


def test_seconds_per_turn_is_what_the_clock_says(serve: Serve) -> None:
    served = serve("function handler(req, io) for i = 1, 10 do io:write('x') end end")
    clock = served.loop.clock
    real = type(clock).__call__

    class Ticking(type(clock)):  # type: ignore[misc]
        def __call__(self) -> float:
            self.now += SECONDS_PER_TURN / 4
            return real(self)

    clock.__class__ = Ticking
    assert turns_of(served) >= 2
