"""`--log-level` and `--log-config`."""

import json
import logging
import logging.config
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from httpng_core import ConfigError
from httpng_driver.command.arguments import Given

_LEVELS: Final = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}


def configure_logging(given: Mapping[str, Given]) -> None:
    """Do what the options say of logging.

    Raises:
        ConfigError: there is no such level, or the file can't be used.
    """
    if (config := given.get("log_config")) is not None:
        _configure(str(config.value), config.told)
    if (level := given.get("log_level")) is not None:
        number = _LEVELS.get(str(level.value).lower())
        if number is None:
            raise ConfigError(f"{level.told}: it must be one of {', '.join(_LEVELS)}")
        logging.getLogger("httpng").setLevel(number)
        if config is None:
            logging.getLogger().setLevel(number)


def _configure(path: str, told: str) -> None:
    try:
        if Path(path).suffix.lower() in (".json", ".toml", ".yaml", ".yml"):
            # What exists already are our own loggers: these aren't to fall silent.
            logging.config.dictConfig({"disable_existing_loggers": False, **_read(path)})
        else:
            logging.config.fileConfig(path, disable_existing_loggers=False)
    except ConfigError as error:
        raise ConfigError(f"{told}: {error}") from error
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise ConfigError(f"{told}: {reason}{cause}".replace("\n", " ")) from error


def _read(path: str) -> Any:
    text = Path(path).read_text(encoding="utf-8")
    if path.lower().endswith(".json"):
        return json.loads(text)
    if path.lower().endswith(".toml"):
        return tomllib.loads(text)
    raise ConfigError("YAML isn't read: write it as JSON or TOML")
