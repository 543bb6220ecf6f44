"""A script in several event loops, without one or a thread: steps that others do, waits that cross loops."""

from collections import deque
from contextlib import AbstractContextManager
from typing import Any

import pytest
from tests.lua.conftest import Serve, Served

from httpng_core import Pending
from httpng_core.testing import Client, Loopback
from httpng_lua import Done, Job, OpenGate
from httpng_lua.fibers import _Nothing

Answer = tuple[Any, ...]


class TakenGate:
    """A gate that is always taken: jobs are done when the test says so."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Job, Done]] = deque()
        self._inside = False

    def call(self, home: object, job: Job, done: Done) -> Answer | None:
        if self._inside:
            return job()
        self.jobs.append((job, done))
        return None

    ask = call

    def let_in(self) -> None:
        job, done = self.jobs.popleft()
        self._inside = True
        try:
            answer: Answer = job()
        except Exception as error:
            told: tuple[Answer, Exception | None] = (), error
        else:
            told = answer, None
        finally:
            self._inside = False
        done(*told)


def behind_a_gate(served: Served) -> TakenGate:
    gate = TakenGate()
    served.app._script._fibers.gate = gate
    return gate


def body(client: Client) -> bytes:
    [response] = client.responses()
    return response.body


def test_a_handler_begins_when_it_is_let_in(serve: Serve) -> None:
    served = serve("function handler() return 'here' end")
    gate = behind_a_gate(served)
    client = served.ask()
    assert client.responses() == []
    gate.let_in()
    client.give_room()
    assert body(client) == b"here"


def test_a_step_that_another_did_goes_on_at_home(serve: Serve) -> None:
    served = serve("function handler(req, io) fiber.sleep(1) return 'slept' end")
    gate = behind_a_gate(served)
    client = served.ask()
    gate.let_in()
    served.loop.advance(1)
    assert len(gate.jobs) == 1
    gate.let_in()
    served.loop.advance(0)
    assert body(client) == b"slept"


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
def test_a_notice_is_asked_for_at_the_gate(serve: Serve, notice: str, wanted: bytes, seen: list[str]) -> None:
    served = serve(GAPS.replace("NOTICE", notice))
    client = served.ask(room=0)
    served.answer("/publish")
    gate = behind_a_gate(served)
    client.give_room()
    assert len(gate.jobs) == 1
    while gate.jobs:
        gate.let_in()
        served.loop.advance(0)
    served.app._script._fibers.gate = OpenGate()
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
    served = serve("function handler() end")
    calls, pending = served.app._script._server, Pending()
    _, number = calls._await(pending)
    assert calls._waits.wake(number)
    pending.settle(None)
    assert calls._waits.pending(number).settled


def test_a_fiber_that_is_cancelled_withdraws_its_wait_in_the_other_loop(serve: Serve) -> None:
    served, other, stays = crossing(serve)
    served.answer("/cancel")
    other.advance(0)
    assert served.seen()[-1].endswith("fiber is cancelled")
    assert not other.runner.is_busy
    stays.give_room()


def test_a_wait_that_has_ended_there_is_not_withdrawn(serve: Serve) -> None:
    served = serve("function handler() end")
    client = served.ask()
    assert body(client) == b""
    pending = Pending()
    pending.settle(None)
    calls = served.app._script._feeds._calls
    calls._withdrawn(served.loop.exchanges[-1], pending)()


def test_before_a_server_runs_nothing_is_served() -> None:
    for name in ("handler", "settings"):
        with pytest.raises(AssertionError, match="nothing is served yet"):
            getattr(_Nothing(), name)
