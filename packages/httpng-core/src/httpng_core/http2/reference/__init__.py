"""HTTP/2 by h2: the reference that our own engine is held against (`http2_engine = "reference"`)."""

from httpng_core.http2.reference.hpack import HeadDecoder, HeadEncoder, content_length_field
from httpng_core.http2.reference.protocol import Http2
from httpng_core.http2.reference.wire import PREFACE, StateMachine

__all__ = [
    "PREFACE",
    "HeadDecoder",
    "HeadEncoder",
    "Http2",
    "StateMachine",
    "content_length_field",
]
