"""`httpng.shutdown()`: it returns when all is down, and `cfg` may follow."""

import gc
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.driver.harness import BOUND, Client
from tests.lua.requirements.scripts import Finish, Run

from httpng_core import ListenAddress

pytestmark = pytest.mark.anyio


@pytest.fixture
def port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def test_shutdown_stops_a_server_that_was_just_launched(finish: Finish, port: int) -> None:
    source = f"""
        report(httpng.cfg{{listen = '127.0.0.1:{port}', handler = function() end}})
        httpng.shutdown()
        report('went on')
    """
    assert await finish(source) == ["true", "went on"]
    with pytest.raises(ConnectionRefusedError):
        Client(ListenAddress("127.0.0.1", port))


async def test_shutdown_after_a_wrong_cfg_is_refused(run: Run) -> None:
    source = """
        local told = refused(httpng.cfg) .. '; ' .. refused(httpng.shutdown)
        httpng.cfg{listen = plain, handler = function() return told end}
    """
    async with run(source) as served:
        assert await served.body() == "No parameters specified; Server is not launched"


async def test_shutdown_of_what_was_never_launched_is_refused(run: Run) -> None:
    source = """
        local told = refused(httpng.shutdown)
        httpng.cfg{listen = plain, handler = function() return told end}
    """
    async with run(source) as served:
        assert await served.body() == "Server is not launched"


async def test_a_second_shutdown_is_refused(finish: Finish) -> None:
    source = """
        httpng.cfg{listen = plain, handler = function() end}
        httpng.shutdown()
        report(refused(httpng.shutdown))
    """
    assert await finish(source) == ["Server is not launched"]


async def test_there_are_no_threads_to_force_before_cfg(run: Run) -> None:
    source = """
        local told = refused(httpng.force_decrease_threads)
        httpng.cfg{listen = plain, handler = function() return told end}
    """
    async with run(source) as served:
        assert await served.body() == "Not configured, nothing to terminate"


# Beyond the original's cases ----------------------------------------------------------------------------


async def test_a_shutdown_while_another_one_waits_is_refused(finish: Finish) -> None:
    source = """
        httpng.cfg{listen = plain, handler = function() end}
        local both = fiber.channel(2)
        for i = 1, 2 do fiber.new(function() both:put(refused(httpng.shutdown)) end) end
        local one, other = both:get(), both:get()
        report(one or other, one and other)
    """
    assert await finish(source) == ["shutdown is in progress false"]


async def test_there_are_no_threads_to_force_after_shutdown(finish: Finish) -> None:
    source = """
        httpng.cfg{listen = plain, threads = 2, handler = function() end}
        report(pcall(httpng.force_decrease_threads))
        httpng.shutdown()
        report(refused(httpng.force_decrease_threads))
    """
    assert await finish(source) == ["true", "Not configured, nothing to terminate"]


async def test_cfg_may_follow_shutdown(finish: Finish, port: int) -> None:
    """Both servers are asked, on the same address."""
    source = f"""
        local listen = '127.0.0.1:{port}'
        local function serve_until_asked(name)
          local asked = fiber.channel(1)
          local function handler()
            asked:put(true, 0)
            return name
          end
          httpng.cfg{{listen = listen, handler = handler}}
          asked:get()
          httpng.shutdown()
        end
        serve_until_asked('first')
        report(refused(httpng.cfg, {{listen = listen}}))
        serve_until_asked('second')
        report('down again')
    """
    with asking(port, until_told=b"second") as answers:
        assert await finish(source) == ["No handlers specified", "down again"]
    assert set(answers) == {b"first", b"second"}


async def test_shutdown_returns_when_handlers_have_ended_and_connections_are_closed(
    finish: Finish, port: int
) -> None:
    """A download without an end is given `shutdown_timeout`, then it is cancelled."""
    source = f"""
        local running = fiber.channel(0)
        local ended
        httpng.cfg{{listen = '127.0.0.1:{port}', shutdown_timeout = 0.1, handler = function(req, io)
          fiber.new(function() running:put(true) end)
          repeat local over = io:write('foobar') until over
          ended = io:get_send_stats().cancelled
        end}}
        running:get()
        httpng.shutdown()
        report(ended)
    """
    with asking(port) as answers:
        assert await finish(source) == ["true"]
    assert answers == []


@contextmanager
def asking(port: int, until_told: bytes = b"") -> Iterator[list[bytes]]:
    """Asks until it gets that answer. All that it got whole are in the list at the end."""
    over = threading.Event()
    answers: list[bytes] = []

    def ask() -> None:
        while not over.is_set() and until_told not in answers:
            # It isn't there yet, or not any more.
            with suppress(OSError), Client(ListenAddress("127.0.0.1", port)) as client:
                received = client.get()
                answers.extend([received.body] if received.complete else [])
            over.wait(0.002)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join(BOUND)
    assert not thread.is_alive()


# Again and again ----------------------------------------------------------------------------------------

REPEATED = """
for i = 1, {count} do
  local before = fiber.clock()
  httpng.cfg{{listen = plain, handler = function() end, threads = 4, thread_termination_timeout = 1}}
  fiber.sleep(0.1)
  httpng.shutdown()
  report(fiber.clock() - before)
end
"""


def left() -> tuple[int, int]:
    """How many threads of servers there are, and open files."""
    gc.collect()
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("httpng-")]
    return len(threads), len(os.listdir("/proc/self/fd"))


async def test_cfg_with_four_threads_then_shutdown_a_few_times(finish: Finish) -> None:
    before = left()
    assert len(await finish(REPEATED.format(count=3))) == 3
    assert left() == before


@pytest.mark.soak
async def test_cfg_with_four_threads_then_shutdown_a_hundred_times(finish: Finish) -> None:
    before = left()
    told = [float(line) for line in await finish(REPEATED.format(count=100))]
    assert len(told) == 100
    assert max(told) < 2
    assert left() == before
