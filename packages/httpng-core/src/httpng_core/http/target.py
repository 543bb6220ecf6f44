"""Host and request target of HTTP/1.1 (RFC 9112, 3.2), where h11 is laxer than the RFC."""

import re
from functools import lru_cache

from httpng_core.errors import RemoteError

# RFC 3986 host and port, without what RFC 9110, 7.2 forbids (userinfo, path) and without the comma,
# by which two Host values can be made to look like one.
_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(?::([0-9]*))?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)([^#]*)")


def check_host(version: bytes, hosts: list[bytes]) -> str:
    """Return the host that a request names, "" if it may go without and does.

    HTTP/1.1 demands exactly one well-formed Host; HTTP/1.0 may have none.

    Raises:
        RemoteError: it has none, two, or one with userinfo, a path or a comma.
    """
    if len(hosts) > 1 or (not hosts and version >= b"1.1"):
        raise RemoteError(f"{len(hosts)} Host headers where there must be one")
    host = _host(hosts[0]) if hosts else ""
    if host is None:
        raise RemoteError("malformed Host header")
    return host


def host_and_path(method: bytes, target: bytes, host: str) -> tuple[str, str]:
    """Return the host without its port, and the target in origin form; `host` is that of the Host header.

    The authority of an absolute target wins over the Host header (RFC 9112, 3.2.2).

    Raises:
        RemoteError: a target in none of the forms that a server of origin may be asked for.
    """
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        path = target
    else:
        host, path = _absolute(target)
    if b"#" in path:
        raise RemoteError("request target has a fragment")
    return host or "default", path.decode("ascii")


def _absolute(target: bytes) -> tuple[str, bytes]:
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise RemoteError("request target is neither a path nor an http URI")
    host, path = _host(match[1]), match[2]
    if not host:
        # Unlike a Host header, a URI can't go without (RFC 9110, 4.2.1).
        raise RemoteError("malformed authority in the request target")
    return host, path if path.startswith(b"/") else b"/" + path


@lru_cache(maxsize=256)
def _host(authority: bytes) -> str | None:
    """Return the host of an authority without its port; `None` if it isn't an authority."""
    match = _AUTHORITY.fullmatch(authority) if len(authority) < 300 else None
    return None if match is None else match[1].decode("ascii")
