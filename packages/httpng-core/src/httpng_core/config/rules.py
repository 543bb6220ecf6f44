"""What values a setting takes: each rule reads a value, and tells and checks its range."""

import math
import sys
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from httpng_core.errors import ConfigError

ProtoVersion = Literal["ssl3", "tls1", "tls1.1", "tls1.2", "tls1.3"]


class Rule(Protocol):
    """What a key takes."""

    @property
    def range(self) -> str:
        """The range in words, for "must be ..."."""

    def read(self, name: str, value: object) -> Any:
        """Return the value in the type of the setting `name`; what isn't such a value may be left to `takes`.

        Raises:
            ConfigError: it can't be made one.
        """

    def takes(self, value: Any) -> bool:
        """Return whether what was read is in the range.

        Raises:
            ConfigError: it isn't, and there is a text of its own for that.
        """


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer, or one word."""

    low: int
    high: int | None = None
    word: str | None = None

    @property
    def range(self) -> str:
        """See `Rule`."""
        if self.high is not None:
            return f"an integer, {self.low} .. {self.high}"
        return f"an integer >= {self.low}" + (f" or {self.word}" if self.word else "")

    def read(self, name: str, value: object) -> int | float | str:
        """See `Rule`."""
        if isinstance(value, str) and value == self.word:
            return value
        number = _number(name, value)
        return number if math.isinf(number) else int(number)

    def takes(self, value: int | float | str) -> bool:
        """See `Rule`."""
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
        """See `Rule`."""
        return f"a number {'>= 0' if self.zero else '> 0'}, {'or infinity' if self.infinity else 'finite'}"

    def read(self, name: str, value: object) -> float:
        """See `Rule`."""
        return float(_number(name, value))

    def takes(self, value: float) -> bool:
        """See `Rule`."""
        return (self.zero if value == 0 else value > 0) and (self.infinity or value < math.inf)


@dataclass(frozen=True, slots=True)
class Number:
    """Any number."""

    @property
    def range(self) -> str:
        """See `Rule`."""
        return "a number"

    def read(self, name: str, value: object) -> float:
        """See `Rule`."""
        return float(_number(name, value))

    def takes(self, value: float) -> bool:
        """See `Rule`."""
        return True


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few values."""

    allowed: tuple[str | bool, ...]

    @property
    def range(self) -> str:
        """See `Rule`."""
        *others, last = (str(one).lower() for one in self.allowed)
        return f"{', '.join(others)} or {last}"

    def read(self, name: str, value: object) -> object:
        """See `Rule`."""
        return value

    def takes(self, value: object) -> bool:
        """See `Rule`."""
        # 1 == True, yet only a boolean is a boolean.
        return any(value == one and type(value) is type(one) for one in self.allowed)


@dataclass(frozen=True, slots=True)
class OldestTls:
    """The oldest version of TLS; the texts are those of the original."""

    @property
    def range(self) -> str:
        """See `Rule`."""
        *others, last = get_args(ProtoVersion)
        return f"{', '.join(others)} or {last}"

    def read(self, name: str, value: object) -> object:
        """See `Rule`. The original has two names for one of them."""
        return "tls1" if value == "tls1.0" else value

    def takes(self, value: object) -> bool:
        """See `Rule`."""
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
        """See `Rule`."""
        return "an integer, 0 .. 5"

    def read(self, name: str, value: object) -> object:
        """See `Rule`."""
        number = _from_text(value) if isinstance(value, str) else value
        return int(number) if isinstance(number, float) and math.isfinite(number) else number

    def takes(self, value: object) -> bool:
        """See `Rule`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError("openssl_security_level is not a number")
        if not 0 <= value <= 5:
            raise ConfigError("openssl_security_level is invalid")
        return True


def _number(name: str, value: object) -> int | float:
    number = _from_text(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or number != number:
        raise ConfigError(f"parameter {name} is not a number")
    if abs(number) > sys.float_info.max:
        # An integer that no float can hold: converting it would raise.
        return math.inf if number > 0 else -math.inf
    return number


def _from_text(text: str) -> int | float | None:
    # Not through float alone: it can't hold every integer.
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return None
