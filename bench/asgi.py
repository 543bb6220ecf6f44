"""ASGI applications per server CPU second: httpng beside uvicorn, granian and hypercorn, alternating.

The same application in each: hello, bare and in FastAPI, loaded by wrk as in hello.py; and ticks for many
followers, from a queue for each, bare and by FastAPI's StreamingResponse, read as in fanout.py. The exit
status tells whether the target of the bare hello was met.

    python bench/asgi.py [--rounds 5] [--seconds 2] [--followers 200] [--cases CASE ...] [--only NAME ...]
        [--compiled] [--save]
"""

import argparse
import sys
from dataclasses import replace
from functools import partial

from fanout import measure  # type: ignore[import-not-found]
from peers import granian, uvicorn  # type: ignore[import-not-found]
from rounds import Comparison, comparison_parser  # type: ignore[import-not-found]
from servers import Server, cpu_seconds, python, running  # type: ignore[import-not-found]
from wrk import CONNECTIONS, load, wait_for_hello  # type: ignore[import-not-found]

APP = "bench_apps:asgi"
APPS = {
    "hello bare": APP,
    "hello FastAPI": "asgi_apps:hello",
    "fan-out bare": "fanout_apps:asgi",
    "fan-out FastAPI": "asgi_apps:fanout",
}
BASELINE = "uvicorn"
_HTTPNG = ("--listen", "127.0.0.1:PORT", "--max-conn-per-thread", "5000", "--log-level", "error")
_HYPERCORN = ("-m", "hypercorn", APP, "-b", "127.0.0.1:PORT", "-k", "uvloop", "--log-level", "ERROR")

SERVERS: tuple[Server, ...] = (
    Server("httpng uvloop", python("-m", "httpng_asyncio", APP, "--uvloop", *_HTTPNG)),
    Server(BASELINE, uvicorn(APP, "--backlog", "4096"), "uvicorn"),
    Server("granian", granian(APP, "--backlog", "4096"), "granian"),
    Server("hypercorn", python(*_HYPERCORN), "hypercorn"),
    Server("httpng asyncio", python("-m", "httpng_asyncio", APP, "--no-uvloop", *_HTTPNG)),
)
TARGETS = {"httpng uvloop": (1.2, 1.2)}


def main() -> int:
    """Measure, and print a table for each case; the exit status tells whether targets were met."""
    options = _options()
    about = {"seconds": options.seconds, "connections": CONNECTIONS, "followers": options.followers}
    code = 0
    for case in options.cases:
        # Of the others there is none: how much of them is the framework's own differs.
        targets = TARGETS if case == "hello bare" else {}
        name = f"asgi_{case.lower().replace(' ', '_')}"
        comparison = Comparison(name, "answers per CPU second", SERVERS, BASELINE, targets)
        code |= comparison.run(partial(_rate, options=options), [case], options, about)
    return code


def _rate(server: Server, case: str, options: argparse.Namespace) -> float:
    """Return the requests, or ticks, that a server answers per second of its CPU time."""
    command = tuple(APPS[case] if word == APP else word for word in server.command)
    server = replace(server, command=command)
    if case.startswith("fan-out"):
        rate, _ = measure(server, options.followers, 0.002, options.seconds)
        return float(rate)
    with running(server, {}, pinned=True) as (port, session):
        wait_for_hello(port)
        load(port, 1, None)
        before = cpu_seconds(session)
        answered = load(port, options.seconds, None)
        return float(answered / (cpu_seconds(session) - before))


def _options() -> argparse.Namespace:
    made: argparse.ArgumentParser = comparison_parser(__doc__)
    made.add_argument("--seconds", type=float, default=2, help="of load in a round, whole ones")
    made.add_argument("--followers", type=int, default=200)
    made.add_argument("--cases", nargs="+", choices=[*APPS], default=[*APPS], metavar="CASE")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
