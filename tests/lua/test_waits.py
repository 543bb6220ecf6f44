"""Waits of fibers for what settles in another loop than their own, each loop when the test says so."""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.lua.conftest import Serve

from httpng_core import Runner
from httpng_core.testing import Loopback

SCRIPT = """
local there, here
handler = function(req, io)
  if req.path == '/there' then
    there = io
    io.send_window = 1
    io:write_header(200, {['Content-Length'] = '10'}, 0)
    io:write('1234567', 100)
    fiber.sleep(100)
  elseif req.path == '/here' then
    here = fiber.self()
    see(pcall(function() return told(ACT) end))
  elseif req.path == '/cancel' then
    here:cancel()
  end
end
"""
WAITS = "there:wait(0, 50)"
FAILS = "there:write('8901234', 50)"
"""What fails when its turn has come: by then the response has become longer than it may be."""


class Lock(AbstractContextManager[object]):
    """Tells whether it is held."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


class Turns:
    """What a loop is asked to call, called when the test says so."""

    def __init__(self, runner: Runner) -> None:
        runner.lock = self.lock = Lock()
        runner.call_in_loop = self._call_in_loop
        self.waiting: deque[Callable[[], None]] = deque()

    def turn(self) -> None:
        while self.waiting:
            self.waiting.popleft()()

    def _call_in_loop(self, function: Callable[[], None]) -> None:
        self.waiting.append(function)


class Elsewhere:
    """A fiber of one loop that waits for what settles in another one."""

    def __init__(self, serve: Serve, act: str = WAITS) -> None:
        self.served = serve(SCRIPT.replace("ACT", act))
        self.loop = Loopback(self.served.app, clock=self.served.loop.clock)
        self.client = self.served.ask("/there", room=0)
        # Those of the other response, its own writes among them.
        self.others = self.pending
        self.waits_of_others = self.waits
        self.there, self.home = Turns(self.served.loop.runner), Turns(self.loop.runner)
        self.loop.connect().get("/here")
        # How often either lock was held when the fiber became able to go on.
        self.held: list[tuple[int, int]] = []
        self.loop.runner.on_ready = lambda: self.held.append((self.home.lock.depth, self.there.lock.depth))
        assert self.waits == self.waits_of_others + 1

    @property
    def waits(self) -> int:
        """How many fibers wait."""
        return self.served.app.statistics().waits

    @property
    def pending(self) -> int:
        """How many calls of the response there wait."""
        return self.client.connection.statistics().timers

    def settle_there(self) -> None:
        """Have the client take all, so that what was waited for comes about there."""
        self.client.give_room()

    def cancel(self) -> None:
        assert self.served.answer("/cancel").status == 200

    def seen(self) -> list[str]:
        """What the fiber has seen, once its loop has stepped it."""
        self.loop.advance(0)
        return self.served.seen()


def test_what_settles_there_is_told_at_home(serve: Serve) -> None:
    fiber = Elsewhere(serve)
    fiber.settle_there()
    assert fiber.seen() == []
    assert fiber.held == []
    fiber.home.turn()
    assert len(fiber.held) == 1
    assert fiber.seen() == ["true wait true"]


def test_an_error_there_is_raised_at_home(serve: Serve) -> None:
    fiber = Elsewhere(serve, FAILS)
    fiber.settle_there()
    assert fiber.seen() == []
    fiber.home.turn()
    [seen] = fiber.seen()
    assert seen.startswith("false ")
    assert "7 more would exceed it" in seen


def test_a_wait_that_is_ended_early_is_withdrawn_there(serve: Serve) -> None:
    fiber = Elsewhere(serve)
    fiber.cancel()
    # Whoever ends it holds the lock of the fiber's loop, and not that of the other.
    assert fiber.held == [(1, 0)]
    assert fiber.pending == fiber.others + 1
    fiber.there.turn()
    assert fiber.pending == fiber.others
    # What it brings by that is for nobody, and it can't be ended again.
    fiber.home.turn()
    fiber.cancel()
    assert fiber.held == [(1, 0)]
    assert fiber.seen() == ["false fiber is cancelled"]


def test_what_has_settled_there_while_its_wait_is_ended_is_for_nobody(serve: Serve) -> None:
    fiber = Elsewhere(serve, FAILS)
    fiber.settle_there()
    fiber.cancel()
    fiber.home.turn()
    assert fiber.held == [(1, 0)]
    assert fiber.seen() == ["false fiber is cancelled"]
    assert fiber.waits == fiber.waits_of_others
    fiber.there.turn()
