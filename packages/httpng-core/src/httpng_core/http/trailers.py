"""Trailers (RFC 9110, 6.5): of requests as they came, of responses as handlers give them."""

from typing import Final

from httpng_core.http.response import HeaderSource, wire_pairs

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields: names (lower-case) and values, in order."""

# What has to be known before the body, or is about the message or the connection itself (RFC 9110, 6.5.1).
_NEVER: Final = frozenset(
    b"age authorization cache-control connection content-encoding content-length content-range content-type"
    b" date expect expires host if-match if-modified-since if-none-match if-range if-unmodified-since"
    b" keep-alive location max-forwards pragma proxy-authenticate proxy-authorization proxy-connection range"
    b" retry-after set-cookie cookie te trailer transfer-encoding upgrade vary www-authenticate".split()
)


def trailer_fields(trailers: HeaderSource) -> Fields:
    """Check the trailers that a handler gives.

    Raises:
        TypeError, ValueError: as for headers; or a field that can't be a trailer.
    """
    fields = tuple(wire_pairs(trailers))
    for name, _ in fields:
        if name in _NEVER:
            raise ValueError(f"{name.decode()} can't be a trailer (RFC 9110, 6.5.1): send it as a header")
    return fields


def received_trailers(fields: Fields) -> Fields:
    """Return what a client sent behind the body, without the fields that can't be trailers."""
    return tuple([field for field in fields if field[0] not in _NEVER])


def wants_trailers(te: str | None) -> bool:
    """Return whether a client says that it takes trailers; `te` is its TE header."""
    return te is not None and any(token.strip().lower() == "trailers" for token in te.split(","))


def trailer_lines(fields: Fields) -> bytes:
    """Return trailers as HTTP/1.1 has them."""
    return b"".join([b"%s: %s\r\n" % field for field in fields])
