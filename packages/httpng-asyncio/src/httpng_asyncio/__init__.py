"""httpng on asyncio."""

from httpng_asyncio._version import __version__

__all__ = ["__version__"]
