"""Calls of a socket whose failure is the connection's end."""

import socket
from collections.abc import Callable
from typing import Final

from httpng_core import Connection, lost

RECEIVE_SIZE: Final = 64 * 1024
"""So much is read at once."""


def received(
    receive: Callable[[int], bytes], connection: Connection, clock: Callable[[], float]
) -> bytes | None:
    """Return what `receive` gives, empty for a FIN; `None`: nothing, or an error, which is noted."""
    try:
        return receive(RECEIVE_SIZE)
    except OSError as error:
        note_failure(error, connection, clock)
        return None


def note_failure(error: OSError, connection: Connection, clock: Callable[[], float]) -> None:
    """Note that receiving has failed, unless there is only nothing to receive."""
    if not isinstance(error, (BlockingIOError, InterruptedError)):
        connection.connection_lost(clock(), lost(f"the client has gone: {error.strerror}"))


def shut_down(sock: socket.socket, connection: Connection, clock: Callable[[], float]) -> bool:
    """Shut the sending side down; false: that failed, which is noted."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        connection.connection_lost(clock(), lost(f"shutting down failed: {error.strerror}"))
        return False
    return True
