"""What is done each time that the host calls into a confined Lua state, or that calls the host.

A failure to allocate while values cross, outside of any protected call, ends the process: Lua's panic. So
there is a limit of memory only while Lua runs, and none while values cross. boundary.lua and stopping.lua are
the other half.
"""

import sys
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final

from httpng_lua.kinds import LuaKind

Calls = dict[str, Any]

_FULL: Final = 0.75
"""From this part of the limit on garbage is collected here: Lua alone raises with garbage around."""

_STEPS: Final = 64
"""How many times Lua may be called until its garbage is collected again, if it is as full as that."""


class Boundary:
    """The boundary of one Lua state that is confined."""

    def __init__(self, lua: Any, kind: LuaKind, clock: Callable[[], float]) -> None:
        """`lua` is lupa's runtime, made with `max_memory=0` if there is to be a limit."""
        self._lua = lua
        self._time_limit = kind.time_limit
        # More than there can be is no more than that, to lupa an error.
        self._limit = None if kind.memory_limit is None else min(kind.memory_limit, sys.maxsize)
        self._full = _FULL * (self._limit or 0)
        # When to collect, at the beginning of a stretch in Lua and later in it, where more is in use.
        self._begin_at = self._collect_at = self._full
        self._steps = 0
        self._clock = clock
        # Until Lua is first called its time doesn't count: our own files run.
        self._since = inf

    def calls(self, host: Mapping[str, Callable[..., Any]]) -> Calls:
        """Return the calls as Lua gets them, with those that our Lua files need for the boundary itself."""
        calls: Calls = dict(host)
        if self._limit is not None:
            calls = {name: self._lifted(call) for name, call in calls.items()}
            calls |= {"lift": self._lift_to_tell, "tighten": self._tighten, "begin": self._begin}
        if self._time_limit is not None:
            calls |= {"spent": self._spent, "stopped": self._stopped()}
        return calls

    def entry(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of Lua's as the host calls it, with its time, and unlimited at the boundary."""
        return self._lifted(function if self._time_limit is None else self._timed(function))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any) -> Any:
            self._since = self._clock()
            return function(*args)

        return timed

    def _lifted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        if self._limit is None:
            return call

        def lifted(*args: Any) -> Any:
            self._lift()
            try:
                return call(*args)
            except MemoryError:
                self._forget_use()
                raise MemoryError("not enough memory (lua_memory_limit)") from None
            finally:
                self._lift()

        return lifted

    def _lift(self) -> None:
        self._lua.set_max_memory(0)

    def _lift_to_tell(self) -> None:
        self._forget_use()
        self._lift()

    def _forget_use(self) -> None:
        """Note that something failed, and that what it held may be garbage now."""
        self._begin_at, self._steps = self._full, 0

    def _begin(self) -> None:
        self._steps += 1
        if self._steps >= _STEPS:
            # So many may have let go of a lot, without anything that tells.
            self._forget_use()
        self._collect_at = self._begin_at = self._collected(self._begin_at)
        self._lua.set_max_memory(self._limit, total=True)

    def _tighten(self) -> None:
        self._collect_at = self._collected(self._collect_at)
        self._lua.set_max_memory(self._limit, total=True)

    def _collected(self, at: float) -> float:
        """Collect garbage if so much is in use; return when it is to be done next."""
        if self._lua.get_memory_used(total=True) < at:
            return at
        assert self._limit is not None
        self._lua.gccollect()
        used: int = self._lua.get_memory_used(total=True)
        return max(self._full, (used + self._limit) / 2)

    def _spent(self) -> float:
        """Return how much of its time Lua has taken since it was called: 1.0 is all of it."""
        assert self._time_limit is not None
        return (self._clock() - self._since) / self._time_limit

    def _stopped(self) -> bytes:
        return (
            f"stopped after {self._time_limit:g} s without letting others run (handler_time_limit)".encode()
        )
