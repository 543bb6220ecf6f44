"""Conditional requests and ranges (RFC 9110, 13 and 14): what a request asks of a representation. Pure.

Only GET and HEAD come here. The order of the preconditions is that of RFC 9110, 13.2.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

from httpng_core.http.dates import parse_http_date
from httpng_core.http.file_info import FileInfo

Verdict = Literal[200, 206, 304, 412, 416]

_ETAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_SECOND: Final = 1_000_000_000
# Of file systems that count whole seconds the coarsest, FAT, counts two.
_COARSE: Final = 2 * _SECOND
_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Representation:
    """What a request is judged by.

    Attributes:
        size: its length in bytes.
        etag: its entity tag, quotes included; a weak one begins with W/.
        modified: when it was last changed, in seconds since 1970; `None`: not known.
        last_modified: what clients are told of that, to ask for it with.
    """

    size: int
    etag: str
    modified: int | None
    last_modified: int | None = None


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


def representation(info: FileInfo) -> Representation:
    """Return what tells this content of a file from any other that its name has had or will have.

    Size and mtime don't: `rsync -t` keeps the mtime of what it copies, Nix and Bazel give all files the same.
    But nobody can set a ctime, and whatever puts other content under a name sets it. So a tag of both is
    strong (RFC 9110, 8.8.1). Only what has changed just now may change once more within the resolution of
    these times: its tag is weak, and equal to no later one.
    """
    now = int(info.opened_at * _SECOND)
    times = (info.mtime_ns, info.mtime_ns if info.ctime_ns is None else info.ctime_ns)
    # A mtime in the future is a mistake of whoever set it, and tells nothing.
    changed = max((time for time in times if time <= now), default=None)
    if changed is None:
        return Representation(info.size, _tag(info, f"-{now}"), None)
    resolution = info.tick_ns if changed % _SECOND else _COARSE
    etag = _tag(info) if now - changed >= resolution else _tag(info, f"-{now}")
    second = changed // _SECOND
    if second < 0:
        return Representation(info.size, etag, None)
    return Representation(info.size, etag, second, _last_modified(info, second, now))


def _last_modified(info: FileInfo, second: int, now: int) -> int:
    """Return what clients are told of the second in which a file was changed.

    A file that came with an older mtime may be replaced by another such file at once. Whoever sees it in the
    second of its coming is told the second before, which isn't that of the next one either.
    """
    is_over = now - second * _SECOND >= _COARSE
    return second if is_over or info.mtime_ns // _SECOND == second else max(second - 1, 0)


def _tag(info: FileInfo, moment: str = "") -> str:
    """Return the entity tag. With a `moment` it is weak, and no later one is equal."""
    facts = f"{info.device}-{info.inode}-{info.size}-{info.mtime_ns}-{info.ctime_ns}{moment}"
    # Hashed: inode numbers are nobody's business.
    opaque = f'"{blake2b(facts.encode(), digest_size=12).hexdigest()}"'
    return f"W/{opaque}" if moment else opaque


def select(method: str, headers: Mapping[str, str], found: Representation) -> Selected:
    """Return how a GET or HEAD with these headers is answered; HEAD has no ranges (RFC 9110, 14.2)."""
    if not _may_go_on(headers, found):
        return Selected(412)
    if not _is_news(headers, found):
        return Selected(304)
    asked = headers.get("range")
    if method != "GET" or asked is None or not _is_of_this(headers.get("if-range"), found):
        return Selected(200, 0, found.size)
    return _range(asked, found.size)


def _may_go_on(headers: Mapping[str, str], found: Representation) -> bool:
    """Evaluate If-Match, else If-Unmodified-Since."""
    tags = headers.get("if-match")
    if tags is not None:
        # Strong comparison: a weak tag matches nothing (RFC 9110, 13.1.1).
        return tags.strip() == "*" or found.etag in _tags(tags, weak=False)
    since = _date(headers, "if-unmodified-since")
    return since is None or found.modified is None or found.modified <= since


def _is_news(headers: Mapping[str, str], found: Representation) -> bool:
    """Evaluate If-None-Match, else If-Modified-Since."""
    tags = headers.get("if-none-match")
    if tags is not None:
        # Weak comparison: whether either is weak doesn't count (RFC 9110, 13.1.2).
        return tags.strip() != "*" and found.etag.removeprefix("W/") not in _tags(tags, weak=True)
    since = _date(headers, "if-modified-since")
    return since is None or found.modified is None or found.modified > since


def _is_of_this(validator: str | None, found: Representation) -> bool:
    """Return whether the parts that the client has are of what there is now: If-Range (RFC 9110, 13.1.5).

    The comparison is strong, so a weak tag isn't even that of itself. Nor is a date: nobody knows that a file
    didn't change twice in that second (8.8.2.2), and every client has got a tag.
    """
    return validator is None or (validator == found.etag and not validator.startswith("W/"))


def _range(asked: str, size: int) -> Selected:
    """Return a single range; several, and what is no range of bytes, are ignored (RFC 9110, 14.2)."""
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
    """Return the opaque tags of a list, those of weak ones only if `weak`."""
    return {tag[1] for tag in _ETAG.finditer(value) if weak or not tag[0].startswith("W/")}


def _date(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name)
    return None if value is None else parse_http_date(value)
