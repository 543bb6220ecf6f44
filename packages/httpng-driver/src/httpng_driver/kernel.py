"""What the client's TCP has acknowledged, as the kernel tells it.

On Linux `SIOCOUTQ` counts the bytes that the kernel took and the client's TCP has not acknowledged, to the
byte. When to look: with `SO_TIMESTAMPING` and TX_ACK the kernel puts a message on the socket's error queue
as soon as the last byte of a `send()` was acknowledged, and that wakes the poller. See the kernel's
Documentation/networking/timestamping.rst.
"""

import socket
import struct
import sys

try:
    import fcntl
except ImportError:  # Not a Unix.
    CAN_TELL = False
else:
    CAN_TELL = sys.platform.startswith("linux")

_SIOCOUTQ = 0x5411
_SO_TIMESTAMPING = 37
_MSG_ERRQUEUE = 0x2000
_SOFTWARE, _OPT_ID, _TX_ACK, _OPT_TSONLY, _OPT_ID_TCP = 1 << 4, 1 << 7, 1 << 9, 1 << 11, 1 << 16
_FLAGS = (
    _SOFTWARE | _TX_ACK | _OPT_ID | _OPT_TSONLY | _OPT_ID_TCP,
    _SOFTWARE | _TX_ACK | _OPT_ID | _OPT_TSONLY,
)
_QUEUED_AT_MOST = 1024


def unacknowledged(sock: socket.socket) -> int | None:
    """Bytes in the send queue: taken by the kernel, not acknowledged; a FIN of ours counts as one.

    `None` where it can't be told.
    """
    if not CAN_TELL:
        return None
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), _SIOCOUTQ, b"\0\0\0\0"))[0])
    except OSError:
        return None


def ask_for_events(sock: socket.socket) -> bool:
    """Asks the kernel to report acknowledgements of what is sent from now on; whether it will."""
    for flags in _FLAGS:  # OPT_ID_TCP is younger than the rest.
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, flags)
        except OSError:
            continue
        return True
    return False


def drain_events(sock: socket.socket) -> bool:
    """Takes all reports off the error queue; whether there were any.

    They say that there is news; `unacknowledged` says which.
    """
    for taken in range(_QUEUED_AT_MOST):
        try:
            sock.recvmsg(0, 512, _MSG_ERRQUEUE)
        except OSError:
            return taken > 0
    return True
