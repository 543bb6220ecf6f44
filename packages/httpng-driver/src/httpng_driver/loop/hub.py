"""The hub: everything of one event loop. It takes turns, and in each serves what was flagged.

What it does is done in the thread of its loop, with its lock held. So another thread that holds the lock may
touch a connection or a deadline of its: a step of Lua does, that another loop carries out.
"""

import logging
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from threading import RLock, get_ident
from typing import Any

from httpng_core import (
    Address,
    AnyConnection,
    Application,
    Certificates,
    Exchange,
    HttpDate,
    Lane,
    Timers,
    TlsConnection,
    end_exchange,
)
from httpng_driver.handlers.files import DiskFiles
from httpng_driver.handlers.io import IO
from httpng_driver.loop.feed_turns import FanOut
from httpng_driver.loop.poller import make_poller
from httpng_driver.loop.pump import Pump
from httpng_driver.loop.tcp_options import CAN_TELL
from httpng_driver.reactor import Reactor
from httpng_driver.threads.wakeup import Doorbell

_PASSES_PER_TURN = 4
_log = logging.getLogger("httpng")


class Hub:
    """Serves the connections of one loop.

    Attributes:
        application: what is served.
        clock: the monotonic clock of every `now`.
        poller: readiness of all sockets.
        runner: runs the handlers.
        timers: deadlines of the driver's own and the next one of each connection.
        lock: held while the loop works.
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
        """To be made in the thread of the loop. It owns the `doorbell`, by which other threads reach it."""
        self.application = application
        self.clock = clock
        self.poller = make_poller()
        self.timers = Timers()
        self.lock = RLock()
        self.on_forget: Callable[[], None] = lambda: None
        self._date = HttpDate(wall_clock)
        self._reactor = reactor
        self._pumps: dict[AnyConnection, Pump] = {}
        self._flagged: list[Pump] = []
        self._fan_out = FanOut(self.flag, self._soon)
        self._doorbell = Doorbell() if doorbell is None else doorbell
        self._doorbell.answer_by(self.poller)
        self._thread = get_ident()
        self._tasks = 0
        self._on_idle: Callable[[], None] | None = None
        self._in_turn = False
        self._scheduled = False
        self._closed = False
        self._alarm: float | None = None
        self._settings = application.settings
        # Last, as fibers of a script may want a turn at once.
        self.runner = application.runner(
            clock,
            start_async=self._start_async,
            on_ready=self._soon,
            files=DiskFiles(reactor, wall_clock),
            lock=self.lock,
            call_in_loop=self.call_in_loop,
        )
        reactor.watch(self.poller.fileno(), self._on_ready)

    @property
    def pumps(self) -> list[Pump]:
        """The open connections."""
        return list(self._pumps.values())

    @property
    def load(self) -> int:
        """How many connections are open."""
        return len(self._pumps)

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a connection nor a handler that runs."""
        return not self._pumps and not self._tasks and not self.runner.is_busy

    def adopt(
        self,
        sock: socket.socket,
        peer: Address,
        ouraddr: Address,
        certificates: Certificates | None = None,
    ) -> None:
        """Serves an accepted, non-blocking socket from now on; it belongs to the hub.

        With `certificates` it speaks TLS.
        """
        if self._closed:
            sock.close()
            self.on_forget()
            return
        make: Callable[..., AnyConnection] = self.application.connection
        if certificates is not None:
            make = partial(TlsConnection, certificates, self.application.settings)
        # Of a Unix socket the kernel counts something else.
        tells = CAN_TELL and ouraddr.family != "AF_UNIX"
        connection = make(self.clock(), peer=peer, ouraddr=ouraddr, date=self._date, tells_acknowledged=tells)
        pump = Pump(self, sock, connection)
        connection.on_wake = pump.on_wake
        connection.on_push = pump.push
        connection.on_payload = partial(self._fan_out.has_payload, pump)
        connection.feed_lane = Lane(self._fan_out.has_sweep, sock.send)
        # The doorbell's, as feeds keep this, and not the hub with it.
        connection.call_in_loop = self._doorbell.call_in_loop
        self._pumps[connection] = pump
        self.flag(pump)

    take = adopt

    def flag(self, pump: Pump) -> None:
        """Has `pump` served in this turn, or soon."""
        if not pump.flagged:
            pump.flagged = True
            self._flagged.append(pump)
            self._soon()

    def forget(self, pump: Pump) -> None:
        """The pump has closed."""
        del self._pumps[pump.connection]
        self.timers.cancel(pump.alarm)
        self.on_forget()

    def set_alarm(self, pump: Pump) -> None:
        """Looks at the deadline of `pump` in time.

        Deadlines mostly move away: an alarm that turns out too early is cheaper than moving it each time.
        """
        deadline, alarm = pump.connection.next_deadline(), pump.alarm
        if deadline is None or (alarm is not None and alarm.deadline <= deadline):
            return
        self.timers.cancel(alarm)
        pump.alarm = self.timers.add(deadline, pump.expire)

    def turn(self) -> None:
        """Serves what was flagged and what is due."""
        with self.lock:
            self._scheduled, self._in_turn = False, True
            try:
                self._serve()
            finally:
                self._in_turn = False
            if self._flagged or self._fan_out or self.runner.is_ready:
                self._soon()
            self._set_alarm()
        self._tell_idle()

    def call_in_loop(self, function: Callable[[], None]) -> None:
        """Calls `function` in the thread of the loop: at once if called from there, else soon."""
        self._doorbell.call_in_loop(function)

    def ring(self, function: Callable[[], None]) -> None:
        """Has `function` called soon, in the thread of the loop. From any thread."""
        self._doorbell.call(function)

    def renew(self) -> None:
        """Gives the connections the settings that the application has now.

        To be called between receiving and parsing: another thread may have changed them, and told a client,
        after this loop was found ready.
        """
        settings = self.application.settings
        if settings is self._settings:
            return
        with self.lock:
            self._settings, now = settings, self.clock()
            for pump in self.pumps:
                pump.connection.reconfigure(settings, now)
                self.set_alarm(pump)
        self._soon()

    def drain(self, on_idle: Callable[[], None]) -> None:
        """Connections take no more requests and close when they have answered; `on_idle` is called once."""
        self._on_idle = on_idle
        with self.lock:
            for pump in self.pumps:
                pump.connection.drain(self.clock())
        self._soon()

    def reset(self) -> None:
        """Aborts every connection; their handlers learn it."""
        with self.lock:
            for pump in self.pumps:
                pump.connection.abort(self.clock())
                self.runner.serve(pump.connection)
                pump.close()
        self._soon()

    def close(self) -> None:
        """Aborts every connection and gives the handlers up."""
        self._closed = True
        self.reset()
        self.runner.close()
        self._doorbell.close()
        self.poller.close()

    def look(self) -> None:
        """Takes a turn soon, as a deadline was added to `timers` outside of one."""
        self._soon()

    def _tell_idle(self) -> None:
        if self._on_idle is not None and self.is_idle:
            on_idle, self._on_idle = self._on_idle, None
            on_idle()

    def _serve(self) -> None:
        now = self.clock()
        self.timers.handle(now)
        self.runner.handle_timeout(now)
        self._fan_out.send(now)
        for _ in range(_PASSES_PER_TURN):
            self.runner.run()
            flagged, self._flagged = self._flagged, []
            for pump in flagged:
                self._service(pump)
            if not self._flagged and not self.runner.is_ready:
                return

    def _service(self, pump: Pump) -> None:
        more = False
        try:
            if pump.connection in self._pumps:
                # What it wakes itself for meanwhile is done here as well, so it stays flagged.
                more = pump.service()
        except Exception:
            self._failed(pump)
        pump.flagged = False
        if more:
            self.flag(pump)

    def _failed(self, pump: Pump) -> None:
        # A defect of ours must not take the other connections with it.
        _log.exception("a connection failed and is aborted")
        pump.connection.abort(self.clock())
        pump.close()

    def _on_ready(self) -> None:
        if self._closed:
            return  # A loop may tell what it found before, in the same turn.
        with self.lock:
            self._in_turn = True
            try:
                self.poller.poll()
            finally:
                self._in_turn = False
            self.turn()

    def _soon(self) -> None:
        if self._scheduled or self._in_turn or self._closed:
            return
        if get_ident() == self._thread:
            self._scheduled = True
            self._reactor.wake(self._woken)
        else:
            self._doorbell.call(_nothing)  # Each answer is followed by a turn.

    def _woken(self) -> None:
        if self._scheduled:
            self.turn()

    def _set_alarm(self) -> None:
        deadlines = (self.timers.next_deadline(), self.runner.next_deadline())
        deadline = min((each for each in deadlines if each is not None), default=None)
        if deadline is None or (self._alarm is not None and self._alarm <= deadline):
            return
        self._alarm = deadline
        self._reactor.call_at(deadline, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self.turn()

    def _start_async(self, exchange: Exchange, function: Callable[..., Awaitable[object]]) -> None:
        io = IO(exchange, self.clock)
        self._tasks += 1
        self._reactor.spawn(self._run, exchange, function, io)

    async def _run(self, exchange: Exchange, function: Callable[..., Any], io: IO) -> None:
        try:
            returned = await function(exchange.request, io)
        except Exception as error:
            returned = error
        except BaseException as error:
            if self._reactor.ends_task(error):
                # The task is being cancelled, with the server: so is the exchange.
                exchange.cancel(self.clock())
                raise
            returned = RuntimeError("the handler awaited what was cancelled")
            returned.__cause__ = error
        finally:
            self._tasks -= 1
            if self._on_idle is not None:
                self._soon()
        end_exchange(exchange, returned, self.clock(), io.headers)


def _nothing() -> None:
    """What is asked for when a turn is all that is wanted."""
