"""More loops in threads of their own, and how they have something done in each other's."""

from httpng_driver.threads.lua_lock import LuaLock
from httpng_driver.threads.pool import Loops
from httpng_driver.threads.worker import Worker

__all__ = ["Loops", "LuaLock", "Worker"]
