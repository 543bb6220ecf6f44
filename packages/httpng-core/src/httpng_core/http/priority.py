"""Priorities that a client signals (RFC 9218), in the header `priority` and in PRIORITY_UPDATE alike."""

from typing import NamedTuple


class Priority(NamedTuple):
    """What a client wants.

    Attributes:
        urgency: 0 .. 7, 0 goes first.
        incremental: whether the response is of use in part.
    """

    urgency: int = 3
    incremental: bool = False


FAIR = Priority(incremental=True)
"""Of who says nothing: all share, as nobody knows what is of use in part."""


def parse_priority(value: bytes) -> Priority:
    """Return the priority of a field value; what can't be read of it is ignored (RFC 9218, 4)."""
    urgency, incremental = Priority()
    for member in value.split(b","):
        key, _, setting = member.partition(b";")[0].strip().partition(b"=")
        if key == b"u" and len(setting) == 1 and b"0" <= setting <= b"7":
            urgency = int(setting)
        elif key == b"i" and setting in (b"", b"?1", b"?0"):
            incremental = setting != b"?0"
    return Priority(urgency, incremental)
