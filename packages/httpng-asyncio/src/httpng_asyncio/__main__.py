"""`python -m httpng_asyncio APP`."""

import sys
from collections.abc import Callable
from functools import partial

from httpng_asyncio import __version__, run
from httpng_driver import main

if __name__ == "__main__":
    loops: dict[str, Callable[..., None]] = {
        "auto": run,
        "asyncio": partial(run, uvloop=False),
        "uvloop": partial(run, uvloop=True),
    }
    sys.exit(main(loops, "python -m httpng_asyncio", __version__, None))
