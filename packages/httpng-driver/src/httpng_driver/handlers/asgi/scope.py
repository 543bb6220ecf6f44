"""The scope of a request, as ASGI says it: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from typing import Any, Final
from urllib.parse import unquote

from httpng_core import AsgiHandler, Exchange, Request
from httpng_driver.handlers.asgi.extensions import tls
from httpng_driver.handlers.io import IO

SPEC_VERSION: Final = "2.5"
"""Of HTTP and WebSocket: since 2.4 `send` raises an OSError when the client has gone."""


# Copied for each request: a copy of what is made already costs a ninth of making it.
_ASGI: Final = {"version": "3.0", "spec_version": SPEC_VERSION}
_HTTP: Final[dict[str, Any]] = {
    "type": "http",
    "asgi": _ASGI,
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "root_path": "",
    "headers": [],
    "client": None,
    "server": None,
    "state": {},
    "extensions": {},
}
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {
    "httpng": {},
    # Nothing is in these, for any request.
    "http.response.trailers": {},
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
}


def http_scope(
    exchange: Exchange, io: IO, handler: AsgiHandler, states: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    """Return the scope of a request; `states` has what each application has put into its own."""
    request, pump = exchange.request, io.pump
    key = (
        request.path,
        request.peer,
        request.method,
        request.https,
        request.version_major,
        request.version_minor,
        handler,
        exchange.settings.root_path,
        request.ouraddr,
    )
    kept = pump.kept
    if kept is None or kept[0] != key:
        # The next request of the connection may well be the same but for its headers.
        kept = pump.kept = key, _common(request, handler, exchange.settings.root_path)
    scope: dict[str, Any] = kept[1].copy()
    scope["asgi"] = _ASGI.copy()
    scope["headers"] = [*request.raw_headers]
    # A copy of what was put into it at the start.
    state = states.get(id(handler.app))
    scope["state"] = {} if state is None else state.copy()
    extensions = scope["extensions"] = _EXTENSIONS.copy()
    extensions["httpng"] = {"io": io}
    if request.https:
        extensions["tls"] = tls(exchange)
    return scope


def _common(request: Request, handler: AsgiHandler, root_path: str) -> dict[str, Any]:
    """Return of a scope what doesn't change, if the request is the same but for its headers."""
    path, peer, ouraddr, scope = request.path, request.peer, request.ouraddr, _HTTP.copy()
    if "?" in path:
        path, _, query = path.partition("?")
        scope["query_string"] = query.encode("utf-8", "surrogateescape")
    if root_path:
        # The proxy has taken it off.
        path = root_path + path
    if request.version_major == 2:
        scope["http_version"] = "2"
    elif not request.version_minor:
        scope["http_version"] = "1.0"
    scope["method"] = request.method.upper()
    scope["path"] = unquote(path) if "%" in path else path
    scope["raw_path"] = path.encode("utf-8", "surrogateescape")
    scope["root_path"] = root_path + handler.mount
    if peer.family != "AF_UNIX":
        scope["client"] = peer.host, peer.port
    scope["server"] = ouraddr.host, None if ouraddr.family == "AF_UNIX" else ouraddr.port
    if request.https:
        scope["scheme"] = "https"
    return scope


def websocket_scope(request: Request, scope: dict[str, Any]) -> dict[str, Any]:
    """Make the scope of a request one of the WebSocket that it asks for."""
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
