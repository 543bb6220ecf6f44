"""A memory budget with 2,000 clients that stand still: what the process takes, and what others wait."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from tests.driver.big_server import HERE, LOOPS, MIB, resident, server_of
from tests.driver.harness import Client

from httpng_core import ListenAddress

pytestmark = pytest.mark.soak

BUDGET = 64 * MIB
STALLED = 2000
SECONDS = 10


@pytest.fixture(params=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Healthy:
    """A client that asks again and again, and what it waits."""

    def __init__(self, address: ListenAddress) -> None:
        self.waits: list[float] = []
        self.refused = 0
        self._address = address
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> float:
        """Returns the 99th percentile."""
        self._ends.set()
        self._thread.join()
        return sorted(self.waits)[len(self.waits) * 99 // 100]

    def _run(self) -> None:
        client = Client(self._address)
        while not self._ends.wait(0.005):
            began = time.perf_counter()
            answer = client.ask(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
            if answer.status == 200:
                self.waits.append(time.perf_counter() - began)
            else:
                assert answer.status == 503
                self.refused += 1
                client.close()
                client = Client(self._address)
        client.close()


def largest_of(pid: int, is_over: Callable[[], bool]) -> int:
    """Returns the most memory that the process had meanwhile."""
    largest, ends = 0, time.monotonic() + 120
    while not is_over():
        assert time.monotonic() < ends
        largest = max(largest, resident(pid))
        time.sleep(0.02)
    return largest


def test_a_budget_bounds_the_process_and_spares_the_others(
    loop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with server_of(loop, "budget_app.py", "--memory-budget", "64M") as (pid, address):
        alone = Healthy(address)
        time.sleep(SECONDS)
        before = alone.stop()
        meanwhile, largest = Healthy(address), 0
        command = [sys.executable, str(HERE / "budget_clients.py"), str(address.port), str(STALLED)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
            assert clients.stdout is not None
            said: list[str] = []
            come = threading.Thread(target=lambda out=clients.stdout: said.append(out.readline()))
            come.start()
            largest = largest_of(pid, lambda: bool(said))
            arriving, beside = meanwhile.stop(), Healthy(address)
            ends = time.monotonic() + SECONDS
            largest = max(largest, largest_of(pid, lambda: time.monotonic() > ends))
            after = beside.stop()
            told, _ = clients.communicate("\n", timeout=60)
            come.join()
    ratio = after / before
    with capsys.disabled():
        print(
            f"\n{loop}: {told.strip()} came to stand still, {STALLED} at once at most; "
            f"{largest / MIB:.0f} MiB at most with a budget of {BUDGET // MIB}; "
            f"p99 {before * 1e3:.1f} ms alone, {arriving * 1e3:.1f} while they come, "
            f"{after * 1e3:.1f} beside, ratio {ratio:.2f}; "
            f"{meanwhile.refused} of {len(meanwhile.waits)} refused while they come, "
            f"{beside.refused} of {len(beside.waits)} beside"
        )
    assert int(told) >= STALLED
    assert largest <= BUDGET + 64 * MIB
    assert beside.refused <= len(beside.waits) // 100
    # On a machine that others use as well, a few milliseconds are easily doubled.
    assert ratio <= 1.3 or after <= 0.05
