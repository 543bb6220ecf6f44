"""Asking a running server: its admin listener, or where its `status_handler` is mounted."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlencode, urlsplit

Status = dict[str, Any]

_PATIENCE = 10.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._path)


def fetch(where: str, **wanted: object) -> Status:
    """Return what a server tells at `unix:/SOCKET`, `http://HOST:PORT/PATH` or `unix:/SOCKET:/PATH`.

    Raises:
        OSError, ValueError: it can't be reached, or tells something else.
    """
    connection, path = _open(where)
    status, body = _exchange(where, connection, "GET", f"{path}?{urlencode({'format': 'json', **wanted})}")
    if status != 200:
        raise ValueError(f"{where}: answered with {status}: is httpng.status_handler mounted there?")
    found = _parsed(where, body)
    if not isinstance(found, dict) or "exchanges" not in found:
        raise ValueError(f"{where}: this is no status of httpng")
    return found


def tell(where: str, verb: str, **said: object) -> str:
    """Have the server at `where` do something; return what came of it, for people."""
    try:
        connection, path = _open(where)
        status, body = _exchange(where, connection, "POST", f"{path.rstrip('/')}/{verb}", said)
        if status == 200:
            return "done"
        if status in (404, 405) and not body.startswith(b"{"):
            return "only an admin listener does that, not a mounted handler"
        return str(_parsed(where, body).get("error", status))
    except (OSError, ValueError) as error:
        return str(error)


def _open(where: str) -> tuple[http.client.HTTPConnection, str]:
    if where.startswith("unix:"):
        name, _, path = where[5:].partition(":")
        return _UnixConnection(name), path or "/"
    parts = urlsplit(where if "//" in where else f"http://{where}")
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return make(parts.netloc, timeout=_PATIENCE), parts.path or "/"


def _exchange(
    where: str, connection: http.client.HTTPConnection, method: str, target: str, said: object = None
) -> tuple[int, bytes]:
    headers = {} if said is None else {"content-type": "application/json"}
    try:
        connection.request(method, target, None if said is None else json.dumps(said), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise ValueError(f"{where}: this is no HTTP: {error}") from error
    finally:
        connection.close()


def _parsed(where: str, body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise ValueError(f"{where}: this is no status of httpng") from error
