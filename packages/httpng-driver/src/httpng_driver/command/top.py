"""`httpng top URL`: a live view of a running server, from where its `status_handler` is mounted."""

import argparse
import http.client
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

Status = dict[str, Any]

_SORTS = {"l": "lag", "a": "age", "r": "rate", "s": "sent", "f": "current"}
_KEYS = "sort by l lag, a age, r rate, s sent, f current; / filter by path or client; q quit"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


def fetch(where: str, limit: int) -> Status:
    """Return what a server tells at `http://HOST:PORT/PATH` or `unix:/SOCKET:/PATH`.

    Raises:
        OSError, ValueError: it can't be reached, or tells something else.
    """
    connection: http.client.HTTPConnection
    if where.startswith("unix:"):
        name, _, path = where[5:].partition(":")
        connection = _UnixConnection(name)
    else:
        parts = urlsplit(where if "//" in where else f"http://{where}")
        path = parts.path
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = make(parts.netloc, timeout=10)
    try:
        connection.request("GET", f"{path or '/'}?format=json&limit={limit}")
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise ValueError(f"{where}: this is no HTTP: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"{where}: answered with {answer.status}: is httpng.status_handler mounted there?")
    found = json.loads(body)
    if not isinstance(found, dict) or "exchanges" not in found:
        raise ValueError(f"{where}: this is no status of httpng")
    return found


def top(arguments: list[str]) -> int:
    """Run `httpng top`; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="httpng top", description="A live view of a running server.", epilog=_KEYS
    )
    parser.add_argument("where", metavar="URL", help="where httpng.status_handler is, or unix:/SOCKET:/PATH")
    parser.add_argument("--json", action="store_true", help="print the state once, as JSON")
    parser.add_argument("--limit", type=int, default=100, help="so many exchanges at most (default: 100)")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two looks (default: 1)")
    given = parser.parse_args(arguments)
    try:
        status = fetch(given.where, given.limit)
        if given.json:
            print(json.dumps(status, indent=2))
            return 0
        return _watch(given.where, given.limit, given.interval)
    except (OSError, ValueError) as error:
        print(f"httpng top: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _watch(where: str, limit: int, interval: float) -> int:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        print("httpng top: install httpng[top], or use --json", file=sys.stderr)
        return 1
    by, wanted = "lag", ""
    console = Console()
    with _keys() as read, Live(console=console, screen=True, auto_refresh=False) as live:
        due, status = 0.0, fetch(where, limit)
        while True:
            if time.monotonic() >= due:
                status, due = fetch(where, limit), time.monotonic() + interval
            live.update(table(status, by, wanted, console.width, console.height), refresh=True)
            key = read(max(due - time.monotonic(), 0.01))
            if key in ("q", "\x03", "\x04"):
                return 0
            if key == "/":
                wanted = _line(read, lambda text: live.update(f"filter: {text}", refresh=True))
            by = _SORTS.get(key, by)


def table(status: Status, by: str, wanted: str, width: int, height: int) -> Any:
    """Return what is to be seen: totals, and the exchanges that `wanted` is a part of, sorted by `by`."""
    from rich.table import Table
    from rich.text import Text

    rows = [row for row in status["exchanges"] if wanted in row["target"] or wanted in row["client"]]
    rows.sort(key=lambda row: row[by], reverse=True)
    names = ["target", "client", "age", "lag", "current", "sent", "acked", "rate", "rtt", "stalled_by"]
    if width < 110:
        names = ["target", "client", "age", "lag", "sent", "rate", "stalled_by"]
    title = (
        f"{status['active']} exchanges, {status['connections']} connections, {len(status['loops'])} loops, "
    )
    title += f"{_size(status['in_flight'])} in flight, {status['begun']} requests; by {by}"
    shown = Table(title=title, caption=_KEYS, expand=True, box=None, header_style="bold")
    for name in names:
        is_text = name in ("target", "client", "stalled_by")
        shown.add_column(
            name, no_wrap=True, justify="left" if is_text else "right", ratio=2 if name == "target" else None
        )
    for row in rows[: max(height - 5, 1)]:
        # Of a stranger: no markup, and nothing that a terminal obeys.
        cells = [
            Text("".join(c if c.isprintable() else "?" for c in _cell(name, row[name]))) for name in names
        ]
        shown.add_row(*cells, style="red" if row["lag"] >= 1 else "")
    return shown


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("current", "sent", "acked", "rate"):
        return _size(value)
    if name == "rtt":
        return f"{value * 1000:.1f}ms"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _size(value: float) -> str:
    for unit in ("", "k", "M"):
        if value < 10_000:
            return f"{value:.0f}{unit}"
        value /= 1000
    return f"{value:.0f}G"


def _line(read: Any, show: Any) -> str:
    text = ""
    while True:
        show(text)
        key = read(3600)
        if key in ("\r", "\n", "\x1b", ""):
            return text
        text = text[:-1] if key in ("\x7f", "\b") else text + key


def _key(descriptor: int, seconds: float) -> str:
    # Not by sys.stdin, which reads ahead: what it has `select` doesn't see.
    ready = select.select([descriptor], [], [], seconds)[0]
    return os.read(descriptor, 1).decode("latin-1") if ready else ""


def _nothing(seconds: float) -> str:
    time.sleep(seconds)
    return ""


@contextmanager
def _keys() -> Iterator[Any]:
    """Give a function that waits for one key; empty if none comes in time. Without a terminal none does."""
    if not sys.stdin.isatty():
        yield _nothing
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield partial(_key, descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
