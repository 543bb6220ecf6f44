"""How old a tick is when it reaches a client behind a slow link: httpng beside others, all in one run.

Each candidate has a link of 64 kbit/s of its own (see links.py) and one client that reads all it gets.
There are 50 ticks of 1 KiB a second, some seven times what the link can carry, and each candidate sends
the newest one in its best idiom, whenever it thinks that it can. The age of a tick is what the common
clock says when the last byte of it has been read, minus when the tick came into being.

The floor by computation is the time that a tick takes on the link, with all its headers, plus half of the
time between two ticks. The floor by hand sends the newest tick when nothing is unacknowledged. A token
bucket charges a packet before it passes, not while; who dawdles after an acknowledgement finds the bits
saved up. So a p50 below the floor is no merit, and the rate is part of the result.

httpng gated by acknowledgements is measured over HTTP/2 and TLS as well, with a client whose flow control
never closes: it is to be at most 1.3 times as old as over HTTP/1.1 in clear text in the same run.

    python -m bench.freshness [--seconds 60] [--warm-up 10] [--router] [--no-offload] [--queue BYTES]
                              [--only NAME ...] [--save]

The slow link is at the server's own interface, where its kernel sees what waits; with --router it is a
hop away, as between a server and a telephone, behind a queue that the kernel can't see. --no-offload has
TCP hand the interface single packets, which is where others do best.

Linux, as root, with iproute2. nginx with Lua is measured if it is there (Debian: apt-get install nginx-light
libnginx-mod-http-lua).
"""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import NoReturn

from bench import links, ticks
from tests.certificates import make_pair

ROOT = Path(__file__).parent.parent
RATE = 64_000
FIRST_PORT = 18300
MODULES = Path("/usr/lib/nginx/modules")

FLOOR = "by hand, nothing unacknowledged"
P50_AT_MOST, P99_AT_MOST = 1.15, 1.5
FRESHER_THAN_PEERS = 20
RATE_AT_LEAST = 0.95
LIKE_AT_MOST = 1.3
"""What HTTP/2 and TLS may add to the p50 of HTTP/1.1 in clear text."""


@dataclass(frozen=True)
class Candidate:
    """What is measured: its command, in which HOST, PORT, SECONDS and TMP stand for a run's own."""

    name: str
    command: tuple[str, ...]
    path: str = "/"
    needs: str = ""
    """A module of Python that has to be installed, or nginx with its own."""
    listen_options: str = ""
    """For nginx."""
    is_held: bool = False
    """Whether it is held to the targets."""
    is_python_peer: bool = False
    scheme: str = "http"
    """What the client speaks, see ticks_client.py; over TLS there is TMP/server.pem and .key."""
    like: str = ""
    """The candidate that it is to be about as fresh as."""


def _python(*command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *command)


def _floor(how: str) -> tuple[str, ...]:
    return _python("bench.ticks_floor", how, "HOST:PORT", "SECONDS")


_TLS = ("--certfile", "TMP/server.pem", "--keyfile", "TMP/server.key")


def _httpng() -> Iterator[Candidate]:
    backends = {
        "asyncio": ("httpng_asyncio", "--no-uvloop"),
        "uvloop": ("httpng_asyncio", "--uvloop"),
        "trio": ("httpng_trio",),
    }
    listen = ("--listen", "HOST:PORT")
    for until in ("sent", "acked"):
        held = until == "acked"
        for name, (module, *options) in backends.items():
            python = _python(module, f"bench.ticks_apps:{until}", *listen, *options)
            yield Candidate(f"httpng {name}, {until}", python, is_held=held)
            lua = _python(module, "bench/ticks.lua", *listen, *options)
            yield Candidate(f"httpng {name}, {until}, Lua", lua, f"/{until}", is_held=held)
    for name, (module, *options) in backends.items():
        python = _python(module, "bench.ticks_apps:feed", *listen, *options)
        yield Candidate(f"httpng {name}, Feed, acked", python, is_held=True)
        lua = _python(module, "bench/ticks.lua", *listen, *options)
        yield Candidate(f"httpng {name}, Feed, acked, Lua", lua, "/feed", is_held=True)
    for name, (module, *options) in backends.items():
        python = _python(module, "bench.ticks_apps:acked", *listen, *options)
        like = f"httpng {name}, acked"
        yield Candidate(f"{like}, HTTP/2", python, scheme="h2c", like=like)
        yield Candidate(f"{like}, TLS", (*python, *_TLS), scheme="https", like=like)
        yield Candidate(f"{like}, HTTP/2 over TLS", (*python, *_TLS), scheme="h2", like=like)
    module, *options = backends["asyncio"]
    small = _python(module, "bench.ticks_apps:sent", *listen, *options, "--notsent-lowat", "1024")
    yield Candidate("httpng asyncio, sent, notsent_lowat 1024", small)
    yield Candidate(
        "httpng asyncio, every tick", _python(module, "bench.ticks_apps:every", *listen, *options)
    )


