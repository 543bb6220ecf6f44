"""`python -m httpng APP`."""

import sys

from httpng.command import main

if __name__ == "__main__":
    sys.exit(main())
