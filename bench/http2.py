"""HTTP/2 per server CPU second: httpng beside granian, nginx and others, and beside its own HTTP/1.1.

h2load asks in clear text (by prior knowledge) and over TLS. What counts is what a server does per second of
its own CPU time, of all its threads: absolute figures on a shared machine mean little, so servers alternate
and ratios are taken within a round. There are three comparisons, each with a baseline of its own:

* many: hello with 32 streams at once on each of 8 connections, beside granian;
* one: hello with one stream at a time, beside our own HTTP/1.1 under the same load;
* bulk: 100 streams of 4 MiB at once on one connection, beside our own HTTP/1.1, which has one at a time.

A server may remember header blocks that come again, so the hellos are measured with a path that is another
in each request as well. The bare loop (http2_bare.py) receives, has h2 make the answers and sends them in
one go: the floor for whoever uses h2. The exit status tells whether the targets were met.

    python bench/http2.py [--rounds 5] [--seconds 2] [--compare many one bulk] [--wire clear tls]
        [--compiled] [--only NAME ...] [--save]

h2load: Debian: apt-get install nghttp2-client. What isn't installed of the peers is named and left out.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from certificate import write_certificate  # type: ignore[import-not-found]
from h2load import CONNECTIONS, Load, write_paths  # type: ignore[import-not-found]
from peers import granian, httpng  # type: ignore[import-not-found]
from rounds import Comparison, comparison_parser  # type: ignore[import-not-found]
from servers import HERE, NGINX, Server, cpu_seconds, python, running  # type: ignore[import-not-found]

ASGI = "bench_apps:asgi"
HTTP1 = ", HTTP/1.1"
GRANIAN, OURS, OURS_1 = "granian", "httpng uvloop, async def", f"httpng uvloop, async def{HTTP1}"
MANY, BULK_STREAMS, BULK_MIB = 32, 100, 4
_HYPERCORN = python(
    *("-m", "hypercorn", ASGI, "-b", "127.0.0.1:PORT", "-k", "uvloop", "--log-level", "ERROR"),
    *("-c", str(HERE / "http2_hypercorn.toml")),
)
_NGINX_CONF = """
    daemon off; master_process off; pid TMP/nginx.pid;
    events { }
    http {
        access_log off; keepalive_requests 1000000000;
        ssl_certificate CERTIFICATES/server.pem; ssl_certificate_key CERTIFICATES/server.key;
        server {
            listen 127.0.0.1:PORT LISTEN;
            location / { default_type text/plain; return 200 hello; }
        }
    }
