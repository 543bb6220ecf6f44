"""What a slow client gets: the ticker served to a fast client and to slow ones, as a live table.

    make demo            (or: python examples/demo.py; DEMO_SECONDS=20 in the environment)

Two slow clients read 8 KiB a second. One asks for the newest board each time (/), the other for every
board (/every), which is what happens wherever bytes vanish into buffers.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from pathlib import Path

import h11

HERE = Path(__file__).parent
SLOW_RATE = 8 * 1024
STEP = 1024
COLUMNS = ("client", "age of newest tick", "delivered", "skipped", "current", "sent", "in flight")
# What a narrow terminal can do without, the first of these first.
SPARE = ("current", "sent", "in flight", "delivered", "skipped")
BOLD, PLAIN = "\033[1;7m", "\033[0m"


class Client(threading.Thread):
    """Reads a stream of boards, as fast as it can or `rate` bytes a second, and notes their age."""

    def __init__(self, port: int, name: str, path: str, rate: int | None) -> None:
        super().__init__(daemon=True, name=name)
        self.address, self.path, self.rate = ("127.0.0.1", port), path, rate
        self.made_at = time.time()
        self.delivered = self.skipped = self.last_id = 0
        self._text = b""

    def run(self) -> None:
        """Reads until the server is gone."""
        with socket.socket() as sock:
            if self.rate is not None:
                # Before connecting, or the kernel picks a window that hides a slow reader for a while.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(self.address)
            sock.sendall(f"GET {self.path}?client={self.name} HTTP/1.1\r\nHost: demo\r\n\r\n".encode())
            with contextlib.suppress(OSError):  # The server stops, and with it the demo.
                self._read(sock)

    def _read(self, sock: socket.socket) -> None:
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method="GET", target="/", headers=[("host", "demo")]))
        parser.send(h11.EndOfMessage())
        due = time.monotonic()
        while data := sock.recv(65536 if self.rate is None else STEP):
            parser.receive_data(data)
            while isinstance(event := parser.next_event(), (h11.Response, h11.Data)):
                if isinstance(event, h11.Data):
                    self._take(bytes(event.data))
            if self.rate is not None:
                due = max(due + len(data) / self.rate, time.monotonic() - 1)
                time.sleep(max(0.0, due - time.monotonic()))

    def _take(self, text: bytes) -> None:
        *events, self._text = (self._text + text).split(b"\n\n")
        for event in events:
            found = re.match(rb'id: (\d+)\ndata: \{"at":([\d.]+),', event)
            assert found is not None, event
            number = int(found[1])
            self.skipped += number - self.last_id - 1 if self.last_id else 0
            self.delivered, self.last_id, self.made_at = self.delivered + 1, number, float(found[2])

    def row(self, stats: dict[str, int]) -> tuple[str, ...]:
        """The client's line of the table."""
        current, sent = stats.get("current", 0), stats.get("sent", 0)
        age = f"{time.time() - self.made_at:.2f} s"
        return (self.name, age, *map(str, (self.delivered, self.skipped, current, sent, current - sent)))


def main() -> int:
    """Runs the demo; the exit status."""
    seconds = float(os.environ.get("DEMO_SECONDS", "20"))
    command = [sys.executable, "-m", "httpng_asyncio", str(HERE / "ticker.lua"), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            port = _port(server)
            _show(port, seconds)
        finally:
            server.send_signal(signal.SIGINT)
            # The endless streams would be given `shutdown_timeout` to finish; a second signal is enough.
            server.send_signal(signal.SIGTERM)
            server.wait(20)
    return 0


def _port(server: "subprocess.Popen[str]") -> int:
    assert server.stderr is not None
    line = server.stderr.readline()
    found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
    if found is None:
        raise SystemExit(f"the server did not start: {line}{server.stderr.read()}")
    threading.Thread(target=server.stderr.read, daemon=True).start()
    return int(found[1])


def _show(port: int, seconds: float) -> None:
    clients = [
        Client(port, "fast", "/", None),
        Client(port, "slow", "/", SLOW_RATE),
        Client(port, "slow-every", "/every", SLOW_RATE),
    ]
    for client in clients:
        client.start()
    live, end, lines = sys.stdout.isatty(), time.monotonic() + seconds, 0
    _say(
        f"50 boards a second, about 1 KiB each. fast: as it can; slow: reads {SLOW_RATE // 1024} KiB/s; "
        "slow-every: the same reader on a handler that writes every board.\n"
    )
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(0.5 if live else 5.0, left))
        lines = _draw(port, clients, seconds - max(0.0, end - time.monotonic()), lines if live else 0)
    slow, every = clients[1], clients[2]
    print()
    _say(
        f"After {seconds:.0f} s the slow client's newest board is {time.time() - slow.made_at:.1f} s old; "
        f"where every board is written it is {time.time() - every.made_at:.1f} s old and growing."
    )


def _draw(port: int, clients: list[Client], after: float, erase: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=10) as answer:
        stats = json.load(answer)
    rows = [COLUMNS, *(client.row(stats.get(client.name, {})) for client in clients)]
    table = [
        *_table(rows, _columns(), highlights=bool(erase) or sys.stdout.isatty()),
        f"after {after:.0f} s\n",
    ]
    print(
        (f"\033[{erase}F" if erase else "") + "\n".join(f"{line}\033[K" if erase else line for line in table)
    )
    sys.stdout.flush()
    return len(table) + 1


def _table(rows: list[tuple[str, ...]], width: int, *, highlights: bool) -> list[str]:
    """The lines of a table of at most `width` columns, the ages in it highlighted."""
    widths = dict(zip(COLUMNS, (max(map(len, column)) for column in zip(*rows, strict=True)), strict=True))
    for spare in SPARE:
        if sum(widths.values()) + 2 * len(widths) - 2 <= width:
            break
        del widths[spare]
    lines = []
    for row in rows:
        cells = {
            name: cell.rjust(widths[name]) for name, cell in zip(COLUMNS, row, strict=True) if name in widths
        }
        if highlights and row is not rows[0]:
            age = row[1]
            cells[COLUMNS[1]] = cells[COLUMNS[1]].removesuffix(age) + BOLD + age + PLAIN
        lines.append("  ".join(cells.values()))
    return lines


def _columns() -> int:
    """How wide a line may be."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000


def _say(text: str) -> None:
    print("\n".join(textwrap.wrap(text, min(_columns(), 90))) + ("\n" if text.endswith("\n") else ""))


if __name__ == "__main__":
    sys.exit(main())
