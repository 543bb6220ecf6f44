"""Header blocks that go out (RFC 7541), without state.

Only the static table is referred to, nothing is put into the dynamic one, and strings go as they are. So a
block is the same bytes on every connection, and may be kept by whoever makes the same again.
"""

from typing import Final

from httpng_core.http2.engine.hpack_table import STATIC_TABLE, Field

EMPTY_TABLE: Final = b"\x20"
"""Goes before the next block when the client allows less than it did for the table (RFC 7541, 4.2)."""


def _make_indices() -> tuple[dict[Field, int], dict[bytes, int]]:
    fields: dict[Field, int] = {}
    names: dict[bytes, int] = {}
    for index in range(len(STATIC_TABLE) - 1, 0, -1):
        fields[STATIC_TABLE[index]] = index
        names[STATIC_TABLE[index][0]] = index
    return fields, names


_INDICES: Final = _make_indices()
_FIELDS: Final = _INDICES[0]
_NAMES: Final = _INDICES[1]


def encode_integer(value: int, mask: int, first: int) -> bytes:
    """Return an integer (RFC 7541, 5.1) whose first byte has `first` in its high bits."""
    if value < mask:
        return bytes([first | value])
    value -= mask
    out = [first | mask]
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _string(text: bytes) -> bytes:
    return encode_integer(len(text), 0x7F, 0) + text


def encode_field(name: bytes, value: bytes) -> bytes:
    """Return a field: an index if it is in the static table, else a literal without indexing."""
    index = _FIELDS.get((name, value), 0)
    if index:
        return bytes([0x80 | index])
    index = _NAMES.get(name, 0)
    if index:
        return encode_integer(index, 0x0F, 0) + _string(value)
    return b"\0" + _string(name) + _string(value)


def encode(fields: list[Field]) -> bytes:
    """Return the block of a header list; names must be in lower case."""
    return b"".join([encode_field(name, value) for name, value in fields])


def encode_head(status: int, fields: list[Field]) -> bytes:
    """Return the block of a response head."""
    return encode_field(b":status", b"%d" % status) + encode(fields)
