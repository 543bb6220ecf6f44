"""HTTP/2 (RFC 9113): beside `testing` the only importer of h2."""

from httpng_core.http2.hpack import HeadDecoder, HeadEncoder, content_length_field
from httpng_core.http2.protocol import Http2
from httpng_core.http2.wire import PREFACE, StateMachine

__all__ = [
    "PREFACE",
    "HeadDecoder",
    "HeadEncoder",
    "Http2",
    "StateMachine",
    "content_length_field",
]
