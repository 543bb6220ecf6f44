"""How a script is confined: its sandbox, its limits of time and memory, and what crosses their boundary."""

from httpng_lua.confine.boundary import Boundary

__all__ = ["Boundary"]
