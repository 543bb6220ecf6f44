"""Listen addresses: what a user wrote becomes hosts and ports. Names are left for the driver to resolve."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from httpng_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen.

    Attributes:
        host: An IPv4 or IPv6 address without brackets, or a name to be resolved.
        port: 0 .. 65535; 0 lets the system pick one.
    """

    host: str
    port: int

    @property
    def authority(self) -> str:
        """'127.0.0.1:8080' or '[::1]:8080'."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """'http://127.0.0.1:8080' or 'http://[::1]:8080'."""
        return f"http://{self.authority}"


_PORT: Final = 3300
_PORT_OF_HTTP: Final = 80
_WILDCARDS: Final = ("0.0.0.0", "::")

LUA_DEFAULT_LISTEN: Final = tuple(ListenAddress(host, _PORT) for host in _WILDCARDS)
PYTHON_DEFAULT_LISTEN: Final = (ListenAddress("127.0.0.1", _PORT),)

_AUTHORITY: Final = re.compile(
    r"(\[(?P<v6>[^\[\]]+)\]|(?P<name>[a-z0-9._-]*))(:(?P<port>[0-9]+))?", re.ASCII | re.IGNORECASE
)


def parse_listen(value: object, *, default: tuple[ListenAddress, ...]) -> tuple[ListenAddress, ...]:
    """All addresses that `value` stands for, in order.

    Args:
        value: None for `default`; a port, which means all addresses of IPv4 and of IPv6; a string such as
            '127.0.0.1:8080', '[::1]:8080', 'localhost:8080', ':8080', '8080' or 'http://127.0.0.1:8080';
            or a list or tuple of ports and strings.
        default: What None stands for.

    Raises:
        ConfigError: It is none of these, names a port out of range or an address twice, or asks for TLS.
    """
    if value is None:
        return default
    confs = value if isinstance(value, list | tuple) else (value,)
    if not confs:
        raise ConfigError("listen is empty")
    addresses = tuple(address for conf in confs for address in _parse_one(conf))
    _refuse_duplicates(addresses)
    return addresses


def _parse_one(conf: object) -> Sequence[ListenAddress]:
    if isinstance(conf, str):
        return _parse_text(conf)
    if isinstance(conf, Mapping):
        raise ConfigError("listen as a table {addr, port, tls}: not supported yet")
    if isinstance(conf, float):
        raise ConfigError("port must be an integer, not float")
    if isinstance(conf, bool) or not isinstance(conf, int):
        raise ConfigError("unknown listen_conf type")
    return _addresses("", conf)


def _parse_text(text: str) -> Sequence[ListenAddress]:
    if text.lower() == "http":
        return _addresses("", _PORT_OF_HTTP)
    if re.fullmatch(r"[0-9]+", text):
        return _addresses("", _port(text))
    scheme, is_url, rest = text.partition("://")
    _check_scheme(scheme.lower(), bool(is_url))
    if is_url:
        # A path says nothing about where to listen; the original ignores it as well.
        return _parse_authority(rest.partition("/")[0], _PORT_OF_HTTP)
    return _parse_authority(text, _PORT)


def _check_scheme(scheme: str, is_url: bool) -> None:
    if scheme == "https":
        raise ConfigError("listen on https: TLS is not supported yet")
    if is_url and scheme != "http":
        raise ConfigError("unknown protocol specified")


def _parse_authority(text: str, default_port: int) -> Sequence[ListenAddress]:
    found = _AUTHORITY.fullmatch(text)
    if found is None or text == "":
        raise ConfigError("impossible to parse URI")
    try:
        host = str(IPv6Address(found["v6"])) if found["v6"] else _host_name(found["name"].lower())
    except ValueError:
        raise ConfigError("impossible to parse URI") from None
    return _addresses(host, _port(found["port"]) if found["port"] else default_port)


def _host_name(name: str) -> str:
    if re.fullmatch(r"[0-9.]+", name):
        return str(IPv4Address(name))
    labels = name.removesuffix(".").split(".") if name else []
    if not all(0 < len(label) < 64 for label in labels):
        # The resolver answers an empty or overlong label with a UnicodeError.
        raise ValueError(name)
    return name


def _port(digits: str) -> int:
    # The seventh significant digit can't make a port any less valid, and int() refuses thousands of them.
    return int("0" + digits.lstrip("0")[:6])


def _addresses(host: str, port: int) -> Sequence[ListenAddress]:
    if not 0 <= port <= 65535:
        raise ConfigError("invalid port specified")
    return tuple(ListenAddress(one, port) for one in ((host,) if host else _WILDCARDS))


def _refuse_duplicates(addresses: Sequence[ListenAddress]) -> None:
    # Port 0 is another port every time.
    for address, times in Counter(one for one in addresses if one.port).items():
        if times > 1:
            raise ConfigError(f"Duplicate listeners for {address.authority} found")
