"""Messages delivered per server CPU second: one producer, many fast followers, ticks of 200 bytes.

Each server streams the same ticks to 200 and to 2,000 connections of a reader process that just drains
them, 20,000 messages a second. What counts is how many the reader got for each second of the server's CPU
time (user and system); the floor is a bare loop, `for s in sockets: s.send(frame)`. Absolute figures on a
shared machine mean little: the servers alternate, and ratios are taken within a round.

    python bench/fanout.py [--rounds 5] [--seconds 4] [--followers 200 2000] [--only NAME ...] [--save]
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import platform
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FRAME = len(b"c8\r\n") + 200 + len(b"\r\n")
"""A tick as a chunk."""
FLOOR = "bare loop"
READ_EVERY = 0.002
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True)
class Server:
    """A server to measure: its command, in which PORT stands for the port."""

    name: str
    command: tuple[str, ...]


def _httpng(*options: str, backend: str = "asyncio") -> tuple[str, ...]:
    app = "fanout_apps:httpng"
    return (
        *("-m", f"httpng_{backend}", app, "--listen", "127.0.0.1:PORT"),
        *("--max-conn-per-thread", "5000", *options),
    )


_UVICORN = ("-m", "uvicorn", "fanout_apps:asgi", "--port", "PORT", "--no-access-log", "--log-level", "error")
SERVERS: tuple[Server, ...] = (
    Server(FLOOR, (str(HERE / "fanout_apps.py"), "PORT")),
    Server("httpng uvloop", _httpng("--uvloop")),
    Server("httpng asyncio", _httpng("--no-uvloop")),
    Server("httpng trio", _httpng(backend="trio")),
    Server("uvicorn uvloop httptools", (*_UVICORN, "--loop", "uvloop", "--http", "httptools")),
)
if importlib.util.find_spec("granian"):
    _GRANIAN = ("--interface", "asgi", "--port", "PORT", "--no-access-log", "fanout_apps:asgi")
    SERVERS += (Server("granian", ("-m", "granian", *_GRANIAN)),)


def main() -> int:
    """Measures and prints a table; the exit status tells whether the targets were met."""
    options = _options()
    for missing in [name for name in ("granian", "go") if shutil.which(name) is None]:
        print(f"{missing} isn't installed and isn't measured; nginx would need its Lua module")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    chosen = [one for one in SERVERS if not options.only or one.name in options.only or one.name == FLOOR]
    reports = {str(followers): _compare(chosen, followers, options) for followers in options.followers}
    if options.save:
        _save(reports)
    return 0 if all(_is_met(report) for report in reports.values()) else 1


def _compare(servers: list[Server], followers: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    for round_ in range(options.rounds):
        for server in servers:
            rate, delivered = measure(server, followers, options.seconds)
            rates[server.name].append(rate)
            print(
                f"{followers} followers  round {round_ + 1}  {server.name:26}"
                f"{rate:9.0f} messages per CPU second, {delivered:6.0f} a second",
                flush=True,
            )
    return _report(followers, rates)


def measure(server: Server, followers: int, seconds: float) -> tuple[float, float]:
    """Messages delivered per CPU second of the server, and per second."""
    port = _free_port()
    command = [sys.executable, *(part.replace("PORT", str(port)) for part in server.command)]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "FANOUT_FOLLOWERS": str(followers)}
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            with _reader(port, followers) as count:
                _wait(lambda: count.value > followers * FRAME * 4, "ticks come in")
                began, before, read = time.monotonic(), _cpu_seconds(process.pid), count.value
                time.sleep(seconds)
                spent, delivered = _cpu_seconds(process.pid) - before, (count.value - read) / FRAME
                return delivered / spent, delivered / (time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def _reader(port: int, followers: int) -> Iterator[Any]:
    count = multiprocessing.Value("Q", lock=False)
    process = multiprocessing.Process(target=_drain, args=(port, followers, count), daemon=True)
    process.start()
    try:
        yield count
    finally:
        process.kill()
        process.join()


def _drain(port: int, followers: int, count: Any) -> None:
    poll, sockets = select.epoll(), {}
    for _ in range(followers):
        sock = _connected(port)
        sock.sendall(REQUEST)
        sockets[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
    buffer = bytearray(1 << 16)
    while True:
        for fd, _ in poll.poll():
            count.value += sockets[fd].recv_into(buffer)
        # Else a server pays for waking the reader with each message, the more the slower it is.
        time.sleep(READ_EVERY)


def _connected(port: int) -> socket.socket:
    for _ in range(400):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _wait(condition: Any, what: str) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise RuntimeError(f"not so in time: {what}")


def _cpu_seconds(leader: int) -> float:
    """CPU time of all threads of a server, to the nanosecond, as the scheduler counts it."""
    nanoseconds = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[3]) == leader:
                tasks = stat.parent.glob("task/*/schedstat")
                nanoseconds += sum(int(task.read_text().split()[0]) for task in tasks)
        except OSError:
            continue  # It ended while we looked.
    return nanoseconds / 1e9


def _report(followers: int, rates: dict[str, list[float]]) -> list[dict[str, Any]]:
    rows = []
    print(f"\n{followers} followers{'':15} {'median':>8} {'min':>8} {'max':>8}  of the bare loop, median")
    for name, own in rates.items():
        ratio = statistics.median(a / b for a, b in zip(own, rates[FLOOR], strict=True))
        print(f"{name:28} {statistics.median(own):8.0f} {min(own):8.0f} {max(own):8.0f}  {ratio:.2f}")
        rows.append({"server": name, "median": statistics.median(own), "ratio": ratio, "rounds": own})
    print()
    return rows


def _is_met(report: list[dict[str, Any]]) -> bool:
    """At least 0.6 of the floor, and 1.6 times uvicorn."""
    ratios = {row["server"]: row["ratio"] for row in report}
    own = [ratio for name, ratio in ratios.items() if name.startswith("httpng")]
    peers = [ratio for name, ratio in ratios.items() if name.startswith("uvicorn")]
    return bool(max(own, default=1.0) >= max([0.6, *(1.6 * ratio for ratio in peers)]))


def _save(reports: dict[str, list[dict[str, Any]]]) -> None:
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    path = HERE / "results" / f"fanout-{commit}.json"
    path.parent.mkdir(exist_ok=True)
    about = {"commit": commit, "python": platform.python_version(), "kernel": platform.release()}
    path.write_text(json.dumps({**about, "followers": reports}, indent=1) + "\n")
    print(f"kept in {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--followers", nargs="+", type=int, default=[200, 2000])
    parser.add_argument("--only", nargs="*", metavar="NAME")
    parser.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
