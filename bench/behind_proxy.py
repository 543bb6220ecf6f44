"""How old a tick is when it has passed a proxy and a slow link: httpng beside FastAPI, all in one run.

Ticks, links and ages are those of freshness.py: 50 ticks of 1 KiB a second, a link of 64 kbit/s for each
candidate. Here a proxy with TLS stands before the link, in its default configuration: it takes what comes
from the server, and has what waits for the client. The floor is that of a server without a proxy, which sends
the newest tick when nothing is unacknowledged.

    python -m bench.behind_proxy [--seconds 60] [--warm-up 20] [--queue BYTES] [--only NAME ...] [--save]

What httpng sends until confirmed is to be at most 1.5 times as old as the floor, and a round trip.

Linux, as root, with iproute2, and with nginx and haproxy (Debian's packages of these names); which isn't
there is left out.
"""

import argparse
import json
import shutil
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from bench import freshness, links
from bench.freshness import Candidate, Row

RESULTS = Path(__file__).parent / "results"
AT_MOST, ROUND_TRIP = 1.5, 0.001
"""Against the floor's p50; and a round trip of the idle link, in seconds, rounded up."""

_BACK = ("--listen", "127.0.0.1:BACK")
_APPS = "bench.proxy_apps"


def _python(*command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *command)


def _behind(proxy: str, *command: str) -> tuple[str, ...]:
    return (*_python("bench.proxied", proxy, "HOST", "PORT", "TMP"), *command)


def _httpng(app: str, *options: str) -> tuple[str, ...]:
    return _python("httpng_asyncio", app, *_BACK, *options)


_UVICORN = _python(
    "uvicorn", f"{_APPS}:fastapi", "--host", "127.0.0.1", "--port", "BACK", "--no-access-log",
    "--log-level", "warning",
)  # fmt: skip


def candidates() -> tuple[Candidate, ...]:
    """What is measured, apart from what needs a proxy that isn't there."""
    found = [Candidate(freshness.FLOOR, _python("bench.ticks_floor", "outq", "HOST:PORT", "SECONDS"))]
    for proxy in ("nginx", "haproxy"):
        if shutil.which(proxy) is None:
            print(f"not installed, so nothing is measured behind it: {proxy}")
            continue
        ours = {
            "WebSocket, confirmed": _httpng(f"{_APPS}:confirmed"),
            "WebSocket, Feed, confirmed": _httpng(f"{_APPS}:follow"),
            "WebSocket, confirmed, auto": _httpng(f"{_APPS}:along"),
            "WebSocket, confirmed, Lua": _httpng("bench/proxy_ticks.lua"),
        }
        for name, command in ours.items():
            behind = _behind(proxy, *command)
            found.append(Candidate(f"{proxy}, httpng, {name}", behind, scheme="wss", is_held=True))
        for name, app in (("confirmed", "events"), ("confirmed, auto", "events_along")):
            behind = _behind(proxy, *_httpng(f"{_APPS}:{app}"))
            found.append(Candidate(f"{proxy}, httpng, events, {name}", behind, scheme="events", is_held=True))
        acked = _behind(proxy, *_httpng(f"{_APPS}:acked"))
        uvicorn = _behind(proxy, *_UVICORN)
        found += [
            Candidate(f"{proxy}, httpng, WebSocket, acked", acked, scheme="wss"),
            Candidate(f"{proxy}, uvicorn, FastAPI, WebSocket", uvicorn, "/ws", scheme="wss"),
            Candidate(f"{proxy}, uvicorn, FastAPI, stream", uvicorn, "/stream", scheme="https"),
        ]
    return tuple(found)


def main() -> int:
    """Measures and prints a table; the exit status tells whether the targets were met."""
    options = _options()
    freshness.check_machine()
    signal.signal(signal.SIGTERM, freshness.on_signal)
    chosen = [
        each for each in candidates() if not options.only or each.name in (*options.only, freshness.FLOOR)
    ]
    rows = freshness.measure(chosen, options)
    missed = _report(chosen, rows)
    if options.save:
        told = {"seconds": options.seconds, "warm_up": options.warm_up, "rows": [asdict(row) for row in rows]}
        path = RESULTS / "behind-proxy.json"
        path.write_text(json.dumps(told, indent=1) + "\n")
        print(f"saved: {path}")
    return 1 if missed else 0


def _report(chosen: list[Candidate], rows: list[Row]) -> list[str]:
    floor = rows[0].p50
    most = floor * AT_MOST + ROUND_TRIP
    print(f"{'':44} {'p50 s':>8} {'p99 s':>8} {'ticks/s':>8} {'p50 / floor':>12}")
    for row in rows:
        print(f"{row.name:44} {row.p50:8.3f} {row.p99:8.3f} {row.rate:8.2f} {row.p50 / floor:12.2f}")
    held = {each.name for each in chosen if each.is_held}
    missed = [
        f"{row.name}: {row.p50:.3f} s, not {most:.3f}" for row in rows if row.name in held and row.p50 > most
    ]
    print("\n" + ("\n".join(f"missed: {each}" for each in missed) or "all targets met"))
    return missed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is read")
    parser.add_argument("--warm-up", type=float, default=20.0, help="how long before it counts")
    parser.add_argument("--queue", type=int, default=links.LIMIT, help="bytes that a link may queue")
    parser.add_argument("--only", nargs="+", help="names of candidates; the floor is always measured")
    parser.add_argument("--save", action="store_true", help=f"keep the result in {RESULTS.name}")
    parser.set_defaults(router=False, no_offload=False)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
