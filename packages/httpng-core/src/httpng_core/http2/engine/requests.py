"""Request heads (RFC 9113, 8.2 and 8.3; RFC 8441), checked in one pass over a header list."""

import re
from typing import Final

from httpng_core.http2.engine.hpack_huffman import OF_A_PATH
from httpng_core.http2.engine.hpack_table import Field

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"(?:[^\x00\r\n \t](?:[^\x00\r\n]*[^\x00\r\n \t])?)?")
_PATH: Final = re.compile(b"/" + OF_A_PATH)
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
# RFC 3986 host and port, without userinfo and without the comma, by which two values can look like one.
_AUTHORITY: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(?::[0-9]*)?")
_LONGEST_AUTHORITY: Final = 300
# What nearly every request says, so that the grammar needn't be asked.
_USUAL_METHODS: Final = frozenset((b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"))
_USUAL_SCHEMES: Final = frozenset((b"http", b"https"))

_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_OF_A_CONNECTION: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)

# Fields that were found sound, on any connection. Of Content-Length and Host there is more to check.
_SOUND: Final[set[Field]] = set()
_MOST_SOUND: Final = 512
_LONGEST_SOUND: Final = 192

UNKNOWN_LENGTH: Final = -1
"""The length of a body that no Content-Length declares."""


class RequestError(Exception):
    """A request that isn't served.

    Attributes:
        status: what to answer; 0: it is malformed (RFC 9113, 8.1.1), a stream error PROTOCOL_ERROR.
        reason: what was wrong, for logs.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class RequestHead:
    """A checked request head. It isn't changed after it was made: requests that are alike may share it.

    Attributes:
        method: the method.
        scheme: the scheme, empty for a plain CONNECT.
        authority: what :authority says, or Host where there is none.
        path: path and query, `*` only for OPTIONS; empty for a plain CONNECT.
        protocol: what an extended CONNECT asks for (RFC 8441), else empty.
        fields: the headers, without pseudo-headers; with Host, whichever way the client named it.
        length: the declared Content-Length, else `UNKNOWN_LENGTH`.
        like: another one that is the same but for its path, if it was made of that.
    """

    __slots__ = ("authority", "fields", "length", "like", "method", "path", "protocol", "scheme")

    def __init__(
        self,
        method: bytes,
        scheme: bytes,
        authority: bytes,
        path: bytes,
        protocol: bytes,
        fields: tuple[Field, ...],
        length: int,
        like: "RequestHead | None" = None,
    ) -> None:
        self.method = method
        self.scheme = scheme
        self.authority = authority
        self.path = path
        self.protocol = protocol
        self.fields = fields
        self.length = length
        self.like = like

    def with_path(self, path: bytes) -> "RequestHead":
        """Return one that is the same but for its path."""
        return RequestHead(
            self.method, self.scheme, self.authority, path, self.protocol, self.fields, self.length, self
        )


def parse_request(fields: tuple[Field, ...], has_connect: bool) -> RequestHead:
    """Return the head that a header list is; `has_connect` says that we announced extended CONNECT.

    Raises:
        RequestError: It breaks RFC 9113, or can't be served.
    """
    pseudo: dict[bytes, bytes] = {}
    headers: list[Field] = []
    hosts: list[bytes] = []
    length = UNKNOWN_LENGTH
    for field in fields:
        name = field[0]
        if name in _PSEUDO:
            if headers or name in pseudo:
                raise RequestError("a pseudo-header comes twice, or behind other headers")
            pseudo[name] = field[1]
            continue
        if field not in _SOUND:
            _check_field(name, field[1])
            if name == b"content-length":
                length = _declared_length(field[1], length)
            elif name == b"host":
                hosts.append(field[1])
            else:
                _note_sound(field)
        headers.append(field)
    _check_pseudo(pseudo, has_connect)
    _check_authority(pseudo, headers, hosts)
    return RequestHead(
        pseudo.get(b":method", b""),
        pseudo.get(b":scheme", b""),
        pseudo.get(b":authority", b""),
        pseudo.get(b":path", b""),
        pseudo.get(b":protocol", b""),
        tuple(headers),
        length,
    )


def is_plain_path(path: bytes) -> bool:
    """Return whether a path is one that any request can have."""
    return _PATH.fullmatch(path) is not None


def check_trailers(fields: tuple[Field, ...]) -> None:
    """Check what comes after a body.

    Raises:
        RequestError: It has pseudo-headers, or a field that no request can have.
    """
    for name, value in fields:
        _check_field(name, value)


def normal_authority(authority: bytes, scheme: bytes) -> bytes:
    """Return an authority in its normal form: lower case, without a port that is the default or empty."""
    authority = authority.lower()
    default = b":443" if scheme.lower() == b"https" else b":80"
    return authority.removesuffix(default).removesuffix(b":")


def _note_sound(field: Field) -> None:
    """Note a field that was checked, as clients send the same ones again."""
    if len(field[0]) + len(field[1]) <= _LONGEST_SOUND:
        if len(_SOUND) >= _MOST_SOUND:
            _SOUND.clear()
        _SOUND.add(field)


def _check_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise RequestError(f"malformed header {name[:40]!r}")
    if name in _OF_A_CONNECTION or (name == b"te" and value.lower() != b"trailers"):
        raise RequestError(f"header {name!r} belongs to one connection of HTTP/1.1")


def _check_pseudo(pseudo: dict[bytes, bytes], has_connect: bool) -> None:
    method = pseudo.get(b":method", b"")
    if method not in _USUAL_METHODS and not _TOKEN.fullmatch(method):
        raise RequestError("malformed :method, or none")
    if b":protocol" in pseudo:
        if method != b"CONNECT" or not has_connect or not _TOKEN.fullmatch(pseudo[b":protocol"]):
            raise RequestError("malformed :protocol, or one where there can't be any")
    elif method == b"CONNECT":
        if b":scheme" in pseudo or b":path" in pseudo or not pseudo.get(b":authority"):
            raise RequestError("CONNECT has no :authority, or has a :scheme or :path")
        return
    scheme = pseudo.get(b":scheme", b"")
    if scheme not in _USUAL_SCHEMES and not _SCHEME.fullmatch(scheme):
        raise RequestError("malformed :scheme, or none")
    path = pseudo.get(b":path", b"")
    if not _PATH.fullmatch(path) and (path != b"*" or method != b"OPTIONS"):
        raise RequestError("malformed :path, or none")


def _declared_length(value: bytes, before: int) -> int:
    if before != UNKNOWN_LENGTH or not _LENGTH.fullmatch(value):
        raise RequestError("malformed content-length, or two of them")
    return int(value)


def _check_authority(pseudo: dict[bytes, bytes], headers: list[Field], hosts: list[bytes]) -> None:
    """Check :authority and Host, and have both (RFC 9113, 8.3.1)."""
    if len(hosts) > 1:
        raise RequestError("Host comes twice")
    authority = pseudo.get(b":authority")
    if authority is None:
        if not hosts:
            raise RequestError("neither :authority nor Host", 400)
        pseudo[b":authority"] = authority = hosts[0]
    elif not hosts:
        headers.insert(0, (b"host", authority))
    elif hosts[0] != authority:
        scheme = pseudo.get(b":scheme", b"")
        if normal_authority(hosts[0], scheme) != normal_authority(authority, scheme):
            raise RequestError("Host differs from :authority")
    field = (b":authority", authority)
    if field not in _SOUND:
        if len(authority) > _LONGEST_AUTHORITY or not _AUTHORITY.fullmatch(authority):
            raise RequestError("malformed :authority or Host", 400)
        _note_sound(field)
