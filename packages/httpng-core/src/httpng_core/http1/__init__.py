"""HTTP/1.1 (RFC 9112)."""

from httpng_core.http1.framer import refusal
from httpng_core.http1.protocol import Http1

__all__ = ["Http1", "refusal"]
