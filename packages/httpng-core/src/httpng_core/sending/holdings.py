"""Bytes that are held for an exchange, or for a request that comes in.

1. They are body bytes that were accepted and that the kernel hasn't taken, those of calls that wait for
   room, what has come of a request and is kept or wasn't read, and messages that weren't taken.
2. What followers of a feed have in common is the feed's, and what the kernel has is the kernel's: neither
   counts.
3. Bytes stand still since the last of them moved, out or in. A body that is kept for a handler that runs
   waits for nobody.
"""

from collections.abc import Callable
from math import inf
from typing import Final

from httpng_core.sending.ends import Cause
from httpng_core.sending.outgoing import Outgoing

GiveUp = Callable[[float, Cause], None]
"""Ends what bytes are held for, at a time, for a cause."""
NEVER: Final = inf


class Holding:
    """What is held for an exchange, for a request that comes in, or for a connection as such.

    Attributes:
        size: how many bytes.
        since: since when they stand still, by the clock of the connection; infinity: they wait for no client.
        give_up: ends what they are held for, and lets them go.
    """

    __slots__ = ("give_up", "since", "size")

    def __init__(self, size: int, since: float, give_up: GiveUp) -> None:
        self.size = size
        self.since = since
        self.give_up = give_up


def holding_of(exchange: Outgoing, kept: int, give_up: GiveUp) -> Holding | None:
    """Return what is held for an exchange, with `kept` bytes that wait for no client; `None`: nothing is."""
    size, since = kept, NEVER
    waiting = exchange.kept
    moved = exchange.moved_at
    if waiting:
        # A byte moved, or the oldest that waits has waited since then, as nothing had to move before.
        since = max(moved, exchange.lags_since)
    queue = exchange.queue
    if queue is not None and (rest := queue.rest):
        waiting += rest
        since = min(since, max(moved, queue.since))
    size += waiting
    incoming, tunnel = exchange.incoming, exchange.tunnel
    if incoming is None:
        size += len(exchange.request.body)
    elif incoming.kept:
        size += incoming.kept
        since = min(since, incoming.touched)
    if tunnel is not None and (held := tunnel.held):
        size += held
        since = min(since, tunnel.touched)
    return Holding(size, since, give_up) if size else None
