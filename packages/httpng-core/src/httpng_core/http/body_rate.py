"""How slowly a request body may come: `min_body_rate`, on each protocol."""

from math import inf
from typing import Final

from httpng_core.config.settings import Settings

BODY_GRACE: Final = 5.0
"""So many seconds a request body has before it must have come at `min_body_rate`."""


def first_body_due(settings: Settings, now: float) -> float:
    """Return when a body that begins now has come too slowly, should nothing of it come; infinity: never."""
    return now + BODY_GRACE if settings.min_body_rate else inf


def next_body_due(due: float, size: int, settings: Settings, now: float) -> float:
    """Return that time after `size` more bytes: they pay for a pause of `body_timeout` at most."""
    rate = settings.min_body_rate
    if not rate:
        return inf
    return min(due + size / rate, now + max(settings.body_timeout, BODY_GRACE))
