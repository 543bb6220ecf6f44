"""HPACK (RFC 7541): header blocks are kept while the table that they count on stands still."""

from collections.abc import Iterable
from typing import Any

from hpack import Decoder, Encoder, HeaderTuple
from hpack.table import HeaderTable

_KEPT_AT_MOST = 64
_RECEIVED_AT_MOST, _LONGEST_RECEIVED = 16, 64
# Huffman coding of values from here on isn't tried: its time grows with the square of their length.
_LONG_VALUE = 1024
# A literal without indexing whose name is entry 28 of the static table (RFC 7541, 6.2.2).
_CONTENT_LENGTH = b"\x0f\x0d"


class TableWatch:
    """Tells when a table has changed: entries come at the front and go at the back."""

    __slots__ = ("_newest", "_shape", "_table")

    def __init__(self, table: HeaderTable) -> None:
        self._table = table
        self._newest: object = None
        self._shape: tuple[int, bool, int] = (0, False, 0)

    def has_changed(self) -> bool:
        """Whether it has since the last look."""
        table = self._table
        entries = table.dynamic_entries
        newest, shape = entries[0] if entries else None, (table.maxsize, table.resized, len(entries))
        # An entry that has come is another object, whatever it says; this one is held, so it stays itself.
        if newest is self._newest and shape == self._shape:
            return False
        self._newest, self._shape = newest, shape
        return True


class HeadEncoder(Encoder):
    """An encoder that remembers blocks.

    When the table has changed, in whatever way, all are forgotten: also the one that changed it. So those
    that are said again only refer to the table.
    """

    def __init__(self) -> None:
        super().__init__()
        self._watch = TableWatch(self.header_table)
        self._blocks: dict[tuple[Any, ...], bytes] = {}

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:
        """Return a header block; see `hpack.Encoder`."""
        fields = tuple(headers)
        if self._watch.has_changed() or len(self._blocks) >= _KEPT_AT_MOST:
            self._blocks.clear()
        block = self._blocks.get(fields)
        if block is None:
            huffman = huffman and all(len(field[1]) < _LONG_VALUE for field in fields)
            # If this changes the table, the next look tells.
            block = self._blocks[fields] = super().encode(fields, huffman)
        return block


class HeadDecoder(Decoder):
    """A decoder that remembers what short blocks said, by the same rule.

    A client that asks for the same again sends the same few bytes. What is kept refers to the table, and is
    little, as a client chooses it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._watch = TableWatch(self.header_table)
        self._heads: dict[bytes, Iterable[HeaderTuple]] = {}

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        """Return what a header block says; see `hpack.Decoder`."""
        block = bytes(data)
        if self._watch.has_changed() or len(self._heads) >= _RECEIVED_AT_MOST:
            self._heads.clear()
        fields = self._heads.get(block)
        if fields is None:
            fields = super().decode(block, raw)
            if len(block) <= _LONGEST_RECEIVED:
                self._heads[block] = fields
        return fields


def content_length_field(length: int) -> bytes:
    """Content-Length, for the end of a block. It differs with each body, so it stays out of the table."""
    digits = b"%d" % length
    return b"%b%c%b" % (_CONTENT_LENGTH, len(digits), digits)
