"""httpng on trio."""

from httpng_trio._version import __version__

__all__ = ["__version__"]
