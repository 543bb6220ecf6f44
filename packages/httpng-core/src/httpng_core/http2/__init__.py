"""HTTP/2 (RFC 9113): how a connection comes to speak it, and the `Stream` that carries one exchange.

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
