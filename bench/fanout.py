"""Messages delivered per server CPU second: one producer, many fast followers, ticks of 200 bytes.

Each server streams the same ticks to 200 and to 2,000 connections of a reader process that just drains
them, 20,000 messages a second. What counts is how many the reader got for each second of the server's CPU
time (user and system, all its threads); the floor is a bare loop, `for s in sockets: s.send(frame)`. Each
server is one worker, which Go's and granian's settings see to. Absolute figures on a shared machine mean
little: the servers alternate, and ratios are taken within a round. How many wire bytes a tick is, is
measured on one response of each run: all frame it as one chunk of 206 bytes.

Two choices matter, and were looked at with strace and measured:

* The bare loop sets TCP_NODELAY, as all servers here do (httpng and granian on the listener, which the
  connections inherit; uvicorn, Go and Node on each connection) but nginx, whose tcp_nodelay
  doesn't act on a response that isn't proxied. For the bare loop, leaving it out was within the noise.
* The reader sleeps 2 ms between looks at its sockets. Else it sleeps whenever it has read all, and the
  kernel charges waking it to whose `send` does that. The bare loop is so quick that the reader hardly gets
  to sleep, a server that is slower wakes it more often: at 2,000 followers 0.002 times per message, httpng
  on uvloop and uvicorn 0.144 times (with the pause 0.004 to 0.015). They then spent 19 and 34 µs on a
  message instead of 15 and 30, the bare loop 10 in both. So without the pause the distance to the floor is
  partly the reader's doing; a client elsewhere wakes nobody here. At 200 followers, with fewer wakes (0.02
  to 0.08), the difference is within the noise. Both are measured and kept, and the targets are to be met in
  both.

With --tls the floor is a bare loop that seals each tick for each follower with Python's ssl, with --http2 one
that frames it for a stream of each, and httpng is to be within 1.5 times of that.

    python bench/fanout.py [--tls | --http2] [--rounds 5] [--seconds 4] [--followers 200 2000] [--pause 2 0]
                           [--only NAME ...] [--save]

Peers that aren't installed are named and left out. Debian: apt-get install golang-go nodejs nginx-light
libnginx-mod-http-lua.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fanout_reader import Counted, reading  # type: ignore[import-not-found]
from fanout_servers import FLOOR, HTTP2_SERVERS, SERVERS, tls_servers  # type: ignore[import-not-found]
from servers import HERE, Server, commit, cpu_seconds, running  # type: ignore[import-not-found]

MESSAGES_A_SECOND = 20_000
Report = list[dict[str, Any]]


def main() -> int:
    """Measures and prints a table; the exit status tells whether the targets were met."""
    options = _options()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        plain = HTTP2_SERVERS if options.wire else SERVERS
        return _measured(tls_servers(folder) if options.wire == "tls" else plain, folder, options)


def _measured(servers: tuple[Server, ...], folder: str, options: argparse.Namespace) -> int:
    if options.wire == "tls":
        sys.path.insert(0, str(HERE.parent))
        from tests.certificates import make_pair

        make_pair(Path(folder))
    wanted = [one for one in servers if not options.only or one.name in (*options.only, FLOOR)]
    missing = [one.name for one in wanted if not one.is_installed]
    for name in missing:
        print(f"not installed, so not measured: {name}")
    chosen = [one for one in wanted if one.is_installed]
    reports = [
        _compare(chosen, followers, pause / 1000, options)
        for pause in options.pause
        for followers in options.followers
    ]
    if options.save:
        _save(reports, missing, options)
    is_met = _is_met_alone if options.wire else _is_met
    return 0 if all(is_met(report["rows"]) for report in reports) else 1


def _compare(
    servers: list[Server], followers: int, pause: float, options: argparse.Namespace
) -> dict[str, Any]:
    measured: dict[str, list[tuple[float, float]]] = {server.name: [] for server in servers}
    for round_ in range(options.rounds):
        for server in servers:
            rate, delivered = measure(server, followers, pause, options.seconds, options.wire)
            measured[server.name].append((rate, delivered))
            print(
                f"{followers} followers, pause {pause * 1000:g} ms  round {round_ + 1}  {server.name:26}"
                f"{rate:9.0f} messages per CPU second, {delivered:6.0f} a second",
                flush=True,
            )
    return {"followers": followers, "pause": pause, "rows": _report(followers, pause, measured)}


def measure(
    server: Server, followers: int, pause: float, seconds: float, wire: str = ""
) -> tuple[float, float]:
    """Messages delivered per CPU second of the server, and per second."""
    environment = {"FANOUT_FOLLOWERS": str(followers), "GOMAXPROCS": "1"}
    with running(server, environment) as (port, session), reading(port, followers, pause, wire) as counted:
        _wait(lambda: counted.frame and counted.wire_bytes > followers * counted.frame * 4, "ticks come in")
        _catch_up(counted)
        began, before, read = time.monotonic(), cpu_seconds(session), counted.wire_bytes
        time.sleep(seconds)
        spent = cpu_seconds(session) - before
        delivered = (counted.wire_bytes - read) / counted.frame
        return delivered / spent, delivered / (time.monotonic() - began)


def _catch_up(counted: Counted) -> None:
    """Waits until the reader has no backlog, which would pass for what the server sends."""
    for _ in range(40):
        began, before = time.monotonic(), counted.wire_bytes
        time.sleep(0.25)
        delivered = (counted.wire_bytes - before) / counted.frame
        if delivered <= MESSAGES_A_SECOND * 1.05 * (time.monotonic() - began):
            return
    raise RuntimeError("the reader is too slow")


def _wait(condition: Any, what: str) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise RuntimeError(f"not so in time: {what}")


def _report(followers: int, pause: float, measured: dict[str, list[tuple[float, float]]]) -> Report:
    rows = []
    of = f"{followers} followers, pause {pause * 1000:g} ms"
    print(f"\n{of:28} {'median':>8} {'min':>8} {'max':>8} {'a second':>9}  of the bare loop, median")
    floor = [rate for rate, _ in measured[FLOOR]]
    for name, own in measured.items():
        rates = [rate for rate, _ in own]
        ratio = statistics.median(a / b for a, b in zip(rates, floor, strict=True))
        median, delivered = statistics.median(rates), statistics.median(each for _, each in own)
        print(f"{name:28} {median:8.0f} {min(rates):8.0f} {max(rates):8.0f} {delivered:9.0f}  {ratio:.2f}")
        row = {"server": name, "median": median, "ratio": ratio, "a_second": delivered, "rounds": rates}
        rows.append(row)
    print()
    return rows


def _is_met(report: Report) -> bool:
    """At least 0.6 of the floor, 1.6 times uvicorn, and ahead of granian."""
    ratios = {row["server"]: row["ratio"] for row in report}
    own = max((ratio for name, ratio in ratios.items() if name.startswith("httpng")), default=1.0)
    uvicorn = max((ratio for name, ratio in ratios.items() if name.startswith("uvicorn")), default=0.0)
    granian = max((ratio for name, ratio in ratios.items() if name.startswith("granian")), default=0.0)
    return bool(own >= 0.6 and own >= 1.6 * uvicorn and own > granian)


def _is_met_alone(report: Report) -> bool:
    """Within 1.5 times the CPU time of the floor."""
    ratios = [row["ratio"] for row in report if row["server"].startswith("httpng")]
    return max(ratios, default=1.0) * 1.5 >= 1


def _save(reports: list[dict[str, Any]], missing: list[str], options: argparse.Namespace) -> None:
    path = HERE / "results" / f"fanout-{options.wire and options.wire + '-'}{commit()}.json"
    path.parent.mkdir(exist_ok=True)
    about = {"commit": commit(), "python": platform.python_version(), "kernel": platform.release()}
    told = {**about, "seconds": options.seconds, "not_installed": missing, "reports": reports}
    path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"kept in {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--followers", nargs="+", type=int, default=[200, 2000])
    parser.add_argument("--pause", nargs="+", type=float, default=[2.0, 0.0], help="of the reader, in ms")
    wires = parser.add_mutually_exclusive_group()
    wires.add_argument(
        "--tls",
        dest="wire",
        action="store_const",
        const="tls",
        help="over TLS, beside a bare loop that seals",
    )
    wires.add_argument(
        "--http2",
        dest="wire",
        action="store_const",
        const="http2",
        help="beside a bare loop that frames DATA",
    )
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    parser.set_defaults(wire="")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
