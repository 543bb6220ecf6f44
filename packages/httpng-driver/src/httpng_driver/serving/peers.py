"""The other workers of a server, asked over Unix sockets in a folder that is theirs alone.

Each worker listens at the socket of its own process there. So whichever of them an operator has reached can
ask all of them, those that drain included.
"""

import json
import logging
import os
from functools import cache
from pathlib import Path
from typing import Any, Final

import anyio

from httpng_core import ListenAddress

_log = logging.getLogger("httpng")

VARIABLE: Final = "HTTPNG_WORKERS_FOLDER"
"""The variable in which a worker finds the folder."""
_PATIENCE: Final = 2.0
"""Seconds in which a worker has to answer; who doesn't is left out."""

Answer = tuple[int, Any]
"""The status of HTTP, and what the body says as JSON."""


class Peers:
    """The workers that listen in one folder, this one included."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    @property
    def place(self) -> ListenAddress:
        """Where this process listens for the others."""
        return ListenAddress("", 0, path=str(self._folder / f"{os.getpid()}"), mode=0o600)

    async def ask(self, target: str, body: Any = None) -> list[Answer]:
        """Ask all others at once; return what those said that have answered. With a `body` it is a POST."""
        found: list[Answer] = []

        async def ask_one(path: Path) -> None:
            try:
                with anyio.fail_after(_PATIENCE):
                    found.append(await _ask(path, target, body))
            except (OSError, TimeoutError, ValueError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
                _log.debug("worker %s doesn't answer: %r", path.name, error)

        async with anyio.create_task_group() as tasks:
            for path in self._folder.iterdir():
                if path.name != str(os.getpid()):
                    tasks.start_soon(ask_one, path)
        return found


@cache
def own_peers() -> Peers | None:
    """Return the other workers; `None` where this process is no worker."""
    folder = os.environ.pop(VARIABLE, "")
    return Peers(folder) if folder else None


async def _ask(path: Path, target: str, body: Any) -> Answer:
    sent = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{'GET' if body is None else 'POST'} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
    )
    received = bytearray()
    async with await anyio.connect_unix(str(path)) as stream:
        await stream.send(head.encode() + sent)
        while True:
            try:
                received += await stream.receive()
            except anyio.EndOfStream:
                break
    top, _, answer = bytes(received).partition(b"\r\n\r\n")
    return int(top.split(b" ", 2)[1]), json.loads(answer)
