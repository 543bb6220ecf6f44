"""`listen`: what a user wrote becomes hosts and ports. Names are left for the driver to resolve."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, cast

from httpng_core.config.address import PORT, WILDCARDS, CertificateFiles, ListenAddress, SocketLike, TlsFiles
from httpng_core.config.nearest import nearest_key
from httpng_core.errors import ConfigError

_PORTS_OF_SCHEMES: Final = {"http": 80, "https": 443}
_UNIX: Final = "unix:"
_FD: Final = re.compile(r"fd:([0-9]{1,9})", re.ASCII)
_LONGEST: Final = 80
_KEYS: Final = ("addr", "mode", "port", "proxy_protocol", "tls", "uses_sni")
_PAIR_KEYS: Final = ("certificate_file", "certificate_key_file", "certificate_key_password")

# So an empty table of Lua comes over.
_EMPTY_TABLE: Final[list[object]] = []
_AUTHORITY: Final = re.compile(
    r"(\[(?P<v6>[^\[\]]+)\]|(?P<name>[a-z0-9._-]*))(:(?P<port>[0-9]+))?", re.ASCII | re.IGNORECASE
)


def parse_listen(
    value: object, *, default: tuple[ListenAddress, ...], tls: TlsFiles | None = None
) -> tuple[ListenAddress, ...]:
    """Return all addresses that `value` stands for, in order.

    Args:
        value: None for `default`; a port, which means all addresses of IPv4 and of IPv6; a string such as
            '127.0.0.1:8080', '[::1]:8080', 'localhost:8080', ':8080', '8080', 'http://127.0.0.1:8080' or
            'unix:/run/httpng.sock', or 'fd:3' for a descriptor; a mapping {addr, port, tls, uses_sni, mode};
            a `ListenAddress`; a socket; or a list or tuple of these.
        default: What None stands for.
        tls: What every port and string is served with, but for those that begin with 'http://'; it lets
            'https://' be written. None: they are plain text.

    Raises:
        ConfigError: It is none of these, names a port out of range or an address twice, or asks for TLS
            where that needs a table.
    """
    if value is None:
        return default
    confs = value if isinstance(value, list | tuple) else (value,)
    if not confs:
        raise ConfigError("listen is empty")
    try:
        addresses = tuple(address for conf in confs for address in _parse_one(conf, tls))
    except _Wrong as wrong:
        raise ConfigError(str(wrong)) from None
    _refuse_duplicates(addresses)
    return addresses


class _Wrong(ConfigError):  # noqa: N818 - as ConfigError it gets out
    """What is wrong with `listen`, or with one of its keys: in words, and shown."""

    def __init__(self, text: str, value: object, key: str = "") -> None:
        super().__init__(f"{text}: listen{key and '.'}{key} = {_shown(value)}")


def _shown(value: object) -> str:
    """Return a value in a line; of what isn't plain the kind alone."""
    if isinstance(value, str | int | float):
        text = repr(value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return "nil" if value is None else "a function" if callable(value) else "something else"


def _parse_one(conf: object, tls: TlsFiles | None) -> Sequence[ListenAddress]:
    if isinstance(conf, str):
        return _parse_text(conf, tls)
    if isinstance(conf, ListenAddress):
        return (conf,)
    if isinstance(conf, Mapping):
        return _parse_table(conf)
    if conf == _EMPTY_TABLE:
        return _parse_table({})
    if isinstance(conf, float):
        raise _Wrong("port must be an integer, not float", conf)
    if callable(getattr(conf, "fileno", None)):
        return (ListenAddress("", 0, tls, socket=cast(SocketLike, conf)),)
    if isinstance(conf, bool) or not isinstance(conf, int):
        raise _Wrong("unknown listen_conf type", conf)
    return _addresses("", _in_range(conf, conf), tls)


# Text -------------------------------------------------------------------------------------------------


def _parse_text(text: str, tls: TlsFiles | None) -> Sequence[ListenAddress]:
    if text.startswith(_UNIX):
        return (replace(_unix(text), tls=tls),)
    if (fd := _FD.fullmatch(text)) is not None:
        return (ListenAddress("", 0, tls, fd=int(fd[1])),)
    if text.lower() == "http":
        return _addresses("", _PORTS_OF_SCHEMES["http"], None)
    if re.fullmatch(r"[0-9]+", text):
        return _addresses("", _port(text, text), tls)
    scheme, is_url, rest = text.lower().partition("://")
    _check_scheme(text, scheme, bool(is_url), tls)
    if is_url:
        # A path says nothing about where to listen; the original ignores it as well.
        files = tls if scheme == "https" else None
        return _parse_authority(text, rest.partition("/")[0], _PORTS_OF_SCHEMES[scheme], files)
    if scheme == "https":
        return _addresses("", _PORTS_OF_SCHEMES[scheme], tls)
    return _parse_authority(text, text, PORT, tls)


def _check_scheme(text: str, scheme: str, is_url: bool, tls: TlsFiles | None) -> None:
    if scheme == "https" and tls is None:
        raise ConfigError("listen on https: TLS needs a table {addr, port, tls}, for its certificates")
    if is_url and scheme not in _PORTS_OF_SCHEMES:
        raise _Wrong("unknown protocol specified", text)


def _parse_authority(
    text: str, authority: str, default_port: int, tls: TlsFiles | None
) -> Sequence[ListenAddress]:
    found = _AUTHORITY.fullmatch(authority)
    if found is None or authority == "":
        raise _Wrong("impossible to parse URI", text)
    try:
        host = str(IPv6Address(found["v6"])) if found["v6"] else _host_name(found["name"].lower())
    except ValueError:
        raise _Wrong("impossible to parse URI", text) from None
    return _addresses(host, _port(found["port"], text) if found["port"] else default_port, tls)


def _host_name(name: str) -> str:
    if re.fullmatch(r"[0-9.]+", name):
        return str(IPv4Address(name))
    labels = name.removesuffix(".").split(".") if name else []
    if not all(0 < len(label) < 64 for label in labels):
        # The resolver answers an empty or overlong label with a UnicodeError.
        raise ValueError(name)
    return name


def _port(digits: str, given: object) -> int:
    return _in_range(_number(digits), given)


def _number(digits: str) -> int:
    # The seventh significant digit can't make a port any less valid, and int() refuses thousands of them.
    return int("0" + digits.lstrip("0")[:6])


def _in_range(port: int, given: object, key: str = "") -> int:
    if not 0 <= port <= 65535:
        raise _Wrong("invalid port specified", given, key)
    return port


def _unix(text: str, key: str = "") -> ListenAddress:
    path = text.removeprefix(_UNIX)
    if not path or "\0" in path:
        raise _Wrong("impossible to parse URI", text, key)
    return ListenAddress("", 0, path=path)


# Tables -----------------------------------------------------------------------------------------------


def _parse_table(conf: Mapping[object, object]) -> Sequence[ListenAddress]:
    proxied = conf.get("proxy_protocol")
    if proxied is not None and not isinstance(proxied, bool):
        raise _Wrong("'proxy_protocol' must be a boolean", proxied, "proxy_protocol")
    addresses = _parse_places(conf)
    return [replace(one, proxy_protocol=True) for one in addresses] if proxied else addresses


def _parse_places(conf: Mapping[object, object]) -> Sequence[ListenAddress]:
    _refuse_other_keys(conf, _KEYS)
    host = conf.get("addr")
    if host is not None and not isinstance(host, str) and not callable(getattr(host, "fileno", None)):
        raise _Wrong("'addr' must be a string", host, "addr")
    port = _table_port(conf.get("port"))
    tls = _tls(conf.get("tls"), conf.get("uses_sni"))
    if host is not None and (not isinstance(host, str) or _FD.fullmatch(host)):
        for key in ("port", "mode"):
            if conf.get(key) is not None:
                raise _Wrong(f"a socket that is open already has its {key}", conf.get(key), key)
        return [replace(one, tls=tls) for one in _parse_one(host, None)]
    if host is not None and host.startswith(_UNIX):
        if conf.get("port") is not None:
            raise _Wrong("a Unix socket has no port", conf.get("port"), "port")
        return (replace(_unix(host, "addr"), tls=tls, mode=_mode(conf.get("mode"))),)
    if conf.get("mode") is not None:
        raise _Wrong("'mode' is for Unix sockets", conf.get("mode"), "mode")
    return _addresses(_literal(host), _in_range(port, conf.get("port"), "port"), tls)


def _refuse_other_keys(conf: Mapping[object, object], known: Sequence[str]) -> None:
    for key in conf:
        if key not in known:
            raise ConfigError(
                f"unknown parameter {key} in listen; the nearest known one is {nearest_key(str(key), known)}"
            )


def _table_port(port: object) -> int:
    if port is None:
        return PORT
    if isinstance(port, str) and re.fullmatch(r"[0-9]+", port):
        return _number(port)
    if isinstance(port, float):
        raise _Wrong("port must be an integer, not float", port, "port")
    if isinstance(port, bool) or not isinstance(port, int):
        raise _Wrong("'port' must be a number", port, "port")
    return port


def _literal(host: str | None) -> str:
    if host is None:
        return ""
    try:
        return str(ip_address(host))
    except ValueError:
        raise ConfigError(f"'addr' must be an IPv4 or IPv6 address, or unix:PATH, not {host!r}") from None


def _mode(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-7]{3,4}", value):
        raise _Wrong("'mode' must be a string of octal digits such as '660'", value, "mode")
    return int(value, 8)


def _tls(value: object, uses_sni: object) -> TlsFiles | None:
    if value is None or value is False:
        return None
    if not isinstance(value, Mapping | list | tuple):
        raise _Wrong("'tls' must be a table", value, "tls")
    if isinstance(value, Mapping):
        raise _Wrong("'tls' should be an array", value, "tls")
    pairs = tuple(_pair(one) for one in value)
    if not pairs:
        raise ConfigError("'tls' is empty: it needs a certificate with its key")
    if len(pairs) > 1 and not uses_sni:
        raise _Wrong(
            "'uses_sni' can't be false or nil if there're certificates more than 1", uses_sni, "uses_sni"
        )
    return TlsFiles(pairs, bool(uses_sni))


def _pair(value: object) -> CertificateFiles:
    value = {} if value == _EMPTY_TABLE else value
    if not isinstance(value, Mapping):
        raise _Wrong("'tls' should be an array", value, "tls")
    _refuse_other_keys(value, _PAIR_KEYS)
    for key in _PAIR_KEYS:
        if value.get(key) is not None and not isinstance(value[key], str):
            # What a password is isn't for a log.
            shown = "..." if key == "certificate_key_password" else value[key]
            raise _Wrong(f"'{key}' must be a string", shown, f"tls.{key}")
    certificate, private = value.get("certificate_file"), value.get("certificate_key_file")
    if not certificate or not private:
        raise ConfigError("missing 'certificate_file' or 'certificate_key_file'")
    return CertificateFiles(certificate, private, value.get("certificate_key_password"))


# Both -------------------------------------------------------------------------------------------------


def _addresses(host: str, port: int, tls: TlsFiles | None) -> Sequence[ListenAddress]:
    return tuple(ListenAddress(one, port, tls) for one in ((host,) if host else WILDCARDS))


def _refuse_duplicates(addresses: Sequence[ListenAddress]) -> None:
    # Port 0 is another port every time.
    named = (one.authority for one in addresses if one.port or one.path is not None or one.is_open)
    for authority, times in Counter(named).items():
        if times > 1:
            raise ConfigError(f"Duplicate listeners for {authority} found")
