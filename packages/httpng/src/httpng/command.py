"""The command `httpng`."""

from collections.abc import Callable
from functools import partial
from typing import Final

import httpng_driver
from httpng._version import __version__
from httpng.front import Loop, run

_LOOPS: Final[tuple[Loop, ...]] = ("auto", "asyncio", "uvloop", "trio")


def main() -> int:
    """Run the command `httpng APP`; returns the exit status."""
    loops: dict[str, Callable[..., None]] = {loop: partial(run, loop=loop) for loop in _LOOPS}
    return httpng_driver.main(loops, "httpng", __version__, None)
