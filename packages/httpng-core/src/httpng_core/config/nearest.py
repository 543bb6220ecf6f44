"""Which known name somebody may have meant by one that isn't known."""

import difflib
from collections.abc import Iterable
from typing import Final

from httpng_core.errors import ConfigError

# What other servers call it, where our name doesn't resemble that.
_ELSEWHERE: Final = {
    **dict.fromkeys(("address", "bind", "host", "port", "ssl_certfile", "ssl_keyfile", "uds"), "listen"),
    **dict.fromkeys(("processes", "worker"), "workers"),
}


def nearest_key(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that others call `name`, or that resembles it most, if there is one."""
    known, elsewhere = tuple(known), _ELSEWHERE.get(name.lower())
    if elsewhere in known:
        return elsewhere
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)), None)


def unknown_key(name: object, known: Iterable[str]) -> ConfigError:
    """Return the error for a key that is none of `known`; a Lua table may well have a number as a key."""
    return ConfigError(f"unknown parameter {name}; the nearest known one is {nearest_key(str(name), known)}")
