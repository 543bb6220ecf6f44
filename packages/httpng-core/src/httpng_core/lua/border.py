"""What is done each time that the host calls into a confined Lua state, or that calls the host.

A failure to allocate while values cross, outside of any protected call, ends the process: Lua's panic. So there is a
limit of memory only while Lua runs, and none while values cross. border.lua and stopping.lua are the other half.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final

from httpng_core.lua.kinds import LuaKind

Calls = dict[str, Any]

_FULL: Final = 0.75
"""From this part of the limit on LuaJIT collects garbage whenever it comes back from the host."""


class Border:
    """The border of one Lua state that is confined."""

    def __init__(self, lua: Any, kind: LuaKind, clock: Callable[[], float]) -> None:
        """`lua` is lupa's runtime, made with `max_memory=0` if there is to be a limit."""
        self._lua = lua
        self._limit, self._time_limit = kind.memory_limit, kind.time_limit
        self._collects = kind.runtime == "luajit21"
        self._collect_at = 0.0 if self._limit is None else _FULL * self._limit
        self._clock = clock
        # Until Lua is first called its time doesn't count: our own files run.
        self._since = inf

    def calls(self, host: Mapping[str, Callable[..., Any]]) -> Calls:
        """The calls as Lua gets them, with those that our Lua files need for the border itself."""
        calls: Calls = dict(host)
        if self._limit is not None:
            calls = {name: self._lifted(call) for name, call in calls.items()}
            calls |= {"lift": self._lift, "tighten": self._tighten}
        if self._time_limit is not None:
            calls |= {"spent": self._spent, "stopped": self._stopped()}
        return calls

    def entry(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of Lua's as the host calls it: its time begins, and no limit counts while values cross."""
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
            finally:
                self._lift()

        return lifted

    def _lift(self) -> None:
        self._lua.set_max_memory(0)

    def _tighten(self) -> None:
        if self._collects and self._lua.get_memory_used(total=True) >= self._collect_at:
            self._collect()
        self._lua.set_max_memory(self._limit, total=True)

    def _collect(self) -> None:
        """LuaJIT raises when memory is short, whatever garbage there is: it must be collected before."""
        assert self._limit is not None
        self._lua.gccollect()
        used = self._lua.get_memory_used(total=True)
        self._collect_at = max(_FULL * self._limit, (used + self._limit) / 2)

    def _spent(self) -> float:
        """How much of its time Lua has taken since it was called: 1.0 is all of it."""
        assert self._time_limit is not None
        return (self._clock() - self._since) / self._time_limit

    def _stopped(self) -> bytes:
        return (
            f"stopped after {self._time_limit:g} s without letting others run (handler_time_limit)".encode()
        )
