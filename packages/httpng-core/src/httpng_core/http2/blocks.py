"""Header blocks of responses. They refer to no dynamic table, so all connections share them."""

from typing import Final

from httpng_core.http.response import RETRY_AFTER, ResponseHead
from httpng_core.http.trailers import Fields
from httpng_core.http2.engine.hpack_encoder import encode, encode_field, encode_head

_MOST_KEPT: Final = 512
# RFC 9113, 8.2.2; `connection` and `transfer-encoding` are left out of every head.
_OF_A_CONNECTION: Final = frozenset((b"keep-alive", b"proxy-connection", b"te", b"upgrade"))

CONTINUE: Final = encode([(b":status", b"100")])

_heads: Final[dict[ResponseHead, bytes]] = {}
_blocks: Final[dict[tuple[ResponseHead, bytes | None, int | None], bytes]] = {}


def head_block(head: ResponseHead, date: bytes | None, length: int | None) -> bytes:
    """Return the block of a response head; `date` is left out if the head has one of its own."""
    key = (head, date, length)
    block = _blocks.get(key)
    if block is None:
        if len(_blocks) >= _MOST_KEPT:
            _blocks.clear()
        block = _blocks[key] = _make_block(head, date, length)
    return block


def interim_block(head: ResponseHead) -> bytes:
    """Return the block of an informational response."""
    return encode([(b":status", b"%d" % head.status), *_of_http2(head.headers)])


def trailer_block(fields: Fields) -> bytes:
    """Return the block of trailers."""
    return encode(_of_http2(fields))


def _of_http2(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [field for field in fields if field[0] not in _OF_A_CONNECTION]


def refusal_block(status: int, date: bytes | None) -> bytes:
    """Return the block of a response without a body, to a request that isn't served."""
    fields = [(b"content-length", b"0")]
    if status == 503:
        fields.append((b"retry-after", b"%d" % RETRY_AFTER))
    if date is not None:
        fields.append((b"date", date))
    return encode_head(status, fields)


def _make_block(head: ResponseHead, date: bytes | None, length: int | None) -> bytes:
    block = _heads.get(head)
    if block is None:
        if len(_heads) >= _MOST_KEPT:
            _heads.clear()
        block = _heads[head] = encode_head(head.status, _of_http2(head.headers))
    if date is not None and not head.has_date:
        block += encode_field(b"date", date)
    if head.status == 205:
        # It has no content, whatever the handler declared (RFC 9110, 15.3.6).
        length = 0
    if length is None or head.status == 204:
        return block
    return block + encode_field(b"content-length", b"%d" % length)
