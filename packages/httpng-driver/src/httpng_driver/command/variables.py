"""Options in environment variables, and files of variables."""

import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from httpng_core import ConfigError
from httpng_driver.command.arguments import Given
from httpng_driver.command.options import Option

PREFIX: Final = "HTTPNG_"
_FLAGS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)", re.ASCII)
_QUOTED: Final = re.compile(r"""(["'])(.*?)\1\s*(?:#.*)?""")


def variables(options: Sequence[Option], environment: Mapping[str, str]) -> dict[str, Given]:
    """Return what is given by variables: HTTPNG_ and the name of an option, `_` for `-`; empty ones aren't.

    Raises:
        ConfigError: a flag that is neither on nor off.
    """
    found: dict[str, Given] = {}
    for option in options:
        for name in option.names:
            variable = PREFIX + name.removeprefix("--").replace("-", "_").upper()
            text = environment.get(variable)
            if text and option.key not in found:
                told = f"{variable}={text}"
                found[option.key] = Given(_value(option, text, told), variable, told)
    return found


def unknown_variables(
    options: Sequence[Option], environment: Mapping[str, str]
) -> list[tuple[str, str | None]]:
    """Return the variables that begin as ours do and mean nothing, each with the nearest that does."""
    known = [
        PREFIX + name.removeprefix("--").replace("-", "_").upper()
        for option in options
        for name in option.names
    ]
    return [
        (name, next(iter(get_close_matches(name, known, n=1)), None))
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known and name not in _OTHERS
    ]


_OTHERS: Final = frozenset(
    {
        "HTTPNG_COMPILE",
        "HTTPNG_COMPILE_LEVEL",
        "HTTPNG_INHERITED",
        "HTTPNG_PREDECESSOR",
        "HTTPNG_WORKER",
        "HTTPNG_WORKERS_FOLDER",
    }
)


def read_env_file(path: str) -> None:
    """Set the environment variables that a file names and that aren't set yet.

    A line is NAME=VALUE, with `export` before it or not; the value may stand in quotes, # begins a comment.

    Raises:
        ConfigError: the file can't be read, or a line is no such thing.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--env-file {path}: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(lines, 1):
        if not (text := line.strip()) or text.startswith("#"):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise ConfigError(f"{path}:{number}: a line must be NAME=VALUE, not {text!r}")
        os.environ.setdefault(found[1], _unquoted(found[2]))


def _unquoted(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    return quoted[2] if quoted else re.sub(r"(^|\s+)#.*", "", text).strip()


def _value(option: Option, text: str, told: str) -> object:
    if option.kind == "list":
        return [one for one in re.split(r"\s*,\s*", text.strip()) if one]
    if option.kind == "text":
        return text
    flag = _FLAGS.get(text.lower())
    if flag is None:
        raise ConfigError(f"{told}: it must be on or off (1 or 0, true or false, yes or no)")
    return flag
