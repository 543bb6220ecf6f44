"""The Date header (RFC 9110, 6.6.1), made once a second from a clock that is injected."""

from collections.abc import Callable
from email.utils import formatdate

DateSource = Callable[[], bytes | None]
"""Gives the value of the Date header for now, or `None` where there is no clock."""


class HttpDate:
    """Calls give the Date value for now; the text is kept until the second changes."""

    __slots__ = ("_second", "_text", "_wall_clock")

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        """`wall_clock` tells seconds since the epoch."""
        self._wall_clock = wall_clock
        self._second = -1
        self._text = b""

    def __call__(self) -> bytes:
        """The value for now."""
        second = int(self._wall_clock())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True).encode("ascii")
        return self._text
