"""The turns of an event loop: in each, what was flagged is served, and what is due.

What a client asks for is served when its socket is read; turns are for what others flag: feeds, other
threads, timers, tasks that have written. What is done here is done in the thread of the loop, with the lock
held. So another thread that holds the lock may touch a connection or a deadline: a step of Lua does, that
another loop carries out.
"""

from collections.abc import Callable
from threading import RLock, get_ident
from typing import Generic, TypeVar

from httpng_core import Application, HttpDate, Runner, Timer, Timers
from httpng_driver.handlers.driving import Driving
from httpng_driver.handlers.turn import LoopTurns
from httpng_driver.loop.arrivals import Arrivals
from httpng_driver.loop.doorbell import Doorbell
from httpng_driver.loop.feed_turns import FeedTurns
from httpng_driver.loop.limits import Limits, Share
from httpng_driver.loop.meter import Meter
from httpng_driver.loop.poller import make_poller
from httpng_driver.reactor import Reactor

_PASSES_PER_TURN = 4

P = TypeVar("P", bound=Driving)


class Turns(Generic[P]):
    """What a hub shares with its pumps, and the turns that it takes. See `Hub`.

    Attributes:
        application: what is served.
        configuration: what its connections go by; the application may have another one since.
        clock: the monotonic clock of every `now`.
        date: the value of the Date header.
        poller: readiness of all sockets.
        runner: runs the handlers; the hub makes it, last of all.
        timers: deadlines of the driver's own and the next one of each connection.
        feed_turns: what feeds have for the connections.
        share: what the connections hold, of what all loops may.
        wakeup: by which other threads reach the loop.
        lock: held while the loop works.
        thread: the thread of the loop.
        on_forget: called when a connection has been closed.
        arrivals: the connections that have read, and wait until others have as well.
        meter: counts how exchanges end, where somebody asks for that; else `None`.
    """

    runner: Runner

    def __init__(
        self,
        application: Application,
        reactor: Reactor,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        doorbell: Doorbell,
        limits: Limits,
    ) -> None:
        self.application = application
        self.configuration = application.configuration
        self.clock = clock
        self.date = HttpDate(wall_clock)
        self.poller = make_poller()
        self.timers = Timers()
        self.lock = RLock()
        self.meter: Meter | None = None
        self.on_forget: Callable[[], None] = _nothing
        self.arrivals = Arrivals(clock)
        self.feed_turns = FeedTurns(self.flag, self._soon)
        self.wakeup = doorbell
        self.wakeup.answer_by(self.poller)
        self.thread = get_ident()
        self._reactor = reactor
        self._pumps: set[P] = set()
        # In the order in which they were flagged; a pump that is flagged twice is served once.
        self._flagged: dict[P, None] = {}
        self._tasks = 0
        self._turns = LoopTurns(reactor, self.lock)
        self._on_idle: Callable[[], None] | None = None
        self._in_turn = False
        # Whether the reactor was asked to call `_woken`, and hasn't yet.
        self._scheduled = False
        self._closed = False
        self._alarm: float | None = None
        self.share = Share(limits, self._turns, clock, self.alarm_at, self.ring)

    @property
    def pumps(self) -> list[P]:
        """The open connections."""
        return list(self._pumps)

    @property
    def load(self) -> int:
        """How many connections are open."""
        return len(self._pumps)

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a connection nor a handler that runs."""
        return not self._pumps and not self._tasks and not self.runner.is_busy

    def flag(self, pump: P) -> None:
        """Have `pump` served in this turn, or soon."""
        pump.flagged = True
        self._flagged[pump] = None
        if not self._in_turn:
            self._soon()

    def forget(self, pump: P) -> None:
        """Note that the pump has closed."""
        self._pumps.discard(pump)
        self.on_forget()

    def turn(self) -> None:
        """Serve what was flagged and what is due."""
        with self.lock:
            self._in_turn = True
            try:
                self._serve()
            finally:
                self._in_turn = False
            if self._flagged or self.feed_turns or self.runner.is_ready:
                self._soon()
            self._set_alarm()
        self._tell_idle()

    def check_thread(self) -> None:
        """Check that this is the thread of the loop, as a call of `io` has to be.

        Raises:
            RuntimeError: it is another one.
        """
        if get_ident() != self.thread:
            raise RuntimeError(
                "io was called from another thread than that of its event loop; "
                "call it there (loop.call_soon_threadsafe, anyio.from_thread.run), or publish to a Feed"
            )

    def call_in_loop(self, function: Callable[[], None]) -> None:
        """Call `function` in the thread of the loop: at once if called from there, else soon."""
        self.wakeup.call_in_loop(function)

    def ring(self, function: Callable[[], None]) -> None:
        """Have `function` called soon, in the thread of the loop. From any thread."""
        self.wakeup.call(function)

    def look(self) -> None:
        """Take a turn soon, as a deadline was added to `timers` outside of one."""
        self._soon()

    def renew(self) -> None:
        """Give the connections the settings that the application has now.

        To be called between receiving and parsing: another thread may have changed them, and told a client,
        after this loop was found ready.
        """
        configuration = self.application.configuration
        if configuration is self.configuration:
            return
        settings = configuration.settings
        with self.lock:
            self.configuration, now = configuration, self.clock()
            self.share.renew(settings)
            for pump in self.pumps:
                pump.reconfigure(settings, now)
        self._soon()

    def alarm_at(self, deadline: float, alarm: Timer | None, expire: Callable[[float], None]) -> Timer | None:
        """Have `expire(now)` called at `deadline`, in place of `alarm`."""
        self.timers.cancel(alarm)
        if self._alarm is None or deadline < self._alarm:
            self._sound_at(deadline)
        return self.timers.add(deadline, expire)

    # Inside -------------------------------------------------------------------------------------------

    def _tell_idle(self) -> None:
        if self._on_idle is not None and self.is_idle:
            on_idle, self._on_idle = self._on_idle, None
            on_idle()

    def _serve(self) -> None:
        now, due = self.clock(), self._next_deadline()
        if due is not None and due <= now:
            # After the loop was held up, sockets come first: what has come, or has room, in time isn't late.
            self.poller.poll()
            self.timers.handle(now)
            self.runner.handle_timeout(now)
        if self.feed_turns:
            self.feed_turns.send(now)
        for _ in range(_PASSES_PER_TURN):
            if self.runner.is_ready:
                self.runner.run()
            flagged, self._flagged = self._flagged, {}
            for pump in flagged:
                if pump in self._pumps:
                    pump.serve()
            if not self._flagged and not self.runner.is_ready:
                return

    def _next_deadline(self) -> float | None:
        due, sleeper = self.timers.next_deadline(), self.runner.next_deadline()
        return sleeper if due is None or (sleeper is not None and sleeper < due) else due

    def _on_ready(self) -> None:
        if self._closed:
            return  # A loop may tell what it found before, in the same turn.
        self._turns.count += 1
        with self.lock:
            self._in_turn = True
            # Not where exchanges are limited, in number or in bytes: one that is answered at once is over
            # before another one asks whether it may begin.
            self.arrivals.are_gathered = self.share.admission.full is None
            try:
                self.poller.poll()
                self.arrivals.serve()
            finally:
                self.arrivals.are_gathered = self._in_turn = False
            if self._scheduled:
                # A turn comes anyway; one here as well would give the flagged more than their share.
                return
            due = self._next_deadline()
            is_due = due is not None and due <= self.clock()
            if is_due or self._flagged or self.feed_turns or self.runner.is_ready:
                self.turn()
                return
            if due is not None and (self._alarm is None or due < self._alarm):
                # Of a listener's pause, or of a fiber that sleeps.
                self._sound_at(due)
            if self._on_idle is not None:
                self._tell_idle()

    def _soon(self) -> None:
        if self._scheduled or self._in_turn or self._closed:
            return
        if get_ident() == self.thread:
            self._scheduled = True
            self._reactor.wake(self._woken)
        else:
            self.wakeup.call(_nothing)  # Each answer is followed by a turn.

    def _woken(self) -> None:
        self._scheduled = False
        if self._closed:
            return
        self._turns.count += 1
        self.turn()

    def _set_alarm(self) -> None:
        deadline = self._next_deadline()
        if deadline is not None and (self._alarm is None or deadline < self._alarm):
            self._sound_at(deadline)

    def _sound_at(self, deadline: float) -> None:
        self._alarm = deadline
        self._reactor.call_at(deadline, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        if not self._closed:
            self.turn()


def _nothing() -> None:
    """Do nothing: a turn is all that is wanted."""
