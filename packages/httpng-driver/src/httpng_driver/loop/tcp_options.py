"""What the client's TCP has acknowledged, as the kernel tells it, and when the kernel gives it up.

On Linux `SIOCOUTQ` counts the bytes that the kernel took and the client's TCP has not acknowledged, to the
byte. When to look: with `SO_TIMESTAMPING` and TX_ACK the kernel puts a message on the socket's error queue
as soon as the last byte of a `send()` was acknowledged, and that wakes the poller. See the kernel's
Documentation/networking/timestamping.rst.
"""

import socket
import struct
import sys
from contextlib import suppress
from math import ceil, inf

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
_RESET = struct.pack("ii", 1, 0)

GIVE_UP_MARGIN = 5.0
"""Seconds by which the kernel gives a client up later than we do."""
_LAST_DATA_SENT_AT = 44
_LONGEST = 2**31 - 1

PROBE_INTERVAL = 10
"""Seconds between two probes of a client that doesn't answer."""
PROBES = 6
"""So many probes go unanswered before the kernel gives a client up."""
_LONGEST_IDLE = 32767


def unacknowledged(sock: socket.socket) -> int | None:
    """Return the bytes in the send queue: taken by the kernel, not acknowledged; a sent FIN counts as one.

    `None` where it can't be told.
    """
    if not CAN_TELL:
        return None
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), _SIOCOUTQ, b"\0\0\0\0"))[0])
    except OSError:
        return None


def ask_for_events(sock: socket.socket) -> bool:
    """Ask the kernel to report acknowledgements of what is sent from now on; return whether it will."""
    for flags in _FLAGS:  # OPT_ID_TCP is younger than the rest.
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, flags)
        except OSError:
            continue
        return True
    return False


def drain_events(sock: socket.socket) -> bool:
    """Take all reports off the error queue; return whether there were any.

    They say that there is news; `unacknowledged` says which.
    """
    for taken in range(_QUEUED_AT_MOST):
        try:
            sock.recvmsg(0, 512, _MSG_ERRQUEUE)
        except OSError:
            return taken > 0
    return True


def give_up_after(sock: socket.socket, seconds: float) -> None:
    """Have the kernel give a client up that makes no progress for `seconds` and a margin; infinity: not.

    To `TCP_USER_TIMEOUT` that is while bytes are not acknowledged, or can't be sent as the client has no
    room. Linux counts from when that began, which may be long ago: that time is added. Where the option is
    missing nothing is done.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is None:
        return
    waited = since_last_sent(sock) if seconds < inf and unacknowledged(sock) else 0
    given = 0 if seconds == inf else int(min((seconds + GIVE_UP_MARGIN) * 1000 + waited, _LONGEST))
    # A socket that is dead already needs no backstop.
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, option, given)


def keep_alive(sock: socket.socket, seconds: float) -> None:
    """Have the kernel probe a client that says nothing for `seconds`, and give up one that is gone.

    Infinity: it does not.

    Set on a listening socket it is that of all that it accepts.
    """
    if seconds == inf:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    first = min(max(ceil(seconds), 1), _LONGEST_IDLE)
    for name, value in (
        ("TCP_KEEPIDLE", first),
        ("TCP_KEEPALIVE", first),
        ("TCP_KEEPINTVL", PROBE_INTERVAL),
        ("TCP_KEEPCNT", PROBES),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            # The kernel's own values are better than nothing.
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def since_last_sent(sock: socket.socket) -> int:
    """Return the milliseconds since the kernel last sent body or repeated it; probes don't count."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_SENT_AT + 4)
        return int(struct.unpack_from("I", info, _LAST_DATA_SENT_AT)[0])
    except (OSError, struct.error):
        return 0


def reset(sock: socket.socket) -> None:
    """Close a socket with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
