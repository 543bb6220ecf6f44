"""What idle connections cost: the hello rate beside 100, 1,000 and 10,000 of them, and memory for each.

Each idle connection has asked for one hello, and waits. The rate is requests per second of the server's CPU
time, as in hello.py, and its ratio is to that of the same server without any, in the same round. Memory for a
connection is what the server grows by, divided by their number: of its resident size, and of Python's own
heap (tracemalloc, in a run of its own). The exit status tells whether the targets were met.

    python bench/idle.py [--rounds 5] [--seconds 2] [--idle 100 1000 10000] [--only NAME ...] [--save]

wrk: Debian: apt-get install wrk. Each side has all the connections open: see `ulimit -Hn`.
"""

import argparse
import resource
import socket
import struct
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from peers import httpng, uvicorn  # type: ignore[import-not-found]
from rounds import compare, installed, parser, save, verdict  # type: ignore[import-not-found]
from servers import Server, cpu_seconds, pin_load, running, session_of  # type: ignore[import-not-found]
from wrk import CONNECTIONS, load, wait_for_hello  # type: ignore[import-not-found]

# Longer than a round takes: most servers keep idle connections for a few seconds only.
KEEP = 120
ASGI = "bench_apps:asgi_more"
NONE = "none idle"
RATE, HEAP = 0.85, 6.0
"""Of the rate without idle connections, at least; KiB of Python's heap for each, at most."""
_KEEP_HTTPNG = ("--keepalive-timeout", str(KEEP))

SERVERS: tuple[Server, ...] = (
    Server("httpng uvloop", httpng("heap_async", "--uvloop", *_KEEP_HTTPNG)),
    Server("httpng trio", httpng("heap_async", *_KEEP_HTTPNG, backend="trio")),
    Server("uvicorn", uvicorn(ASGI, "--timeout-keep-alive", str(KEEP)), "uvicorn"),
)
_REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def main() -> int:
    """Measure, and print a table for each server; the exit status tells whether the targets were met."""
    options = _options()
    _raise_open_files(max(options.idle) + 500)
    pin_load()
    servers, missing = installed(SERVERS, options.only)
    failures: list[str] = []
    results: dict[str, Any] = {}
    for server in servers:
        rates, missed = _rates(server, options)
        memory = _memory(server, max(options.idle))
        results[server.name] = {**rates, "memory": memory}
        if server.name.startswith("httpng"):
            failures += missed
            if memory["heap"] > HEAP:
                failures.append(f"{server.name}: {memory['heap']:.1f} KiB of heap, at most {HEAP}")
    if options.save:
        how = {"seconds": options.seconds, "connections": CONNECTIONS, "not_installed": missing}
        save("idle", {**how, "servers": results})
    code: int = verdict(failures)
    return code


def _rates(server: Server, options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    names = {0: NONE} | {count: f"{count} idle" for count in options.idle}
    measures = {name: partial(_rate, server, count, options.seconds) for count, name in names.items()}
    targets = dict.fromkeys(names.values(), RATE)
    how = {"rounds": options.rounds, "unit": "requests per CPU second", "where": server.name}
    compared: tuple[dict[str, Any], list[str]] = compare(measures, targets, NONE, **how)
    return compared


def _rate(server: Server, idle: int, seconds: float) -> float:
    """Return the requests answered per CPU second beside so many idle connections."""
    with running(server, {}, pinned=True) as (port, session):
        wait_for_hello(port)
        with _idle(port, idle):
            load(port, 1)
            before = cpu_seconds(session)
            answered = load(port, seconds)
            return float(answered / (cpu_seconds(session) - before))


def _memory(server: Server, idle: int) -> dict[str, float]:
    """Return the KiB that each of so many idle connections takes: resident, and of Python's heap."""
    with running(server, {}, pinned=True) as (port, session):
        wait_for_hello(port)
        before = _resident(session)
        with _idle(port, idle):
            resident = (_resident(session) - before) / idle
    with running(server, {"PYTHONTRACEMALLOC": "1"}, pinned=True) as (port, _):
        wait_for_hello(port)
        _heap(port)  # What the first call needs isn't for the connections.
        before = _heap(port)
        with _idle(port, idle):
            heap = (_heap(port) - before) / idle
    told = f"{resident / 1024:.2f} KiB resident, {heap / 1024:.2f} KiB of Python's heap"
    print(f"{server.name}: an idle connection, of {idle}: {told}\n", flush=True)
    return {"idle": idle, "resident": resident / 1024, "heap": heap / 1024}


@contextmanager
def _idle(port: int, count: int) -> Iterator[None]:
    """Keep connections open that have got one answer each."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(_answered(port))
        yield
    finally:
        for sock in sockets:
            # A reset: thousands in TIME_WAIT would meet the next round.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            sock.close()


def _answered(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall(_REQUEST)
    received = b""
    while not received.endswith(b"\r\n\r\nhello"):
        data = sock.recv(4096)
        if not data:
            raise RuntimeError(received)
        received += data
    return sock


def _resident(session: int) -> int:
    """How many bytes of a server's processes are in memory."""
    pages = sum(int((process / "statm").read_text().split()[1]) for process in session_of(session))
    return pages * resource.getpagesize()


def _heap(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/heap", timeout=30) as answer:
        return int(answer.read())


def _raise_open_files(wanted: int) -> None:
    """Let this process, and the servers that it starts, have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"{wanted} open files are needed, and the hard limit is {hard}; see --idle")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _options() -> argparse.Namespace:
    made: argparse.ArgumentParser = parser(__doc__)
    made.add_argument("--seconds", type=float, default=2, help="of load in a round, whole ones")
    made.add_argument("--idle", nargs="+", type=int, default=[100, 1000, 10000], help="how many connections")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
