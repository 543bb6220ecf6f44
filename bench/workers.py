"""What a second worker brings: requests per CPU second of all processes, with one worker and with two.

On a machine of two cores the load takes one of them itself, so requests per second of the clock tell more of
wrk than of the server. What a worker answers per second of its own CPU doesn't depend on that: as long as it
stays the same with two, and both have the same to do, two with a core each answer twice as much. Both are
printed: the gain is twice the ratio, less what the busier of the two does more than its half.

    python bench/workers.py [--rounds 5] [--seconds 2] [--save] [--only NAME ...]

wrk: Debian: apt-get install wrk.
"""

import argparse
import os
import sys
from functools import partial
from statistics import median

from peers import httpng  # type: ignore[import-not-found]
from rounds import Comparison, comparison_parser  # type: ignore[import-not-found]
from servers import Server, cpu_seconds, running, session_of  # type: ignore[import-not-found]
from wrk import CONNECTIONS, load, wait_for_hello  # type: ignore[import-not-found]

_ONE, _TWO = "one worker", "two workers"
SERVERS: tuple[Server, ...] = (
    Server(_ONE, httpng("hello_async", "--uvloop", "--max-requests", "100000000")),
    Server(_TWO, httpng("hello_async", "--uvloop", "--workers", "2")),
)
# Of 2.0, so that 1.8 of one are left.
TARGETS = {_TWO: (0.9, 0.9)}


def main() -> int:
    """Measure, and print a table; the exit status tells whether the target was met."""
    options = _options()
    busiest: list[float] = []
    comparison = Comparison("workers", "requests per CPU second", SERVERS, _ONE, TARGETS)
    rate = partial(_rate, seconds=options.seconds, busiest=busiest)
    about = {"seconds": options.seconds, "connections": CONNECTIONS, "busiest": busiest}
    code: int = comparison.run(rate, ["hello"], options, about)
    if busiest:
        print(f"the busier of two workers does {median(busiest):.2f} of the work")
    return code


def _rate(server: Server, _: str, seconds: float, busiest: list[float]) -> float:
    """Return the requests per second of CPU time; of two workers note the share of the busier one."""
    # Neither the load nor the workers are kept off a core.
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with running(server, {}, pinned=False) as (port, session):
        wait_for_hello(port)
        load(port, 1)
        before, each_before = cpu_seconds(session), _each(session)
        answered = load(port, seconds)
        used = cpu_seconds(session) - before
        if server.name == _TWO:
            own = [now - each_before.get(number, 0.0) for number, now in _each(session).items()]
            busiest.append(max(own) / used)
        return float(answered / used)


def _each(session: int) -> dict[str, float]:
    """Return the CPU time of each process."""
    found = {}
    for process in session_of(session):
        found[process.name] = (
            sum(int(task.read_text().split()[0]) for task in process.glob("task/*/schedstat")) / 1e9
        )
    return found


def _options() -> argparse.Namespace:
    made: argparse.ArgumentParser = comparison_parser(__doc__)
    made.add_argument("--seconds", type=float, default=2, help="of load in a round, whole ones")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
