"""Servers that benchmarks measure: how one is run, and what it spends."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """A server to measure: its command, in which PORT and TMP stand for a run's own."""

    name: str
    command: tuple[str, ...]
    needs: str = ""
    """A program that has to be installed, or a module of Python, or a file."""
    nginx_conf: str = ""
    """What TMP/nginx.conf is to be."""

    @property
    def is_installed(self) -> bool:
        """Whether it can be measured here."""
        if "/" in self.needs:
            return Path(self.needs).exists()
        return (
            not self.needs
            or shutil.which(self.needs) is not None
            or importlib.util.find_spec(self.needs) is not None
        )


# Both once and for all: whoever pins itself has one core left.
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = _CORES[0], _CORES[-1]
"""Where a pinned server runs, and who loads it; the same one on a machine with one core."""

NGINX = ("nginx", "-p", "TMP", "-c", "TMP/nginx.conf", "-e", "TMP/error.log")


def python(*command: str) -> tuple[str, ...]:
    """A command of this Python."""
    return (sys.executable, *command)


def pin_load() -> None:
    """Keep this process and those that it starts from now on off the core of pinned servers."""
    os.sched_setaffinity(0, {LOAD_CORE})


def _pin_server() -> None:
    os.sched_setaffinity(0, {SERVER_CORE})


@contextmanager
def running(
    server: Server, environment: Mapping[str, str], *, pinned: bool = False
) -> Iterator[tuple[int, int]]:
    """Runs a server in a session of its own, on one core if it is pinned; gives its port and its session."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        known = {"PORT": str(port), "TMP": folder}
        if server.nginx_conf:
            Path(folder, "nginx.conf").write_text(_filled_in(server.nginx_conf, known))
        if server.needs == "go":
            # Its cache makes this quick from the second time on. The program has the name of its source.
            name = Path(server.command[0]).name
            subprocess.run(["go", "build", "-o", f"{folder}/{name}", HERE / f"{name}.go"], check=True)
        command = [_filled_in(part, known) for part in server.command]
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, **environment}
        pin = _pin_server if pinned else None
        with subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=pin) as process:
            try:
                yield port, process.pid
            finally:
                _end(process)


def cpu_seconds(leader: int) -> float:
    """CPU time of all threads of a server's session, to the nanosecond, as the scheduler counts it."""
    nanoseconds = 0
    for process in session_of(leader):
        try:
            nanoseconds += sum(int(task.read_text().split()[0]) for task in process.glob("task/*/schedstat"))
        except OSError:
            continue  # It ended while we looked.
    return nanoseconds / 1e9


def session_of(leader: int) -> Iterator[Path]:
    """The folders in /proc of a session's processes."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[3]) == leader:
                yield stat.parent
        except OSError:
            continue


def commit() -> str:
    """The commit that is measured."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(git, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()


def _filled_in(text: str, known: Mapping[str, str]) -> str:
    for word, value in known.items():
        text = text.replace(word, value)
    return text


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server and its workers: its process group is its own."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(3)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
