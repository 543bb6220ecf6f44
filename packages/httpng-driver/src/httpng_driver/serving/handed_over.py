"""Sockets that others have opened: by number, as objects of Python's, or left by the process before."""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from httpng_core import ConfigError, ListenAddress
from httpng_driver.serving import unix

VARIABLE: Final = "HTTPNG_INHERITED"
"""The variable in which a process leaves its successor what it listens on: places and descriptors."""


def adopt(address: ListenAddress) -> tuple[socket.socket, ListenAddress]:
    """Return the socket that `address` names by its descriptor, and where it listens.

    It is the same socket for a number, which is ours from now on; of an object a copy, as that will be closed
    by whoever has it.

    Raises:
        ConfigError: there is no such socket, or it can't be listened on.
    """
    number = address.descriptor
    try:
        sock = socket.socket(fileno=os.dup(number) if address.socket is not None else number)
    except OSError as error:
        raise ConfigError(f"fd {number}: {error.strerror}") from error
    try:
        return sock, _named(sock, address)
    except (ConfigError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        # Whose it is stays so.
        sock.detach() if address.socket is None else sock.close()
        raise ConfigError(f"fd {number}: {reason}") from error


def _named(sock: socket.socket, address: ListenAddress) -> ListenAddress:
    """Return where it listens, or will."""
    if sock.type != socket.SOCK_STREAM:
        raise ConfigError("it is no stream socket, so HTTP can't be spoken there")
    name = sock.getsockname()
    if sock.family == unix.family():
        return replace(address, path=os.fsdecode(name))
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        raise ConfigError("it is neither a TCP nor a Unix socket")
    if not name[1]:
        raise ConfigError("it is bound to no address")
    return replace(address, host=name[0], port=name[1])


class Inherited:
    """What the process before has left us, until it is taken.

    A key says where it was told to listen, so what the new configuration still wants is found, port 0 too.
    """

    def __init__(self) -> None:
        self._left: list[tuple[str, int]] | None = None

    def take(self, key: str) -> socket.socket | None:
        """Return the socket of a place, `None` if there is none."""
        for place in self._read():
            if place[0] == key:
                self._read().remove(place)
                return socket.socket(fileno=place[1])
        return None

    def close(self) -> None:
        """Close what nobody has taken."""
        for _, descriptor in self._read():
            os.close(descriptor)
        self._read().clear()

    def _read(self) -> list[tuple[str, int]]:
        if self._left is None:
            text = os.environ.pop(VARIABLE, "[]")
            self._left = [(str(key), int(descriptor)) for key, descriptor in json.loads(text)]
            for _, descriptor in self._left:
                os.set_inheritable(descriptor, False)
        return self._left


INHERITED: Final = Inherited()
"""What this process was left."""

Prepare = Callable[[socket.socket], None]
"""Sets the options of a socket of TCP."""
