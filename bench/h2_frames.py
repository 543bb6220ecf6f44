"""What a client of HTTP/2 sends and counts, prepared: so that it costs next to nothing beside a server."""

from collections.abc import Iterable
from struct import Struct

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

_HEAD = Struct(">HBBBL")
_HEADERS, _SETTINGS, _WINDOW_UPDATE = 1, 4, 8
_END_STREAM, _END_HEADERS = 1, 4
_WINDOW = (1 << 30) - 1


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return _HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream_id) + payload


OPENING = b"".join(
    (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        # Windows as large as those of h2load: INITIAL_WINDOW_SIZE, and the connection's.
        _frame(_SETTINGS, 0, 0, b"\0\4" + _WINDOW.to_bytes(4, "big")),
        _frame(_SETTINGS, 1, 0, b""),
        _frame(_WINDOW_UPDATE, 0, 0, (_WINDOW - 65535).to_bytes(4, "big")),
    )
)

# As h2load has them: the path first, then http and GET by index; here with :authority as a literal between.
_REST = b"\x86\x01\x0e127.0.0.1:8080\x82"
BULK = "/sized/64"
_HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def block(path: str | None = None) -> bytes:
    """Return the header block of a GET of `path`, in ASCII, as a literal; `/` by index if it is `None`."""
    if path is None:
        return b"\x84" + _REST
    text = bytes(_HUFFMAN.encode(path.encode()))
    return b"\x04" + bytes([0x80 | len(text)]) + text + _REST


def requests(ids: Iterable[int], number: int | None, same: str | None = None) -> bytes:
    """Return HEADERS for each stream, of the `same` path; or of paths that are counted from `number` on."""
    wire = []
    for stream_id in ids:
        path = same
        if number is not None:
            path, number = f"/item/{number:06d}?page={number % 7}", number + 1
        wire.append(_frame(_HEADERS, _END_STREAM | _END_HEADERS, stream_id, block(path)))
    return b"".join(wire)


def responses(wire: bytes) -> int:
    """Return how many responses end in whole frames."""
    at = ended = 0
    while at < len(wire):
        high, low, kind, flags, _ = _HEAD.unpack_from(wire, at)
        at += 9 + (high << 8 | low)
        ended += kind <= _HEADERS and flags & _END_STREAM
    return ended
