"""What values a setting takes: each rule reads a value, and tells and checks its range.

A rule has a `range` in words, for "must be ...". Its `read(name, value)` returns a value in the type of the
setting `name`, or raises ConfigError; what isn't such a value it may leave to `takes`. That tells whether
what was read is in the range, and raises ConfigError where there is a text of its own for that.
"""

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal, get_args

from httpng_core.errors import ConfigError
from httpng_core.units import read_number, read_seconds, read_size

ProtoVersion = Literal["ssl3", "tls1", "tls1.1", "tls1.2", "tls1.3"]


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer, or one word."""

    low: int
    high: int | None = None
    word: str | None = None

    @property
    def range(self) -> str:
        """The range in words, for "must be ..."."""
        if self.high is not None:
            return f"an integer, {self.low} .. {self.high}"
        return f"an integer >= {self.low}" + (f" or {self.word}" if self.word else "")

    def read(self, name: str, value: object) -> int | float | str:
        """Return the value in the type of the setting `name`."""
        if isinstance(value, str) and value == self.word:
            return value
        number = _number(name, value, read_size)
        return number if math.isinf(number) else int(number)

    def takes(self, value: int | float | str) -> bool:
        """Return whether what was read is in the range."""
        if isinstance(value, str):
            return True
        return self.low <= value < math.inf and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Seconds:
    """A time that something may take."""

    zero: bool = False
    infinity: bool = True

    @property
    def range(self) -> str:
        """See `Whole`."""
        return f"a number {'>= 0' if self.zero else '> 0'}, {'or infinity' if self.infinity else 'finite'}"

    def read(self, name: str, value: object) -> float:
        """See `Whole`."""
        return float(_number(name, value, read_seconds))

    def takes(self, value: float) -> bool:
        """See `Whole`."""
        return (self.zero if value == 0 else value > 0) and (self.infinity or value < math.inf)


@dataclass(frozen=True, slots=True)
class Number:
    """Any number."""

    @property
    def range(self) -> str:
        """See `Whole`."""
        return "a number"

    def read(self, name: str, value: object) -> float:
        """See `Whole`."""
        return float(_number(name, value, read_seconds))

    def takes(self, value: float) -> bool:
        """See `Whole`."""
        return True


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few values."""

    allowed: tuple[str | bool, ...]

    @property
    def range(self) -> str:
        """See `Whole`."""
        *others, last = (str(one).lower() for one in self.allowed)
        return f"{', '.join(others)} or {last}"

    def read(self, name: str, value: object) -> object:
        """See `Whole`."""
        return value

    def takes(self, value: object) -> bool:
        """See `Whole`."""
        # 1 == True, yet only a boolean is a boolean.
        return any(value == one and type(value) is type(one) for one in self.allowed)


@dataclass(frozen=True, slots=True)
class RootPath:
    """Where an application is mounted: empty, or a path without a slash at its end."""

    @property
    def range(self) -> str:
        """See `Whole`."""
        return "empty, or a path that begins with '/' and doesn't end with one"

    def read(self, name: str, value: object) -> object:
        """See `Whole`."""
        return value

    def takes(self, value: object) -> bool:
        """See `Whole`."""
        if not isinstance(value, str) or not value.isprintable():
            return False
        return not value or (value.startswith("/") and not value.endswith("/"))


@dataclass(frozen=True, slots=True)
class OldestTls:
    """The oldest version of TLS; the texts are those of the original."""

    @property
    def range(self) -> str:
        """See `Whole`."""
        *others, last = get_args(ProtoVersion)
        return f"{', '.join(others)} or {last}"

    def read(self, name: str, value: object) -> object:
        """See `Whole`. The original has two names for one of them."""
        return "tls1" if value == "tls1.0" else value

    def takes(self, value: object) -> bool:
        """See `Whole`."""
        if not isinstance(value, str):
            raise ConfigError("min_proto_version is not a string")
        if value not in get_args(ProtoVersion):
            raise ConfigError("unknown min_proto_version specified")
        return True


@dataclass(frozen=True, slots=True)
class SecurityLevel:
    """OpenSSL's security level; the texts are those of the original."""

    @property
    def range(self) -> str:
        """See `Whole`."""
        return "an integer, 0 .. 5"

    def read(self, name: str, value: object) -> object:
        """See `Whole`."""
        number = read_number(value) if isinstance(value, str) else value
        return int(number) if isinstance(number, float) and math.isfinite(number) else number

    def takes(self, value: object) -> bool:
        """See `Whole`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError("openssl_security_level is not a number")
        if not 0 <= value <= 5:
            raise ConfigError("openssl_security_level is invalid")
        return True


@dataclass(frozen=True, slots=True)
class Networks:
    """Addresses and networks, in a list or a text with commas; `*` is everything."""

    @property
    def range(self) -> str:
        """See `Whole`."""
        return "addresses and networks"

    def read(self, name: str, value: object) -> object:
        """See `Whole`."""
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            return value
        parts = [part for item in items for part in (item.split(",") if isinstance(item, str) else [item])]
        return tuple(network for part in parts for network in self._networks(name, part))

    def takes(self, value: object) -> bool:
        """See `Whole`."""
        return isinstance(value, tuple)

    def _networks(self, name: str, item: object) -> list[IPv4Network | IPv6Network]:
        if isinstance(item, IPv4Network | IPv6Network):
            return [item]
        text = item.strip() if isinstance(item, str) else ""
        try:
            return [ip_network(one) for one in (("0.0.0.0/0", "::/0") if text == "*" else (text,))]
        except ValueError as error:
            raise ConfigError(f"{name}: {item!r} is neither an address nor a network ({error})") from None


_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_CONTROL: Final = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_OF_THE_FRAMING: Final = frozenset({"connection", "content-length", "date", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class HeaderFields:
    """Header fields: a mapping, pairs, or texts `Name: value`."""

    @property
    def range(self) -> str:
        """See `Whole`."""
        return "a table of header names and values"

    def read(self, name: str, value: object) -> object:
        """See `Whole`. The names are lower-case then."""
        pairs = list(value.items()) if isinstance(value, Mapping) else value
        if not isinstance(pairs, list | tuple):
            return value
        return tuple(self._field(pair) for pair in pairs)

    def takes(self, value: object) -> bool:
        """See `Whole`."""
        return isinstance(value, tuple)

    def _field(self, pair: object) -> tuple[str, str]:
        if isinstance(pair, str):
            name, colon, text = pair.partition(":")
            pair = (name.strip(), text) if colon else None
        if (
            not isinstance(pair, list | tuple)
            or len(pair) != 2
            or not all(isinstance(one, str) for one in pair)
        ):
            raise ConfigError(f"headers must be {self.range}, texts both, or lines 'Name: value'")
        name, text = pair[0].lower(), pair[1].strip(" \t")
        if not _TOKEN.fullmatch(name):
            raise ConfigError(f"headers: {name[:64]!r} can't be the name of a header (RFC 9110, 5.1)")
        if name in _OF_THE_FRAMING:
            raise ConfigError(f"headers: {name} is the server's own affair")
        if _CONTROL.search(text):
            raise ConfigError(f"headers: the value of {name} has a control character in it: {text[:64]!r}")
        return name, text


def _number(name: str, value: object, from_text: Callable[[str], int | float | None]) -> int | float:
    number = from_text(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or number != number:
        raise ConfigError(f"parameter {name} is not a number")
    if abs(number) > sys.float_info.max:
        # An integer that no float can hold: converting it would raise.
        return math.inf if number > 0 else -math.inf
    return number
