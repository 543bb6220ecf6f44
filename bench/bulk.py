"""Bulk: 1 GiB in writes of 64 KiB over plain HTTP/1.1, beside uvicorn, granian and Go, alternating.

What counts is how many gigabytes (10^9 bytes) a server sends per second of its own CPU time. The body is
chunked, or has a Content-Length. One process serves on one core; this one reads on another, and looks at
nothing but the number of bytes. The exit status tells whether the targets were met.

    python bench/bulk.py [--rounds 5] [--mib 1024] [--body chunked|sized|both] [--compiled] [--only NAME ...]
        [--save]

What isn't installed of the peers is named and left out.
"""

import argparse
import socket
import sys
from functools import partial

from peers import GO, granian, httpng, uvicorn  # type: ignore[import-not-found]
from rounds import Comparison, comparison_parser  # type: ignore[import-not-found]
from servers import HERE, Server, cpu_seconds, running  # type: ignore[import-not-found]
from wrk import wait_for_hello  # type: ignore[import-not-found]

ASGI = "bench_apps:asgi_more"
BASELINE = "uvicorn"
BODIES = ("chunked", "sized")
PIECE = 65536
WARM_MIB = 64

SERVERS: tuple[Server, ...] = (
    Server("httpng uvloop, async def", httpng("bulk_async", "--uvloop")),
    Server("httpng uvloop, Lua", httpng(str(HERE / "bulk.lua"), "--uvloop")),
    Server(BASELINE, uvicorn(ASGI), "uvicorn"),
    Server("granian", granian(ASGI), "granian"),
    Server("Go net/http", GO, "go"),
)
TARGETS = {"httpng uvloop, async def": (1.0, 1.15), "httpng uvloop, Lua": (0.8, 1.0)}


def main() -> int:
    """Measure, and print a table for each kind of body; the exit status tells whether targets were met."""
    options = _options()
    comparison = Comparison("bulk", "GB per CPU second", SERVERS, BASELINE, TARGETS)
    cases = BODIES if options.body == "both" else [options.body]
    about = {"mib": options.mib, "piece": PIECE}
    code: int = comparison.run(partial(_rate, mib=options.mib), cases, options, about)
    return code


def _rate(server: Server, body: str, mib: int) -> float:
    """Return the gigabytes of body that a server sends per second of its CPU time."""
    with running(server, {}, pinned=True) as (port, session):
        wait_for_hello(port)
        read(port, body, WARM_MIB)
        before = cpu_seconds(session)
        read(port, body, mib)
        return float((mib << 20) / (cpu_seconds(session) - before) / 1e9)


def read(port: int, body: str, mib: int) -> None:
    """Read a response, and see that it is as long as it should be; the server closes, as it is asked to."""
    pieces = (mib << 20) // PIECE
    request = f"GET /{body}/{pieces} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    received, buffer = 0, bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(request.encode())
        while size := sock.recv_into(buffer):
            if not received and not buffer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(bytes(buffer[:size]))
            received += size
    # The head is less than 1000 bytes, and framing adds less than 100 to a piece.
    if not pieces * PIECE < received < pieces * (PIECE + 100) + 1000:
        raise RuntimeError(f"{received} bytes came for {pieces} pieces")


def _options() -> argparse.Namespace:
    made: argparse.ArgumentParser = comparison_parser(__doc__)
    made.add_argument("--mib", type=int, default=1024, help="of body in a round")
    made.add_argument("--body", choices=[*BODIES, "both"], default="both")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
