"""The scope of a request, as ASGI says it: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from typing import Any, Final
from urllib.parse import unquote

from httpng_core import AsgiHandler, Exchange
from httpng_driver.handlers.asgi.extensions import tls
from httpng_driver.handlers.io import IO

SPEC_VERSION: Final = "2.5"
"""Of HTTP and WebSocket: since 2.4 `send` raises an OSError when the client has gone."""


def http_scope(exchange: Exchange, io: IO, handler: AsgiHandler, state: dict[str, Any]) -> dict[str, Any]:
    """Return the scope of a request."""
    request, root_path = exchange.request, exchange.settings.root_path
    target, _, query = request.path.partition("?")
    peer, ouraddr = request.peer, request.ouraddr
    if root_path:
        # The proxy has taken it off.
        target = root_path + target
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
        "http_version": "2" if request.version_major == 2 else "1.1" if request.version_minor else "1.0",
        "method": request.method.upper(),
        "scheme": "http",
        "path": unquote(target) if "%" in target else target,
        "raw_path": target.encode("utf-8", "surrogateescape"),
        "query_string": query.encode("utf-8", "surrogateescape"),
        "root_path": root_path + handler.mount,
        "headers": [*request.raw_headers],
        "client": None if peer.family == "AF_UNIX" else (peer.host, peer.port),
        "server": (ouraddr.host, None if ouraddr.family == "AF_UNIX" else ouraddr.port),
        "state": state,
        "extensions": {
            "httpng": {"io": io},
            "http.response.trailers": {},
            "http.response.early_hint": {},
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
        },
    }
    if request.https:
        scope["scheme"] = "https"
        scope["extensions"]["tls"] = tls(exchange)
    return scope


def websocket_scope(
    exchange: Exchange, io: IO, handler: AsgiHandler, state: dict[str, Any]
) -> dict[str, Any]:
    """Return the scope of a WebSocket."""
    request, scope = exchange.request, http_scope(exchange, io, handler, state)
    del scope["method"]
    offered = request.headers.get("sec-websocket-protocol", "")
    told = scope["extensions"]
    scope.update(
        type="websocket",
        scheme="wss" if request.https else "ws",
        subprotocols=[name.strip() for name in offered.split(",") if name.strip()],
        extensions={name: told[name] for name in ("httpng", "tls") if name in told},
    )
    scope["extensions"]["websocket.http.response"] = {}
    return scope
