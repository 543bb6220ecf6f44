"""HTTP/1.1 (RFC 9112): beside `testing` the only importer of h11."""

from httpng_core.http1.h11_parser import refusal
from httpng_core.http1.protocol import Http1

__all__ = [
    "Http1",
    "refusal",
]
