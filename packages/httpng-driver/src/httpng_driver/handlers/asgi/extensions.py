"""What ASGI applications may ask for beyond the specification of HTTP itself.

See https://asgi.readthedocs.io/en/latest/extensions.html.
"""

import os
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any, Final

import anyio.to_thread

from httpng_core import Exchange
from httpng_driver.handlers.files import DiskFiles
from httpng_driver.handlers.io import until_settled

PIECE: Final = 65536
"""How much of a file is read at once."""


def tls(exchange: Exchange) -> dict[str, Any]:
    """Return what the extension `tls` tells of a connection."""
    # An exchange that is over has let go of its connection.
    facts = None if exchange.is_over else exchange.host.driver.connection.statistics().tls
    version, suite, certificate = facts or (None, None, None)
    return {
        "server_cert": certificate,
        # No client is asked for one.
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": version,
        "cipher_suite": suite,
    }


class PathFile:
    """A file by its absolute path, read as static files are: no disk holds the loop up."""

    def __init__(self, files: DiskFiles, path: str) -> None:
        """Open the file."""
        self._file = files.open("/", os.fsencode(os.path.abspath(path)).split(b"/")[1:])

    async def size(self) -> int:
        """Wait until it is open; return its size in bytes.

        Raises:
            OSError: it can't be opened.
        """
        await until_settled(self._file.opening)
        # Raises what has gone wrong.
        _ = self._file.opening.result
        return self._file.info.size

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the whole of it."""
        at = 0
        while True:
            read = self._file.read(at, PIECE)
            await until_settled(read)
            _ = read.result
            if not read.data:
                return
            at += len(read.data)
            yield read.data

    def close(self) -> None:
        """Give it back."""
        self._file.close()


async def pieces_of(message: MutableMapping[str, Any]) -> AsyncGenerator[bytes, None]:
    """Yield what `http.response.zerocopysend` names of an open file, read in worker threads."""
    file, at, left = message["file"], message.get("offset"), message.get("count")
    fd = file if isinstance(file, int) else file.fileno()
    while left is None or left > 0:
        size = PIECE if left is None else min(left, PIECE)
        if at is None:
            data = await anyio.to_thread.run_sync(os.read, fd, size)
        else:
            data = await anyio.to_thread.run_sync(os.pread, fd, size, at)
            at += len(data)
        if not data:
            return
        left = None if left is None else left - len(data)
        yield data


def at_most(window: Any) -> Any:
    """Return the window for a file, of which nothing is to be chosen later: two pieces."""
    return window if window == "auto" else min(window, 2 * PIECE)
