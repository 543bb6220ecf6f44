"""Watching the files of an application in a thread: by watchfiles if that is there, else by their times."""

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

_SUFFIXES: Final = frozenset({".py", ".lua", ".toml"})
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
_EVERY: Final = 0.3
_MOST: Final = 20_000
"""So many files are looked at by their times at most."""


class FileWatch:
    """Calls a function whenever a file of the application has changed, until it is closed."""

    def __init__(self, changed: Callable[[], None], folders: list[Path] | None = None) -> None:
        """Watch `folders`; `None`: those of the program's arguments, and the one that it began in."""
        self._changed = changed
        self._folders = folders_of_program() if folders is None else folders
        self._stop = threading.Event()
        has_library = importlib.util.find_spec("watchfiles") is not None
        self._thread = threading.Thread(
            target=self._watch if has_library else self._poll, name="httpng-watch", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()

    def _watch(self) -> None:
        library: Any = importlib.import_module("watchfiles")
        for _ in library.watch(
            *self._folders,
            watch_filter=lambda _, path: is_ours(Path(path)),
            stop_event=self._stop,
            raise_interrupt=False,
        ):
            self._changed()

    def _poll(self) -> None:
        before = self._times()
        while not self._stop.wait(_EVERY):
            now = self._times()
            if now != before:
                self._changed()
            before = now

    def _times(self) -> dict[str, int]:
        times: dict[str, int] = {}
        for folder in self._folders:
            for path in _files(folder):
                if len(times) >= _MOST:
                    return times
                try:
                    times[str(path)] = path.stat().st_mtime_ns
                except OSError:
                    continue
        return times


def folders_of_program() -> list[Path]:
    """Return where the files of the application are: beside those that the command line names, and here."""
    named = {Path.cwd()}
    for argument in sys.orig_argv[1:]:
        path = Path(argument.partition(":")[0])
        if path.suffix in _SUFFIXES and path.is_file():
            named.add(path.resolve().parent)
    return sorted(folder for folder in named if not any(other in folder.parents for other in named))


def is_ours(path: Path) -> bool:
    """Return whether a change of this file is a change of the application."""
    return path.suffix in _SUFFIXES and not any(
        part in _SKIPPED or (part.startswith(".") and len(part) > 1) for part in path.parts
    )


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
        for name in names:
            if os.path.splitext(name)[1] in _SUFFIXES:
                yield Path(place, name)
