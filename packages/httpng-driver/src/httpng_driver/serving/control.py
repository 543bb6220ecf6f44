"""The service: what an application runs as. It listens, spreads connections over loops, reloads and stops."""

from collections import deque
from collections.abc import Callable
from math import inf
from threading import Lock

import anyio

from httpng_core import (
    Application,
    ConfigError,
    Configuration,
    FeedStats,
    Pending,
    ServerState,
    ServerVerb,
    Settings,
    Timer,
)
from httpng_driver.loop.hub import Hub
from httpng_driver.serving.draining import PATIENCE, log_waiting
from httpng_driver.serving.endpoints import Listening, check_configuration
from httpng_driver.serving.listener import ACCEPTS_AT_ONCE, Listener
from httpng_driver.serving.statistics import ListenerStatistics, ServerStatistics
from httpng_driver.threads.pool import Loops


class Service:
    """The `Control` of an application while a server runs it.

    What the application asks for may come from any thread, since a script's may be carried out in any; it is
    done in the thread of the first loop.

    Attributes:
        listening: what is open, or was until a shutdown; `None` before anything.
        on_started: called in the first loop when a script has started the server again.
        on_stopping: called in the first loop when the server begins to stop.
        over: set when all is down and nothing is left that could start it again.
    """

    def __init__(self, application: Application, hub: Hub, loops: Loops, listening: Listening | None) -> None:
        self.listening = listening
        self.over = anyio.Event()
        self.on_started: Callable[[], None] = lambda: None
        self.on_stopping: Callable[[], None] = lambda: None
        self._application = application
        self._admin = application.settings.admin
        self._hub = hub
        self._loops = loops
        self._listeners: list[Listener] = []
        self._deadline: Timer | None = None
        self._told: Timer | None = None
        self._is_stopping = self._first_is_idle = self._is_final = False
        self._on_ended: list[Pending] = []
        self._on_reduced: list[Pending] = []
        self._asked: deque[Callable[[], None]] = deque()
        self._all_left = anyio.Event()
        hub.on_forget = loops.on_forget = self._forgotten
        loops.on_left = self._left
        application.lifecycle.lock = Lock()
        application.when_ended(self._check_over)

    def statistics(self) -> ServerStatistics:
        """Return how the server stands. In the thread of the first loop."""
        limits = self._hub.share.limits
        return ServerStatistics(
            state=self._application.lifecycle.state,
            connections=self._loops.connections,
            loops=self._loops.loads,
            leaving=self._loops.leaving,
            listeners=tuple(
                ListenerStatistics(address=one.address, paused=one.paused, shortages=one.shortages)
                for one in self._listeners
            ),
            exchanges=limits.under_way,
            held=None if limits.budget is None else limits.held,
            ends=self._loops.ends,
            deadline=None if self._deadline is None else self._deadline.deadline,
        )

    @property
    def settings(self) -> Settings:
        """The settings that it serves with now."""
        return self._application.settings

    def feed_stats(self) -> FeedStats:
        """Return what became of all that feeds of a script published."""
        return self._application.feed_stats()

    @property
    def hubs(self) -> list[Hub]:
        """The hubs of all loops; whoever looks at one holds its lock."""
        return self._loops.hubs

    def begin(self) -> None:
        """Serve from now on. In the thread of the first loop.

        Raises:
            ConfigError: there is no room for so many threads.
        """
        if self.listening is None:
            self._check_over()
            return
        self._loops.grow(self._application.settings.threads)
        self._listen(self.listening)

    # Control ------------------------------------------------------------------------------------------

    def start(self, configuration: Configuration) -> None:
        """See `Control`.

        Raises:
            ConfigError: operators are to ask elsewhere than where they do.
            RuntimeError: the server was told from outside to stop, so a script can't start it again.
        """
        if self._is_final:
            raise RuntimeError("shutdown is in progress")
        if configuration.settings.admin != self._admin:
            raise ConfigError("admin is for the first cfg of a script, called before it first waits")
        listening = Listening(configuration)
        try:
            self._loops.grow(configuration.settings.threads)
        except BaseException:
            listening.close()
            raise
        self._loops.limit = configuration.settings.max_conn_per_thread
        self._in_first(lambda: self._listen(listening))
        self._hub.ring(lambda: self.on_started())

    def reconfigure(self, configuration: Configuration) -> None:
        """See `Control`."""
        check_configuration(configuration)
        settings, count = configuration.settings, configuration.settings.threads
        if count >= self._loops.count:
            self._loops.grow(count)
        else:
            self._application.lifecycle.do(ServerVerb.REDUCE)
            limit = settings.thread_termination_timeout
            self._in_first(lambda: self._reduce(count, limit if limit > 0 else inf))

    def reconfigured(self) -> None:
        """See `Control`."""
        self._loops.renew()
        self._in_first(self._resume)

    def shutdown(self, *, resets: bool) -> Pending:
        """See `Control`: exchanges, or the handlers of those that were reset, have `shutdown_timeout`."""
        self._application.lifecycle.do(ServerVerb.SHUTDOWN)
        ended = Pending()
        self._on_ended.append(ended)
        limit = self._application.settings.shutdown_timeout
        self._in_first(lambda: self._stop(limit, resets=resets))
        return ended

    def force_decrease_threads(self) -> Pending:
        """See `Control`."""
        self._application.lifecycle.do(ServerVerb.FORCE_DECREASE)
        reduced = Pending()
        self._in_first(lambda: self._force(reduced))
        return reduced

    # Ending -------------------------------------------------------------------------------------------

    def drain(self, limit: float) -> None:
        """Stop, for good: exchanges may finish within `limit` seconds. Again: the time counts from now."""
        self._is_final = True
        lifecycle = self._application.lifecycle
        if lifecycle.state is ServerState.STOPPED:
            self._check_over()
            return
        self._forbid_more()
        self._in_first(lambda: self._stop(limit, resets=False))

    async def close(self) -> None:
        """Abort everything and wait until all other threads are gone. To be shielded from cancellation."""
        self._is_final = True
        self._forbid_more()
        self._do_asked()
        self._close_listeners()
        self._cancel_deadline()
        self._hub.reset()
        self._loops.shrink(1)
        self._loops.stop_leaving()
        while self._loops.is_leaving:
            self._all_left = anyio.Event()
            await self._all_left.wait()
            # A cfg that was under way in one of them may have started more.
            self._loops.shrink(1)
            self._loops.stop_leaving()
        self._hub.close()
        self._tell_ended()

    def _forbid_more(self) -> None:
        """Refuse a cfg from now on."""
        lifecycle = self._application.lifecycle
        if lifecycle.state in (ServerState.RUNNING, ServerState.REDUCING):
            lifecycle.do(ServerVerb.SHUTDOWN)

    def _stop(self, limit: float, *, resets: bool) -> None:
        self._close_listeners()
        if not self._is_stopping:
            self._is_stopping, self._first_is_idle = True, False
            self._loops.shrink(1)
            self._hub.drain(self._idle)
            self.on_stopping()
            self._told = self._hub.timers.add(self._hub.clock() + PATIENCE, lambda now: self._tell_waiting())
        if resets:
            self._hub.reset()
            self._loops.reset_leaving()
        self._set_deadline(limit, self._give_up)

    def _tell_waiting(self) -> None:
        """Say once what is waited for, if something is."""
        if self._is_stopping and self._deadline is not None:
            left = max(self._deadline.deadline - self._hub.clock(), 0.0)
            log_waiting(self._hub.pumps, self._loops.connections, left)

    def _idle(self) -> None:
        self._first_is_idle = True
        self._check_stopped()

    def _give_up(self) -> None:
        """Abort what is left: the time is up."""
        self._hub.reset()
        self._hub.runner.close_handlers()
        self._loops.stop_leaving()
        self._idle()

    def _check_stopped(self) -> None:
        if not self._is_stopping or not self._first_is_idle:
            return
        # A cfg that was under way in another thread may have started some.
        self._loops.shrink(1)
        if self._loops.is_leaving:
            return
        self._is_stopping = False
        self._cancel_deadline()
        self._hub.timers.cancel(self._told)
        self._application.lifecycle.do(ServerVerb.ENDED)
        if self._tell_ended():
            # Who waited for this goes on in the next turn, and may start again.
            self._hub.ring(lambda: self._hub.ring(self._check_over))
        else:
            self._check_over()

    def _tell_ended(self) -> bool:
        """Tell all who wait; return whether anybody did for the end."""
        _settle(self._on_reduced)
        return _settle(self._on_ended)

    def _check_over(self) -> None:
        """End, unless the script goes on: it may start again."""
        if self._application.lifecycle.state is not ServerState.STOPPED:
            return
        if self._is_final or self._application.has_ended:
            self._is_final = True
            self.over.set()

    # Fewer threads ------------------------------------------------------------------------------------

    def _reduce(self, count: int, limit: float) -> None:
        self._loops.shrink(count)
        if not self._is_stopping:
            self._set_deadline(limit, self._reset_leaving)

    def _force(self, reduced: Pending) -> None:
        if not self._loops.is_leaving:
            reduced.settle(None)
            return
        self._on_reduced.append(reduced)
        # Else a shutdown is under way, which has a deadline of its own.
        if self._application.lifecycle.state is ServerState.REDUCING:
            self._reset_leaving()

    def _reset_leaving(self) -> None:
        self._loops.reset_leaving()
        # Handlers that don't heed it are given up.
        self._set_deadline(self._application.settings.shutdown_timeout, self._loops.stop_leaving)

    def _left(self) -> None:
        self._all_left.set()
        # One that has failed isn't the last, if others have been told to go since.
        self._do_asked()
        if self._loops.is_leaving:
            return
        if self._is_stopping:
            self._check_stopped()
            return
        self._cancel_deadline()
        self._application.lifecycle.do(ServerVerb.REDUCED)
        _settle(self._on_reduced)

    # Inside -------------------------------------------------------------------------------------------

    def _in_first(self, function: Callable[[], None]) -> None:
        """Have `function` called in the first loop, after all that was asked for before, in any thread."""
        self._asked.append(function)
        self._hub.call_in_loop(self._do_asked)

    def _do_asked(self) -> None:
        while self._asked:
            self._asked.popleft()()

    def _listen(self, listening: Listening) -> None:
        self.listening = listening
        at_once = ACCEPTS_AT_ONCE if self._application.settings.workers == 1 else 1
        for bound in listening.bound:
            certificates = listening.certificates(bound.address)
            # One by one: if there is no room for the next, the end closes those that are there.
            self._listeners.append(
                Listener(
                    self._hub,
                    bound,
                    self._loops.take,
                    self._loops.has_room,
                    certificates,
                    self._loops.make_room,
                    at_once,
                )
            )

    def hand_over(self) -> None:
        """Leave the files of Unix sockets alone from now on: another process listens there."""
        if self.listening is not None:
            self.listening.hand_over()
        for listener in self._listeners:
            listener.hand_over()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    def _forgotten(self) -> None:
        if any(listener.paused for listener in self._listeners):
            self._hub.call_in_loop(self._resume)

    def _resume(self) -> None:
        for listener in self._listeners:
            listener.resume()

    def _set_deadline(self, limit: float, action: Callable[[], None]) -> None:
        self._cancel_deadline()
        self._deadline = self._hub.timers.add(self._hub.clock() + limit, lambda now: action())
        self._hub.look()

    def _cancel_deadline(self) -> None:
        self._hub.timers.cancel(self._deadline)
        self._deadline = None


def _settle(waiting: list[Pending]) -> bool:
    calls = waiting[:]
    waiting.clear()
    for pending in calls:
        pending.settle(None)
    return bool(calls)
