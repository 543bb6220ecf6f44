"""The version of this package, written here only: the build backend reads it from this file."""

__version__ = "0.1.0"
