"""HPACK (RFC 7541) of response heads: a block is kept while the table that it counts on stands still."""

from collections.abc import Iterable
from typing import Any

from hpack import Encoder

_KEPT_AT_MOST = 64
# A literal without indexing whose name is entry 28 of the static table (RFC 7541, 6.2.2).
_CONTENT_LENGTH = b"\x0f\x0d"


class HeadEncoder(Encoder):
    """An encoder that remembers blocks.

    When the table has changed, in whatever way, all are forgotten: also the one that changed it. So those
    that are said again only refer to the table.
    """

    def __init__(self) -> None:
        super().__init__()
        self._blocks: dict[tuple[Any, ...], bytes] = {}
        self._newest: object = None
        self._shape: tuple[int, bool, int] = (0, False, 0)

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:
        """A header block; see `hpack.Encoder`."""
        fields = tuple(headers)
        if self._has_changed() or len(self._blocks) >= _KEPT_AT_MOST:
            self._blocks.clear()
        block = self._blocks.get(fields)
        if block is None:
            # If this changes the table, the next look tells.
            block = self._blocks[fields] = super().encode(fields, huffman)
        return block

    def _has_changed(self) -> bool:
        """Whether the table has, since the last look: entries come at the front and go at the back."""
        table = self.header_table
        entries = table.dynamic_entries
        newest, shape = entries[0] if entries else None, (table.maxsize, table.resized, len(entries))
        # An entry that has come is another object, whatever it says; this one is held, so it stays itself.
        if newest is self._newest and shape == self._shape:
            return False
        self._newest, self._shape = newest, shape
        return True


def content_length_field(length: int) -> bytes:
    """Content-Length, for the end of a block. It differs with each body, so it stays out of the table."""
    digits = b"%d" % length
    return b"%b%c%b" % (_CONTENT_LENGTH, len(digits), digits)