"""
TLS_OPTIONS = {
    "httpng": ("--certfile", "CERTIFICATES/server.pem", "--keyfile", "CERTIFICATES/server.key"),
    "granian": ("--ssl-certificate", "CERTIFICATES/server.pem", "--ssl-keyfile", "CERTIFICATES/server.key"),
    "hypercorn": ("--certfile", "CERTIFICATES/server.pem", "--keyfile", "CERTIFICATES/server.key"),
    "nginx": (),
}
"""What each server needs to speak TLS, by the first word of its name; who isn't here doesn't."""

_BARE = Server("bare h2 loop", python(str(HERE / "http2_bare.py"), "PORT"))
_GRANIAN = Server(GRANIAN, granian(ASGI, "--http", "2"), "granian")
_OURS = Server(OURS, httpng("hello_async", "--uvloop"))
HELLO: tuple[Server, ...] = (
    _OURS,
    _GRANIAN,
    Server("httpng uvloop, def", httpng("hello_plain", "--uvloop")),
    Server("httpng asyncio, async def", httpng("hello_async", "--no-uvloop")),
    Server("httpng trio, async def", httpng("hello_async", backend="trio")),
    Server("nginx", NGINX, "nginx", _NGINX_CONF),
    Server("hypercorn uvloop", _HYPERCORN, "hypercorn"),
    _BARE,
)
_OWN_1 = Server(OURS_1, httpng("hello_async", "--uvloop"))
BULK: tuple[Server, ...] = (
    Server(OURS, httpng("bulk_async", "--uvloop")),
    Server(OURS_1, httpng("bulk_async", "--uvloop")),
    Server(GRANIAN, granian("bench_apps:asgi_more", "--http", "2"), "granian"),
)
COMPARISONS: dict[str, Comparison] = {
    "many": Comparison("http2_many", "requests per CPU second", HELLO, GRANIAN, {OURS: (1.2, 1.6)}),
    "one": Comparison(
        "http2_one", "requests per CPU second", (_OURS, _OWN_1, _GRANIAN), OURS_1, {OURS: (1.0, 1.0)}
    ),
    "bulk": Comparison("http2_bulk", "GB per CPU second", BULK, OURS_1, {OURS: (0.8, 0.8)}),
}


def main() -> int:
    """Measure, and print a table for each case; the exit status tells whether the targets were met."""
    options = _options()
    about = {"seconds": options.seconds, "connections": CONNECTIONS, "bulk_mib": BULK_MIB}
    code = 0
    with tempfile.TemporaryDirectory() as folder:
        write_certificate(Path(folder))
        for name in options.compare:
            for wire in options.wire:
                comparison = _over(COMPARISONS[name], wire)
                cases = [wire] if name == "bulk" else [wire, f"{wire}, paths change"]
                rate = partial(_rate, kind=name, folder=Path(folder), seconds=options.seconds)
                code |= comparison.run(rate, cases, options, about)
    return code


def _over(comparison: Comparison, wire: str) -> Comparison:
    """Return the comparison with a name of its own, of servers that speak TLS if that is asked for."""
    servers = comparison.servers
    if wire == "tls":
        servers = tuple(server for server in servers if server.name.split()[0] in TLS_OPTIONS)
    return replace(comparison, name=f"{comparison.name}_{wire}", servers=servers)


def _rate(server: Server, case: str, kind: str, folder: Path, seconds: float) -> float:
    """Return the requests that a server answers per second of its CPU time; of bulk the gigabytes."""
    over_tls, streams = case.startswith("tls"), {"many": MANY, "one": 1, "bulk": BULK_STREAMS}[kind]
    load = Load(streams, server.name.endswith(HTTP1), over_tls)
    with running(_with_tls(server, folder, over_tls), {}, pinned=True) as (port, session):
        load.wait_for_hello(port)
        if case.endswith("paths change"):
            load = replace(load, paths=folder / "paths")
            write_paths(folder / "paths", port, over_tls=over_tls)
        measure = partial(_bulk, load, port) if kind == "bulk" else partial(load.hello, port)
        measure(0.5)
        before = cpu_seconds(session)
        done = measure(seconds)
        return float(done / (cpu_seconds(session) - before))


def _bulk(load: Load, port: int, seconds: float) -> float:
    """Return how many gigabytes came; the seconds are not heeded, but for a warm-up that is shorter."""
    path = f"/sized/{BULK_MIB * 16 if seconds > 0.5 else 4}"
    return float(load.bulk(port, path, BULK_STREAMS) / 1e9)


def _with_tls(server: Server, folder: Path, over_tls: bool) -> Server:
    """Return the server with the options that it needs; for clear text, none."""
    options = TLS_OPTIONS[server.name.split()[0]] if over_tls else ()
    command = tuple(word.replace("CERTIFICATES", str(folder)) for word in (*server.command, *options))
    conf = server.nginx_conf.replace("CERTIFICATES", str(folder))
    return replace(
        server, command=command, nginx_conf=conf.replace("LISTEN", "ssl http2" if over_tls else "http2")
    )


def _options() -> argparse.Namespace:
    made: argparse.ArgumentParser = comparison_parser(__doc__)
    made.add_argument("--seconds", type=float, default=2, help="of load in a round")
    made.add_argument("--compare", nargs="+", choices=[*COMPARISONS], default=[*COMPARISONS])
    made.add_argument("--wire", nargs="+", choices=["clear", "tls"], default=["clear", "tls"])
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
