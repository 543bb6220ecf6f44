"""`admin`: where operators ask a server, which is nowhere that a stranger could come to."""

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from httpng_core.config.address import ListenAddress
from httpng_core.config.listen import parse_listen
from httpng_core.errors import ConfigError

_MODE: Final = 0o600
"""Who may connect to the Unix socket, unless something else is said: whoever runs the server."""


@dataclass(frozen=True, slots=True)
class AdminPlace:
    """A Unix socket, or one loopback address with its port; in the forms that `listen` takes."""

    @property
    def range(self) -> str:
        """See `Whole`."""
        return "unix:PATH or a loopback address with its port, such as 127.0.0.1:9000"

    def read(self, name: str, value: object) -> object:
        """See `Whole`. A Unix socket is for its owner alone then, if nothing else is said."""
        try:
            places = parse_listen(value, default=())
        except ConfigError:
            return None
        if len(places) != 1:
            return None
        place = places[0]
        if place.path is not None and place.mode is None:
            place = replace(place, mode=_MODE)
        return replace(place, host="127.0.0.1") if place.host == "localhost" else place

    def takes(self, value: ListenAddress | None) -> bool:
        """See `Whole`."""
        if value is None or value.tls is not None or value.is_open or value.proxy_protocol:
            return False
        return value.path is not None or _is_loopback(value.host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
