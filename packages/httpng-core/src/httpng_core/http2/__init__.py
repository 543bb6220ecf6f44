"""HTTP/2 (RFC 9113): `Http2` is the protocol of a connection, a `Stream` carries one of its exchanges.

Frames are read and made by `engine`, an engine of our own; `reference` has it by h2.
"""

from httpng_core.http2.start import begin_upgraded, preface_of, speak_http2
from httpng_core.http2.stream import Stream

__all__ = [
    "Stream",
    "begin_upgraded",
    "preface_of",
    "speak_http2",
]
