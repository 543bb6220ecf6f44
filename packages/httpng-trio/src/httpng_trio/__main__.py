"""`python -m httpng_trio APP`."""

import sys

from httpng_driver import main
from httpng_trio import __version__, run

if __name__ == "__main__":
    loops = {"auto": run, "trio": run}
    sys.exit(main(loops, "python -m httpng_trio", __version__, None))
