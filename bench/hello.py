"""Requests per server CPU second: httpng beside uvicorn and hypercorn, in one run, alternating.

One process serves, another loads it over keep-alive connections (wrk). What counts is how many requests
the server answers per second of its own CPU time (user and system, from /proc): absolute times on a shared
machine mean nothing, ratios within a round do.

    python bench/hello.py [--rounds 5] [--seconds 3] [--only NAME ...] [--save]
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from wrk import load, wait_for_hello  # type: ignore[import-not-found]

HERE = Path(__file__).parent

ASGI = "bench_apps:asgi"
HTTPNG_ASYNC = "bench_apps:hello_async"
HTTPNG_PLAIN = "bench_apps:hello_plain"


@dataclass(frozen=True)
class Server:
    """A server to measure: its command, in which PORT stands for the port."""

    name: str
    command: tuple[str, ...]
    baseline: str = ""
    """The server that this one has to beat."""


def _httpng(app: str, *options: str, backend: str = "asyncio") -> tuple[str, ...]:
    return ("-m", f"httpng_{backend}", app, "--listen", "127.0.0.1:PORT", *options)


def _uvicorn(loop: str, http: str) -> tuple[str, ...]:
    quiet = ("--no-access-log", "--log-level", "warning")
    return ("-m", "uvicorn", ASGI, "--port", "PORT", "--loop", loop, "--http", http, *quiet)


SERVERS = (
    Server("httpng asyncio, async def", _httpng(HTTPNG_ASYNC, "--no-uvloop"), "uvicorn asyncio h11"),
    Server("httpng asyncio, def", _httpng(HTTPNG_PLAIN, "--no-uvloop"), "uvicorn asyncio h11"),
    Server("uvicorn asyncio h11", _uvicorn("asyncio", "h11")),
    Server("httpng uvloop, async def", _httpng(HTTPNG_ASYNC, "--uvloop"), "uvicorn uvloop h11"),
    Server("httpng uvloop, def", _httpng(HTTPNG_PLAIN, "--uvloop"), "uvicorn uvloop h11"),
    Server("uvicorn uvloop h11", _uvicorn("uvloop", "h11")),
    Server("uvicorn uvloop httptools", _uvicorn("uvloop", "httptools")),
    Server("httpng trio, async def", _httpng(HTTPNG_ASYNC, backend="trio"), "hypercorn trio"),
    Server("hypercorn trio", ("-m", "hypercorn", ASGI, "-b", "127.0.0.1:PORT", "-k", "trio")),
    Server("hypercorn uvloop", ("-m", "hypercorn", ASGI, "-b", "127.0.0.1:PORT", "-k", "uvloop")),
)


def main() -> int:
    """Measures and prints a table; the exit status tells whether every baseline was beaten."""
    options = _options()
    chosen = [server for server in SERVERS if not options.only or server.name in options.only]
    rates: dict[str, list[float]] = {server.name: [] for server in chosen}
    for round_ in range(options.rounds):
        for offset, server in enumerate(chosen):
            rate = measure(server, 18100 + offset, options.seconds)
            rates[server.name].append(rate)
            print(f"round {round_ + 1}  {server.name:28} {rate:8.0f} requests per CPU second", flush=True)
    report = _report(chosen, rates)
    if options.save:
        _save(report, rates)
    return 0 if all(row.ratio is None or row.ratio > 1.0 for row in report) else 1


def measure(server: Server, port: int, seconds: float) -> float:
    """Requests answered per CPU second of the server."""
    command = [sys.executable, *(part.replace("PORT", str(port)) for part in server.command)]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stderr=quiet, start_new_session=True) as process:
        try:
            wait_for_hello(port)
            load(port, 0.5)
            before = _cpu_seconds(process.pid)
            requests: int = load(port, seconds)
            return requests / (_cpu_seconds(process.pid) - before)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _cpu_seconds(leader: int) -> float:
    """User and system time of a server's processes: those of the session that it leads."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It ended while we looked.
        if int(fields[3]) == leader:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Row:
    """A line of the report; the ratio is to the baseline, the median over the rounds."""

    server: str
    median: float
    baseline: str
    ratio: float | None


def _report(servers: list[Server], rates: dict[str, list[float]]) -> list[Row]:
    rows: list[Row] = []
    print(f"\n{'server':28} {'median':>8} {'min':>8} {'max':>8}  against its baseline, median of the rounds")
    for server in servers:
        own = rates[server.name]
        ratio = None
        if server.baseline in rates:
            ratio = statistics.median(a / b for a, b in zip(own, rates[server.baseline], strict=True))
        against = "" if ratio is None else f"{ratio:.2f} x {server.baseline}"
        print(f"{server.name:28} {statistics.median(own):8.0f} {min(own):8.0f} {max(own):8.0f}  {against}")
        rows.append(Row(server.name, statistics.median(own), server.baseline, ratio))
    return rows


def _save(report: list[Row], rates: dict[str, list[float]]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True
    ).stdout.strip()
    path = HERE / "results" / f"hello-{commit}.json"
    about = {"commit": commit, "python": platform.python_version(), "kernel": platform.release()}
    path.write_text(
        json.dumps({**about, "report": [asdict(row) for row in report], "rounds": rates}, indent=1) + "\n"
    )
    print(f"kept in {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
