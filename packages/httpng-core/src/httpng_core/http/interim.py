"""Informational responses (RFC 9110, 15.2), which go out before the response itself."""

from httpng_core.http.response import HeaderSource, ResponseHead, wire_pairs


def interim_head(code: object, headers: HeaderSource | None) -> ResponseHead:
    """Check an informational response.

    Raises:
        TypeError: not an integer code, or a header that is neither text nor a number.
        ValueError: a code outside 102..199 (100 is sent by reading, 101 by accepting a WebSocket); what is
            wrong in a header; one that says how long a body is, as there is none.
    """
    if isinstance(code, bool) or not isinstance(code, int):
        raise TypeError("HTTP code is not an integer")
    if not 102 <= code <= 199:
        raise ValueError(f"HTTP code {int(code)} is no informational one that a handler can send: 102..199")
    fields = tuple(wire_pairs(() if headers is None else headers))
    for name, _ in fields:
        if name in (b"connection", b"content-length", b"transfer-encoding"):
            raise ValueError(f"an informational response has no body and no {name.decode()}")
    return ResponseHead(int(code), fields)
