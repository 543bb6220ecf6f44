"""Response heads: what handlers give, checked and in wire form's terms but not yet framed."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from json import dumps
from typing import Any, Final

from httpng_core.compiled import mypyc_attr

HeaderValue = str | bytes | int | float
HeaderValues = HeaderValue | Iterable[HeaderValue]
HeaderSource = Mapping[str, HeaderValues] | Iterable[tuple[str | bytes, HeaderValues]]
"""What a handler may give as headers: a mapping or pairs; an iterable of values repeats the header."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# All control characters of ASCII but TAB (RFC 9110, 5.5).
_FORBIDDEN = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]")
_NO_BODY = frozenset({204, 205, 304})
_NO_LENGTH = frozenset({204, 304})
_SHORT = (str, bytes)
# These can be iterated over as well, but not for values.
_NO_VALUES = (Mapping, bytearray, memoryview)


RETRY_AFTER: Final = 1
"""Seconds after which a client may try again that was told that a limit of the server's is reached."""

# Ours, as Python's own differ from version to version: RFC 9110 and the registry of IANA.
_PHRASES: Final = {
    101: "Switching Protocols",
    102: "Processing",
    103: "Early Hints",
    200: "OK",
    201: "Created",
    202: "Accepted",
    203: "Non-Authoritative Information",
    204: "No Content",
    205: "Reset Content",
    206: "Partial Content",
    207: "Multi-Status",
    208: "Already Reported",
    226: "IM Used",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    305: "Use Proxy",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    418: "I'm a Teapot",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    423: "Locked",
    424: "Failed Dependency",
    425: "Too Early",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates",
    507: "Insufficient Storage",
    508: "Loop Detected",
    510: "Not Extended",
    511: "Network Authentication Required",
}


NO_JSON: Final = object()
"""There is no `json`: `None` would be one."""
_JSON_TYPE: Final = ("content-type", "application/json")


