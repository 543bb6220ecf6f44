"""The calls of the module log as Lua makes them."""

import logging
from collections.abc import Callable
from typing import Any, Final

from httpng_lua.runtime import text_of

_log: Final = logging.getLogger("httpng.lua")

_LEVELS: Final = {
    b"error": logging.ERROR,
    b"warn": logging.WARNING,
    b"info": logging.INFO,
    b"verbose": (logging.INFO + logging.DEBUG) // 2,
    b"debug": logging.DEBUG,
}
"""Python has no level between INFO and DEBUG by name: verbose is the number between."""


def log_calls() -> dict[str, Callable[..., Any]]:
    """Return the calls by the names that log.lua uses."""
    return {"logs": _logs, "log": _write}


def _logs(level: bytes) -> bool:
    return _log.isEnabledFor(_LEVELS[level])


def _write(level: bytes, message: bytes) -> None:
    _log.log(_LEVELS[level], "%s", text_of(message))
