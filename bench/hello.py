"""Requests per server CPU second: httpng beside uvicorn, granian, Go and hypercorn, in one run, alternating.

One process serves on one core, another loads it over keep-alive connections (wrk) on another. What counts is
how many requests the server answers per second of its own CPU time, of all its processes and threads:
absolute figures on a shared machine mean little, so servers alternate and ratios are taken within a round.

wrk sends equal header blocks; a server may remember the last one. So the same is measured with a header
that is another in each request. The exit status tells whether the targets were met.

    python bench/hello.py [--rounds 5] [--seconds 2] [--headers same|changing|both] [--compiled]
        [--only NAME ...] [--save]

wrk: Debian: apt-get install wrk. What isn't installed of the peers is named and left out.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from peers import GO, granian, httpng, uvicorn  # type: ignore[import-not-found]
from rounds import Comparison, comparison_parser  # type: ignore[import-not-found]
from servers import HERE, Server, cpu_seconds, python, running  # type: ignore[import-not-found]
from wrk import CONNECTIONS, load, wait_for_hello  # type: ignore[import-not-found]

ASGI = "bench_apps:asgi"
BASELINE = "uvicorn"
_HYPERCORN_TRIO = python(
    "-m", "hypercorn", ASGI, "-b", "127.0.0.1:PORT", "-k", "trio", "--log-level", "ERROR"
)

SERVERS: tuple[Server, ...] = (
    Server("httpng uvloop, async def", httpng("hello_async", "--uvloop")),
    Server("httpng uvloop, def", httpng("hello_plain", "--uvloop")),
    Server("httpng uvloop, Lua", httpng(str(HERE / "hello.lua"), "--uvloop")),
    Server(BASELINE, uvicorn(ASGI), "uvicorn"),
    Server("httpng asyncio, async def", httpng("hello_async", "--no-uvloop")),
    Server("httpng trio, async def", httpng("hello_async", backend="trio")),
    Server("granian", granian(ASGI), "granian"),
    Server("hypercorn trio", _HYPERCORN_TRIO, "hypercorn"),
    Server("Go net/http", GO, "go"),
)
TARGETS = {
    "httpng uvloop, async def": (1.2, 1.8),
    "httpng uvloop, def": (1.5, 2.3),
    "httpng uvloop, Lua": (1.4, 2.2),
    "httpng asyncio, async def": (1.0, 1.5),
    "httpng trio, async def": (1.0, 1.5),
}
SCRIPTS: dict[str, Path | None] = {"same": None, "changing": HERE / "wrk_changing.lua"}
"""What makes the requests, by what their headers are."""


def main() -> int:
    """Measure, and print a table for each kind of headers; the exit status tells whether targets were met."""
    options = _options()
    comparison = Comparison("hello", "requests per CPU second", SERVERS, BASELINE, TARGETS)
    cases = [*SCRIPTS] if options.headers == "both" else [options.headers]
    about = {"seconds": options.seconds, "connections": CONNECTIONS}
    code: int = comparison.run(partial(_rate, seconds=options.seconds), cases, options, about)
    return code


def _rate(server: Server, headers: str, seconds: float) -> float:
    """Return the requests that a server answers per second of its CPU time."""
    script = SCRIPTS[headers]
    with running(server, {}, pinned=True) as (port, session):
        wait_for_hello(port)
        load(port, 1, script)
        before = cpu_seconds(session)
        answered = load(port, seconds, script)
        return float(answered / (cpu_seconds(session) - before))


def _options() -> argparse.Namespace:
    made: argparse.ArgumentParser = comparison_parser(__doc__)
    made.add_argument("--seconds", type=float, default=2, help="of load in a round, whole ones")
    made.add_argument("--headers", choices=[*SCRIPTS, "both"], default="both")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
