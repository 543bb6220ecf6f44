"""What the kernel says of the way to one client, and what has changed since an earlier look (`TCP_INFO`)."""

import socket
import struct
from typing import Final

from httpng_core import PathLook
from httpng_driver.loop.tcp_options import CAN_TELL

# Of struct tcp_info: from tcpi_unacked, from tcpi_notsent_bytes, from tcpi_busy_time, tcpi_snd_wnd.
_UNACKED: Final = 24
_RTT: Final = 68
_NOT_SENT: Final = struct.Struct("II")
_NOT_SENT_AT: Final = 144
_TIMES: Final = struct.Struct("QQ")
_TIMES_AT: Final = 168
_WINDOW_AT: Final = 228
_SIZE: Final = 232
_LEAST_BUSY: Final = 50_000
"""Microseconds of sending that a share is taken of."""
_SLOWER: Final = 2
_SLACK: Final = 5_000
"""A round trip that takes twice the best, and so many microseconds more, has packets that queue."""


class PathLooks:
    """Looks at one socket, and remembers one earlier look."""

    __slots__ = ("_before", "_socket", "rtt")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._before = (0, 0)
        self.rtt = 0.0

    def look(self, *, is_blocked: bool) -> PathLook | None:
        """Look now; `None` where it can't be told. `is_blocked` says whether the socket takes nothing."""
        if self._socket.family not in (socket.AF_INET, socket.AF_INET6):
            # Between two processes there is no network.
            return PathLook(unacked=0, notsent=int(is_blocked))
        if not CAN_TELL:
            return None
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
        except OSError:
            return None
        if len(info) < _TIMES_AT + _TIMES.size:
            return None
        (unacked,) = struct.unpack_from("I", info, _UNACKED)
        (rtt,) = struct.unpack_from("I", info, _RTT)
        notsent, best = _NOT_SENT.unpack_from(info, _NOT_SENT_AT)
        self.rtt = rtt / 1_000_000
        window = struct.unpack_from("I", info, _WINDOW_AT)[0] if len(info) >= _SIZE else 1
        return PathLook(
            unacked=unacked,
            notsent=notsent,
            is_shut=window == 0,
            limited=self._share(*_TIMES.unpack_from(info, _TIMES_AT)),
            queues=rtt > _SLOWER * best + _SLACK,
        )

    def _share(self, busy: int, limited: int) -> float:
        was_busy, was_limited = self._before
        if busy - was_busy < _LEAST_BUSY:
            return 0.0
        self._before = busy, limited
        return (limited - was_limited) / (busy - was_busy)
