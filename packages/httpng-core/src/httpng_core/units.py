"""Numbers as people write them: `50M`, `30s`, `2m`. Plain numbers are bytes and seconds."""

import re
from typing import Final

SIZES: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
"""What a letter behind a size stands for."""
TIMES: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
"""How many seconds the letters behind a time stand for."""

_WITH_UNIT: Final = re.compile(r"\s*(\d+|\d*\.\d+|\d+\.)\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE)
_OF_SIZE: Final = re.compile(r"([kmgt])(?:i?b)?|b", re.IGNORECASE)


def read_size(text: str) -> int | float | None:
    """Return the bytes, or the plain number, that `text` says; `None` if it says none.

    `50M`, `50MB` and `50MiB` are the same: 1024 is the base. Case doesn't count.
    """
    found = _WITH_UNIT.fullmatch(text)
    if found is None:
        return read_number(text)
    unit = _OF_SIZE.fullmatch(found[2])
    if unit is None:
        return read_number(text)
    factor = SIZES[unit[1].lower()] if unit[1] else 1
    return int(found[1]) * factor if found[1].isdigit() else float(found[1]) * factor


def read_seconds(text: str) -> int | float | None:
    """Return the seconds that `text` says: `30`, `30s`, `500ms`, `2m`, `1h`, `1d`; `None` if it says none."""
    found = _WITH_UNIT.fullmatch(text)
    unit = None if found is None else TIMES.get(found[2].lower())
    if found is None or unit is None:
        return read_number(text)
    return float(found[1]) * unit


def read_number(text: str) -> int | float | None:
    """Return the number that `text` is, `infinity` among them; `None` if it is none."""
    # Not through float alone: it can't hold every integer.
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return None
