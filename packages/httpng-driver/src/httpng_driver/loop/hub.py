"""The hub: everything of one event loop. It takes turns, and in each serves what was flagged.

What a client asks for is served when its socket is read; turns are for what others flag: feeds, other
threads, timers, tasks that have written. What it does is done in the thread of its loop, with its lock held.
So another thread that holds the lock may touch a connection or a deadline of its: a step of Lua does, that
another loop carries out.
"""

import logging
import socket
import time
from collections.abc import Awaitable, Callable
from threading import RLock, get_ident
from typing import Any

from httpng_core import (
    DEFECT,
    SHUT_DOWN,
    Address,
    Application,
    AsgiHandler,
    Certificates,
    Exchange,
    HttpDate,
    Timers,
    end_exchange,
)
from httpng_driver.handlers.asgi import AsgiHost, call_of
from httpng_driver.handlers.body import BodyReader
from httpng_driver.handlers.files import DiskFiles
from httpng_driver.handlers.io import GONE, IO
from httpng_driver.loop.feed_turns import FeedTurns
from httpng_driver.loop.holder_watch import HolderWatch
from httpng_driver.loop.poller import make_poller
from httpng_driver.loop.pump import Pump
from httpng_driver.loop.statistics import HubStatistics
from httpng_driver.reactor import Reactor
from httpng_driver.threads.wakeup import Doorbell

_PASSES_PER_TURN = 4
_log = logging.getLogger("httpng")


