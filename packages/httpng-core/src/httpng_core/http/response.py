"""Response heads: what handlers give, checked and in wire form's terms but not yet framed."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Any

HeaderValue = str | bytes | int | float
HeaderSource = Mapping[str, HeaderValue | Iterable[HeaderValue]] | Iterable[tuple[str | bytes, HeaderValue]]
"""What a handler may give as headers: a mapping (a list as value repeats the header) or pairs."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(rb"[\r\n\0]")
_NO_BODY = frozenset({204, 205, 304})
_SHORT = (str, bytes)


@dataclass(slots=True, kw_only=True)
class Response:
    """A whole response for a handler to return; it goes out with a Content-Length.

    Attributes:
        status: the status code, 200 to 599.
        headers: the headers; `io.headers` isn't used.
        body: the body; a `str` is sent as UTF-8.
    """

    status: int = 200
    headers: HeaderSource | None = None
    body: bytes | str = b""


@dataclass(slots=True)
class ResponseHead:
    """A checked header block.

    Attributes:
        status: the status code.
        headers: names (lower-case) and values in wire bytes, Content-Length and the headers that
            belong to one connection left out.
        content_length: the declared length of the body in bytes, `None` if not declared.
        close: whether the handler asked for the connection to close after this response.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    content_length: int | None = None
    close: bool = False
    _lines: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def lines(self) -> bytes:
        """The status line and the header lines of HTTP/1.1, without the framing's."""
        if self._lines is None:
            made = [status_line(self.status)]
            made += [b"%s: %s\r\n" % header for header in self.headers]
            self._lines = b"".join(made)
        return self._lines

    @property
    def has_date(self) -> bool:
        """Whether the handler gave a Date header."""
        return self.has(b"date")

    @property
    def bodiless(self) -> bool:
        """Whether the status forbids a body (RFC 9110, 6.4.1)."""
        return self.status in _NO_BODY

    def has(self, name: bytes) -> bool:
        """Whether the handler gave the header `name` (lower-case)."""
        for given, _ in self.headers:  # noqa: SIM110 - a generator costs more than the few turns.
            if given == name:
                return True
        return False


def response_head(status: int, headers: HeaderSource | None, length: int | None = None) -> ResponseHead:
    """Checks a status code and headers; `length` is declared as the body's unless the headers declare one.

    Raises:
        TypeError: not an integer code, or a header that is neither text nor a number.
        ValueError: a code that can't be a response's own; CR, LF or NUL; a name that isn't a token;
            a Content-Length that isn't one; a Transfer-Encoding other than chunked.
    """
    _check_status(status)
    kept, declared, close = _checked(headers)
    if declared is None and status not in _NO_BODY:
        declared = length
    return ResponseHead(status, kept, declared, close)


def body_bytes(body: object) -> bytes:
    """The bytes of a body: `bytes` as they are, `str` as UTF-8, other buffers copied.

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


def _check_status(status: object) -> None:
    if isinstance(status, bool) or not isinstance(status, int):
        raise TypeError("HTTP code is not an integer")
    if not 100 <= status <= 599:
        raise ValueError(f"HTTP code {status} is outside 100..599")
    if status < 200:
        raise ValueError(f"HTTP code {status} is interim (RFC 9110, 15.2): it can't be the response's own")


_Checked = tuple[tuple[tuple[bytes, bytes], ...], int | None, bool]


def _checked(headers: HeaderSource | None) -> _Checked:
    """The headers to send, the declared length, and whether the connection is to close."""
    if headers is None:
        return (), None, False
    pairs: tuple[tuple[Any, Any], ...] = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    if len(pairs) <= 8 and all(type(value) in _SHORT and len(value) < 64 for _, value in pairs):
        return _check_again(pairs)
    return _check(pairs)


def _check(pairs: tuple[tuple[Any, Any], ...]) -> _Checked:
    kept: list[tuple[bytes, bytes]] = []
    length: int | None = None
    close = False
    for name, value in _wire_pairs(pairs):
        if name == b"content-length":
            length = _content_length(value, length)
        elif name == b"connection":
            close = close or b"close" in _tokens(value)
        elif name == b"transfer-encoding":
            _check_transfer_encoding(value)
        else:
            kept.append((name, value))
    return tuple(kept), length, close


# Most handlers send the same few short headers with every response.
_check_again = lru_cache(maxsize=256)(_check)


def _wire_pairs(pairs: tuple[tuple[Any, Any], ...]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in pairs:
        wire_name = _name(name)
        values = value if isinstance(value, (list, tuple)) else (value,)
        for each in values:
            yield wire_name, _value(wire_name, each)


def _name(name: object) -> bytes:
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"header name must be a string, not {type(name).__name__}")
    wire = name.encode("utf-8") if isinstance(name, str) else name
    if not _TOKEN.fullmatch(wire):
        raise ValueError(f"header name {wire!r} is not a token (RFC 9110, 5.1)")
    return wire.lower()


def _value(name: bytes, value: object) -> bytes:
    if isinstance(value, bool) or not isinstance(value, (str, bytes, int, float)):
        raise TypeError(
            f"value of header {name.decode()!r} must be a string or a number, not {type(value).__name__}"
        )
    wire = value if isinstance(value, bytes) else _latin1(str(value))
    if _FORBIDDEN.search(wire):
        raise ValueError(f"value of header {name.decode()!r} has CR, LF or NUL in it: {wire!r}")
    return wire.strip(b" \t")


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
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
