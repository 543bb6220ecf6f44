"""The scope of a request, as ASGI says it: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from typing import Any, Final
from urllib.parse import unquote

from httpng_core import Address, AsgiHandler, Request

SPEC_VERSION: Final = "2.5"
"""Of HTTP and WebSocket: since 2.4 `send` raises an OSError when the client has gone."""


def http_scope(
    request: Request, handler: AsgiHandler, root_path: str, state: dict[str, Any]
) -> dict[str, Any]:
    """Return the scope of a request; its extensions are the caller's to add."""
    target, _, query = request.path.partition("?")
    if root_path:
        # The proxy has taken it off.
        target = root_path + target
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
        "http_version": http_version(request),
        "method": request.method.upper(),
        "scheme": "https" if request.https else "http",
        "path": unquote(target) if "%" in target else target,
        "raw_path": target.encode("utf-8", "surrogateescape"),
        "query_string": query.encode("utf-8", "surrogateescape"),
        "root_path": root_path + handler.mount,
        "headers": list(request.headers.raw),
        "client": client_of(request.peer),
        "server": server_of(request.ouraddr),
        "state": state,
    }


def http_version(request: Request) -> str:
    """Return the version as ASGI has it."""
    if request.version_major == 1:
        return "1.1" if request.version_minor else "1.0"
    return "2"


def client_of(peer: Address) -> tuple[str, int] | None:
    """Return the client's end; `None` for one of a Unix socket, which has no address."""
    return None if peer.family == "AF_UNIX" else (peer.host, peer.port)


def server_of(ouraddr: Address) -> tuple[str, int | None]:
    """Return our end; a Unix socket has a path and no port."""
    return ouraddr.host, None if ouraddr.family == "AF_UNIX" else ouraddr.port
