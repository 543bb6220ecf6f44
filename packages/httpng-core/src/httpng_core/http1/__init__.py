"""HTTP/1.1 (RFC 9112).

`Http1` is the protocol of a connection. It reads requests by a `RequestParser`, or by h11 in the
`ReferenceParser` against which it is tested, and frames responses by a `Framer`.
"""

from httpng_core.http1.chunked import MAX_CHUNK_LINE, MAX_EXTENSIONS, MAX_LINES, ChunkedDecoder
from httpng_core.http1.framer import Framer, refusal
from httpng_core.http1.head import HeaderBlock, read_header_block, split_field_lines
from httpng_core.http1.parsed import MORE, ParsedHead, Reading
from httpng_core.http1.parser import MAX_STEP, RequestParser
from httpng_core.http1.protocol import Http1
from httpng_core.http1.reference import ReferenceParser
from httpng_core.http1.refused import RefusedRequest

__all__ = [
    "MAX_CHUNK_LINE",
    "MAX_EXTENSIONS",
    "MAX_LINES",
    "MAX_STEP",
    "MORE",
    "ChunkedDecoder",
    "Framer",
    "HeaderBlock",
    "Http1",
    "ParsedHead",
    "Reading",
    "ReferenceParser",
    "RefusedRequest",
    "RequestParser",
    "read_header_block",
    "refusal",
    "split_field_lines",
]
