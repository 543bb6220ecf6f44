"""A handler of the suite as a coroutine function: the same steps, each awaited.

The only coroutine in core; it needs no event loop of its own, only what the driver's `io` gives to await.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

Steps = Generator[Any, Any, Any]
StepsHandler = Callable[[Any, Any], Steps]
"""A generator function `handler(req, io)` that yields its calls."""


def as_coroutine_function(handler: StepsHandler) -> Callable[[Any, Any], Awaitable[object]]:
    """Return a coroutine function that awaits what `handler` yields."""

    async def awaiting(req: Any, io: Any) -> object:
        steps = handler(req, io)
        result: Any = None
        error: Exception | None = None
        try:
            while True:
                call = steps.send(result) if error is None else steps.throw(error)
                result = error = None
                try:
                    result = await call
                except Exception as raised:
                    error = raised
        except StopIteration as stop:
            return stop.value
        finally:
            steps.close()

    return awaiting
