"""What the driver asks of an event loop: its verbs, and how one more loop is run."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from httpng_core import Pending


class Reactor(Protocol):
    """What the driver needs of an event loop. A backend gives one; all calls come from its thread."""

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """Call `ready()` whenever `fd` is readable, until the reactor closes."""

    def call_at(self, when: float, alarm: Callable[[], None]) -> None:
        """Call `alarm()` at the monotonic time `when`. There is one alarm: the last call counts."""

    def wake(self, callback: Callable[[], None]) -> None:
        """Call `callback()` in the next turn of the loop, never within this call."""

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run `function(*args)` as a task of its own; it is cancelled when the reactor closes."""

    def spawn_handler(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run `function(number, *args)` likewise; it calls `ended(number)` when it ends, however it does."""

    def spawn_cancellable(
        self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any
    ) -> Callable[[], object]:
        """Do what `spawn_handler` does; return what cancels the task, and it alone.

        The task may have run up to its first wait by then. What is returned only schedules, may be called
        from the task itself, and does nothing once that has ended.
        """

    def until_settled(self, pending: Pending) -> Awaitable[object]:
        """Return what to await, once and at once, until `pending` has settled, which it hasn't yet.

        Cancelling the wait changes nothing of it.
        """

    def ended(self, number: int) -> None:
        """Note that what `spawn_handler` or `spawn_cancellable` has started ends. Within it."""

    def ends_task(self, error: BaseException) -> bool:
        """Return whether `error` is the end of the task that asks: it is cancelled, or the program is to end.

        Whatever else a handler raises is the handler's error, though it be no `Exception`.
        """


@dataclass(frozen=True, slots=True)
class Backend:
    """An event loop that runs, and how to run another one of its kind.

    Attributes:
        reactor: makes a reactor of the running loop.
        run: runs an async function in a loop of its own, in the thread that calls it, to its end.
    """

    reactor: Callable[[], AbstractAsyncContextManager[Reactor]]
    run: Callable[[Callable[[], Awaitable[None]]], None]
