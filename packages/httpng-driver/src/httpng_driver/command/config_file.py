"""`--config`: the options and the sites in a file of TOML."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from httpng_core import ConfigError, nearest_key
from httpng_driver.command.arguments import Given
from httpng_driver.command.options import Option

APP: Final = "app"
SITES: Final = "sites"
_ON_THE_LINE: Final = frozenset({"config", "check_config", "print_config"})


def read_config(path: str, told: str, options: Sequence[Option]) -> dict[str, Given]:
    """Return what a file gives, by the keys of the options, `app` and `sites`.

    Raises:
        ConfigError: it can't be read, isn't TOML, has a key that is none, or a value of a wrong kind.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{told}: {getattr(error, 'strerror', None) or error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    known = _names(options)
    found: dict[str, Given] = {}
    for key, value in table.items():
        if key in (APP, SITES):
            option = None
        elif key in known:
            option = known[key]
        else:
            nearest = nearest_key(key, [*known, APP, SITES])
            raise ConfigError(f"{path}: unknown key {key}; the nearest known one is {nearest}")
        place = f"{path}: {key} = {_shown(value)}"
        name = key if option is None else option.key
        if name in found:
            raise ConfigError(f"{place}: {found[name].told.split(' = ')[0]} says the same: give one of them")
        found[name] = Given(_checked(option, key, value, place), path, place)
    return found


def _names(options: Sequence[Option]) -> dict[str, Option]:
    """Return the options by all that they may be called in a file."""
    found = {option.key: option for option in options if option.key not in _ON_THE_LINE}
    for option in found.copy().values():
        for name in option.names:
            found.setdefault(name.removeprefix("--").replace("-", "_"), option)
    return found


def _checked(option: Option | None, key: str, value: Any, place: str) -> object:
    """Return the value as the option has it from the command line, numbers left as they are."""
    if key == SITES:
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            raise ConfigError(f"{place}: sites are tables: write [[sites]] before each")
        return value
    if option is None:
        if not isinstance(value, str):
            raise ConfigError(f"{place}: it must be a text, as APP on the command line")
        return value
    if option.kind == "flag":
        if not isinstance(value, bool):
            raise ConfigError(f"{place}: it must be true or false")
        return value
    if option.kind == "list":
        return value if isinstance(value, list) or option.is_setting else [value]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(f"{place}: it must be a text or a number")
    return value


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
