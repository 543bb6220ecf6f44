"""The servers that fanout.py measures, and how one is run: one worker each."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FLOOR = "bare loop"
MODULES = Path("/usr/lib/nginx/modules")


@dataclass(frozen=True)
class Server:
    """A server to measure: its command, in which PORT and TMP stand for a run's own."""

    name: str
    command: tuple[str, ...]
    needs: str = ""
    """A program that has to be installed, or a module of Python."""

    @property
    def is_installed(self) -> bool:
        """Whether it can be measured here."""
        if self.needs == "nginx" and not (MODULES / "ngx_http_lua_module.so").exists():
            return False
        return (
            not self.needs
            or shutil.which(self.needs) is not None
            or importlib.util.find_spec(self.needs) is not None
        )


def _python(*command: str) -> tuple[str, ...]:
    return (sys.executable, *command)


def _httpng(*options: str, backend: str = "asyncio") -> tuple[str, ...]:
    app = "fanout_apps:httpng"
    return _python(
        *("-m", f"httpng_{backend}", app, "--listen", "127.0.0.1:PORT"),
        *("--max-conn-per-thread", "5000", *options),
    )


_UVICORN = _python(
    *("-m", "uvicorn", "fanout_apps:asgi", "--port", "PORT", "--loop", "uvloop", "--http", "httptools"),
    *("--no-access-log", "--log-level", "error", "--backlog", "4096"),
)
_GRANIAN = _python(
    *("-m", "granian", "fanout_apps:asgi", "--interface", "asgi", "--port", "PORT", "--loop", "uvloop"),
    *("--http", "1", "--no-ws", "--workers", "1", "--runtime-threads", "1", "--no-access-log"),
    *("--log-level", "error", "--backlog", "4096"),
)
_NGINX = ("nginx", "-p", "TMP", "-c", "TMP/nginx.conf", "-e", "TMP/error.log")

SERVERS: tuple[Server, ...] = (
    Server(FLOOR, _python(str(HERE / "fanout_apps.py"), "PORT")),
    Server("httpng uvloop", _httpng("--uvloop")),
    Server("httpng asyncio", _httpng("--no-uvloop")),
    Server("httpng trio", _httpng(backend="trio")),
    Server("uvicorn uvloop httptools", _UVICORN, "uvicorn"),
    Server("granian uvloop", _GRANIAN, "granian"),
    Server("nginx with Lua", _NGINX, "nginx"),
    Server("Go net/http", ("TMP/fanout", "PORT"), "go"),
    Server("Node http", ("node", str(HERE / "fanout_node.js"), "PORT"), "node"),
)


@contextmanager
def running(server: Server, followers: int) -> Iterator[tuple[int, int]]:
    """Runs a server for so many followers; gives its port and its session."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        _prepare(server, Path(folder), port)
        known = {"PORT": str(port), "TMP": folder}
        command = list(server.command)
        for word, value in known.items():
            command = [part.replace(word, value) for part in command]
        with subprocess.Popen(command, env=_environment(followers), start_new_session=True) as process:
            try:
                yield port, process.pid
            finally:
                _end(process)


def _prepare(server: Server, folder: Path, port: int) -> None:
    if server.needs == "go":
        # Its cache makes this quick from the second time on.
        subprocess.run(["go", "build", "-o", folder / "fanout", HERE / "fanout.go"], check=True)
    if server.needs == "nginx":
        (folder / "nginx.conf").write_text(f"""
            load_module {MODULES}/ndk_http_module.so;
            load_module {MODULES}/ngx_http_lua_module.so;
            daemon off; master_process off; pid {folder}/nginx.pid; env FANOUT_FOLLOWERS;
            events {{ worker_connections 5000; }}
            http {{
                access_log off; postpone_output 0;
                server {{
                    listen 127.0.0.1:{port} backlog=4096;
                    location / {{ content_by_lua_file {HERE}/fanout_nginx.lua; }}
                }}
            }}
        """)


def _environment(followers: int) -> dict[str, str]:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "FANOUT_FOLLOWERS": str(followers), "GOMAXPROCS": "1"}


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
