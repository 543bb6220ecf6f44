"""The PROXY protocol, versions 1 and 2: what a proxy says of the client before its first byte.

https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal

from httpng_core.errors import RemoteError
from httpng_core.http.address import Address

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED: Final = 16
_LONGEST: Final = 16 + 4096
_LONGEST_LINE: Final = 107
_LINE: Final = re.compile(
    rb"PROXY (?:(UNKNOWN)(?: [^\r\n]*)?|(TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d{1,5}) (\d{1,5}))\r\n"
)
_BEGIN: Final = b"PROXY "
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_UNIX: Final = 0x31
_SIZES: Final = {_TCP4: 12, _TCP6: 36, _UNIX: 216}
_TLV_SSL: Final = 0x20
_CLIENT_SSL: Final = 0x01


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What the proxy says.

    Attributes:
        size: how many bytes that took.
        peer: the client's end of its connection; `None`: it is the proxy's own, or isn't known.
        ouraddr: the proxy's end of that.
        https: whether the client spoke TLS to the proxy; `None`: it isn't said.
    """

    size: int
    peer: Address | None = None
    ouraddr: Address | None = None
    https: bool | None = None


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """Return what stands at the beginning of `data`; `None` if it isn't whole yet.

    Raises:
        RemoteError: it is no such header.
    """
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        return _version_2(data)
    if data[: len(_BEGIN)] == _BEGIN[: len(data)]:
        return _version_1(data)
    raise RemoteError("there is no header of the PROXY protocol")


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, _LONGEST_LINE) + 1
    if not end:
        if len(data) >= _LONGEST_LINE:
            raise RemoteError(f"the PROXY line is longer than {_LONGEST_LINE} bytes")
        return None
    found = _LINE.fullmatch(data, 0, end)
    if found is None:
        raise RemoteError(f"malformed PROXY line: {data[: end - 1]!r}")
    if found[1]:
        return ProxyHeader(end)
    family: Literal["AF_INET", "AF_INET6"] = "AF_INET" if found[2] == b"TCP4" else "AF_INET6"
    return ProxyHeader(end, _of_line(found[3], found[5], family), _of_line(found[4], found[6], family))


def _of_line(host: bytes, port: bytes, family: Literal["AF_INET", "AF_INET6"]) -> Address:
    try:
        address = ip_address(host.decode("ascii"))
    except ValueError:
        raise RemoteError(f"malformed address in a PROXY line: {host!r}") from None
    if (address.version == 4) != (family == "AF_INET") or int(port) > 65535:
        raise RemoteError(f"malformed address in a PROXY line: {host!r} {port!r}")
    return Address(str(address), int(port), family)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED:
        return None
    version, command = data[12] >> 4, data[12] & 0x0F
    size = _FIXED + int.from_bytes(data[14:16], "big")
    if version != 2 or command > 1:
        raise RemoteError(f"unknown version or command of the PROXY protocol: {data[12]:#x}")
    if size > _LONGEST:
        raise RemoteError(f"the PROXY header is longer than {_LONGEST} bytes")
    if len(data) < size:
        return None
    family = data[13]
    if command == 0 or family not in _SIZES:
        # A check by the proxy itself, or something that can't be told here.
        return ProxyHeader(size)
    rest = data[_FIXED:size]
    if len(rest) < _SIZES[family]:
        raise RemoteError("the PROXY header is too short for its addresses")
    peer, ouraddr = _unix(rest) if family == _UNIX else _tcp(rest, 4 if family == _TCP4 else 16)
    return ProxyHeader(size, peer, ouraddr, _https(rest[_SIZES[family] :]))


def _tcp(rest: bytes, length: int) -> tuple[Address, Address]:
    family: Literal["AF_INET", "AF_INET6"] = "AF_INET" if length == 4 else "AF_INET6"
    hosts = [str(ip_address(rest[at : at + length])) for at in (0, length)]
    ports = [int.from_bytes(rest[at : at + 2], "big") for at in (2 * length, 2 * length + 2)]
    return Address(hosts[0], ports[0], family), Address(hosts[1], ports[1], family)


def _unix(rest: bytes) -> tuple[Address, Address]:
    names = [rest[at : at + 108].partition(b"\0")[0].decode("utf-8", "surrogateescape") for at in (0, 108)]
    return Address(names[0], 0, "AF_UNIX", protocol="unix"), Address(names[1], 0, "AF_UNIX", protocol="unix")


def _https(rest: bytes) -> bool | None:
    """Return whether the client spoke TLS, as the extensions say; `None` if they don't."""
    at = 0
    while at + 3 <= len(rest):
        kind, length = rest[at], int.from_bytes(rest[at + 1 : at + 3], "big")
        value = rest[at + 3 : at + 3 + length]
        if len(value) < length:
            raise RemoteError("an extension in the PROXY header is longer than what is left")
        if kind == _TLV_SSL and length >= 5:
            return bool(value[0] & _CLIENT_SSL)
        at += 3 + length
    return None
