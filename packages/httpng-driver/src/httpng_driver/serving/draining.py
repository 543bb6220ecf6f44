"""What a server that stops waits for, in one line of the log."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Final

from httpng_driver.loop.pump import Pump

_log = logging.getLogger("httpng")

PATIENCE: Final = 0.3
"""Seconds after the beginning of a drain in which handlers that heed it have ended: then there is no line."""
_MOST_NAMED: Final = 5
_LONGEST: Final = 80


def log_waiting(pumps: Iterable[Pump], connections: int, seconds: float) -> None:
    """Say what is waited for, at most for `seconds`, and how to stop at once; nothing if all is over.

    Args:
        pumps: those of the first loop, whose requests are named.
        connections: how many there are in all loops.
        seconds: how long they may take.
    """
    if not connections:
        return
    requests = Counter[str]()
    for pump in pumps:
        for exchange in pump.connection.statistics().exchanges:
            request = exchange.request
            requests[f"{request.method} {request.path}"[:_LONGEST]] += 1
    _log.warning(
        "waiting up to %.3g s for %s; a second signal, or shutdown(0), stops at once",
        seconds,
        _awaited(requests, _count(connections, "connection")),
    )


def _awaited(requests: Counter[str], connections: str) -> str:
    if not requests:
        return f"{connections} to close"
    return f"{_count(requests.total(), 'exchange')} on {connections} to end{_named(requests)}"


def _named(requests: Counter[str]) -> str:
    named = [
        ascii(request)[1:-1] + (f" ({count})" if count > 1 else "")
        for request, count in requests.most_common(_MOST_NAMED)
    ]
    return f": {', '.join(named)}{', ...' if len(requests) > _MOST_NAMED else ''}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
