"""How many bytes of a response a proxy holds for a client that doesn't read, by the settings that bound them.

A client behind the proxy asks for a response without an end, and reads nothing; its own receive buffer is
small. Counted is what the proxy's TCP has acknowledged to httpng, without what lies in the client's buffer:
what is in the proxy and in its kernel's buffers, on both sides. All is on loopback, in clear text.

    python bench/proxy_holds.py [--save]

Linux, with nginx and haproxy (Debian's packages of these names); which isn't there is left out.
"""

import argparse
import asyncio
import fcntl
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from rounds import save  # type: ignore[import-not-found]

import httpng_asyncio
from httpng_core import Request
from httpng_driver import IO

SETTLED = 2.0
"""Seconds without a new byte after which no more come."""
PIECE = bytes(64 << 10)
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

Configure = Callable[[Path, str, int, int], list[str]]
NGINX = {
    "as it comes": ("", ""),
    "proxy_max_temp_file_size 0": ("", "proxy_max_temp_file_size 0;"),
    "proxy_buffering off": ("", "proxy_buffering off;"),
    "proxy_buffering off, listen sndbuf=16k": ("sndbuf=16k", "proxy_buffering off;"),
}
_SEND, _RECEIVE = "tune.sndbuf.client 16384", "tune.rcvbuf.server 16384"
HAPROXY = {
    "as it comes": "",
    _SEND: _SEND,
    f"{_SEND}, {_RECEIVE}": f"{_SEND}\n{_RECEIVE}",
}


def nginx(folder: Path, setting: str, port: int, back: int) -> list[str]:
    """Write its configuration; return the command."""
    listen, location = NGINX[setting]
    (folder / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {folder}/nginx.pid;
        events {{ }}
        http {{
            access_log off;
            server {{
                listen 127.0.0.1:{port} {listen};
                location / {{ proxy_pass http://127.0.0.1:{back}; proxy_http_version 1.1; {location} }}
            }}
        }}
    """)
    return ["nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"]


def haproxy(folder: Path, setting: str, port: int, back: int) -> list[str]:
    """Write its configuration; return the command."""
    (folder / "haproxy.cfg").write_text(f"""
global
    log stderr local0 emerg
    {HAPROXY[setting]}
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen held
    bind 127.0.0.1:{port}
    server back 127.0.0.1:{back}
""")
    return ["haproxy", "-db", "-f", f"{folder}/haproxy.cfg"]


class Endless:
    """A handler that writes as long as it may."""

    io: IO | None = None

    async def __call__(self, req: Request, io: IO) -> None:
        """Leave the `io` here."""
        io.window_until, io.send_window = "acked", 1 << 30
        self.io = io
        for _ in range((256 << 20) // len(PIECE)):
            if await io.write(PIECE, timeout=60) is not None:
                return
        await io.wait_cancelled()

    @property
    def acked(self) -> int:
        """Bytes of the body that the proxy's TCP has."""
        return 0 if self.io is None else self.io.get_send_stats().acked or 0


PROXIES: dict[str, tuple[Configure, Iterable[str]]] = {"nginx": (nginx, NGINX), "haproxy": (haproxy, HAPROXY)}


async def held(proxy: str, setting: str) -> int:
    """Return how many bytes the proxy holds with a setting."""
    write, _ = PROXIES[proxy]
    handler, port = Endless(), _free_port()
    async with anyio.create_task_group() as tasks:

        async def serve(*, task_status: anyio.abc.TaskStatus[object]) -> None:
            await httpng_asyncio.serve(handler, listen="127.0.0.1:0", task_status=task_status)

        server = await tasks.start(serve)
        with tempfile.TemporaryDirectory() as folder:
            command = write(Path(folder), setting, port, server.addresses[0].port)
            with _running(command):
                client = await _connected(port)
                client.send(REQUEST)
                acked = await _settled(handler)
                (ours,) = struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, bytes(4)))
                client.close()
        tasks.cancel_scope.cancel()
    return acked - int(ours)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _connected(port: int) -> socket.socket:
    for _ in range(200):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            sock.connect(("127.0.0.1", port))
        except OSError:
            sock.close()
            await asyncio.sleep(0.05)
        else:
            return sock
    raise SystemExit("the proxy doesn't listen")


async def _settled(handler: Endless) -> int:
    last, still = -1, 0.0
    for _ in range(600):
        await asyncio.sleep(0.1)
        if handler.acked and handler.acked == last:
            still += 0.1
            if still > SETTLED:
                return last
        else:
            last, still = handler.acked, 0.0
    raise SystemExit("it takes more and more")


def main() -> None:
    """Measure each, and print a table."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--save", action="store_true", help="into bench/results/")
    options = made.parse_args()
    rows: dict[str, dict[str, int]] = {}
    for proxy, (_, settings) in PROXIES.items():
        if shutil.which(proxy) is None:
            print(f"not installed, so nothing is measured behind it: {proxy}", file=sys.stderr)
            continue
        rows[proxy] = {}
        for setting in settings:
            rows[proxy][setting] = asyncio.run(held(proxy, setting))
            print(f"{proxy}, {setting}: {rows[proxy][setting] / 1024:,.0f} KiB", flush=True)
    if options.save:
        save("proxy-holds", {"held": rows})


if __name__ == "__main__":
    main()
