"""Deadlines that are set while sockets are looked at, and nothing else happens after that.

Whoever isn't woken leaves a client without an answer, for which it waits no longer than `BOUND`: all other
deadlines are at infinity, or 1,000 s off.
"""

import time
from math import inf
from pathlib import Path

import anyio
import pytest
from tests.driver.harness import Client, Serving, in_thread
from tests.driver.net import Net

from httpng_core import Request
from httpng_driver import IO
from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio

LATER = 1000
SLEEPS = f"""
local httpng, fiber = require 'httpng', require 'fiber'
local function handler(req)
    fiber.sleep(tonumber(req.path:sub(2)))
    return 'slept'
end
httpng.cfg{{header_timeout = %s, keepalive_timeout = {LATER}, handler = handler}}
"""


@pytest.mark.parametrize("header_timeout", ["math.huge", f"{LATER}"], ids=["alone", "before another"])
async def test_a_fiber_that_sleeps_is_woken_in_time(
    serving: Serving, tmp_path: Path, header_timeout: str
) -> None:
    """Its handler runs in the read callback, and no socket has a deadline as early."""
    script = tmp_path / "script.lua"
    script.write_text(SLEEPS % header_timeout)
    async with serving(LuaApplication(script, clock=time.monotonic, wall_clock=time.time)) as server:
        with Client(server.addresses[0]) as client:
            before = time.monotonic()
            assert (await in_thread(client.get, "/0.05")).body == b"slept"
            assert time.monotonic() - before >= 0.05


async def test_a_fiber_is_woken_before_one_that_sleeps_longer(serving: Serving, tmp_path: Path) -> None:
    script = tmp_path / "script.lua"
    script.write_text(SLEEPS % "math.huge")
    async with serving(LuaApplication(script, clock=time.monotonic, wall_clock=time.time)) as server:
        with Client(server.addresses[0]) as long, Client(server.addresses[0]) as short:
            long.request(f"/{LATER}")
            # Only once that one sleeps: its handler was begun before this one's.
            assert (await in_thread(short.get, "/0")).body == b"slept"
            assert (await in_thread(short.get, "/0.05")).body == b"slept"
            assert long.receive_ready() == b""


@pytest.mark.parametrize("header_timeout", [inf, LATER], ids=["alone", "before another"])
async def test_an_idle_connection_is_closed_in_time(net: Net, header_timeout: float) -> None:
    """Its deadline is set after its response, in the read callback."""
    cfg = {"header_timeout": header_timeout, "handshake_timeout": LATER, "keepalive_timeout": 0.05}
    async with net.serving(lambda req: "hello", **cfg) as server, net.connect(server) as client:
        assert (await in_thread(client.get)).body == b"hello"
        await in_thread(client.read_to_end)
        assert client.ended == "fin"


@pytest.mark.parametrize("header_timeout", [inf, LATER], ids=["alone", "before another"])
async def test_so_is_one_whose_response_came_from_a_task(net: Net, header_timeout: float) -> None:
    """No socket is looked at then, and no turn is taken."""

    async def handler(req: Request, io: IO) -> str:
        await anyio.sleep(0.02)
        return "hello"

    cfg = {"header_timeout": header_timeout, "handshake_timeout": LATER, "keepalive_timeout": 0.05}
    async with net.serving(handler, **cfg) as server, net.connect(server) as client:
        assert (await in_thread(client.get)).body == b"hello"
        await in_thread(client.read_to_end)
        assert client.ended == "fin"


@pytest.mark.parametrize("header_timeout", [inf, LATER], ids=["alone", "before another"])
async def test_a_write_that_waits_ends_in_time(net: Net, header_timeout: float) -> None:
    """Nothing moves, so nothing but its deadline can end it."""
    ended = anyio.Event()

    async def handler(req: Request, io: IO) -> None:
        io.send_window = 1
        while await io.write(bytes(1 << 20), 0.05) is None:
            pass
        ended.set()

    cfg = {"header_timeout": header_timeout, "handshake_timeout": LATER}
    async with net.serving(handler, **cfg) as server, net.connect(server) as client:
        client.request()
        with anyio.fail_after(20):
            await ended.wait()