@mypyc_attr(allow_interpreted_subclasses=True)
@dataclass(slots=True, kw_only=True)
class Response:
    """A whole response for a handler to return; it goes out with a Content-Length.

    Attributes:
        status: the status code, 200 to 599.
        headers: the headers; `io.headers` isn't used.
        body: the body; a `str` is sent as UTF-8.
        json: in place of a body: what is sent as JSON, with that content type unless the headers have one.
    """

    status: int = 200
    headers: HeaderSource | None = None
    body: bytes | str = b""
    json: Any = NO_JSON

    def __post_init__(self) -> None:
        """Make the body of `json`.

        Raises:
            TypeError: JSON can't say it; or a body is given as well.
            ValueError: it is infinite, no number, or refers to itself.
        """
        if self.json is not NO_JSON:
            if self.body:
                raise TypeError("a response has a body or json, not both")
            self.body = dumps(self.json, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
            self.headers = _with_content_type(self.headers)


def _with_content_type(headers: HeaderSource | None) -> HeaderSource:
    """Return the headers with the content type of JSON, unless they have one."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers or ())
    if any(_name(name) == b"content-type" for name, _ in pairs):
        return pairs
    return [_JSON_TYPE, *pairs]


class ResponseHead:
    """A checked header block. Exchanges share it, so it doesn't change.

    Attributes:
        status: the status code.
        headers: names (lower-case) and values in wire bytes, Content-Length and the headers that
            belong to one connection left out.
        content_length: the declared length of the body in bytes, `None` if not declared.
        close: whether the handler asked for the connection to close after this response.
        bodiless: whether the status forbids content (RFC 9110, 6.4.1 and 15.3.6).
        has_date: whether the handler gave a Date header.
        lines: the status line and the header lines of HTTP/1.1, without those of the framing.
    """

    __slots__ = ("bodiless", "close", "content_length", "has_date", "headers", "lines", "status")

    def __init__(
        self,
        status: int,
        headers: tuple[tuple[bytes, bytes], ...],
        content_length: int | None = None,
        close: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.content_length = content_length
        self.close = close
        self.bodiless = status in _NO_BODY
        self.has_date = any(name == b"date" for name, _ in headers)
        self.lines = status_line(status) + b"".join([b"%s: %s\r\n" % header for header in headers])


def response_head(status: object, headers: HeaderSource | None) -> ResponseHead:
    """Check a status code and headers. Most handlers send the same few each time, so those are kept.

    A name that a mapping has in two spellings is one field, and the later of them counts.

    Raises:
        TypeError: not an integer code, or a header that is neither text nor a number.
        ValueError: a code that can't be a response's own; a control character other than TAB; a name that
            isn't a token; a Content-Length that isn't one; a Transfer-Encoding other than chunked.
    """
    code = status if type(status) is int else _checked_status(status)
    # Pairs in a tuple, as ASGI has them, need not be asked what they are.
    is_mapping = type(headers) is dict or (type(headers) is not tuple and isinstance(headers, Mapping))
    pairs: _Pairs = () if headers is None else tuple(headers.items() if is_mapping else headers)  # type: ignore[union-attr]
    key = (code, pairs, is_mapping)
    try:
        # All that is kept is text: what is equal to that says the same.
        known = _kept_heads.get(key)
    except TypeError:
        # Some field has a list of values.
        return _made_head(code, pairs, is_mapping)
    if known is not None:
        return known
    head = _made_head(code, pairs, is_mapping)
    if _is_short_text(pairs):
        if len(_kept_heads) >= _MOST_KEPT:
            _kept_heads.clear()
        _kept_heads[key] = head
    return head


def _is_short_text(pairs: "_Pairs") -> bool:
    """Return whether there are few fields, each with one short value that is text."""
    if len(pairs) > 8:
        return False
    for pair in pairs:
        name, value = pair
        name_kind, kind = type(name), type(value)
        if type(pair) is not tuple or (name_kind is not str and name_kind is not bytes):
            return False
        if (kind is not str and kind is not bytes) or len(value) >= 64:
            return False
    return True


def wire_pairs(headers: HeaderSource) -> list[tuple[bytes, bytes]]:
    """Return checked names (lower-case) and values in wire bytes, whatever they say; see `response_head`."""
    is_mapping = type(headers) is dict or isinstance(headers, Mapping)
    pairs: _Pairs = tuple(headers.items() if is_mapping else headers)  # type: ignore[union-attr]
    return list(_wire_pairs(_last_spellings(pairs) if is_mapping else pairs))


def switching_head(status: int, fields: HeaderSource, headers: HeaderSource | None) -> ResponseHead:
    """Return the header block that accepts another protocol than HTTP: raw bytes follow, whatever the status.

    `fields` are that protocol's; of the same names in `headers`, a handler's, there can be none.

    Raises:
        TypeError, ValueError: headers that can't be sent.
    """
    own = response_head(200, fields).headers
    given = response_head(200, headers)
    if given.content_length is not None:
        raise ValueError("a WebSocket has no content-length")
    for name, _ in given.headers:
        if name == b"upgrade" or any(name == known for known, _ in own) or name.startswith(b"sec-websocket-"):
            raise ValueError(f"header {name.decode()!r} is made by the handshake itself")
    upgrades = ((b"connection", b"upgrade"),) if status == 101 else ()
    head = ResponseHead(status, own + upgrades + given.headers)
    head.bodiless = False
    return head


def reason_phrase(status: int) -> str:
    """Return what a status line of HTTP/1.1 calls a code; empty if it has no name (RFC 9112, 4)."""
    return _PHRASES.get(status, "")


def body_bytes(body: object) -> bytes:
    """Return the bytes of a body: `bytes` as they are, `str` as UTF-8, other buffers copied.

    Raises:
        TypeError: anything else.
    """
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    raise TypeError(f"body must be bytes or str, not {type(body).__name__}")


def _checked_status(status: object) -> int:
    """Return the code as a plain integer, whatever enumeration it comes from."""
    if isinstance(status, bool) or not isinstance(status, int):
        raise TypeError("HTTP code is not an integer")
    code = int(status)
    if not 100 <= code <= 599:
        raise ValueError(f"HTTP code {code} is outside 100..599")
    if code < 200:
        raise ValueError(f"HTTP code {code} is interim (RFC 9110, 15.2): it can't be the response's own")
    return code


# Pairs, if the handler gave such.
_Pairs = tuple[Any, ...]
_Checked = tuple[tuple[tuple[bytes, bytes], ...], int | None, bool]
_MOST_KEPT: Final = 256
_kept_heads: Final[dict[tuple[int, _Pairs, bool], ResponseHead]] = {}


def _made_head(status: int, pairs: _Pairs, is_mapping: bool) -> ResponseHead:
    code = _checked_status(status)
    kept, declared, close = _check(pairs, is_mapping)
    if code == 205:
        # It says so itself that there is nothing (RFC 9110, 15.3.6).
        declared = 0
    return ResponseHead(code, kept, declared, close)


def _with_defaults(head: ResponseHead, fields: tuple[tuple[str, str], ...]) -> ResponseHead:
    """Return `head` with those of `fields` that it doesn't have; names are lower-case."""
    own = {name for name, _ in head.headers}
    wire = [(name.encode("latin-1"), _latin1(value)) for name, value in fields]
    more = tuple(field for field in wire if field[0] not in own)
    return ResponseHead(head.status, head.headers + more, head.content_length, head.close) if more else head


with_defaults = lru_cache(maxsize=256)(_with_defaults)


def _check(pairs: _Pairs, is_mapping: bool) -> _Checked:
    kept: list[tuple[bytes, bytes]] = []
    length: int | None = None
    close = False
    for name, value in _wire_pairs(_last_spellings(pairs) if is_mapping else pairs):
        if name == b"content-length":
            length = _content_length(value, length)
        elif name == b"connection":
            close = close or b"close" in _tokens(value)
        elif name == b"transfer-encoding":
            _check_transfer_encoding(value)
        else:
            kept.append((name, value))
    return tuple(kept), length, close


def _last_spellings(pairs: _Pairs) -> _Pairs:
    """Return the pairs without those whose name a later key of the mapping has in another spelling."""
    last = {_name(key): (type(key), key) for key, _ in pairs}
    if len(last) == len(pairs):
        return pairs
    return tuple(pair for pair in pairs if last[_name(pair[0])] == (type(pair[0]), pair[0]))


def _wire_pairs(pairs: _Pairs) -> Iterator[tuple[bytes, bytes]]:
    for name, value in pairs:
        wire_name = _name(name)
        for each in _values(value):
            yield wire_name, _value(wire_name, each)


def _values(value: object) -> Iterable[object]:
    """Return the values of one field: what can be iterated over has several."""
    if isinstance(value, (str, bytes, *_NO_VALUES)) or not isinstance(value, Iterable):
        return (value,)
    return value


def _name(name: object) -> bytes:
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"header name must be a string, not {type(name).__name__}")
    wire = name.encode("utf-8") if isinstance(name, str) else name
    if not _TOKEN.fullmatch(wire):
        raise ValueError(f"header name {wire[:64]!r} is not a token (RFC 9110, 5.1)")
    return wire.lower()