def _hypercorn(worker: str) -> tuple[str, ...]:
    return _python("hypercorn", "bench.ticks_apps:asgi", "-b", "HOST:PORT", "-k", worker)


_UVICORN = _python(
    "uvicorn", "bench.ticks_apps:asgi", "--host", "HOST", "--port", "PORT", "--loop", "uvloop",
    "--http", "httptools", "--no-access-log", "--log-level", "warning",
)  # fmt: skip
_GRANIAN = _python(
    "granian", "bench.ticks_apps:asgi", "--interface", "asgi", "--host", "HOST", "--port", "PORT",
    "--loop", "uvloop", "--http", "1", "--no-ws", "--log-level", "warning",
)  # fmt: skip
_NGINX = ("nginx", "-p", "TMP", "-c", "TMP/nginx.conf", "-e", "TMP/error.log")

CANDIDATES = (
    Candidate(FLOOR, _floor("outq")),
    Candidate("by hand, TCP_NOTSENT_LOWAT", _floor("lowat")),
    *_httpng(),
    Candidate("uvicorn uvloop httptools", _UVICORN, needs="uvicorn", is_python_peer=True),
    Candidate("hypercorn asyncio", _hypercorn("asyncio"), needs="hypercorn", is_python_peer=True),
    Candidate("hypercorn trio", _hypercorn("trio"), needs="hypercorn", is_python_peer=True),
    Candidate("granian uvloop", _GRANIAN, needs="granian", is_python_peer=True),
    Candidate("nginx with Lua", _NGINX, needs="nginx"),
    Candidate("nginx with Lua, sndbuf=4k", _NGINX, needs="nginx", listen_options="sndbuf=4k"),
    Candidate("uvicorn, every tick", _UVICORN, "/every", needs="uvicorn"),
)

Arrivals = list[list[tuple[float, int]]]


@dataclass(frozen=True)
class Row:
    """What a candidate has shown."""

    name: str
    p50: float
    p99: float
    rate: float
    held: int
    """Bytes in the kernel's send queue shortly before the end: sent, and not acknowledged."""
    dropped: int
    """Packets that its link dropped."""


def main() -> int:
    """Measures and prints a table; the exit status tells whether the targets were met."""
    options = _options()
    check_machine()
    signal.signal(signal.SIGTERM, on_signal)
    chosen = [each for each in CANDIDATES if not options.only or each.name in options.only]
    missing = [each for each in chosen if not _is_installed(each.needs)]
    for each in missing:
        print(f"not installed, so not measured: {each.name}")
    chosen = [each for each in chosen if each not in missing]
    rows = measure(chosen, options)
    missed = _report(chosen, rows)
    if options.save:
        _save(rows, options, [each.name for each in missing])
    return 1 if missed else 0


def computed_floor() -> float:
    """Seconds that a tick takes on the link, plus half of the time between two ticks."""
    wire_bytes = ticks.CHUNK + links.TCP + links.IP + links.ETHERNET
    return wire_bytes * 8 / RATE + 0.5 / ticks.PER_SECOND


