"""Where to listen, by `--listen` and the options that other servers have for it."""

import re
from collections.abc import Mapping
from dataclasses import replace

from httpng_core import (
    PYTHON_DEFAULT_LISTEN,
    CertificateFiles,
    ConfigError,
    ListenAddress,
    TlsFiles,
    parse_listen,
)
from httpng_driver.command.arguments import Given


def listen_options(given: Mapping[str, Given]) -> tuple[ListenAddress, ...] | None:
    """Return where to listen by the options, `None` if they don't say.

    Raises:
        ConfigError: an address that is none, or TLS where there is no certificate.
    """
    tls = _tls(given)
    values = [*_values(given)]
    if not values and "proxy_protocol" in given:
        values = [("127.0.0.1:3300", "")]
    if not values:
        return None if tls is None else tuple(replace(one, tls=tls) for one in PYTHON_DEFAULT_LISTEN)
    for value, told in values:
        if tls is None and isinstance(value, str) and re.match("https(://|$)", value, re.IGNORECASE):
            raise ConfigError(f"{told}: TLS needs --certfile FILE, and --keyfile FILE if the key is apart")
        try:
            parse_listen(value, default=(), tls=tls)
        except ConfigError as error:
            raise ConfigError(f"{told}: {error}") from error
    addresses = parse_listen([value for value, _ in values], default=(), tls=tls)
    if (proxied := given.get("proxy_protocol")) is not None and proxied.value:
        addresses = tuple(replace(one, proxy_protocol=True) for one in addresses)
    if tls is not None and all(address.tls is None for address in addresses):
        raise ConfigError(f"{given['certfile'].source}: every address is plain text")
    return addresses


def _values(given: Mapping[str, Given]) -> list[tuple[object, str]]:
    """Return what `parse_listen` takes, each with what it is called in messages."""
    found: list[tuple[object, str]] = []
    if (listen := given.get("listen")) is not None:
        found += [(value, listen.told_of(value)) for value in listen.value]
    if (host := given.get("host")) is not None or "port" in given:
        found.append(_host_and_port(host, given.get("port")))
    if (uds := given.get("uds")) is not None:
        found.append((f"unix:{uds.value}", uds.told))
    if (fds := given.get("fd")) is not None:
        found += [(_descriptor(str(fd), fds.told_of(fd)), fds.told_of(fd)) for fd in fds.value]
    return found


def _host_and_port(host: Given | None, port: Given | None) -> tuple[str, str]:
    name = "127.0.0.1" if host is None else str(host.value)
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"
    told = " ".join(one.told for one in (host, port) if one is not None)
    if port is None:
        return name, told
    if not re.fullmatch("[0-9]+", str(port.value), re.ASCII):
        raise ConfigError(f"{port.told}: a port is a number, 0 .. 65535")
    return f"{name}:{port.value}", told


def _descriptor(text: str, told: str) -> str:
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        raise ConfigError(f"{told}: a descriptor is a number")
    return f"fd:{text}"


def _tls(given: Mapping[str, Given]) -> TlsFiles | None:
    certificate, key, password = (
        given.get(f"{name}") for name in ("certfile", "keyfile", "keyfile_password")
    )
    if certificate is None:
        for one in (key, password):
            if one is not None:
                raise ConfigError(f"{one.source} needs --certfile")
        return None
    file = str(certificate.value)
    private = file if key is None else str(key.value)
    secret = None if password is None else str(password.value)
    return TlsFiles((CertificateFiles(file, private, secret),))
