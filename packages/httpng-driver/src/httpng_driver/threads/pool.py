"""The event loops of a server: the first one, and those in threads of their own."""

from collections.abc import Callable
from heapq import nsmallest
from threading import Lock

from httpng_core import Application, ConfigError
from httpng_driver.loop import hub as hubs
from httpng_driver.loop.accepted import Accepted
from httpng_driver.loop.pump import Pump
from httpng_driver.reactor import Backend
from httpng_driver.threads.worker import Worker

_MOST_TRIED = 32
"""So many idle connections are asked to give way at once, at most."""
_PATIENCE = 1.0
"""So many seconds a thread has to close the connections that it is asked for, before others are asked."""
_PART_AT_ONCE = 8
"""Of those that are idle one in so many gives way at once, so that a crowd isn't looked through for each."""


class Loops:
    """Gives each connection to the loop that has the fewest. Its methods are for the first loop's thread.

    Attributes:
        first: the hub of the first loop, which is always there.
        limit: how many connections each loop may have.
        on_forget: called in any thread when a connection has been closed.
        on_left: called in the first loop when the last of the workers that were to go has ended.
    """

    def __init__(self, application: Application, backend: Backend, first: "hubs.Hub") -> None:
        self.first = first
        self.limit = application.settings.max_conn_per_thread
        self.on_forget: Callable[[], None] = lambda: None
        self.on_left: Callable[[], None] = lambda: None
        self._application = application
        self._backend = backend
        self._workers: tuple[Worker, ...] = ()
        self._leaving: tuple[Worker, ...] = ()
        self._last_number = 1
        # Held while the two change, as `grow` may be called in any thread.
        self._changing = Lock()

    @property
    def count(self) -> int:
        """How many loops take connections."""
        return 1 + len(self._workers)

    @property
    def loads(self) -> tuple[int, ...]:
        """How many connections each loop has that takes some, the first one's first."""
        return self.first.load, *(worker.load for worker in self._workers)

    @property
    def hubs(self) -> "list[hubs.Hub]":
        """The hubs of all loops, those that are to go included; whoever looks at one holds its lock."""
        workers = (*self._workers, *self._leaving)
        return [self.first, *(worker.hub for worker in workers if worker.hub is not None)]

    @property
    def leaving(self) -> int:
        """How many workers that are to go are not gone yet."""
        return len(self._leaving)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self.first.pumps) + sum(worker.load for worker in (*self._workers, *self._leaving))

    @property
    def requests(self) -> int:
        """How many requests they have begun."""
        workers = (*self._workers, *self._leaving)
        return self.first.runner.requests + sum(worker.requests for worker in workers)

    @property
    def ends(self) -> dict[str, int]:
        """How often what has ended otherwise than completely; see `Runner.ends`."""
        found: dict[str, int] = {}
        for hub in self.hubs:
            # A copy, as another thread may add to it.
            for end, count in hub.runner.ends.copy().items():
                found[end] = found.get(end, 0) + count
        return dict(sorted(found.items()))

    @property
    def is_leaving(self) -> bool:
        """Whether workers that are to go are not gone yet."""
        return bool(self._leaving)

    def has_room(self) -> bool:
        """Return whether one more connection may be open."""
        return min(self.first.load, *(worker.load for worker in self._workers), self.limit) < self.limit

    def make_room(self) -> bool:
        """Have those give way that have been idle longest, of all loops; return whether there is room now.

        Those of another thread take a moment, of which `on_forget` tells. Nobody else is asked while they
        close, which would lose its connection for nothing.
        """
        now = self.first.clock()
        asked = [(worker, since) for worker in self._workers if (since := worker.asked_at) is not None]
        if any(now - since < _PATIENCE for _, since in asked):
            return False
        if self.has_room():
            return True  # The last of them has closed since the caller looked.
        # Else some that have asked would look idle.
        self.first.arrivals.serve()
        slow = [worker for worker, _ in asked]
        idle = [
            (since, worker, pump)
            for worker in (None, *self._workers)
            if worker not in slow
            for pump in (self.first if worker is None else worker).pumps
            if (since := pump.connection.statistics().idle_since) is not None
        ]
        wanted, gone = max(len(idle) // _PART_AT_ONCE, 1), 0
        others: dict[Worker, list[Pump]] = {}
        for _, worker, pump in nsmallest(_MOST_TRIED, idle, key=lambda one: one[0]):
            if worker is None:
                gone += pump.give_way()
            else:
                others.setdefault(worker, []).append(pump)
                wanted -= 1
            if gone >= wanted:
                break
        for worker, pumps in others.items():
            # Its own thread looks whether they are idle still.
            worker.have_give_way(pumps, now)
        return gone > 0

    def take(self, accepted: Accepted) -> None:
        """Have an accepted socket served where there are the fewest."""
        loops: tuple[hubs.Hub | Worker, ...] = (self.first, *self._workers)
        least = min(loops, key=lambda loop: loop.load)
        least.take(accepted)

    def grow(self, count: int) -> None:
        """Start workers until there are `count` loops. From any thread.

        Raises:
            ConfigError: there is no room for so many threads; then none was started.
        """
        started: list[Worker] = []
        try:
            while self.count + len(started) < count:
                started.append(self._worker())
        except (OSError, RuntimeError) as error:
            with self._changing:
                self._leaving = (*self._leaving, *started)
            for worker in started:
                worker.stop()
            raise ConfigError(f"threads is {count}: can't start another thread: {error}") from error
        with self._changing:
            self._workers = (*self._workers, *started)

    def shrink(self, count: int) -> None:
        """Let the workers beyond `count` loops finish what they have, and end."""
        with self._changing:
            going = self._workers[count - 1 :]
            self._workers = self._workers[: count - 1]
            self._leaving = (*self._leaving, *going)
        for worker in going:
            worker.drain()

    def reset_leaving(self) -> None:
        """Abort the connections of the workers that are to go; their handlers learn it."""
        for worker in self._leaving:
            worker.reset()

    def stop_leaving(self) -> None:
        """End the workers that are to go."""
        for worker in self._leaving:
            worker.stop()

    def renew(self) -> None:
        """Have idle connections learn the application's settings soon, too. From any thread."""
        self.limit = self._application.settings.max_conn_per_thread
        self.first.call_in_loop(self.first.renew)
        for worker in (*self._workers, *self._leaving):
            worker.renew()

    def _worker(self) -> Worker:
        self._last_number += 1
        number = self._last_number
        return Worker(
            self._application,
            self._backend,
            self.first.share.limits,
            number,
            lambda: self.on_forget(),
            self._ended,
        )

    def _ended(self, worker: Worker) -> None:
        self.first.ring(lambda: self._left(worker))

    def _left(self, worker: Worker) -> None:
        worker.join()
        with self._changing:
            # One that failed was not asked to go.
            self._workers = tuple(one for one in self._workers if one is not worker)
            self._leaving = tuple(one for one in self._leaving if one is not worker)
        if not self._leaving:
            self.on_left()