class Hub:
    """Serves the connections of one loop.

    Attributes:
        application: what is served.
        configuration: what its connections go by; the application may have another one since.
        clock: the monotonic clock of every `now`.
        date: the value of the Date header.
        poller: readiness of all sockets.
        runner: runs the handlers.
        timers: deadlines of the driver's own and the next one of each connection.
        feed_turns: what feeds have for the connections.
        wakeup: by which other threads reach the loop.
        lock: held while the loop works.
        thread: the thread of the loop.
        on_forget: called when a connection has been closed.
    """

    def __init__(
        self,
        application: Application,
        reactor: Reactor,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        doorbell: Doorbell | None = None,
    ) -> None:
        """Make a hub in the thread of its loop. It owns the `doorbell`, by which other threads reach it."""
        self.application = application
        self.clock = clock
        self.date = HttpDate(wall_clock)
        self.poller = make_poller()
        self.timers = Timers()
        self.lock = RLock()
        self.on_forget: Callable[[], None] = _nothing
        self.feed_turns = FeedTurns(self.flag, self._soon)
        self.wakeup = Doorbell() if doorbell is None else doorbell
        self.wakeup.answer_by(self.poller)
        self.thread = get_ident()
        self._reactor = reactor
        self._pumps: set[Pump] = set()
        self._holders = HolderWatch(self)
        # In the order in which they were flagged; a pump that is flagged twice is served once.
        self._flagged: dict[Pump, None] = {}
        self._tasks = 0
        self._turns = 0
        self._on_idle: Callable[[], None] | None = None
        self._in_turn = False
        # Whether the reactor was asked to call `_woken`, and hasn't yet.
        self._scheduled = False
        self._closed = False
        self._alarm: float | None = None
        self.configuration = application.configuration
        files = DiskFiles(reactor, wall_clock)
        self._asgi = AsgiHost(application, clock, self.timers, self._soon, self.check_thread, files)
        # Last, as fibers of a script may want a turn at once.
        self.runner = application.runner(
            clock,
            start_async=self._start_async,
            start_asgi=self._start_asgi,
            on_ready=self._soon,
            files=files,
            lock=self.lock,
            call_in_loop=self.call_in_loop,
            check_thread=self.check_thread,
            wall_clock=wall_clock,
        )
        reactor.watch(self.poller.fileno(), self._on_ready)

    @property
    def pumps(self) -> list[Pump]:
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

    def statistics(self) -> HubStatistics:
        """Return what is going on."""
        return HubStatistics(len(self._pumps), self._tasks, len(self.timers), self._turns)

    def adopt(
        self,
        sock: socket.socket,
        peer: Address,
        ouraddr: Address,
        certificates: Certificates | None = None,
        *,
        proxied: bool = False,
    ) -> None:
        """Serve an accepted, non-blocking socket from now on; it belongs to the hub.

        With `certificates` it speaks TLS; `proxied`: see `Pump`.
        """
        if self._closed:
            sock.close()
            self.on_forget()
            return
        pump = Pump(self, sock, peer, ouraddr, certificates, proxied=proxied)
        self._pumps.add(pump)
        self._holders.begin()
        if not pump.flagged:
            self.flag(pump)

    take = adopt

    def flag(self, pump: Pump) -> None:
        """Have `pump` served in this turn, or soon."""
        pump.flagged = True
        self._flagged[pump] = None
        if not self._in_turn:
            self._soon()

    def forget(self, pump: Pump) -> None:
        """Note that the pump has closed."""
        self._pumps.discard(pump)
        self.timers.cancel(pump.alarm)
        self.on_forget()

    def failed(self, pump: Pump) -> None:
        """Give up a connection that has met a defect of the server; the others go on."""
        _log.exception("a connection failed and is aborted")
        pump.connection.abort(self.clock(), DEFECT)
        pump.close()

    def set_alarm(self, pump: Pump) -> None:
        """Look at the deadline of `pump` in time.

        Deadlines mostly move away: an alarm that turns out too early is cheaper than moving it each time.
        """
        deadline, alarm = pump.connection.next_deadline(), pump.alarm
        if deadline is None or (alarm is not None and alarm.deadline <= deadline):
            return
        self.timers.cancel(alarm)
        pump.alarm = self.timers.add(deadline, pump.expire)
        if self._alarm is None or deadline < self._alarm:
            self._sound_at(deadline)

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
            for pump in self.pumps:
                pump.connection.reconfigure(settings, now)
                self.set_alarm(pump)
        self._soon()

    def drain(self, on_idle: Callable[[], None]) -> None:
        """Have connections take no more requests and close when they have answered; then call `on_idle`."""
        self._on_idle = on_idle
        with self.lock:
            # What has come in time is answered: else a connection that was just accepted would be reset.
            before, self._in_turn = self._in_turn, True
            try:
                self.poller.poll()
            finally:
                self._in_turn = before
            for pump in self.pumps:
                pump.connection.drain(self.clock())
            self.application.drained(self.runner)
        self._soon()

    def reset(self) -> None:
        """Abort every connection; their handlers learn it."""
        with self.lock:
            for pump in self.pumps:
                pump.connection.abort(self.clock())
                self.runner.serve(pump.connection)
                pump.close()
        self._soon()

    def close(self) -> None:
        """Abort every connection and give the handlers up."""
        self._closed = True
        self.reset()
        self.runner.close()
        self.wakeup.close()
        self.poller.close()

    def look(self) -> None:
        """Take a turn soon, as a deadline was added to `timers` outside of one."""
        self._soon()

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
        self._turns += 1
        with self.lock:
            self._in_turn = True
            try:
                self.poller.poll()
            finally:
                self._in_turn = False
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
        self._turns += 1
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

    def _start_async(self, exchange: Exchange, function: Callable[..., Awaitable[object]]) -> None:
        self._tasks += 1
        self._reactor.spawn(self._run, exchange, function, self._io_of(exchange))

    def _start_asgi(self, exchange: Exchange, handler: AsgiHandler) -> None:
        io = self._io_of(exchange)
        call = call_of(self._asgi, exchange, io, handler)
        self._tasks += 1
        self._reactor.spawn_cancellable(call.take_cancel, self._run, exchange, call.run, io)

    def _io_of(self, exchange: Exchange) -> IO:
        """Return the `io` of a handler that gets a task, and let its request read a body that comes in."""
        # One that was cancelled before its handler began has let go of its pump.
        pump = GONE if exchange.is_over else exchange.host.driver
        if exchange.incoming is not None:
            exchange.request.source = BodyReader(exchange.incoming, self.clock, pump, self.check_thread)
        return IO(exchange, self.clock, pump, self.check_thread)

    async def _run(self, exchange: Exchange, function: Callable[..., Any], io: IO) -> None:
        try:
            returned = await function(exchange.request, io)
        except BaseException as error:
            if self._reactor.ends_task(error):
                # The task is being cancelled, with the server: so is the exchange.
                exchange.cancel(self.clock(), SHUT_DOWN)
                raise
            returned = error
        finally:
            self._tasks -= 1
            if self._on_idle is not None:
                self._soon()
        pump = io.pump
        if pump.flagged:
            end_exchange(exchange, returned, self.clock(), io.headers)
            return
        # Its answer goes out in place: no turn need be taken for it.
        pump.flagged = True
        end_exchange(exchange, returned, self.clock(), io.headers)
        with self.lock:
            pump.serve()


def _nothing() -> None:
    """Do nothing: a turn is all that is wanted."""