def _value(name: bytes, value: object) -> bytes:
    if isinstance(value, bool) or not isinstance(value, (str, bytes, int, float)):
        raise TypeError(
            f"value of header {name.decode()!r} must be a string or a number, not {type(value).__name__}"
        )
    wire = _wire_value(value)
    if _FORBIDDEN.search(wire):
        raise ValueError(f"value of header {name.decode()!r} has a control character in it: {wire[:64]!r}")
    return wire.strip(b" \t")


def _wire_value(value: str | bytes | int | float) -> bytes:
    # By value: `str()` of a member of an enumeration would be its name.
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _latin1(value)
    return (float.__repr__(value) if isinstance(value, float) else int.__repr__(value)).encode()


def _latin1(text: str) -> bytes:
    # What ISO-8859-1 can't say goes as UTF-8, the obs-text that every client copes with.
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _tokens(value: bytes) -> set[bytes]:
    return {token.strip().lower() for token in value.split(b",")}


def _content_length(value: bytes, before: int | None) -> int:
    if not value.isdigit() or len(value) > 18:
        raise ValueError(f"content-length {value!r} is not a number of bytes")
    if before is not None and before != int(value):
        raise ValueError(f"two different content-length headers: {before} and {int(value)}")
    return int(value)


def _check_transfer_encoding(value: bytes) -> None:
    # The framing is ours to choose; chunked is what we would have chosen.
    if value.lower() != b"chunked":
        raise ValueError(f"transfer-encoding {value!r} is not supported in a response")


@cache
def status_line(status: int) -> bytes:
    """Return the status line of HTTP/1.1 (RFC 9112, 4)."""
    return f"HTTP/1.1 {status} {reason_phrase(status)}\r\n".encode()
