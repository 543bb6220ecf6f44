"""Checks of what handlers pass: a mistake raises at the call, before anything else happens.

They take anything: where the core is compiled, what is declared to be an integer is one already, and True
is 1.
"""

import sys
from math import inf

from httpng_core.config.types import Until, WindowSize


def checked_timeout(timeout: object, name: str = "timeout") -> float:
    """Return a timeout in seconds, if it is one.

    Raises:
        TypeError: not a number.
        ValueError: negative or NaN.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {timeout!r:.80}")
    if timeout != timeout or timeout < 0:
        raise ValueError(f"{name} must be 0 or more seconds, not {timeout}")
    # An integer may be larger than any float; added to a time it would raise.
    return inf if timeout > sys.float_info.max else timeout


def checked_stall_timeout(seconds: object) -> float:
    """Return the seconds without a byte moving that are a stall; `None`: never, so infinity.

    Raises:
        TypeError: not a number.
        ValueError: not more than 0, or NaN.
    """
    if seconds == 0:
        raise ValueError("stall_timeout must be more than 0 seconds")
    return inf if seconds is None else checked_timeout(seconds, "stall_timeout")


def checked_window(window: object) -> WindowSize:
    """Return a send window: a number of bytes or "auto".

    Raises:
        TypeError: neither.
        ValueError: negative.
    """
    if window == "auto":
        return "auto"
    if isinstance(window, bool) or not isinstance(window, int):
        raise TypeError(f'send_window must be an integer or "auto", not {type(window).__name__}')
    if window < 0:
        raise ValueError(f"send_window must be 0 or more bytes, not {window}")
    return window


def checked_position(position: object) -> int:
    """Return a position to wait for.

    Raises:
        TypeError: not an integer.
    """
    if isinstance(position, bool) or not isinstance(position, int):
        raise TypeError(f"position must be an integer, not {type(position).__name__}")
    return position


def checked_until(until: Until) -> Until:
    """Return how far a byte must have come.

    Raises:
        ValueError: neither "sent", "acked" nor "confirmed".
    """
    if until not in ("sent", "acked", "confirmed"):
        raise ValueError(f'until must be "sent", "acked" or "confirmed", not {until!r}')
    return until
