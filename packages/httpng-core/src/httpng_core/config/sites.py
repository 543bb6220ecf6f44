"""Sites: which handler a request is for, by its path. Pure matching.

1. The path is the request target without its query, percent-decoded once, dot segments resolved.
2. A site takes its own path and all below it: '/foo' takes /foo, /foo/ and /foo/x, not /foo1. '/sl/', with
   a slash at its end, takes /sl/ and /sl/x, not /sl. '/' takes everything.
3. The first site that takes a path has it. Case counts.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from httpng_core.config.nearest import nearest_key
from httpng_core.errors import ConfigError
from httpng_core.http.response import Response

_T = TypeVar("_T")

NOT_FOUND: Final = Response(
    status=404, headers={"content-type": "text/plain; charset=utf-8"}, body=b"not found"
)
"""The answer where there is nothing."""

_ROOT: Final = "/"
_KEYS: Final = ("dotfiles", "handler", "index", "path", "stream_body")
_OF_DIRECTORIES: Final = ("index", "dotfiles")


@dataclass(frozen=True, slots=True)
class Site:
    """One site as it was configured.

    Attributes:
        path: what requests it takes.
        handler: a function in whatever form, or the absolute name of a directory.
        index: the name of the file that stands for its directory; `None`: none does.
        dotfiles: whether names that begin with a dot are served.
        stream_body: whether the handler starts before the request's body is in; `None`: as `stream_bodies`
            says. Directories ignore it.
    """

    path: str
    handler: object
    index: str | None = None
    dotfiles: bool = False
    stream_body: bool | None = None

    @property
    def directory(self) -> str | None:
        """The directory that is served, `None` for a function."""
        return self.handler if isinstance(self.handler, str) else None


class SiteTable(Generic[_T]):
    """Finds who has a path."""

    def __init__(self, sites: Sequence[tuple[str, _T]]) -> None:
        """Take paths and who has them, in order."""
        self._rows = [(path_bytes(path), path_bytes(_below(path)), has) for path, has in sites]

    def find(self, target: str) -> _T | None:
        """Return who has a request target; `None`: nobody."""
        path = resolved(target)
        for exactly, below, has in self._rows:
            if path == exactly or path.startswith(below):
                return has
        return None


def resolved(target: str) -> bytes:
    """Return the path that a request target names (RFC 3986, 5.2.4), for a raw `Request.path`.

    It begins with a slash and has no dot segments, so it never leads above "/". `*` is "/".
    """
    path = unquote_to_bytes(target.partition("?")[0])
    if not path.startswith(b"/"):
        return b"/"
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    *inner, last = path.split(b"/")[1:]
    for segment in (*inner, last):
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if last in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


def path_bytes(path: str) -> bytes:
    """Return a configured path as requests name it."""
    return path.encode("utf-8", "surrogateescape")


def _below(path: str) -> str:
    return path if path.endswith("/") else path + "/"


def _checked_handler(handler: object, is_function: Callable[[object], bool], otherwise: str) -> object:
    """Return a function as it is, a directory by its absolute name."""
    if is_function(handler):
        return handler
    if not isinstance(handler, str | os.PathLike):
        raise ConfigError(otherwise)
    name = os.fsdecode(handler)
    if not name or "\0" in name:
        raise ConfigError(f"{name!r} can't be the name of a directory")
    return os.path.abspath(name)


def parse_sites(
    sites: object, handler: object, is_function: Callable[[object], bool] = callable
) -> tuple[Site, ...]:
    """Check `sites` and `handler` of cfg; the latter is the site "/", after the others.

    Raises:
        ConfigError: with the texts of the original where it has one.
    """
    found: list[Site] = []
    for table in _tables(sites):
        _add(found, _parse_site(table, is_function))
    if handler is not None:
        _add(found, _parse_root(handler, is_function))
    if not found:
        raise ConfigError("No handlers specified")
    return tuple(found)


def parse_new_sites(
    sites: object,
    handler: object,
    running: Sequence[Site],
    language: str,
    is_function: Callable[[object], bool] = callable,
) -> tuple[Site, ...]:
    """Check `sites` and `handler` that are to take the place of those that are `running`.

    There may be none at all, and "/" may stand anywhere: it is put last.

    Args:
        sites: of cfg.
        handler: of cfg.
        running: those that are served now.
        language: what the functions are written in, for the texts.
        is_function: whether a handler is a function.

    Raises:
        ConfigError: with the texts of the original where it has one.
    """
    before = {site.path: site for site in running}
    found: dict[str, Site] = {}
    for table in _tables(sites):
        site = _parse_site(table, is_function)
        if site.path in found:
            known = site.path in before
            raise ConfigError("duplicated site description" if known else "Can't add duplicate paths")
        found[site.path] = _replacing(before.get(site.path), site, language)
    if handler is not None:
        root = _parse_root(handler, is_function)
        if _ROOT in found:
            raise ConfigError("duplicated site description for /")
        found[_ROOT] = _replacing(before.get(_ROOT), root, language)
    return tuple(sorted(found.values(), key=lambda site: site.path == _ROOT))


def _replacing(before: Site | None, site: Site, language: str) -> Site:
    if before is None or (before.directory is None) == (site.directory is None):
        return site
    kinds = f"{language} handler", "file handler"
    old, new = kinds if before.directory is None else kinds[::-1]
    raise ConfigError(f"replacing {old} with {new} is not supported")


def _parse_root(handler: object, is_function: Callable[[object], bool]) -> Site:
    return Site(_ROOT, _checked_handler(handler, is_function, "handler is not a function"))


def _tables(sites: object) -> Iterator[Mapping[object, object]]:
    if sites is None:
        return
    if not isinstance(sites, list | tuple | Mapping):
        raise ConfigError("sites is not a table")
    for site in sites.values() if isinstance(sites, Mapping) else sites:
        # A sequence is a table in Lua, and has no path.
        site = {} if isinstance(site, list | tuple) else site
        if not isinstance(site, Mapping):
            raise ConfigError("sites is not a table of tables")
        if isinstance(sites, Mapping):
            raise ConfigError("sites is not an array: its order would be left to chance")
        yield site


def _parse_site(table: Mapping[object, object], is_function: Callable[[object], bool]) -> Site:
    path = table.get("path")
    if path is None:
        raise ConfigError("sites[].path is nil")
    if not isinstance(path, str):
        raise ConfigError("sites[].path is not a string")
    handler = _checked_handler(
        table.get("handler"), is_function, "sites[].handler is not a function or string"
    )
    for key in table:
        if key not in _KEYS:
            nearest = nearest_key(str(key), _KEYS)
            raise ConfigError(f"unknown parameter {key} in sites; the nearest known one is {nearest}")
        if key in _OF_DIRECTORIES and table[key] is not None and not isinstance(handler, str):
            raise ConfigError(f"sites[].{key} is for directories, and the handler of this site is a function")
    if not path.startswith(_ROOT) or any(segment in (".", "..") for segment in path.split("/")):
        raise ConfigError(f"sites[].path {path!r} can't match: it must begin with '/', without dot segments")
    return (
        Site(path, handler, _index(table), _flag(table, "dotfiles") is True, _flag(table, "stream_body"))
        if isinstance(handler, str)
        else Site(path, handler, stream_body=_flag(table, "stream_body"))
    )


def _index(table: Mapping[object, object]) -> str | None:
    index = table.get("index")
    if index is None:
        return None
    if not isinstance(index, str):
        raise ConfigError("sites[].index is not a string")
    if index in ("", ".", "..") or not {"/", "\\", "\0"}.isdisjoint(index):
        raise ConfigError(
            f"sites[].index {index!r} can't be the name of a file: it is looked for in each directory"
        )
    return index


def _flag(table: Mapping[object, object], key: str) -> bool | None:
    value = table.get(key)
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"sites[].{key} is not a boolean")
    return value


def _add(sites: list[Site], site: Site) -> None:
    paths = [one.path for one in sites]
    if _ROOT in paths:
        raise ConfigError(
            'There can be only one "/"' if site.path == _ROOT else 'Can\'t add other paths after adding "/"'
        )
    if site.path in paths:
        raise ConfigError("Can't add duplicate paths")
    sites.append(site)
