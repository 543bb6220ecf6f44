"""Conditional requests and ranges (RFC 9110, 13 and 14): what a request asks of a representation. Pure.

Only GET and HEAD come here. The order of the preconditions is that of RFC 9110, 13.2.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from httpng_core.http.dates import parse_http_date

Verdict = Literal[200, 206, 304, 412, 416]

_ETAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Representation:
    """What a request is judged by.

    Attributes:
        size: its length in bytes.
        etag: its strong entity tag, quotes included.
        modified: its Last-Modified in seconds since 1970; `None`: not known.
    """

    size: int
    etag: str
    modified: int | None


@dataclass(frozen=True, slots=True)
class Selected:
    """How a request is answered.

    Attributes:
        status: 200, 206 for a part, 304, 412, or 416 for a range beyond the end.
        start: the first byte of the body.
        stop: the first byte behind it.
    """

    status: Verdict
    start: int = 0
    stop: int = 0


def select(method: str, headers: Mapping[str, str], found: Representation) -> Selected:
    """How a GET or HEAD with these headers is answered; HEAD has no ranges (RFC 9110, 14.2)."""
    if not _may_go_on(headers, found):
        return Selected(412)
    if not _is_news(headers, found):
        return Selected(304)
    asked = headers.get("range")
    if method != "GET" or asked is None or not _is_of_this(headers.get("if-range"), found):
        return Selected(200, 0, found.size)
    return _range(asked, found.size)


def _may_go_on(headers: Mapping[str, str], found: Representation) -> bool:
    """If-Match, else If-Unmodified-Since."""
    tags = headers.get("if-match")
    if tags is not None:
        # Strong comparison: a weak tag matches nothing (RFC 9110, 13.1.1).
        return tags.strip() == "*" or found.etag in _tags(tags, weak=False)
    since = _date(headers, "if-unmodified-since")
    return since is None or found.modified is None or found.modified <= since


def _is_news(headers: Mapping[str, str], found: Representation) -> bool:
    """If-None-Match, else If-Modified-Since."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() != "*" and found.etag not in _tags(tags, weak=True)
    since = _date(headers, "if-modified-since")
    return since is None or found.modified is None or found.modified > since


def _is_of_this(validator: str | None, found: Representation) -> bool:
    """If-Range: whether the parts that the client has are of what there is now (RFC 9110, 13.1.5)."""
    if validator is None or validator == found.etag:
        return True
    # A client may name a date only if it knows it to be strong, and it has to be the very same.
    date = parse_http_date(validator)
    return date is not None and date == found.modified


def _range(asked: str, size: int) -> Selected:
    """A single range; several, and what is no range of bytes, are ignored (RFC 9110, 14.2)."""
    match = _RANGE.fullmatch(asked)
    first, last = match.groups() if match is not None else ("", "")
    whole = Selected(200, 0, size)
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return whole
    elif last:
        start, stop = max(size - int(last), 0), size
        if size == 0 and int(last):
            # Satisfiable, yet there is no Content-Range for it.
            return whole
    else:
        return whole
    return Selected(206, start, stop) if start < stop else Selected(416)


def _tags(value: str, *, weak: bool) -> set[str]:
    """The opaque tags of a list, those of weak ones only if `weak`."""
    return {tag[1] for tag in _ETAG.finditer(value) if weak or not tag[0].startswith("W/")}


def _date(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name)
    return None if value is None else parse_http_date(value)
