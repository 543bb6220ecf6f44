"""Deadlines that are set while sockets are looked at, and nothing else happens after that."""

import time
from pathlib import Path

import pytest
from tests.driver.harness import Client, Serving, in_thread

from httpng_lua import LuaApplication

pytestmark = pytest.mark.anyio


async def test_a_fiber_that_sleeps_is_woken_in_time(serving: Serving, tmp_path: Path) -> None:
    """Its handler runs in the read callback, and no socket has a deadline as early."""
    script = tmp_path / "script.lua"
    script.write_text(
        """
        local httpng, fiber = require 'httpng', require 'fiber'
        httpng.cfg{header_timeout = math.huge, handler = function(req) fiber.sleep(0.05) return 'slept' end}
        """
    )
    async with serving(LuaApplication(script, clock=time.monotonic, wall_clock=time.time)) as server:
        with Client(server.addresses[0]) as client:
            assert (await in_thread(client.ask)).body == b"slept"
