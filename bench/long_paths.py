"""Long paths: how full they are kept and how old the data gets, with the send window "auto" and without.

A server in one network namespace offers a tick of 1 KiB a thousand times a second, the newest whenever there
is room, to a client in another; between them is a path with a delay and a rate, see tun_bridge.py. Needs
root and /dev/net/tun.

Ungated, the kernel joins ticks to packets of full size; a tick that goes by itself has its own headers, so
a path that is always full shows 0.979 of the ungated rate.

    python bench/long_paths.py [--delay 20 100] [--rate 250000] [--seconds 12] [--on LOOP ...] [--save]
"""

import argparse
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tun_bridge import SERVER, bridged  # type: ignore[import-not-found]

HERE = Path(__file__).parent
PORT = 18290
TICK = 1024
_MARK = re.compile(rb"<(\d+\.\d+)\.*>")
_WINDOWS = ("auto", "ungated")
_LOOPS = {
    "asyncio": ("httpng_asyncio", "--no-uvloop"),
    "uvloop": ("httpng_asyncio", "--uvloop"),
    "trio": ("httpng_trio",),
}


async def ticker(req: Any, io: Any) -> None:
    """The server's handler; the path of the request is the window."""
    import anyio

    io.send_window = "auto" if req.path == "/auto" else 1 << 20
    due = time.monotonic()
    while True:
        now = time.monotonic()
        result = await io.write(f"<{now:.4f}".encode().ljust(TICK - 1, b".") + b">", 0)
        if result is not None and result.cancelled:
            return
        due = max(due + 0.001, now)
        await anyio.sleep(due - now)


def _connected() -> socket.socket:
    """A connection, as soon as the server listens."""
    for _ in range(100):
        try:
            return socket.create_connection((SERVER, PORT), 10)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("the server does not listen")


def receive(window: str, skipped: float, seconds: float) -> None:
    """The client: prints the rate in bytes a second and the ages of what it read, as JSON."""
    with _connected() as client:
        client.settimeout(10)
        client.sendall(f"GET /{window} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        begins, ages, rest = time.monotonic() + skipped, [], b""
        while (now := time.monotonic()) < begins + seconds:
            data = rest + client.recv(65536)
            now, end = time.monotonic(), 0
            for found in _MARK.finditer(data):
                end = found.end()
                if now >= begins:
                    ages.append(now - float(found[1]))
            rest = data[end:]
    print(json.dumps({"rate": len(ages) * TICK / seconds, "ages": ages}))


def measure(loop: str, window: str, delay: float, rate: float, seconds: float) -> dict[str, Any]:
    """One server and one client on a path of their own."""
    skipped = 2 + 30 * delay
    with bridged(delay, rate) as (server, client):
        module, *options = _LOOPS[loop]
        command = [*_within(server), "-m", module, f"{HERE / 'long_paths.py'}:ticker"]
        command += ["--listen", f"{SERVER}:{PORT}", *options]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ) as process:
            try:
                told = subprocess.run(
                    [*_within(client), __file__, "--receive", window, str(skipped), str(seconds)],
                    stdout=subprocess.PIPE, check=True, timeout=skipped + seconds + 30,
                )  # fmt: skip
            finally:
                process.kill()
    return dict(json.loads(told.stdout))


def _within(namespace: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, sys.executable]


def main() -> int:
    """Measures, prints a table; the exit status tells whether "auto" did as it must everywhere."""
    options = _options()
    if options.receive:
        receive(options.receive[0], *map(float, options.receive[1:]))
        return 0
    rows = [
        row for delay in options.delay for loop in options.on for row in _compare(loop, delay / 1000, options)
    ]
    if options.save:
        _save(rows, options)
    return 0 if all(row["holds"] for row in rows) else 1


def _compare(loop: str, delay: float, options: argparse.Namespace) -> list[dict[str, Any]]:
    seen = {
        window: measure(loop, window, delay, options.rate, options.seconds) for window in reversed(_WINDOWS)
    }
    return [_row(loop, window, delay, options.rate, seen) for window in _WINDOWS]


def _row(loop: str, window: str, delay: float, rate: float, seen: dict[str, Any]) -> dict[str, Any]:
    ages = statistics.quantiles(seen[window]["ages"], n=100)
    # A tick alone on the path, with its chunk framing and the TCP/IP header; and the round trip of one.
    floor = delay + (TICK + 7 + 52) / rate
    bound = floor + 2 * (floor + delay)
    share = seen[window]["rate"] / seen["ungated"]["rate"]
    row = {
        "loop": loop, "window": window, "delay": delay, "bytes_a_second": round(seen[window]["rate"]),
        "share": round(share, 3), "p50": round(ages[49], 4), "p99": round(ages[98], 4),
        "floor": round(floor, 4), "bound": round(bound, 4),
        "holds": window == "ungated" or (share >= 0.95 and ages[49] <= bound),
    }  # fmt: skip
    print(
        f"{delay * 1e3:4.0f} ms  {loop:8} {window:8} {row['bytes_a_second']:7} B/s  {share:5.3f} of ungated  "
        f"age p50 {ages[49] * 1e3:6.1f} p99 {ages[98] * 1e3:6.1f} ms, floor {floor * 1e3:.1f}, "
        f"bound {bound * 1e3:.1f}",
        flush=True,
    )
    return row


def _save(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True
    ).stdout.strip()
    path = HERE / "results" / f"long-paths-{commit}.json"
    path.parent.mkdir(exist_ok=True)
    about = {"commit": commit, "python": platform.python_version(), "kernel": platform.release()}
    path.write_text(json.dumps({**about, "rate": options.rate, "rows": rows}, indent=1) + "\n")
    print(f"kept in {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--delay", type=float, nargs="*", default=[20.0, 100.0], help="one way, in milliseconds"
    )
    parser.add_argument("--rate", type=float, default=250_000, help="bytes a second")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--on", nargs="*", default=list(_LOOPS), choices=list(_LOOPS))
    parser.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    parser.add_argument("--receive", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
