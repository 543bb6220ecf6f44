"""How a script is confined: its sandbox, its limits of time and memory, and what crosses their border."""

from httpng_lua.confine.border import Border

__all__ = ["Border"]
