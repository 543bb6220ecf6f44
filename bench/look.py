"""What `httpng top` costs a server: its CPU time for a look at 10,000 exchanges, each second, beside none.

All exchanges have bytes in flight for clients that don't read. A look is what top asks for: so many exchanges
as a terminal has lines, and it takes what the server's CPU time has grown by, of which what an idle second
took is no part. The first look finds the exchanges, the others find them kept together. The exit status tells
whether looks in a second take less than 1 % of a core.

    python bench/look.py [--exchanges 10000] [--looks 20] [--rows 24] [--save]

Linux; each side has all connections open: see `ulimit -Hn`.
"""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from rounds import save, verdict  # type: ignore[import-not-found]

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
AT_MOST = 10.0
"""Milliseconds in a second."""
SERVER = """
import httpng

BODY = bytes(200_000)

async def handler(req, io):
    await io.write(BODY, timeout=3600)
    await io.wait(0, timeout=3600)

if __name__ == "__main__":
    httpng.run(handler, listen="127.0.0.1:{}", admin="127.0.0.1:{}", stall_timeout=3600, backlog=4096)
"""


class Server:
    """A server in a process of its own, and what it takes."""

    def __init__(self) -> None:
        self.port, self.admin = _free_port(), _free_port()
        command = [sys.executable, "-c", SERVER.format(self.port, self.admin)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def cpu(self) -> float:
        """Return its CPU time, in milliseconds."""
        told = Path(f"/proc/{self.process.pid}/schedstat").read_text().split()
        return int(told[0]) / 1e6

    def look(self, rows: int) -> tuple[float, dict[str, Any]]:
        """Look once; return what that took, in milliseconds, and what was told."""
        before = self.cpu()
        asking = HTTPConnection("127.0.0.1", self.admin, timeout=30)
        asking.request("GET", f"/status?limit={rows}")
        told = json.loads(asking.getresponse().read())
        asking.close()
        time.sleep(0.1)
        return self.cpu() - before, told


def main() -> int:
    """Measure and print; the exit status tells whether the target was met."""
    options = _options()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server, clients = Server(), []
    try:
        for _ in range(options.exchanges):
            clients.append(_asked(server.port))
        time.sleep(10)
        first, told = server.look(options.rows)
        assert told["active"] == options.exchanges, told["active"]
        assert told["exchanges"][0]["lag"] > 1
        before = server.cpu()
        time.sleep(5)
        idle = (server.cpu() - before) / 50
        looks = []
        for _ in range(options.looks):
            looks.append(server.look(options.rows)[0] - idle)
            time.sleep(0.9)
    finally:
        server.process.kill()
        server.process.wait()
        for client in clients:
            client.close()
    median, most = statistics.median(looks), max(looks)
    told_of = f"{options.exchanges} exchanges that tells of {options.rows}"
    print(f"a look at {told_of}, in ms of the server's CPU time:")
    print(f"the first {first:.1f}; then {median:.1f} in the median, {min(looks):.1f} to {most:.1f}")
    if options.save:
        how = {"exchanges": options.exchanges, "rows": options.rows, "load": os.getloadavg()[0]}
        save("look", {**how, "first": first, "looks": looks})
    failures = [f"{median:.1f} ms, at most {AT_MOST}"] if median > AT_MOST else []
    code: int = verdict(failures)
    return code


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _asked(port: int) -> socket.socket:
    """Return a client that has asked, and has room for little."""
    for _ in range(100):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        try:
            sock.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            sock.close()
            time.sleep(0.1)
        else:
            sock.sendall(REQUEST)
            return sock
    raise SystemExit("the server doesn't listen")


def _options() -> argparse.Namespace:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--exchanges", type=int, default=10_000)
    made.add_argument("--looks", type=int, default=20, help="after the first one, one a second")
    made.add_argument("--rows", type=int, default=24, help="of how many exchanges a look tells")
    made.add_argument("--save", action="store_true", help="keep the result with the commit that made it")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
