"""Requests over HTTP/2 per server CPU second: httpng beside hypercorn, nginx and a bare loop around h2.

h2load asks for hello world in clear text, by prior knowledge, with 1 and with 32 streams at once on each of
its connections. What counts is how many requests a server answers per second of its own CPU time (user and
system, all its threads): absolute figures on a shared machine mean little, so the servers alternate and
ratios are taken within a round. The bare loop (http2_bare.py) receives, has h2 make the answers and sends
them in one go: the floor for whoever uses h2.

    python bench/http2.py [--rounds 5] [--seconds 3] [--streams 1 32] [--only NAME ...] [--save]

h2load: Debian: apt-get install nghttp2-client. What isn't installed of the peers is named and left out.
"""

import argparse
import json
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from typing import Any

from servers import (  # type: ignore[import-not-found]
    HERE,
    NGINX,
    Server,
    commit,
    cpu_seconds,
    python,
    running,
)

CONNECTIONS = 8
FLOOR, PEER = "bare h2 loop", "hypercorn uvloop"
OF_FLOOR = 0.7
OF_PEER = {1: 1.4, 32: 2.0}
"""By how many streams each connection has."""
Report = list[dict[str, Any]]


def _httpng(app: str, *options: str, backend: str = "asyncio") -> tuple[str, ...]:
    app = f"bench_apps:hello_{app}"
    command: tuple[str, ...] = python("-m", f"httpng_{backend}", app, "--listen", "127.0.0.1:PORT", *options)
    return command


_HYPERCORN = python(
    *("-m", "hypercorn", "bench_apps:asgi", "-b", "127.0.0.1:PORT", "-k", "uvloop", "--log-level", "ERROR"),
    *("-c", str(HERE / "http2_hypercorn.toml")),
)
_NGINX_CONF = """
    daemon off; master_process off; pid TMP/nginx.pid;
    events { }
    http {
        access_log off; keepalive_requests 1000000000;
        server {
            listen 127.0.0.1:PORT http2;
            location / { default_type text/plain; return 200 hello; }
        }
    }
"""

SERVERS: tuple[Server, ...] = (
    Server(FLOOR, python(str(HERE / "http2_bare.py"), "PORT")),
    Server("httpng uvloop, async def", _httpng("async", "--uvloop")),
    Server(PEER, _HYPERCORN, "hypercorn"),
    Server("httpng uvloop, def", _httpng("plain", "--uvloop")),
    Server("httpng asyncio, async def", _httpng("async", "--no-uvloop")),
    Server("httpng trio, async def", _httpng("async", backend="trio")),
    Server("nginx", NGINX, "nginx", _NGINX_CONF),
)


def main() -> int:
    """Measures and prints a table; the exit status tells whether the targets were met."""
    options = _options()
    if shutil.which("h2load") is None:
        raise SystemExit("bench/http2.py needs h2load (Debian: apt-get install nghttp2-client)")
    wanted = [one for one in SERVERS if not options.only or one.name in (*options.only, FLOOR)]
    missing = [one.name for one in wanted if not one.is_installed]
    for name in missing:
        print(f"not installed, so not measured: {name}")
    chosen = [one for one in wanted if one.is_installed]
    reports = {streams: _compare(chosen, streams, options) for streams in options.streams}
    missed = [each for streams, report in reports.items() for each in _missed(streams, report)]
    print("\n".join(f"missed: {each}" for each in missed) or "all targets met")
    if options.save:
        _save(reports, missing, options)
    return 1 if missed else 0


def _compare(servers: list[Server], streams: int, options: argparse.Namespace) -> Report:
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    for round_ in range(options.rounds):
        for server in servers:
            rate = measure(server, streams, options.seconds)
            rates[server.name].append(rate)
            told = f"-m {streams:<2}  round {round_ + 1}  {server.name:26}{rate:9.0f} requests per CPU second"
            print(told, flush=True)
    return _report(streams, rates)


def measure(server: Server, streams: int, seconds: float) -> float:
    """Requests answered per CPU second of the server."""
    with running(server, {}) as (port, session):
        _wait_until_it_answers(port)
        _load(port, streams, 0.5)
        before = cpu_seconds(session)
        answered = _load(port, streams, seconds)
        spent: float = cpu_seconds(session) - before
        return answered / spent


def _wait_until_it_answers(port: int) -> None:
    for _ in range(200):
        if _h2load(port, "-n1", "-c1", "-m1").count("1 succeeded"):
            return
        time.sleep(0.05)
    raise RuntimeError(f"no answer on port {port}")


def _load(port: int, streams: int, seconds: float) -> int:
    told = _h2load(port, f"-c{CONNECTIONS}", f"-m{streams}", "-D", f"{seconds * 1000:.0f}ms")
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", told)
    codes = re.search(r"status codes: (\d+) 2xx", told)
    if not found or not codes or int(found[1]) == 0 or int(found[2]) or int(codes[1]) < int(found[1]):
        raise RuntimeError(told)
    return int(found[1])


def _h2load(port: int, *options: str) -> str:
    command = ["h2load", "-p", "h2c", *options, f"http://127.0.0.1:{port}/"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def _report(streams: int, rates: dict[str, list[float]]) -> Report:
    rows = []
    print(f"\n{f'-m {streams}':26} {'median':>8} {'min':>8} {'max':>8}   of {FLOOR}, of {PEER}, medians")
    for name, own in rates.items():
        ratios = {base: _ratio(own, rates[base]) for base in (FLOOR, PEER) if base in rates}
        against = "".join(f"{ratio:12.2f}" for ratio in ratios.values())
        print(f"{name:26} {statistics.median(own):8.0f} {min(own):8.0f} {max(own):8.0f}{against}")
        rows.append({"server": name, "median": statistics.median(own), "ratios": ratios, "rounds": own})
    print()
    return rows


def _ratio(own: list[float], base: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(own, base, strict=True))


def _missed(streams: int, report: Report) -> list[str]:
    """What the best of httpng was to reach, and hasn't."""
    targets = {FLOOR: OF_FLOOR, PEER: OF_PEER.get(streams, 0.0)}
    own = [row["ratios"] for row in report if row["server"].startswith("httpng")]
    best = {base: max((each[base] for each in own if base in each), default=None) for base in targets}
    return [
        f"-m {streams}: {ratio:.2f} of {base}, at least {targets[base]}"
        for base, ratio in best.items()
        if ratio is not None and ratio < targets[base]
    ]


def _save(reports: dict[int, Report], missing: list[str], options: argparse.Namespace) -> None:
    path = HERE / "results" / f"http2-{commit()}.json"
    about = {"commit": commit(), "python": platform.python_version(), "kernel": platform.release()}
    how = {"seconds": options.seconds, "connections": CONNECTIONS, "not_installed": missing}
    path.write_text(json.dumps({**about, **how, "reports": reports}, indent=1) + "\n")
    print(f"kept in {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 32], help="at once on a connection")
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
