"""A script in several event loops, without one or a thread: steps that others do, waits that cross loops."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from tests.lua.conftest import Serve, Served
from tests.lua.taken_lock import TakenLock

from httpng_core import ServerState
from httpng_core.testing import Client, Loopback


def body(client: Client) -> bytes:
    [response] = client.responses()
    return response.body


def test_a_handler_begins_when_it_is_let_in(serve: Serve) -> None:
    lock = TakenLock()
    served = serve("function handler() return 'here' end", lock=lock)
    lock.is_taken = True
    client = served.ask()
    assert client.responses() == []
    lock.let_in()
    client.give_room()
    assert body(client) == b"here"


def test_a_step_that_another_did_goes_on_at_home(serve: Serve) -> None:
    lock = TakenLock()
    served = serve("function handler(req, io) fiber.sleep(1) return 'slept' end", lock=lock)
    lock.is_taken = True
    client = served.ask()
    lock.let_in()
    served.loop.advance(1)
    assert len(lock.jobs) == 1
    lock.let_in()
    served.loop.advance(0)
    assert body(client) == b"slept"


def test_statistics_are_not_taken_while_another_thread_is_in_lua(serve: Serve) -> None:
    lock = TakenLock()
    served = serve("fiber.create(function() fiber.sleep(1) end)", lock=lock)
    assert served.app.statistics().fibers == 1
    lock.is_taken = True
    with pytest.raises(RuntimeError, match="another thread is in Lua"):
        served.app.statistics()


GAPS = """
local feed = httpng.feed()
handler = function(req, io)
  if req.path == '/publish' then for n = 1, 3 do feed:publish(('%d'):format(n)) end return '' end
  see(pcall(io.follow, io, feed, {on_gap = function(n) NOTICE end}))
end
"""


@pytest.mark.parametrize(
    ("notice", "wanted", "seen"),
    [("return ('[%d]'):format(n)", b"[2]3", []), ("error('no notice', 0)", b"", ["false on_gap: no notice"])],
)
def test_a_notice_is_asked_for_at_the_lock(serve: Serve, notice: str, wanted: bytes, seen: list[str]) -> None:
    lock = TakenLock()
    served = serve(GAPS.replace("NOTICE", notice), lock=lock)
    client = served.ask(room=0)
    served.answer("/publish")
    lock.is_taken = True
    client.give_room()
    assert len(lock.jobs) == 1
    while lock.jobs:
        lock.let_in()
        served.loop.advance(0)
    lock.is_taken = False
    served.loop.advance(0)
    assert wanted in bytes(client.received)
    assert served.seen() == seen


CROSSING = """
local ios, fibers = {}, {}
handler = function(req, io)
  if req.path == '/stay' then
    ios[1] = io
    io:write_header(200, nil, 0)
    fiber.sleep(100)
  elseif req.path == '/cancel' then
    fibers[1]:cancel()
  elseif req.path == '/cross' then
    fibers[1] = fiber.self()
    see(pcall(function() return told(ios[1]:wait(0, 10)) end))
  end
end
"""


def crossing(serve: Serve) -> tuple[Served, Loopback, Client]:
    """A response of the one loop, and a handler of another one that waits for it."""
    served = serve(CROSSING)
    stays = served.ask("/stay", room=0)
    other = Loopback(served.app, clock=served.loop.clock)
    other.connect().get("/cross")
    return served, other, stays


def test_a_fiber_waits_for_a_response_of_another_loop(serve: Serve) -> None:
    served, other, stays = crossing(serve)
    assert other.runner.is_busy
    stays.give_room()
    other.advance(0)
    assert served.seen()[-1] == "true wait true"


class Lock(AbstractContextManager[object]):
    """Counts how often it was held."""

    count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        pass


def test_who_touches_a_response_holds_the_lock_of_its_loop(serve: Serve) -> None:
    served, other, _ = crossing(serve)
    lock = served.loop.runner.lock = Lock()
    other.connect().get("/cross")
    assert lock.count == 1
    # A deadline of that loop is touched as well, and it is told to look.
    served.ask("/stay")
    assert lock.count > 2


def test_who_waited_for_the_end_and_was_cancelled_is_not_told(serve: Serve) -> None:
    served = serve(
        """
        function handler()
          local stops = fiber.create(function() httpng.shutdown() end)
          stops:cancel()
          assert(stops:status() == 'dead')
        end"""
    )
    served.ask()
    assert served.app.lifecycle.state is ServerState.STOPPED
    assert served.app.statistics().waits == 0


def test_a_fiber_that_is_cancelled_withdraws_its_wait_in_the_other_loop(serve: Serve) -> None:
    served, other, stays = crossing(serve)
    served.answer("/cancel")
    other.advance(0)
    assert served.seen()[-1].endswith("fiber is cancelled")
    assert not other.runner.is_busy
    stays.give_room()


def test_a_wait_that_has_ended_there_is_not_withdrawn(serve: Serve) -> None:
    served, other, stays = crossing(serve)
    later: list[Callable[[], None]] = []
    served.loop.runner.call_in_loop = later.append
    served.answer("/cancel")
    stays.give_room()
    [withdraw] = later
    withdraw()
    other.advance(0)
    assert served.seen()[-1].endswith("fiber is cancelled")
