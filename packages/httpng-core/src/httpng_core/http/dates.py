"""Dates of HTTP, and the Date header (RFC 9110, 6.6.1), made once a second from a clock that is injected."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Final

_TIME: Final = r"(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
_MONTH: Final = r"(?P<month>[A-Z][a-z]{2})"
_DATE: Final = re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT")
_RFC850: Final = re.compile(
    rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"
)
_ASCTIME: Final = re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})")
_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS: Final = {name: number for number, name in enumerate(_NAMES, 1)}

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
        """Return the value for now."""
        second = int(self._wall_clock())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True).encode("ascii")
        return self._text


def http_date(seconds: int) -> str:
    """Return the seconds since 1970 as a date of HTTP."""
    return formatdate(seconds, usegmt=True)


def parse_http_date(text: str) -> int | None:
    """Return the seconds since 1970 of a date in a form of RFC 9110, 5.6.7; `None`: it is none.

    The day of the week isn't looked at. Two digits of a year are those of 1970 to 2069.
    """
    match = _DATE.fullmatch(text) or _RFC850.fullmatch(text) or _ASCTIME.fullmatch(text)
    if match is None:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        year += 1900 if year >= 70 else 2000
    try:
        moment = datetime(year, _MONTHS[match["month"]], int(match["day"]), tzinfo=UTC)
        hour, minute, second = (int(part) for part in match["time"].split(":"))
        # 60 is a leap second.
        moment += timedelta(hours=hour, minutes=minute, seconds=second)
    except (KeyError, OverflowError, ValueError):
        return None
    return int(moment.timestamp()) if hour < 24 and minute < 60 and second <= 60 else None
