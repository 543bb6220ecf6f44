"""Handlers in Lua. Needs lupa: `pip install httpng-core[lua]`.

`LuaApplication` runs a script and is an `Application`: every driver takes it as it takes the others.
"""

from httpng_core.lua.application import LuaApplication

__all__ = ["LuaApplication"]
