"""Handlers that block, in threads of their own."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from anyio import to_thread

from httpng_core import Request

Blocking = Callable[[Request], object]


def in_thread(handler: Blocking) -> Callable[[Request, Any], Coroutine[Any, Any, object]]:
    """Have `def handler(req)` run in a worker thread, as it blocks: the event loop goes on meanwhile.

    What it returns ends the response, as ever; its context variables are copies. At most 40 run at once, more
    wait (`anyio.to_thread.current_default_thread_limiter`). A client that leaves, and the end of the server,
    don't stop a thread: the server waits for it.

    Raises:
        TypeError: it is async or a generator function.
    """
    if inspect.iscoroutinefunction(handler) or inspect.isgeneratorfunction(handler):
        raise TypeError(f"in_thread is for a plain 'def handler(req)', which {handler.__qualname__} isn't")

    async def run(req: Request, io: Any) -> object:
        return await to_thread.run_sync(handler, req)

    # Not by functools.wraps: what is wrapped takes other arguments, and isn't async.
    run.__name__ = getattr(handler, "__name__", run.__name__)
    run.__qualname__ = getattr(handler, "__qualname__", run.__qualname__)
    run.__module__, run.__doc__ = handler.__module__, handler.__doc__
    return run
