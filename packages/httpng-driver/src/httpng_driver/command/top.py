"""`httpng top WHERE`: a live view of a running server, from its admin listener or a status handler."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from httpng_driver.command.asking import Status, fetch, tell
from httpng_driver.command.keyboard import DOWN, UP, Keyboard, read_keys
from httpng_driver.command.top_table import KEYS, rows_of, table

_SORTS: Final = {"l": "lag", "a": "age", "r": "rate", "s": "sent", "f": "current"}
_TOLD_FOR: Final = 3.0
"""Seconds for which it is told what came of a verb."""


def top(arguments: list[str]) -> int:
    """Run `httpng top`; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="httpng top", description="A live view of a running server.", epilog=f"Keys: {KEYS}."
    )
    parser.add_argument(
        "where",
        metavar="WHERE",
        help="what --admin says of the server, unix:/SOCKET or ADDR:PORT; or the URL of an"
        " httpng.status_handler, behind a Unix socket unix:/SOCKET:/PATH",
    )
    parser.add_argument("--json", action="store_true", help="print the state once, as JSON")
    parser.add_argument("--limit", type=int, default=100, help="so many exchanges at most (default: 100)")
    parser.add_argument("--sort", choices=_SORTS.values(), default="lag", help="by what (default: lag)")
    parser.add_argument("--filter", default="", metavar="TEXT", help="only those with it in target or client")
    parser.add_argument("--connections", type=int, default=0, help="with --json: so many connections as well")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two looks (default: 1)")
    given = parser.parse_args(arguments)
    wanted = {"limit": given.limit, "sort": given.sort, "part": given.filter}
    try:
        if given.json:
            print(json.dumps(fetch(given.where, **wanted, connections=given.connections), indent=2))
            return 0
        return _watch(given.where, given.interval, wanted)
    except (OSError, ValueError) as error:
        print(f"httpng top: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _watch(where: str, interval: float, wanted: dict[str, Any]) -> int:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        print("httpng top: install httpng[top], or use --json", file=sys.stderr)
        return 1
    console = Console()
    # Before the screen is taken: what is wrong is to be seen.
    fetch(where, **wanted)
    with read_keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        view = View(where, wanted, lambda shown: live.update(shown, refresh=True))
        due = 0.0
        while not view.is_over:
            if time.monotonic() >= due:
                view.look(console.height)
                due = time.monotonic() + interval
            view.draw(console.width, console.height)
            view.press(keys.key(max(due - time.monotonic(), 0.01)), keys)
            if view.is_stale:
                due = 0.0
    return 0


class View:
    """What is looked at, and what is done with it.

    Attributes:
        is_over: whether whoever looks has had enough.
        is_stale: whether something else is wanted than was asked for last.
    """

    def __init__(self, where: str, wanted: dict[str, Any], show: Callable[[Any], None]) -> None:
        self.is_over = self.is_stale = False
        self._where = where
        self._wanted = wanted
        self._show = show
        self._status: Status = {}
        self._kind = "e"
        self._chosen = ""
        self._told, self._told_until = "", 0.0

    def look(self, rows: int) -> None:
        """Ask the server, for as much as is seen in so many rows: each that it tells of takes its time."""
        wanted = self._wanted | {"limit": min(self._wanted["limit"], rows)}
        connections = wanted["limit"] if self._kind == "c" else 0
        self._status = fetch(self._where, **wanted, connections=connections)
        self.is_stale = False
        if self._chosen not in self._ids:
            self._chosen = ""

    def draw(self, width: int, height: int) -> None:
        """Show what is known."""
        told = self._told if time.monotonic() < self._told_until else ""
        if not told and self._wanted["part"]:
            told = f"with {self._wanted['part']!r} in target or client; / for another one"
        by = self._wanted["sort"]
        self._show(table(self._status, self._kind, self._chosen, told, by, width, height))

    def press(self, key: str, keys: Keyboard) -> None:
        """Do what a key says."""
        if key in ("q", "\x03", "\x04"):
            self.is_over = True
        elif key in _SORTS:
            self._wanted["sort"], self.is_stale = _SORTS[key], True
        elif key in ("e", "c", "v") and key != self._kind:
            self._kind, self._chosen, self.is_stale = key, "", True
        elif key == "/":
            self._wanted["part"] = keys.line(lambda text: self._show(f"filter: {text}"))
            self.is_stale = True
        elif key == "?":
            self._tell(KEYS)
        elif key in (UP, DOWN):
            self._choose(1 if key == DOWN else -1)
        elif key in ("k", "K", "w"):
            self._act(key, keys)

    @property
    def _ids(self) -> list[str]:
        return [row["id"] for row in rows_of(self._status, self._kind) if "id" in row]

    def _choose(self, step: int) -> None:
        ids = self._ids
        if ids:
            at = ids.index(self._chosen) + step if self._chosen in ids else 0
            self._chosen = ids[max(0, min(at, len(ids) - 1))]

    def _act(self, key: str, keys: Keyboard) -> None:
        row = next((row for row in rows_of(self._status, self._kind) if row.get("id") == self._chosen), None)
        if row is None:
            self._tell("choose one first, by the arrows up and down")
        elif self._kind == "c" or key == "K":
            name = row["id"] if self._kind == "c" else row["connection"]
            if self._is_sure(f"kill connection {name} of {row['client']}", keys):
                self._tell(f"kill {name}: {tell(self._where, 'kill', connection=name)}")
        elif key == "k":
            if self._is_sure(f"kill {row['method']} {row['target']} of {row['client']}", keys):
                self._tell(f"kill {row['id']}: {tell(self._where, 'kill', exchange=row['id'])}")
        else:
            text = keys.line(lambda text: self._show(f"send window of {row['target']}, in bytes: {text}"))
            if text.isascii() and text.isdigit():
                done = tell(self._where, "window", exchange=row["id"], bytes=int(text))
                self._tell(f"window of {row['id']}: {done}")
        self.is_stale = True

    def _is_sure(self, what: str, keys: Keyboard) -> bool:
        self._show(f"{printable(what)}? y or n")
        return keys.key(60) == "y"

    def _tell(self, text: str) -> None:
        self._told, self._told_until = text, time.monotonic() + _TOLD_FOR


def printable(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)
