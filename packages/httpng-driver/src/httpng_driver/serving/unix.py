"""The files of Unix sockets: one left over is taken away before binding, our own when we close."""

import contextlib
import os
import socket
import stat


def family() -> int | None:
    """Return the family of Unix sockets, `None` where there are none."""
    return getattr(socket, "AF_UNIX", None)


def remove_stale(path: str) -> None:
    """Remove a socket file to which nobody listens. Anything else there is left alone.

    Raises:
        OSError: it can't be looked at or removed.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return  # bind() will say that the name is taken.
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Not to hang on a listener that is too busy to accept: that one is alive.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:
            return


def identity(path: str) -> tuple[int, int]:
    """Return what tells this file from a later one of the same name."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def remove(path: str, known: tuple[int, int]) -> None:
    """Remove the file if it is still the one with that `identity`."""
    with contextlib.suppress(OSError):
        if identity(path) == known:
            os.unlink(path)
