"""Where a whole server's time goes, for PROFILE.md: by module, by system call, in the kernel.

The server (`async def`, uvloop) runs three times: under nothing, for its CPU time and the kernel's part of
that; under strace, for its system calls; under cProfile, for the shares of its modules. All per request of
hello, or per write of 64 KiB in bulk.

    python bench/server_profile.py hello|bulk [--seconds 3] [--mib 512]

wrk, and strace, which is left out if it isn't there: Debian: apt-get install wrk strace.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bulk import PIECE, read  # type: ignore[import-not-found]
from by_module import by_module, print_modules  # type: ignore[import-not-found]
from peers import httpng  # type: ignore[import-not-found]
from servers import Server, pin_load, running  # type: ignore[import-not-found]
from wrk import load, wait_for_hello  # type: ignore[import-not-found]

COMMANDS = {"hello": httpng("hello_async", "--uvloop"), "bulk": httpng("bulk_async", "--uvloop")}
Work = Callable[[int], int]
"""Loads the server on a port; returns how many requests or writes that were."""


def main() -> None:
    """Run the server three times, and print what each told."""
    options = _options()
    pin_load()
    work: Work = partial(_hello, seconds=options.seconds)
    if options.what == "bulk":
        work = partial(_bulk, mib=options.mib)
    command = COMMANDS[options.what]
    _print_cpu(command, work)
    if shutil.which("strace"):
        _print_system_calls(command, work)
    _print_modules(command, work)


def _print_cpu(command: tuple[str, ...], work: Work) -> None:
    with running(Server("httpng", command), {}, pinned=True) as (port, process):
        wait_for_hello(port)
        work(port)
        before = _times(process)
        count = work(port)
        user, system = (after - ago for after, ago in zip(_times(process), before, strict=True))
    cost = (user + system) / count * 1e6
    print(f"{cost:.1f} µs of CPU time, {system / (user + system):.0%} of it in the kernel")


def _print_system_calls(command: tuple[str, ...], work: Work) -> None:
    with running(Server("httpng", command), {}, pinned=True) as (port, process):
        wait_for_hello(port)
        work(port)
        with _traced(process) as calls:
            count = work(port)
    told = sorted(calls.items(), key=lambda item: -item[1])
    print("system calls: " + ", ".join(f"{name} {calls / count:.3f}" for name, calls in told[:8]))


@contextmanager
def _traced(process: int) -> Iterator[dict[str, int]]:
    """Count the system calls of a process; they are known afterwards."""
    calls: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "calls")
        command = ["strace", "-c", "-f", "-U", "calls,name", "-o", str(told), "-p", str(process)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
            assert strace.stderr is not None
            strace.stderr.readline()  # It says when it is attached.
            yield calls
            strace.send_signal(signal.SIGINT)
            strace.communicate(timeout=20)
        found = re.findall(r"^ *(\d+) (\w+)$", told.read_text(), re.MULTILINE)
        calls.update({name: int(count) for count, name in found if name != "total"})


def _print_modules(command: tuple[str, ...], work: Work) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "profile")
        profiled = (sys.executable, "-m", "cProfile", "-o", str(told), *command[1:])
        with running(Server("httpng", profiled), {}, pinned=True) as (port, process):
            wait_for_hello(port)
            count = work(port)
            os.kill(process, signal.SIGINT)
            _wait_for(told)
        modules = by_module(str(told), count)
    total = sum(cost for cost, _ in modules.values())
    print("under the profiler; what it can't see, the kernel and uvloop, is built-in")
    print_modules("all modules", modules, total)


def _wait_for(file: Path) -> None:
    for _ in range(200):
        if file.exists() and file.stat().st_size:
            time.sleep(0.5)  # It may not be whole yet.
            return
        time.sleep(0.05)
    raise RuntimeError(f"no {file}")


def _times(process: int) -> tuple[float, float]:
    """User and system time of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


def _hello(port: int, seconds: float) -> int:
    return int(load(port, seconds))


def _bulk(port: int, mib: int) -> int:
    read(port, "chunked", mib)
    return (mib << 20) // int(PIECE)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=list(COMMANDS))
    parser.add_argument("--seconds", type=float, default=3, help="of load by wrk, whole ones")
    parser.add_argument("--mib", type=int, default=512, help="of body")
    return parser.parse_args()


if __name__ == "__main__":
    main()