def measure(candidates: list[Candidate], options: argparse.Namespace) -> list[Row]:
    """Runs all candidates at once, each on its own link."""
    seconds, warm_up = options.seconds, options.warm_up
    slow = links.slow_links(
        len(candidates), RATE, router=options.router, offload=not options.no_offload, limit=options.queue
    )
    with ExitStack() as stack:
        made = stack.enter_context(slow)
        for index, candidate in enumerate(candidates):
            stack.enter_context(_running(candidate, made, index, seconds))
        _wait_until_they_listen(made, candidates)
        arrivals, queues = _read(made, candidates, seconds, warm_up)
        dropped = made.dropped()
    rows = []
    for index, (candidate, arrived) in enumerate(zip(candidates, arrivals, strict=True)):
        ages = [at - ticks.born(number) for at, number in arrived]
        if len(ages) < 2:
            raise RuntimeError(f"{candidate.name}: {len(ages)} ticks have arrived")
        p99 = quantiles(ages, n=100, method="inclusive")[98]
        rate = len(ages) / (seconds - warm_up)
        held = queues.get(FIRST_PORT + index, 0)
        rows.append(Row(candidate.name, median(ages), p99, rate, held, dropped[index]))
    return rows


@contextmanager
def _running(candidate: Candidate, made: links.Links, index: int, seconds: float) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        host, port = made.address(index), str(FIRST_PORT + index)
        if candidate.needs == "nginx":
            _write_nginx_conf(Path(folder), f"{host}:{port} {candidate.listen_options}")
        if candidate.scheme in ("https", "h2", "wss", "events"):
            make_pair(Path(folder))
        command = list(candidate.command)
        # The floor waits for its client as long as the others take to start.
        known = {"HOST": host, "PORT": port, "SECONDS": str(seconds + 120), "TMP": folder}
        for word, value in known.items():
            command = [part.replace(word, value) for part in command]
        process = subprocess.Popen(
            made.on_server() + command,
            cwd=ROOT,
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server and its workers: its process group is its own."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            continue


def _environment() -> dict[str, str]:
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _write_nginx_conf(folder: Path, listen: str) -> None:
    (folder / "nginx.conf").write_text(f"""
        load_module {MODULES}/ndk_http_module.so;
        load_module {MODULES}/ngx_http_lua_module.so;
        daemon off; master_process off; user root; pid {folder}/nginx.pid;
        events {{ }}
        http {{
            access_log off;
            server {{ listen {listen}; location / {{ content_by_lua_file {ROOT}/bench/ticks_nginx.lua; }} }}
        }}
    """)


def _wait_until_they_listen(made: links.Links, candidates: list[Candidate]) -> None:
    expected = {FIRST_PORT + index: each.name for index, each in enumerate(candidates)}
    for _ in range(400):
        missing = expected.keys() - made.listening()
        if not missing:
            return
        time.sleep(0.2)
    raise RuntimeError(f"doesn't listen: {', '.join(expected[port] for port in sorted(missing))}")


def _read(
    made: links.Links, candidates: list[Candidate], seconds: float, warm_up: float
) -> tuple[Arrivals, dict[int, int]]:
    """What has arrived, and by port what is in the send queues shortly before the end."""
    urls = [
        f"{each.scheme}://{made.address(index)}:{FIRST_PORT + index}{each.path}"
        for index, each in enumerate(candidates)
    ]
    command = [*made.on_client(), *_python("bench.ticks_client", str(seconds), str(warm_up), *urls)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, start_new_session=True
    )
    queues: dict[int, int] = {}
    told = b""
    try:
        try:
            told, _ = process.communicate(timeout=seconds * 0.95)
        except subprocess.TimeoutExpired:  # As it should.
            queues = made.send_queues()
            told, _ = process.communicate(timeout=60)
    finally:
        _end(process)
    if process.returncode:
        raise RuntimeError("the client has failed")
    arrivals: Arrivals = json.loads(told)
    return arrivals, queues


def _report(candidates: list[Candidate], rows: list[Row]) -> list[str]:
    by_name = {row.name: row for row in rows}
    floor = by_name.get(FLOOR, rows[0])
    rate = 1 / (computed_floor() - 0.5 / ticks.PER_SECOND)
    print(f"floor by computation: p50 {computed_floor():.3f} s, {rate:.2f} ticks a second\n")
    print(f"{'':42} {'age of a tick':^17} {'':8} {'in the':>9}   against the floor")
    print(f"{'':42} {'p50 s':>8} {'p99 s':>8} {'ticks/s':>8} {'kernel, B':>9} {'p50':>8} {'p99':>8}")
    for row in rows:
        against = f"{row.p50 / floor.p50:8.2f} {row.p99 / floor.p99:8.2f}"
        print(f"{row.name:42} {row.p50:8.3f} {row.p99:8.3f} {row.rate:8.2f} {row.held:9} {against}")
    missed = list(_missed(candidates, by_name, floor))
    print("\n" + ("\n".join(f"missed: {each}" for each in missed) or "all targets met"))
    return missed


def _missed(candidates: list[Candidate], rows: dict[str, Row], floor: Row) -> Iterator[str]:
    best = max(row.rate for row in rows.values())
    peers = [rows[each.name].p50 for each in candidates if each.is_python_peer]
    for row in (rows[each.name] for each in candidates if each.is_held):
        if row.p50 > P50_AT_MOST * floor.p50:
            yield f"{row.name}: p50 {row.p50 / floor.p50:.2f} times the floor's, at most {P50_AT_MOST}"
        if row.p99 > P99_AT_MOST * floor.p99:
            yield f"{row.name}: p99 {row.p99 / floor.p99:.2f} times the floor's, at most {P99_AT_MOST}"
        if row.rate < RATE_AT_LEAST * best:
            yield f"{row.name}: {row.rate:.2f} ticks a second, best {best:.2f}"
        if peers and FRESHER_THAN_PEERS * row.p50 > min(peers):
            times = min(peers) / row.p50
            yield f"{row.name}: {times:.1f} times as fresh as a Python peer, at least {FRESHER_THAN_PEERS}"
    for each in candidates:
        like, row = rows.get(each.like), rows[each.name]
        if like is not None and row.p50 > LIKE_AT_MOST * like.p50:
            times = row.p50 / like.p50
            yield f"{row.name}: p50 {times:.2f} times that of {like.name}, at most {LIKE_AT_MOST}"
        if like is not None and row.rate < RATE_AT_LEAST * like.rate:
            yield f"{row.name}: {row.rate:.2f} ticks a second, {like.name} {like.rate:.2f}"
    if not 0.95 <= floor.p50 / computed_floor() <= 1.05:
        yield f"{floor.name}: {floor.p50:.3f} s isn't within 5 % of the computed {computed_floor():.3f} s"


def _save(rows: list[Row], options: argparse.Namespace, missing: list[str]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    folder = ROOT / "bench" / "results"
    folder.mkdir(exist_ok=True)
    how = ("-router" if options.router else "") + ("-no-offload" if options.no_offload else "")
    path = folder / f"freshness{how}-{commit}.json"
    about = {
        "commit": commit,
        "python": platform.python_version(),
        "kernel": platform.release().partition("-")[0],
        "seconds": options.seconds,
        "warm_up": options.warm_up,
        "bits_per_second": RATE,
        "router": options.router,
        "offload": not options.no_offload,
        "queue": options.queue,
        "computed_floor": round(computed_floor(), 4),
        "not_installed": missing,
    }
    told = [
        {**vars(row), "p50": round(row.p50, 4), "p99": round(row.p99, 4), "rate": round(row.rate, 3)}
        for row in rows
    ]
    path.write_text(json.dumps({**about, "rows": told}, indent=1) + "\n")
    print(f"kept in {path}")


def _is_installed(name: str) -> bool:
    if name == "nginx":
        return shutil.which("nginx") is not None and (MODULES / "ngx_http_lua_module.so").exists()
    return not name or importlib.util.find_spec(name) is not None


def check_machine() -> None:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise SystemExit("bench/freshness.py makes network namespaces: it needs Linux and root")
    missing = [tool for tool in ("ip", "tc", "ss") if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"bench/freshness.py needs {', '.join(missing)} (Debian: apt-get install iproute2)")


def on_signal(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60, help="how long, warm-up included")
    parser.add_argument("--warm-up", type=float, default=10, help="seconds that don't count")
    parser.add_argument("--router", action="store_true", help="the slow link is behind a router")
    parser.add_argument("--no-offload", action="store_true", help="TCP hands its interface single packets")
    parser.add_argument("--queue", type=int, default=links.LIMIT, help="bytes that the slow link may queue")
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    options = parser.parse_args()
    if options.queue < links.BURST:
        parser.error(f"--queue must have room for a packet: at least {links.BURST}")
    if not 0 <= options.warm_up < options.seconds:
        parser.error("--warm-up must be shorter than --seconds")
    return options


if __name__ == "__main__":
    sys.exit(main())
