"""The reactor on trio: a few tasks of one nursery."""

import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from types import TracebackType
from typing import Any

import outcome
import trio

from httpng_core import Pending

_IDLE_AT_MOST = 64


class TrioReactor:
    """A `Reactor` of the running loop, while its `async with` block lasts."""

    def __init__(self) -> None:
        self._manager: AbstractAsyncContextManager[trio.Nursery] = trio.open_nursery()
        self._callbacks: deque[Callable[[], None]] = deque()
        self._scopes: list[trio.CancelScope] = []
        self._parked: trio.lowlevel.Task | None = None
        self._sleep = trio.CancelScope()
        self._idle: list[trio.lowlevel.Task] = []
        self._context = copy_context()
        self._when = float("inf")
        self._alarm: Callable[[], None] = lambda: None

    async def __aenter__(self) -> "TrioReactor":
        self._nursery = await self._manager.__aenter__()
        self._own(self._call_back)
        self._own(self._sound_alarms)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what was spawned and wait for it to end."""
        for scope in self._scopes:
            scope.cancel()
        self._nursery.cancel_scope.cancel()
        # The error goes its own way: a nursery would wrap it.
        await self._manager.__aexit__(None, None, None)

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """See `Reactor`."""
        # A duplicate: trio can't bear a descriptor that is closed while it waits, and `fd` may be.
        self._own(self._watch, os.dup(fd), ready)

    def call_at(self, when: float, alarm: Callable[[], None]) -> None:
        """See `Reactor`."""
        self._when, self._alarm = when, alarm
        self._sleep.deadline = self._deadline()

    def wake(self, callback: Callable[[], None]) -> None:
        """See `Reactor`."""
        self._callbacks.append(callback)
        parked, self._parked = self._parked, None
        if parked is not None:
            trio.lowlevel.reschedule(parked)

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """See `Reactor`."""
        if not self._idle:
            self._nursery.start_soon(self._work, function, args)
            return
        task = self._idle.pop()
        # The context of the request, as a new task would have it.
        task.context = copy_context()
        trio.lowlevel.reschedule(task, outcome.Value((function, args)))

    def spawn_handler(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """See `Reactor`."""
        # A nursery has them all, so that a number says nothing.
        self.spawn(function, 0, *args)

    def spawn_cancellable(
        self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any
    ) -> Callable[[], object]:
        """See `Reactor`."""
        scope = trio.CancelScope()
        self.spawn(_run_in, scope, function, args)
        return scope.cancel

    def until_settled(self, pending: Pending) -> Awaitable[None]:
        """See `Reactor`."""
        event = trio.Event()
        pending.on_settle = event.set
        return event.wait()

    def ended(self, number: int) -> None:
        """See `Reactor`: the nursery notes it itself."""

    def ends_task(self, error: BaseException) -> bool:
        """See `Reactor`: it is cancelled, or the program is to end."""
        if isinstance(error, BaseExceptionGroup):
            return any(map(self.ends_task, error.exceptions))
        return isinstance(error, (trio.Cancelled, KeyboardInterrupt, SystemExit))

    async def _work(self, function: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...]) -> None:
        """Run one function after the other: waking a parked task costs half of what starting one does."""
        task = trio.lowlevel.current_task()
        while True:
            await function(*args)
            # While it is parked it must keep nothing of a request alive.
            args = ()
            task.context = self._context
            if len(self._idle) >= _IDLE_AT_MOST:
                return
            self._idle.append(task)
            function, args = await trio.lowlevel.wait_task_rescheduled(self._abandon)

    def _abandon(self, _: Any) -> trio.lowlevel.Abort:
        """Give an idle task up: the nursery is cancelled, and with it all of them."""
        self._idle.clear()
        return trio.lowlevel.Abort.SUCCEEDED

    def _own(self, function: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Start a task that runs until the reactor closes: who is cancelled still needs the loop."""
        scope = trio.CancelScope(shield=True)
        self._scopes.append(scope)

        async def run() -> None:
            with scope:
                await function(*args)

        self._nursery.start_soon(run)

    async def _watch(self, fd: int, ready: Callable[[], None]) -> None:
        try:
            while True:
                await trio.lowlevel.wait_readable(fd)
                ready()
        finally:
            os.close(fd)

    async def _call_back(self) -> None:
        while True:
            for _ in range(len(self._callbacks)):
                self._callbacks.popleft()()
            if self._callbacks:
                await trio.lowlevel.checkpoint()
            else:
                await self._park()

    async def _park(self) -> None:
        self._parked = trio.lowlevel.current_task()

        def abort(_: Any) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def _sound_alarms(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._deadline()) as self._sleep:
                await trio.sleep_forever()
            self._when, alarm = float("inf"), self._alarm
            alarm()

    def _deadline(self) -> float:
        """Return the alarm's time by trio's clock, which has another origin than the monotonic one."""
        return trio.current_time() + (self._when - time.monotonic())


async def _run_in(
    scope: trio.CancelScope, function: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...]
) -> None:
    with scope:
        await function(0, *args)
