"""What a write with room costs in process: of the core alone, and from Lua.

The same handler, a loop of writes of 100 bytes, is a generator stepped by the core and a Lua function. Both
run in a `Loopback`: no socket, no event loop, a clock that stands still. A write's cost is the CPU time of a
request with many writes, less that of a request with none, over their number: so framing is in it, and the
turn that either handler yields after 64 writes. Rounds alternate; the least is taken, as whatever else the
machine does only ever adds.
"""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from httpng_core import GeneratorIO, Pending, Request
from httpng_core.testing import Clock, Loopback
from httpng_lua import LuaApplication

WRITES = 1280
CORE = "core alone"
RUNTIMES = {"LuaJIT": "luajit21", "Lua 5.4": "lua54"}
_BODY = b"x" * 100
_SCRIPT = Path(__file__).with_suffix(".lua")


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds that a write cost in each round, by who wrote."""
    loops = {CORE: Loopback(_handler, default_send_window=1 << 30)}
    loops |= {name: _loop_in_lua(runtime) for name, runtime in RUNTIMES.items()}
    return _transposed([{name: _write(loop) for name, loop in loops.items()} for _ in range(rounds)])


def _handler(req: Request, io: GeneratorIO) -> Generator[Pending, Any, None]:
    for _ in range(int(req.path[1:])):
        yield io.write(_BODY)


def _loop_in_lua(runtime: str) -> Loopback:
    clock = Clock()
    return Loopback(LuaApplication(_SCRIPT, clock=clock, lua=runtime), clock=clock)


def _write(loop: Loopback) -> float:
    nothing = _request(loop, 0)
    return (_request(loop, WRITES) - nothing) / WRITES


def _request(loop: Loopback, writes: int) -> float:
    client = loop.connect()
    before = time.thread_time()
    client.get(f"/{writes}")
    spent = time.thread_time() - before
    [response] = client.responses()
    assert response.complete
    assert len(response.body) == writes * len(_BODY)
    # What the loop keeps for its user would make later rounds slower.
    client.reset()
    loop.exchanges.clear()
    return spent


def _transposed(rounds: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [each[name] for each in rounds] for name in rounds[0]}
