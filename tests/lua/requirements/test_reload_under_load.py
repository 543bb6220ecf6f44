"""Reloads while requests come: none fails, none is of two configurations, none of one that was replaced."""

import re
import subprocess
from collections.abc import Callable
from contextlib import closing

import anyio
import pytest
from tests.driver.harness import in_thread
from tests.lua.requirements.reloads import A_SECOND, WRK_SCRIPT, Load, Reloader, script
from tests.lua.requirements.scripts import Run, Served

pytestmark = pytest.mark.anyio

SECONDS = 20
with_threads = pytest.mark.parametrize("threads", [1, 4])


def reload(served: Served, times: int) -> Load:
    """Reloads while four clients ask, and eight more look after each reload."""
    with closing(Reloader(served, 8)) as reloader, Load(served, 4).running() as load:
        assert reloader.reload(times) == times
    return load


@with_threads
async def test_reloads_for_a_second(run: Run, threads: int) -> None:
    async with run(script(threads)) as served:
        load = await in_thread(reload, served, A_SECOND)
    assert not load.failures
    assert load.asked > 0


@pytest.mark.soak
@with_threads
async def test_reloads_while_wrk_loads(run: Run, program: Callable[[str], str], threads: int) -> None:
    async with run(script(threads)) as served, anyio.create_task_group() as tasks:
        wrk: list[str] = []

        async def load_by_wrk() -> None:
            url = served.server.addresses[0].url
            options = ["-t1", "-c8", f"-d{SECONDS}s", "--timeout", "10s", "-s", str(WRK_SCRIPT)]
            wrk.append((await in_thread(_run, [program("wrk"), *options, url])).stdout.decode())

        tasks.start_soon(load_by_wrk)
        load = await in_thread(reload, served, A_SECOND * SECONDS)
    assert not load.failures
    assert load.asked > 0
    [told] = wrk
    assert "Socket errors" not in told
    assert "Non-2xx" not in told
    assert "wrong: 0" in told
    seen = re.search(r"configurations seen: (\d+)", told)
    assert seen is not None
    # Else it wasn't reloads that were tried.
    assert int(seen[1]) > SECONDS


def _run(command: list[str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, capture_output=True, check=True, timeout=SECONDS + 60)
