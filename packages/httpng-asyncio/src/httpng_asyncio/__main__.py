"""`python -m httpng_asyncio APP`."""

import sys

from httpng_asyncio import __version__, run
from httpng_driver import main

if __name__ == "__main__":
    sys.exit(main(run, "python -m httpng_asyncio", __version__, None, uvloop=True))
