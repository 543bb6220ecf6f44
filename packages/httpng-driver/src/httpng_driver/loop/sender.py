"""The sending half of a pump: what the connection offers goes to the kernel, and its answer back."""

import socket
from collections.abc import Callable
from typing import Final

from httpng_core import Connection, PathLook, Readiness, lost
from httpng_driver.handlers.driving import Driving
from httpng_driver.loop.path_look import PathLooks
from httpng_driver.loop.poller import CanTake

_OFFERS_PER_TURN: Final = 16
_NOTHING: Final = Readiness.NOTHING
_ASK: Final = Readiness.ASK


class Sender(Driving):
    """Sends by one non-blocking socket, as long as it is open.

    Attributes:
        connection: the connection.
    """

    __slots__ = ("_asked", "_blocked", "_clock", "_fd", "_looks", "_socket", "connection")

    def __init__(self, sock: socket.socket, connection: Connection, clock: Callable[[], float]) -> None:
        self.connection = connection
        self._clock = clock
        self._socket = sock
        # Negative once it is closed.
        self._fd = sock.fileno()
        self._asked = CanTake(self._fd)
        self._blocked = False
        self._looks: PathLooks | None = None

    @property
    def taken(self) -> int:
        """How many wire bytes the kernel took."""
        return self.connection.accepted

    @property
    def socket(self) -> socket.socket:
        """The socket; for looking at, not for sending on."""
        return self._socket

    @property
    def rtt(self) -> float:
        """Seconds that a round trip took at the last look; 0 before one."""
        return 0.0 if self._looks is None else self._looks.rtt

    def look(self) -> PathLook | None:
        """Return what the kernel says of the way to the client now; `None` where it can't be told."""
        if self._fd < 0:
            return None
        if self._looks is None:
            self._looks = PathLooks(self._socket)
        return self._looks.look(is_blocked=self._blocked)

    def can_take(self) -> bool:
        """Ask the kernel whether it takes bytes now; false as well while something else is to be sent."""
        return not self.flagged and not self._blocked and self._asked()

    def push(self) -> bool:
        """Offer bytes to the kernel until it refuses or there are no more; return whether any moved."""
        connection, moved = self.connection, False
        for _ in range(_OFFERS_PER_TURN):
            if self._blocked or self._fd < 0:
                break
            readiness = connection.prepare()
            if readiness is _NOTHING:
                break
            if readiness is _ASK and not self._asked():
                self._blocked = True
                break
            moved = True
            if not self._offer():
                break
        return moved

    def _offer(self) -> bool:
        """Offer what there is; return whether the kernel took all of it, and there may be more."""
        connection, now = self.connection, self._clock()
        buffers = connection.data_to_send(now)
        if not buffers:
            return False
        try:
            if len(buffers) == 1:
                size = len(buffers[0])
                taken = self._socket.send(buffers[0])
            else:
                size = sum(map(len, buffers))
                taken = self._socket.sendmsg(buffers)
        except (BlockingIOError, InterruptedError):
            taken = 0
        except OSError as error:
            connection.connection_lost(now, lost(f"sending failed: {error.strerror}"))
            return False
        self._blocked = taken < size
        return connection.bytes_accepted(taken, now) and not self._blocked
