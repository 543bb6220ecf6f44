"""The server of test_crowds.py, in a process of its own: one feed, and what it and the kernel hold for it."""

import json
import os
import resource
import socket
import struct
import time
from collections import Counter

import anyio

from httpng_core import Request
from httpng_driver import IO, Feed

SIZE = 1000
_SO_MEMINFO = 55

feed = Feed()
followers: list[IO] = []
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


async def app(req: Request, io: IO) -> object:
    """/follow, /stats, /close, and /publish/COUNT/SECONDS: as many ticks, with so much time in between."""
    verb, *arguments = req.path.strip("/").split("/")
    if verb == "follow":
        followers.append(io)
        await io.follow(feed)
        return None
    if verb == "publish":
        await _publish(int(arguments[0]), float(arguments[1]))
    if verb == "close":
        feed.close()
    return {"body": json.dumps(_stats())}


async def _publish(count: int, seconds: float) -> None:
    due = time.monotonic()
    for _ in range(count):
        feed.publish(f"<{time.monotonic():.6f} ".encode().ljust(SIZE - 1, b".") + b">")
        due += seconds
        await anyio.sleep(max(due - time.monotonic(), 0))


def _stats() -> dict[str, object]:
    told = [stats for stats in (io.get_follow_stats() for io in followers) if stats is not None]
    sums = Counter(one.delivered + one.skipped + one.expired + one.pending for one in told)
    of_feed = feed.get_stats()
    return {
        "published": of_feed.published,
        "followers": of_feed.followers,
        "delivered": sum(one.delivered for one in told),
        "skipped": sum(one.skipped for one in told),
        "expired": sum(one.expired for one in told),
        "pending": sum(one.pending for one in told),
        "accounted": list(sums.items()),
        "kernel": _kernel_memory(),
    }


def _kernel_memory() -> int:
    """Bytes that the kernel holds for the sockets of this process, by its own count."""
    held = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
        except FileNotFoundError:
            continue  # It was that of the listing.
        with socket.socket(fileno=os.dup(int(name))) as sock:
            info = struct.unpack_from("8I", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))
        received, _, _, _, allocated_ahead, queued, options, backlog = info
        held += received + allocated_ahead + queued + options + backlog
    return held
