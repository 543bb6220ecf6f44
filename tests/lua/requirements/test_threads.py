"""More and fewer threads: what has begun on a thread that is to go, and how long that may take.

The original's times are in seconds, and it has 48 downloads. So has `soak`; else a second is shorter, there
are fewer downloads, and nobody looks at what must not take longer than so many seconds.
"""

from typing import NamedTuple

import pytest
from tests.driver.harness import in_thread, until
from tests.driver.net import Transport
from tests.lua.requirements.crowd import COUNT, Downloads
from tests.lua.requirements.scripts import Run, on_four

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("lua", ["luajit21"], indirect=True),
]

WAIT = "Unable to reconfigure until threads will shut down"


class Pace(NamedTuple):
    """How long a second is here, and how many downloads there are."""

    second: float
    downloads: int


FAST, REAL = Pace(0.1, 8), Pace(1, COUNT)
at_each_pace = pytest.mark.parametrize(
    "pace", [FAST, pytest.param(REAL, marks=pytest.mark.soak)], ids=["fast", "real"]
)


async def test_fewer_threads_are_taken(run: Run) -> None:
    source = """
        local cfg = {listen = plain, handler = function() return {body = 'foo'} end, threads = 4}
        httpng.cfg(cfg)
        cfg.threads, cfg.listen = 3, nil
        httpng.cfg(cfg)
    """
    async with run(source) as served:
        assert await served.body() == "foo"


@at_each_pace
async def test_idle_threads_have_gone_within_half_a_second(run: Run, pace: Pace) -> None:
    source = f"""
        local cfg = {{listen = plain, handler = function() return {{body = 'foo'}} end, threads = 4}}
        httpng.cfg(cfg)
        cfg.threads, cfg.listen = 3, nil
        httpng.cfg(cfg)
        cfg.threads = 4
        local start = fiber.clock()
        local why = refused(httpng.cfg, cfg)
        while why == '{WAIT}' do
          fiber.sleep(0.01)
          why = refused(httpng.cfg, cfg)
        end
        report(why)
        report(fiber.clock() - start)
        report('over')
    """
    async with run(source) as served:
        why, took = await served.reported("over")
        assert await served.body() == "foo"
    assert why == "false"
    assert pace is FAST or float(took) < 0.5


# With downloads that go on and on -----------------------------------------------------------------------

BUSY = """
local S = {second}
local WAIT = '{wait}'
local running, stop_at = 0, math.huge
-- Each download goes on until its client is gone, or until `stop_at`.
local cfg = {{listen = both, threads = 2, thread_termination_timeout = {timeout}, handler = function(req, io)
  running = running + 1
  repeat
    local over = io:write('foobar')
  until over or fiber.clock() >= stop_at
  running = running - 1
end}}
httpng.cfg(cfg)
while running < {count} do fiber.sleep(0.01) end
local start = fiber.clock()
local function passed() return fiber.clock() - start end
cfg.threads, cfg.listen = 1, nil
httpng.cfg(cfg)
cfg.threads = 2
"""


def busy(pace: Pace, seconds: float) -> str:
    """A script that has given up one of two threads; what downloads there is reset after so many seconds."""
    return BUSY.format(second=pace.second, timeout=seconds * pace.second, count=pace.downloads, wait=WAIT)


@at_each_pace
@on_four
async def test_busy_threads_stay_until_they_are_forced(run: Run, over: Transport, pace: Pace) -> None:
    source = f"""{busy(pace, 600)}
        repeat
          report(refused(httpng.cfg, cfg))
          fiber.sleep(0.1 * S)
        until passed() >= S
        httpng.force_decrease_threads()
        local left = running
        httpng.cfg(cfg)
        report('over')
        report(left)
        report('told')
    """
    async with run(source) as served:
        with Downloads(served, over, pace.downloads) as downloads:
            await in_thread(downloads.begin)
            refusals = await served.reported("over")
            left = int((await served.reported("told"))[-1])
            # Those of the thread that went are reset; those of the other one go on.
            await until(lambda: downloads.reset == downloads.count - left, "the clients learn it")
            assert downloads.ended == downloads.reset > 0
    assert refusals
    assert set(refusals) == {WAIT}


UNTIL_TAKEN = """
local why
repeat
  fiber.sleep(0.05 * S)
  why = refused(httpng.cfg, cfg)
until why ~= WAIT
report(why)
report(passed())
report('over')
"""


@at_each_pace
@on_four
async def test_busy_threads_are_forced_by_the_timeout(run: Run, over: Transport, pace: Pace) -> None:
    async with run(busy(pace, 2) + UNTIL_TAKEN) as served:
        with Downloads(served, over, pace.downloads) as downloads:
            await in_thread(downloads.begin)
            why, took = await served.reported("over")
            await until(lambda: downloads.reset, "the clients learn it")
    assert why == "false"
    assert float(took) >= 1.5 * pace.second
    assert pace is FAST or float(took) < 10


@at_each_pace
@on_four
async def test_threads_go_when_their_handlers_have_ended(run: Run, over: Transport, pace: Pace) -> None:
    """No client is reset."""
    source = busy(pace, 600) + "stop_at = start + 0.5 * S\n" + UNTIL_TAKEN
    async with run(source) as served:
        with Downloads(served, over, pace.downloads) as downloads:
            await in_thread(downloads.begin)
            why, took = await served.reported("over")
            await until(lambda: downloads.ended, "the clients learn it")
            assert downloads.reset == 0
    assert why == "false"
    assert float(took) >= 0.4 * pace.second
    assert pace is FAST or float(took) < 2.5
