"""The ends of a connection, and how handlers in other languages get them."""

from dataclasses import dataclass
from typing import Final, Literal

_MOST_KNOWN: Final = 1024
# As the system's functions do: a path may be any bytes.
_AS_PATHS: Final = ("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Address:
    """One end of a connection.

    Attributes:
        host: an address of IPv4 or IPv6; of a Unix socket the path, empty for a client without one.
        port: 0 for a Unix socket.
        family: what `host` is.
        type: that bytes come in order.
        protocol: "unix" for a Unix socket.
    """

    host: str
    port: int
    family: Literal["AF_INET", "AF_INET6", "AF_UNIX"] = "AF_INET"
    type: Literal["SOCK_STREAM"] = "SOCK_STREAM"
    protocol: Literal["tcp", "unix"] = "tcp"

    def __str__(self) -> str:
        """Return what logs say of it: never nothing, though clients of Unix sockets have no path."""
        if self.host:
            return self.host
        return "unix:" if self.family == "AF_UNIX" else "-"


UNKNOWN_ADDRESS = Address("", 0)

# Texts by the `id` of the peer, which an entry keeps alive: the requests of a connection have the same ends.
_known: dict[int, tuple[Address, Address, bytes]] = {}


def plain_ends(peer: Address, ours: Address) -> bytes:
    """Return the ends of a connection in one text, for `split_ends`."""
    known = _known.get(id(peer))
    if known is not None and known[1] is ours:
        return known[2]
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    peer_host, host = peer.host.encode(*_AS_PATHS), ours.host.encode(*_AS_PATHS)
    # The host of a Unix socket is a path, which may be anything.
    ports = f"{peer.port} {peer.family} {ours.port} {ours.family} {len(peer_host)} "
    text = ports.encode() + peer_host + host
    _known[id(peer)] = peer, ours, text
    return text


def split_ends(text: bytes) -> tuple[Address, Address]:
    """Return the client's end of a connection and ours, from the text of `plain_ends`."""
    peer_port, peer_family, port, family, size, hosts = text.split(b" ", 5)
    peer, ours = hosts[: int(size)].decode(*_AS_PATHS), hosts[int(size) :].decode(*_AS_PATHS)
    return _address(peer, peer_port, peer_family), _address(ours, port, family)


def _address(host: str, port: bytes, family: bytes) -> Address:
    return Address(host, int(port), _FAMILIES[family])


_FAMILIES: Final[dict[bytes, Literal["AF_INET", "AF_INET6", "AF_UNIX"]]] = {
    b"AF_INET": "AF_INET",
    b"AF_INET6": "AF_INET6",
    b"AF_UNIX": "AF_UNIX",
}
