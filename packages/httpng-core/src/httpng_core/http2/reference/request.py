"""Request heads of HTTP/2 (RFC 9113, 8.3), checked in one pass; h2's own checks end the whole connection."""

import re
from dataclasses import dataclass

from httpng_core.errors import RemoteError
from httpng_core.http.priority import FAIR, Priority, parse_priority
from httpng_core.http.request import Address, Headers, Request
from httpng_core.http.target import check_host, host_and_path

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[^\x00\r\n \t](?:[^\x00\r\n]*[^\x00\r\n \t])?)?")
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_OF_A_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path"})
_OVERHEAD = 32

Fields = list[tuple[bytes, bytes]]


class MalformedError(RemoteError):
    """A request that is malformed in the sense of RFC 9113, 8.1.1: a stream error, PROTOCOL_ERROR."""


@dataclass(slots=True)
class RequestHead:
    """A checked request head.

    Attributes:
        method, path, host: as of `Request`.
        fields: the headers, without pseudo-headers; with Host, whatever way the client named it.
        length: the declared Content-Length, if any.
        expects_continue: whether the client waits for a 100.
        priority: what the client wants.
    """

    method: str
    path: str
    host: str
    fields: Fields
    length: int | None
    expects_continue: bool
    priority: Priority

    def request(self, body: bytes, peer: Address, ouraddr: Address, *, https: bool) -> Request:
        """Return the request, now that its body is whole."""
        return Request(
            method=self.method,
            path=self.path,
            host=self.host,
            headers=Headers(self.fields),
            body=body,
            version_major=2,
            version_minor=0,
            https=https,
            peer=peer,
            ouraddr=ouraddr,
        )


def check_size(fields: Fields, limit: int, max_fields: int) -> None:
    """Bound a header list as RFC 9113, 10.5.1 counts it, and the number of its fields.

    Raises:
        RemoteError: 431.
    """
    if sum(len(name) + len(value) + _OVERHEAD for name, value in fields) > limit:
        raise RemoteError(f"request head is longer than {limit} bytes", 431)
    if len(fields) > max_fields:
        raise RemoteError(f"request head has more than {max_fields} fields", 431)


def check_trailers(fields: Fields) -> None:
    """Check trailers.

    Raises:
        MalformedError: they aren't.
    """
    for name, value in fields:
        _check_field(name, value)


def parse_head(fields: Fields) -> RequestHead:
    """Check a header list.

    Raises:
        MalformedError: it breaks RFC 9113.
        RemoteError: it can't be served.
    """
    pseudo, headers = _split(fields)
    method, target, authority = _check_pseudo(pseudo)
    hosts: list[bytes] = []
    length, expects, priority = None, False, FAIR
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            length = int(value)  # h2 has checked it.
        elif name == b"expect":
            expects = value.lower() == b"100-continue"
        elif name == b"priority":
            priority = parse_priority(value)
    if authority is not None:
        if hosts not in ([], [authority]):
            raise MalformedError("Host differs from :authority")
        if not hosts:
            hosts = [authority]
            headers.insert(0, (b"host", authority))
    host, path = host_and_path(method, target, check_host(b"2", hosts))
    return RequestHead(method.decode(), path, host, headers, length, expects, priority)


def _split(fields: Fields) -> tuple[dict[bytes, bytes], Fields]:
    pseudo: dict[bytes, bytes] = {}
    headers: Fields = []
    for name, value in fields:
        if name in _PSEUDO:
            if headers or name in pseudo:
                raise MalformedError(f"{name.decode()} twice, or behind other headers")
            pseudo[name] = value
        else:
            _check_field(name, value)
            # Not what h2 gives: a type of its own.
            headers.append((name, value))
    return pseudo, headers


def _check_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise MalformedError(f"malformed header {name!r}")
    if name in _OF_A_CONNECTION or (name == b"te" and value.lower() != b"trailers"):
        raise MalformedError(f"header {name!r} belongs to one connection of HTTP/1.1")


def _check_pseudo(pseudo: dict[bytes, bytes]) -> tuple[bytes, bytes, bytes | None]:
    method = pseudo.get(b":method", b"")
    if not _METHOD.fullmatch(method):
        raise MalformedError("malformed :method, or none")
    if method == b"CONNECT":
        raise RemoteError("CONNECT is not supported", 501)
    path = pseudo.get(b":path", b"")
    if not pseudo.get(b":scheme") or not _TARGET.fullmatch(path):
        raise MalformedError("no :scheme, or malformed :path, or none")
    if not path.startswith(b"/") and path != b"*":
        raise MalformedError(":path is not a path")
    return method, path, pseudo.get(b":authority")
