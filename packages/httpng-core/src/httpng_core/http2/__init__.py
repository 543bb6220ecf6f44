"""HTTP/2 (RFC 9113), by an engine of our own; `reference` has it by h2."""

from httpng_core.http2.protocol import Http2

__all__ = ["Http2"]
