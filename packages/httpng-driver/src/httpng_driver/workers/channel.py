"""What a supervisor and a worker tell each other: a word and a number, a line each, over a socket pair."""

import socket
from contextlib import suppress
from typing import Final, Literal

VARIABLE: Final = "HTTPNG_WORKER"
"""The variable in which a worker finds the descriptor of its end."""

Word = Literal["ready", "leaving", "drain", "stop"]
"""A worker is `ready` or, by itself, `leaving`; it is told to `drain` within some seconds, or to `stop`."""


class Channel:
    """One end. It never blocks; what can't be sent is lost, as nobody is there to read it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._received = b""
        sock.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor, to wait for what comes; negative once it is closed."""
        return self._socket.fileno()

    def tell(self, word: Word, number: float = 0.0) -> None:
        """Send a word."""
        with suppress(OSError):
            self._socket.send(f"{word} {number}\n".encode())

    def receive(self) -> list[tuple[str, float]] | None:
        """Return what has come, `None` if the other end is gone."""
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._received = (self._received + data).split(b"\n")
        words = (line.decode().split(" ", 1) for line in lines)
        return [(word, float(number)) for word, number in words]

    def close(self) -> None:
        """Close this end. Again: nothing."""
        self._socket.close()
