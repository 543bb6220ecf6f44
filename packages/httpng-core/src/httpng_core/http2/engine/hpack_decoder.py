"""Header blocks that come (RFC 7541), decoded in one pass, with a memo.

A block that puts nothing into the dynamic table means the same until the table changes. Clients that ask for
the same again send the same few bytes, so most blocks are looked up.
"""

from typing import Final

from httpng_core.http2.engine.errors import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, FatalError
from httpng_core.http2.engine.hpack_huffman import decode_huffman
from httpng_core.http2.engine.hpack_table import DEFAULT_SIZE, OVERHEAD, DynamicTable, Field

MAX_FIELDS: Final = 256
"""How many fields a header list may have, unless its caller says otherwise."""
_FIELDS_TO_REFUSE: Final = 8
"""So many times more fields are still decoded, so that the request alone is refused, not the connection."""
# Little, as it is the client who chooses what is kept.
_KEPT: Final = 32
_LONGEST_KEPT: Final = 192
_MAX_INTEGER: Final = 1 << 31
_PATH_INDEX: Final = 4


class HeaderList:
    """What a block says.

    Attributes:
        fields: names and values, in order; those within the bounds.
        size: what the list counts, all of it (RFC 9113, 10.5.1).
        is_oversized: whether there were more.
    """

    __slots__ = ("fields", "is_oversized", "size")

    def __init__(self, fields: tuple[Field, ...], size: int, is_oversized: bool) -> None:
        self.fields = fields
        self.size = size
        self.is_oversized = is_oversized


class Decoder:
    """Decodes the blocks of one connection, all of them and in order.

    Attributes:
        version: changes whenever the table does; what a block meant before may be something else then.
    """

    __slots__ = ("_max_fields", "_max_size", "_memo", "_table", "version")

    def __init__(
        self, max_size: int, max_fields: int = MAX_FIELDS, max_table_size: int = DEFAULT_SIZE
    ) -> None:
        """Bound header lists by what they count and by their number of fields."""
        self.version = 0
        self._table = DynamicTable(max_table_size)
        self._max_size = max_size
        self._max_fields = max_fields
        self._memo: dict[bytes, HeaderList] = {}

    def limit(self, max_fields: int) -> None:
        """Bound the number of fields of lists from now on; what is known of blocks is judged anew."""
        if max_fields != self._max_fields:
            self._max_fields = max_fields
            self._memo.clear()
            self.version += 1

    def decode(self, block: bytes) -> HeaderList:
        """Return what a block says.

        Raises:
            FatalError: It can't be decoded, so neither can what follows; or it has far too many fields.
        """
        known = self._memo.get(block)
        if known is not None:
            return known
        version = self.version
        found = self._decode(block)
        if version != self.version:
            self._memo.clear()
        elif len(block) <= _LONGEST_KEPT:
            if len(self._memo) >= _KEPT:
                self._memo.clear()
            self._memo[block] = found
        return found

    def _decode(self, block: bytes) -> HeaderList:
        fields: list[Field] = []
        listed = total = 0
        at, size = self._update_sizes(block), len(block)
        while at < size:
            byte = block[at]
            if byte & 0x80:
                # Most indices have one byte.
                index, at = (byte & 0x7F, at + 1) if byte < 0xFF else _integer(block, at, 0x7F)
                field = self._table.entry(index)
            elif byte & 0x40:
                field, at = self._literal(block, at, 0x3F)
                self._table.add(field)
                self.version += 1
            elif byte & 0x20:
                raise FatalError(COMPRESSION_ERROR, "the table changes its size within a header block")
            else:
                field, at = self._literal(block, at, 0x0F)
            total += 1
            listed += len(field[0]) + len(field[1]) + OVERHEAD
            # What is beyond the bounds changes the table, and is forgotten.
            if listed <= self._max_size and total <= self._max_fields:
                fields.append(field)
            elif total > _FIELDS_TO_REFUSE * self._max_fields:
                raise FatalError(ENHANCE_YOUR_CALM, "a header list has far too many fields")
        return HeaderList(tuple(fields), listed, len(fields) < total)

    def _update_sizes(self, block: bytes) -> int:
        """Change the size of the table as the start of a block says; return where that ends."""
        at, size = 0, len(block)
        while at < size and block[at] & 0xE0 == 0x20:
            limit, at = _integer(block, at, 0x1F)
            self._table.resize(limit)
            self.version += 1
        return at

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[Field, int]:
        """Return a field with a literal value, and where it ends."""
        index = block[at] & mask
        at += 1
        if index == mask:
            index, at = _integer(block, at - 1, mask)
        if index:
            name = self._table.entry(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at


def literal_path(block: bytes) -> tuple[int, int]:
    """Return where the literal value of `:path` begins and ends in a block that is of this kind; else zeros.

    Before it come indexed fields alone, of one byte each, and the literal is not put into the table. So what
    comes before its first byte tells where that is, whatever comes behind it.
    """
    at, size = 0, len(block)
    while at < size and 0x80 <= block[at] < 0xFF:
        at += 1
    # Without indexing, or never indexed; the name is that of entry 4.
    if at + 1 >= size or block[at] & 0xEF != _PATH_INDEX:
        return 0, 0
    length = block[at + 1] & 0x7F
    end = at + 2 + length
    if length == 0x7F or end > size:
        return 0, 0
    return at + 1, end


def path_of(block: bytes, at: int, end: int) -> bytes:
    """Return the value that `literal_path` has found.

    Raises:
        FatalError: It is no Huffman code.
    """
    text = block[at + 1 : end]
    return decode_huffman(text) if block[at] & 0x80 else text


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """Return an integer (RFC 7541, 5.1) in the low bits of a byte and those after it, and where it ends."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while at < len(block):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if value >= _MAX_INTEGER or shift > 28:
            break
        if byte < 0x80:
            return value, at
        shift += 7
    raise FatalError(COMPRESSION_ERROR, "an integer is too large, or isn't whole")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """Return a string (RFC 7541, 5.2), and where it ends."""
    if at >= len(block):
        raise FatalError(COMPRESSION_ERROR, "a header block isn't whole")
    is_huffman = block[at] & 0x80
    size = block[at] & 0x7F
    at += 1
    if size == 0x7F:
        size, at = _integer(block, at - 1, 0x7F)
    end = at + size
    if end > len(block):
        raise FatalError(COMPRESSION_ERROR, "a header block isn't whole")
    text = block[at:end]
    return (decode_huffman(text) if is_huffman else text), end
