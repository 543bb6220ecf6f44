"""What a tick is: 1 KiB, 50 times a second, numbered by the clock that all processes share.

Nothing makes ticks: the newest one follows from CLOCK_MONOTONIC, so no server has to keep a clock going.
"""

import time

PER_SECOND = 50
SIZE = 1024

HEADERS = {"content-type": "application/octet-stream", "cache-control": "no-store"}
CHUNK = len(f"{SIZE:x}\r\n\r\n") + SIZE
"""Bytes of a tick as a chunk of HTTP/1.1."""


def newest() -> int:
    """The number of the newest tick."""
    return int(time.monotonic() * PER_SECOND)


def born(number: int) -> float:
    """When a tick came into being."""
    return number / PER_SECOND


def until_after(number: int) -> float:
    """Seconds until there is a newer tick than this one, 0 if there is."""
    return max(born(number + 1) - time.monotonic(), 0.0)


def body(number: int) -> bytes:
    """A tick as body bytes."""
    return b"%020d" % number + b"." * (SIZE - 21) + b"\n"


def number_of(tick: bytes) -> int:
    """The number of a tick that has arrived whole."""
    if len(tick) != SIZE or not tick.endswith(b".\n"):
        raise ValueError(f"torn tick: {tick[:32]!r}")
    return int(tick[:20])
