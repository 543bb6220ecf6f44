"""What an application in Lua tells of itself: for operators, and for tests."""

from dataclasses import dataclass

from httpng_core import FeedStats


@dataclass(frozen=True, slots=True, kw_only=True)
class LuaStatistics:
    """A script and its Lua state. A snapshot.

    Attributes:
        runtime: the Lua that it runs in, "luajit21" or "lua54".
        sandbox: whether it runs in the sandbox.
        memory_limit: how many bytes it may take; `None`: no limit.
        time_limit: how many seconds it may run without letting others run; `None`: no limit.
        memory: how many bytes it takes, with what Lua hasn't collected yet; `None` without a limit, as then
            nobody counts.
        fibers: how many fibers there are, handlers included.
        waits: how many of them wait for something of the host's.
        exchanges: how many exchanges are kept for Lua, which may still ask about them.
        exchanges_held: how many of these Lua can still ask about; the others go by and by.
        routers: how many routers there are, those included that Lua hasn't collected yet.
        feeds: what became of all that each feed published, of those likewise.
        handlers: the numbers of the functions that serve now, by which Lua knows them.
    """

    runtime: str
    sandbox: bool
    memory_limit: int | None
    time_limit: float | None
    memory: int | None
    fibers: int
    waits: int
    exchanges: int
    exchanges_held: int
    routers: int
    feeds: tuple[FeedStats, ...]
    handlers: tuple[int, ...]
