"""Payloads that are one server-sent event each: what of them is data, and putting other data in its place."""

import re
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_FIELDS: Final = frozenset((b"", b"data", b"event", b"id", b"retry"))

Fields = list[tuple[bytes, bytes]]
"""Names and values of an event's lines, but for those of its data."""


def split_event(payload: bytes) -> tuple[Fields, bytes] | None:
    """Return the other fields of an event and its data; `None`: the payload isn't one event with data."""
    *lines, last, end = _LINE_END.split(payload) if begins_as_event(payload) else (b"", b"", b"")
    if last or end or not all(lines):
        return None
    fields: Fields = []
    data: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name not in _FIELDS:
            return None
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        else:
            fields.append((name, value))
    return (fields, b"\n".join(data)) if data else None


def begins_as_event(payload: bytes) -> bool:
    """Return whether the first line of a payload is one of an event."""
    name, colon, _ = payload.partition(b":")
    return bool(colon) and name in _FIELDS


def event_of(fields: Fields, data: bytes) -> bytes:
    """Return the event with these fields and this data."""
    lines = [name + b": " + value for name, value in fields]
    lines += (b"data: " + line for line in data.split(b"\n"))
    return b"\n".join((*lines, b"", b""))
