"""httpng-driver: what the backends share. It moves bytes and tells the core what the kernel said."""

from httpng_driver._version import __version__

__all__ = ["__version__"]
