"""Payloads that are one server-sent event each: what of them is data, and putting other data in its place."""

from typing import Final

_FIELDS: Final = frozenset((b"", b"data", b"event", b"id", b"retry"))

Fields = list[tuple[bytes, bytes]]
"""Names and values of an event's lines, but for those of its data."""


def split_event(payload: bytes) -> tuple[Fields, bytes] | None:
    """Return the other fields of an event and its data; `None`: the payload isn't one event with data."""
    if not payload.endswith(b"\n\n") or b"\r" in payload:
        return None
    fields: Fields = []
    data: list[bytes] = []
    for line in payload[:-2].split(b"\n"):
        name, colon, value = line.partition(b":")
        if name not in _FIELDS or not (name or colon):
            return None
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        else:
            fields.append((name, value))
    return (fields, b"\n".join(data)) if data else None


def event_of(fields: Fields, data: bytes) -> bytes:
    """Return the event with these fields and this data."""
    lines = [name + b": " + value for name, value in fields]
    lines += (b"data: " + line for line in data.split(b"\n"))
    return b"\n".join((*lines, b"", b""))
