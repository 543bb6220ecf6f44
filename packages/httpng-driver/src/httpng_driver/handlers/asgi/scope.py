"""The scope of a request, as ASGI says it: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from typing import Any, Final
from urllib.parse import unquote

from httpng_core import AsgiHandler, Request

SPEC_VERSION: Final = "2.5"
"""Of HTTP and WebSocket: since 2.4 `send` raises an OSError when the client has gone."""


def http_scope(
    request: Request, handler: AsgiHandler, root_path: str, state: dict[str, Any]
) -> dict[str, Any]:
    """Return the scope of a request; its extensions are the caller's to add."""
    target, _, query = request.path.partition("?")
    peer, ouraddr = request.peer, request.ouraddr
    if root_path:
        # The proxy has taken it off.
        target = root_path + target
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
        "http_version": "2" if request.version_major == 2 else "1.1" if request.version_minor else "1.0",
        "method": request.method.upper(),
        "scheme": "https" if request.https else "http",
        "path": unquote(target) if "%" in target else target,
        "raw_path": target.encode("utf-8", "surrogateescape"),
        "query_string": query.encode("utf-8", "surrogateescape"),
        "root_path": root_path + handler.mount,
        "headers": list(request.headers.raw),
        "client": None if peer.family == "AF_UNIX" else (peer.host, peer.port),
        "server": (ouraddr.host, None if ouraddr.family == "AF_UNIX" else ouraddr.port),
        "state": state,
    }
