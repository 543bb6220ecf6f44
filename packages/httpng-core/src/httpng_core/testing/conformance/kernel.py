"""What the kernel says of a connection, by its own count: how many bytes it has ever taken of the server."""

import fcntl
import struct
import termios
import time
from pathlib import Path
from typing import Final

import pytest

from httpng_core.testing.conformance.client import BOUND, Wire

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_STEADY: Final = 5
"""So many looks, one each 50 ms, must agree: longer than an acknowledgement may be delayed."""


def standstill(client: Wire) -> tuple[int, int]:
    """Wait until nothing moves; return how many wire bytes the kernel has taken, and how many have arrived.

    To be called while the client doesn't read. Skips the test where there are no such count.
    """
    if not _TABLES[0].exists():
        pytest.skip("the kernel tells nobody how many bytes it holds of a connection (/proc/net/tcp)")
    until, before, steady = time.monotonic() + BOUND, (-1, -1), 0
    while steady < _STEADY:
        assert time.monotonic() < until, "a standstill"
        time.sleep(0.05)
        now = (_arrived(client), _unacknowledged(*client.ports))
        steady = steady + 1 if now == before else 0
        before = now
    # What has arrived is acknowledged by now, so it is counted once.
    return sum(before), before[0]


def _arrived(client: Wire) -> int:
    waiting = fcntl.ioctl(client.socket.fileno(), termios.FIONREAD, struct.pack("i", 0))
    return len(client.wire) + int(struct.unpack("i", waiting)[0])


def _unacknowledged(client: int, server: int) -> int:
    """Bytes that the kernel holds of the server's end: not sent, or sent and not acknowledged."""
    ends = f":{server:04X} ", f":{client:04X} "
    for table in _TABLES:
        for line in table.read_text().splitlines() if table.exists() else ():
            # Looked for before it is taken apart: there may be tens of thousands.
            if ends[0] in line and ends[1] in line:
                _, here, _, _, queues, *_ = line.split()
                if here.endswith(ends[0].rstrip()):
                    return int(queues.split(":")[0], 16)
    raise AssertionError("the server's end of a connection isn't there any more")
