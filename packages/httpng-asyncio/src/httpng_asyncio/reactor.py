"""The reactor on asyncio's own verbs; uvloop's are the same."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any

import anyio

from httpng_core import Pending

_IS_EAGER = sys.version_info >= (3, 12)


class AsyncioReactor:
    """A `Reactor` of the running loop, while its `async with` block lasts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # A task in a context of its own; where Python can (3.12), it runs at once up to its first wait.
        self._start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] = self._loop.create_task
        if sys.version_info >= (3, 12):
            self._start = partial(asyncio.Task, loop=self._loop, eager_start=True)
        # By number, which each takes itself out by: cheaper than asking which task it is.
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._spawned = 0
        self._watched: list[int] = []
        self._alarm: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> "AsyncioReactor":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what was spawned and wait for it to end."""
        if self._alarm is not None:
            self._alarm.cancel()
        for fd in self._watched:
            self._loop.remove_reader(fd)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            # Whoever is cancelling us may do so again: that must not leave the handlers behind.
            with anyio.CancelScope(shield=True):
                await asyncio.wait(tasks)

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """See `Reactor`."""
        self._watched.append(fd)
        self._loop.add_reader(fd, ready)

    def call_at(self, when: float, alarm: Callable[[], None]) -> None:
        """See `Reactor`."""
        if self._alarm is not None:
            self._alarm.cancel()
        # uvloop's clock has another origin, and stands still within a turn.
        self._alarm = self._loop.call_later(max(when - time.monotonic(), 0.0), alarm)

    def wake(self, callback: Callable[[], None]) -> None:
        """See `Reactor`."""
        self._loop.call_soon(callback)

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """See `Reactor`."""
        self.spawn_cancellable(self._run, function, args)

    def spawn_handler(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """See `Reactor`."""
        number = self._spawned = self._spawned + 1
        task = self._start(function(number, *args))
        if not _IS_EAGER or not task.done():
            self._tasks[number] = task

    def spawn_cancellable(
        self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any
    ) -> Callable[[], object]:
        """See `Reactor`."""
        number = self._spawned = self._spawned + 1
        task = self._start(function(number, *args))
        if not _IS_EAGER or not task.done():
            self._tasks[number] = task
        return task.cancel

    def until_settled(self, pending: Pending) -> asyncio.Future[None]:
        """See `Reactor`."""
        # An event would look twice which loop this is, and that is a system call up to Python 3.11.
        future: asyncio.Future[None] = self._loop.create_future()

        def settled() -> None:
            if not future.done():
                future.set_result(None)

        pending.on_settle = settled
        return future

    def ended(self, number: int) -> None:
        """See `Reactor`."""
        # Cheaper than a callback of the task, which would take a turn of the loop of its own.
        self._tasks.pop(number, None)

    async def _run(
        self, number: int, function: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...]
    ) -> None:
        try:
            await function(*args)
        finally:
            self.ended(number)

    def ends_task(self, error: BaseException) -> bool:
        """See `Reactor`: it is cancelled, or the program ends; a mere CancelledError may be anybody's."""
        if isinstance(error, BaseExceptionGroup):
            return any(map(self.ends_task, error.exceptions))
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            return task is None or task.cancelling() > 0
        return isinstance(error, (KeyboardInterrupt, SystemExit))
