"""What trusted proxies say of the client: X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239)."""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

from httpng_core.errors import RemoteError
from httpng_core.http.address import Address
from httpng_core.http.request import Request
from httpng_core.http.target import check_host

Networks = tuple[IPv4Network | IPv6Network, ...]
"""Who is trusted."""

_MOST_HOPS: Final = 64
_LOCAL: Final = "127.0.0.1"
_SCHEMES: Final = {"http": False, "ws": False, "https": True, "wss": True}
_NODE: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|(\d+\.\d+\.\d+\.\d+))(?::(\d{1,5}))?", re.ASCII)
_PAIR: Final = re.compile(
    r"""[ \t]*+(?:([!#$%&'*+\-.^_`|~\w]++)=("(?:[^"\\]|\\.)*+"|[!#$%&'*+\-.^_`|~\w]++))?[ \t]*+([;,]|\Z)""",
    re.ASCII,
)


def apply_forwarded(request: Request, trusted: Networks, header: str) -> None:
    """Give a request the client, scheme and host that its proxies tell, as far as these are trusted.

    The client is the last one, from the right, that is no trusted proxy. Nothing is taken from a peer that
    isn't trusted; one of a Unix socket counts as 127.0.0.1.

    Args:
        request: what is changed.
        trusted: the proxies.
        header: "x-forwarded" or "forwarded", the only one that is looked at.
    """
    if not is_trusted(request.peer.host if request.peer.family != "AF_UNIX" else _LOCAL, trusted):
        return
    if header == "forwarded":
        _apply_forwarded(request, trusted)
    else:
        _apply_x_forwarded(request, trusted)


@lru_cache(maxsize=1024)
def is_trusted(host: str, trusted: Networks) -> bool:
    """Return whether an address is one of a trusted proxy."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in trusted)


def client_of(peer: Address, trusted: Networks | None) -> str:
    """Return what the connections of one client have in common: its address, of IPv6 the first 64 bits.

    Nothing, for those who stand for many clients: trusted proxies, and whoever comes by a Unix socket.
    """
    host = peer.host
    if peer.family == "AF_UNIX" or (trusted is not None and is_trusted(host, trusted)):
        return ""
    return host if peer.family == "AF_INET" else _network_of(host)


@lru_cache(maxsize=1024)
def _network_of(host: str) -> str:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{address.exploded[:19]}/64"


def _apply_x_forwarded(request: Request, trusted: Networks) -> None:
    headers = request.headers
    hops = _listed(headers.get_all("x-forwarded-for"))
    for hop in reversed(hops[-_MOST_HOPS:]):
        client = _address(hop)
        if client is None:
            # What a trusted proxy didn't know nobody before it can tell.
            break
        request.peer = client
        if not is_trusted(client.host, trusted):
            break
    _set_scheme(request, _listed(headers.get_all("x-forwarded-proto"))[-1:])
    _set_host(request, _listed(headers.get_all("x-forwarded-host"))[-1:])


def _apply_forwarded(request: Request, trusted: Networks) -> None:
    elements = parse_forwarded(", ".join(request.headers.get_all("forwarded")))
    for element in reversed(elements[-_MOST_HOPS:]):
        _set_scheme(request, [element["proto"]] if "proto" in element else [])
        _set_host(request, [element["host"]] if "host" in element else [])
        client = _address(element.get("for", ""))
        if client is None:
            break
        request.peer = client
        if not is_trusted(client.host, trusted):
            break


def parse_forwarded(text: str) -> list[dict[str, str]]:
    """Return the elements of a Forwarded header (RFC 7239, 4), names lower-case; none if it is malformed."""
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            return []
        name, value, end = found.groups()
        if name is not None:
            if name.lower() in elements[-1]:
                return []
            elements[-1][name.lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        if end == ",":
            elements.append({})
        at = found.end()
    return [element for element in elements if element]


def _listed(values: list[str]) -> list[str]:
    return [one.strip() for value in values for one in value.split(",") if one.strip()]


def _address(text: str) -> Address | None:
    """Return the address that a proxy tells, and its port if that is told; `None` for "unknown" and such."""
    found = _NODE.fullmatch(text)
    host = (found[1] or found[2]) if found is not None else text
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    port = int(found[3]) if found is not None and found[3] is not None else 0
    family: Literal["AF_INET", "AF_INET6"] = "AF_INET" if address.version == 4 else "AF_INET6"
    return Address(str(address), port if port <= 65535 else 0, family)


def _set_scheme(request: Request, told: list[str]) -> None:
    for scheme in told:
        request.https = _SCHEMES.get(scheme.lower(), request.https)


def _set_host(request: Request, told: list[str]) -> None:
    for host in told:
        try:
            request.host = check_host(b"1.1", [host.encode("latin-1")]) or request.host
        except (RemoteError, UnicodeEncodeError):
            return
