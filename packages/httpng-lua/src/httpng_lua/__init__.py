"""Handlers in Lua. Needs lupa, which `pip install httpng-lua` brings.

`LuaApplication` runs a script and is an `Application`: every driver takes it as it takes the others.
"""

from httpng_lua._version import __version__
from httpng_lua.application import LuaApplication
from httpng_lua.statistics import LuaStatistics

__all__ = ["LuaApplication", "LuaStatistics", "__version__"]
