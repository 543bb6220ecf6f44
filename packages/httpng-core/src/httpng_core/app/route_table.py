"""Routes: which of them a request is for, by its path, method and host. Pure matching.

1. The path is the request target without its query, percent-decoded once, so `%2F` is a slash. A slash at
   its end doesn't count.
2. A path of a route is static, or has placeholders, each with a name: `:id` takes one segment, or the part
   of it up to the character that follows in the route; `#id` is the same; `*rest`, at the end only, takes
   the rest, slashes and all, and that may be nothing. `<id>`, `<:id>`, `<#id>` and `<*rest>` are other
   forms, for where a letter follows.
3. A static path beats one with placeholders. Of these the more static one wins, segment by segment from the
   left; `*rest` comes last. After that a route with a host beats one without, and the first one added.
4. A route without a method takes all of them, and one for GET takes HEAD too (RFC 9110, 9.1). If only the
   method is wrong the answer is 405 with the methods there are (RFC 9110, 15.5.6), else 404.

No placeholder can match in two ways, so a path costs what it is long, whatever it says.
"""

import re
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

from httpng_core.http.response import Response

_T = TypeVar("_T")

_PLACEHOLDER: Final = re.compile(r"<([:#*]?)(\w+)>|([:#*])(\w+)", re.ASCII)
_STATIC, _PARTLY, _SEGMENT, _REST = range(4)
_TEXT: Final = {"content-type": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Match(Generic[_T]):
    """The route that a request is for.

    Attributes:
        handler: what was added with the route.
        stash: what the placeholders took, by name.
        path: that of the route, as it was added.
    """

    handler: _T
    stash: dict[str, str]
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class NoMatch:
    """That no route takes a request.

    Attributes:
        allow: the methods that there are for its path; empty: there is nothing.
    """

    allow: tuple[str, ...] = ()

    def response(self) -> Response:
        """Return the answer: 404, or 405 with the header Allow."""
        if not self.allow:
            return Response(status=404, headers=_TEXT, body=b"not found")
        headers = {**_TEXT, "allow": ", ".join(self.allow)}
        return Response(status=405, headers=headers, body=b"method not allowed")


@dataclass(frozen=True, slots=True, order=True)
class _Route(Generic[_T]):
    """One route; the first fields are its place in the order. No methods: all; no pattern: a static path."""

    ranks: tuple[int, ...]
    has_no_host: bool
    number: int
    path: str = field(compare=False)
    names: tuple[str, ...] = field(compare=False)
    pattern: re.Pattern[str] | None = field(compare=False)
    handler: _T = field(compare=False)
    methods: tuple[str, ...] = field(compare=False)
    host: str | None = field(compare=False)

    def take(self, path: str) -> tuple[str, ...] | None:
        """Return what the placeholders take; `None`: it isn't this path."""
        if self.pattern is None:
            return ()
        found = self.pattern.fullmatch(path)
        return None if found is None else found.groups()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTableStatistics:
    """How much a table holds. A snapshot.

    Attributes:
        paths: how many static paths.
        patterns: how many routes with placeholders.
        names: how many names.
    """

    paths: int
    patterns: int
    names: int


class RouteTable(Generic[_T]):
    """Routes in their order. They can be added and deleted at any time."""

    def __init__(self) -> None:
        self._static: dict[str, list[_Route[_T]]] = {}
        self._patterns: list[_Route[_T]] = []
        self._by_name: dict[str, _Route[_T]] = {}
        self._count = 0

    def add(
        self,
        path: str,
        handler: _T,
        *,
        method: str | None = None,
        host: str | None = None,
        name: str | None = None,
    ) -> None:
        """Add a route.

        Args:
            path: with placeholders, see the module.
            handler: what `find` gives.
            method: `None` and "ANY" mean all. Case counts (RFC 9110, 9.1).
            host: without a port; case doesn't count. `None`: all.
            name: for `delete`.

        Raises:
            ValueError: a path that can't be, a name that is taken.
        """
        if name is not None and name in self._by_name:
            raise ValueError(f"there is a route {name!r} already")
        ranks, names, pattern = _compiled(path)
        self._count += 1
        route = _Route(
            ranks=ranks,
            has_no_host=host is None,
            number=self._count,
            path=_trimmed(path),
            names=names,
            pattern=pattern,
            handler=handler,
            methods=_methods(method),
            host=None if host is None else host.lower(),
        )
        insort(self._rows(route), route)
        if name is not None:
            self._by_name[name] = route

    def delete(self, name: str) -> _T:
        """Delete the route of that name; return what was added with it.

        Raises:
            ValueError: there is none.
        """
        if name not in self._by_name:
            raise ValueError(f"there is no route {name!r}")
        route = self._by_name.pop(name)
        rows = self._rows(route)
        rows.remove(route)
        if not rows:
            self._static.pop(route.path, None)
        return route.handler

    def handlers(self) -> list[_T]:
        """Return what was added with the routes that there are."""
        rows = [*self._static.values(), self._patterns]
        return [route.handler for routes in rows for route in routes]

    def statistics(self) -> RouteTableStatistics:
        """Return how much the table holds."""
        return RouteTableStatistics(
            paths=len(self._static), patterns=len(self._patterns), names=len(self._by_name)
        )

    def find(self, method: str, host: str, target: str) -> Match[_T] | NoMatch:
        """Return the route of a request, by its raw `Request.path`."""
        allow: dict[str, None] = {}
        for route, values in self._taking(decoded(target), host.lower()):
            if not route.methods or method in route.methods:
                return Match(route.handler, dict(zip(route.names, values, strict=True)), route.path)
            allow.update(dict.fromkeys(route.methods))
        return NoMatch(tuple(allow))

    def _taking(self, path: str, host: str) -> Iterator[tuple[_Route[_T], tuple[str, ...]]]:
        for routes in (self._static.get(_trimmed(path), ()), self._patterns):
            for route in routes:
                values = route.take(path) if route.host in (None, host) else None
                if values is not None:
                    yield route, values

    def _rows(self, route: _Route[_T]) -> list[_Route[_T]]:
        return self._patterns if route.pattern else self._static.setdefault(route.path, [])


def _methods(method: str | None) -> tuple[str, ...]:
    if method is None or method == "ANY":
        return ()
    return ("GET", "HEAD") if method == "GET" else (method,)


def decoded(target: str) -> str:
    """Return the path of a request target, percent-decoded; bytes that aren't UTF-8 become surrogates."""
    return unquote(target.partition("?")[0], errors="surrogateescape")


def _trimmed(path: str) -> str:
    return path[:-1] if path.endswith("/") and path != "/" else path


def _compiled(path: str) -> tuple[tuple[int, ...], tuple[str, ...], re.Pattern[str] | None]:
    """Return how static each segment is; the placeholders; the expression of a path that has some."""
    if not path.startswith("/"):
        raise ValueError(f"path {path!r} of a route must begin with '/'")
    path = _trimmed(path)
    found = list(_PLACEHOLDER.finditer(path))
    if not found:
        return (), (), None
    names = tuple(_name(match) for match in found)
    if len(set(names)) < len(names):
        raise ValueError(f"path {path!r} of a route has two placeholders of one name")
    ends = [match.start() for match in found[1:]] + [len(path)]
    parts = [re.escape(path[: found[0].start()])]
    for match, end in zip(found, ends, strict=True):
        after = path[match.end() : end]
        parts += (_group(match, after), re.escape(after))
    ranks = tuple(map(_rank, path.split("/")[1:]))
    return ranks, names, re.compile("".join(parts) + "/?", re.DOTALL)


def _group(match: re.Match[str], after: str) -> str:
    """Return the expression for one placeholder. It is possessive: one way to match, and that is linear."""
    is_last = match.end() == len(match.string)
    if _is_rest(match):
        if not is_last:
            raise ValueError(f"placeholder {match[0]} must be the end of path {match.string!r}")
        return "(.*+)"
    if not after and not is_last:
        raise ValueError(f"placeholder {match[0]} in path {match.string!r} must not touch the next one")
    return f"([^/{re.escape(after[:1])}]++)"


def _rank(segment: str) -> int:
    found = _PLACEHOLDER.search(segment)
    if found is None:
        return _STATIC
    if _is_rest(found):
        return _REST
    return _SEGMENT if found[0] == segment else _PARTLY


def _name(placeholder: re.Match[str]) -> str:
    return placeholder[2] or placeholder[4]


def _is_rest(placeholder: re.Match[str]) -> bool:
    return "*" in (placeholder[1], placeholder[3])
