"""What an application believes to have sent to a client that doesn't read, and what of it that has.

The same stream of FastAPI on each server, over HTTP/1.1 and where it can over HTTP/2. A client asks for it
and then reads nothing. When the application gets no further, its count is put beside the bytes in the kernel
of the client; what is left lies in the buffers of the server and of its kernel: stale, and lost if the client
goes. Both ends are in this machine, so it is the most that a kernel lets through.

    python bench/slow_client.py [--only NAME ...] [--save]
"""

import argparse
import fcntl
import json
import socket
import struct
import sys
import termios
import time
from dataclasses import dataclass
from urllib.request import urlopen

from h2.config import H2Configuration
from h2.connection import H2Connection
from peers import granian, uvicorn  # type: ignore[import-not-found]
from rounds import parser, save  # type: ignore[import-not-found]
from servers import Server, python, running  # type: ignore[import-not-found]

APP = "asgi_apps:slow"
_HTTPNG = ("-m", "httpng_asyncio", APP, "--uvloop", "--listen", "127.0.0.1:PORT", "--log-level", "error")
_HYPERCORN = ("-m", "hypercorn", APP, "-b", "127.0.0.1:PORT", "-k", "uvloop", "--log-level", "ERROR")

SERVERS = {
    ("httpng, send_window 64 KiB", "1.1"): Server("", python(*_HTTPNG, "--send-window", "65536")),
    ("httpng, as it comes", "1.1"): Server("", python(*_HTTPNG)),
    ("uvicorn (httptools)", "1.1"): Server("", uvicorn(APP), "uvicorn"),
    ("hypercorn", "1.1"): Server("", python(*_HYPERCORN), "hypercorn"),
    ("granian", "1.1"): Server("", granian(APP), "granian"),
    ("httpng, send_window 64 KiB", "2"): Server("", python(*_HTTPNG, "--send-window", "65536")),
    ("httpng, as it comes", "2"): Server("", python(*_HTTPNG)),
    ("hypercorn", "2"): Server("", python(*_HYPERCORN), "hypercorn"),
    ("granian", "2"): Server("", granian(APP, "--http", "2"), "granian"),
}
STILL = 3.0
"""Seconds without progress after which an application has come to a halt."""
LONGEST = 20.0
"""Seconds after which it is taken not to."""


@dataclass
class Row:
    """What became of one stream, in bytes.

    Attributes:
        server: which, and how it is set.
        http: the version that was spoken.
        believed: what the application has given and was told, by a `send` that returned, to be sent.
        has: what is in the kernel of the client, heads and framing included.
        halted: whether the application had to wait in the end.
    """

    server: str
    http: str
    believed: int
    has: int
    halted: bool


def main() -> int:
    """Measure, print a table, and keep it if asked to."""
    options = _options()
    rows = [
        measure(name, http, server)
        for (name, http), server in SERVERS.items()
        if server.is_installed and (not options.only or name in options.only)
    ]
    print(f"{'':28}{'HTTP':6}{'believed sent':>15}{'client has':>12}{'neither':>14}")
    for row in rows:
        goes_on = "" if row.halted else "  and on it goes"
        counts = f"{row.believed:15,}{row.has:12,}{row.believed - row.has:14,}"
        print(f"{row.server:28}{row.http:6}{counts}{goes_on}")
    if options.save:
        save("slow-client", {"event": 1000, "rows": [vars(row) for row in rows]})
    return 0


def measure(name: str, http: str, server: Server) -> Row:
    """Stall one client."""
    with running(server, {}) as (port, _), _connected(port) as client:
        client.sendall(_request(http))
        believed, halted = _halt(port, http)
        (has,) = struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, b"\0" * 4))
    return Row(name, http, believed, has, halted)


def _connected(port: int) -> socket.socket:
    for _ in range(200):
        client = socket.socket()
        # A device with little memory; the kernel doubles it.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        try:
            client.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            client.close()
            time.sleep(0.05)
        else:
            return client
    raise RuntimeError(f"nobody listens on port {port}")


def _request(http: str) -> bytes:
    if http == "1.1":
        return b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    h2 = H2Connection(H2Configuration(client_side=True))
    h2.initiate_connection()
    pseudo = {":method": "GET", ":path": "/", ":scheme": "http", ":authority": "127.0.0.1"}
    h2.send_headers(1, list(pseudo.items()), end_stream=True)
    return bytes(h2.data_to_send())


def _halt(port: int, http: str) -> tuple[int, bool]:
    """Wait until the application gets no further; return how far it is, and whether it has come to a halt."""
    began = changed = time.monotonic()
    believed = -1
    while time.monotonic() - began < LONGEST:
        now = _given(port, http)
        if now != believed:
            believed, changed = now, time.monotonic()
        elif time.monotonic() - changed >= STILL and believed > 0:
            return believed, True
        time.sleep(0.1)
    return believed, False


def _given(port: int, http: str) -> int:
    """Ask another connection of the same server."""
    if http == "1.1":
        with urlopen(f"http://127.0.0.1:{port}/given", timeout=LONGEST) as answer:
            return int(json.load(answer)["bytes"])
    with socket.create_connection(("127.0.0.1", port), LONGEST) as sock:
        h2, body = H2Connection(H2Configuration(client_side=True)), b""
        h2.initiate_connection()
        pseudo = {":method": "GET", ":path": "/given", ":scheme": "http", ":authority": "127.0.0.1"}
        h2.send_headers(1, list(pseudo.items()), end_stream=True)
        while not body.endswith(b"}"):
            sock.sendall(h2.data_to_send())
            for event in h2.receive_data(sock.recv(65536)):
                body += getattr(event, "data", None) or b""
        return int(json.loads(body)["bytes"])


def _options() -> argparse.Namespace:
    made: argparse.Namespace = parser(__doc__).parse_args()
    return made


if __name__ == "__main__":
    sys.exit(main())
