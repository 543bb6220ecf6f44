"""The hub: everything of one event loop. How it takes turns is told in `turns`."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from httpng_core import (
    SHUT_DOWN,
    Application,
    AsgiHandler,
    Cause,
    ConnectionDropped,
    Exchange,
    end_exchange,
)
from httpng_driver.handlers.asgi import AsgiHost, start_call
from httpng_driver.handlers.body import BodyReader
from httpng_driver.handlers.driving import GONE
from httpng_driver.handlers.files import DiskFiles
from httpng_driver.handlers.io import IO, io_of
from httpng_driver.loop.accepted import Accepted
from httpng_driver.loop.doorbell import Doorbell
from httpng_driver.loop.holder_watch import HolderWatch
from httpng_driver.loop.limits import Limits
from httpng_driver.loop.meter import LagWatch
from httpng_driver.loop.pump import Pump
from httpng_driver.loop.statistics import HubStatistics
from httpng_driver.loop.tcp_options import reset
from httpng_driver.loop.telemetry import meter_for
from httpng_driver.loop.turns import Turns
from httpng_driver.reactor import Reactor


class Hub(Turns[Pump]):
    """Serves the connections of one loop; see `Turns` for its attributes."""

    def __init__(
        self,
        application: Application,
        reactor: Reactor,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        doorbell: Doorbell | None = None,
        limits: Limits | None = None,
        counts: bool = True,
    ) -> None:
        """Make a hub in the thread of its loop. It owns the `doorbell`, by which other threads reach it.

        The `limits` are those of all loops of the server; `None`: there is this one alone. Unless it
        `counts`, nothing of it is in metrics.
        """
        limits = Limits(application.settings) if limits is None else limits
        super().__init__(application, reactor, clock, wall_clock, doorbell or Doorbell(), limits)
        self._holders = HolderWatch(self)
        if counts and (meter := meter_for(self, application.settings)) is not None:
            self.meter = meter
            LagWatch(self.timers, clock, meter)
        files = DiskFiles(reactor, wall_clock)
        self._asgi = AsgiHost(
            application,
            reactor,
            clock,
            self.timers,
            look=self._soon,
            check_thread=self.check_thread,
            files=files,
            lock=self.lock,
            io_of=self._io_of,
            task_ended=self._task_ended,
        )
        # Last, as fibers of a script may want a turn at once.
        self.runner = application.runner(
            clock,
            start_async=self._start_async,
            start_asgi=self._start_asgi,
            on_ready=self._soon,
            files=files.open,
            lock=self.lock,
            call_in_loop=self.call_in_loop,
            check_thread=self.check_thread,
            wall_clock=wall_clock,
        )
        reactor.watch(self.poller.fileno(), self._on_ready)

    def statistics(self) -> HubStatistics:
        """Return what is going on."""
        return HubStatistics(len(self._pumps), self._tasks, len(self.timers), self._turns.count)

    def take(self, accepted: Accepted) -> None:
        """Serve an accepted socket from now on; it belongs to the hub."""
        if self._closed:
            accepted.socket.close()
            self.on_forget()
            return
        client = "" if accepted.is_proxied else self.share.limits.join(accepted.peer)
        if isinstance(client, Cause):
            self.runner.handle(ConnectionDropped(accepted.peer, client))
            reset(accepted.socket)
            self.on_forget()
            return
        pump = Pump(self, accepted, client)
        self._pumps.add(pump)
        self._holders.begin()
        if not pump.flagged:
            self.flag(pump)

    def drain(self, on_idle: Callable[[], None]) -> None:
        """Have connections take no more requests and close when they have answered; then call `on_idle`."""
        self._on_idle = on_idle
        with self.lock:
            # What has come in time is answered: else a connection that was just accepted would be reset.
            before, self._in_turn = self._in_turn, True
            try:
                with self.arrivals.served():
                    self.poller.poll()
            finally:
                self._in_turn = before
            for pump in self.pumps:
                pump.connection.drain(self.clock())
                # It may have a deadline now, if nothing else.
                self.flag(pump)
            self.application.drained(self.runner)
        self._soon()

    def reset(self) -> None:
        """Abort every connection; their handlers learn it."""
        with self.lock:
            for pump in self.pumps:
                # HTTP/2 says which stream was the last, if the client takes it now.
                pump.connection.drain(self.clock(), patient=False)
                pump.serve()
                pump.connection.abort(self.clock())
                self.runner.serve(pump.connection)
                pump.close()
        self._soon()

    def close(self) -> None:
        """Abort every connection and give the handlers up."""
        self._closed = True
        self.reset()
        self.runner.close()
        self.share.close()
        self.wakeup.close()
        self.poller.close()

    # Inside -------------------------------------------------------------------------------------------

    def _start_async(self, exchange: Exchange, function: Callable[..., Awaitable[object]]) -> None:
        self._tasks += 1
        self._reactor.spawn_handler(self._run, exchange, function, self._io_of(exchange))

    def _start_asgi(self, exchange: Exchange, handler: AsgiHandler) -> None:
        self._tasks += 1
        start_call(self._asgi, exchange, handler)

    def _task_ended(self, number: int) -> None:
        self._reactor.ended(number)
        self._tasks -= 1
        if self._on_idle is not None:
            self._soon()

    def _io_of(self, exchange: Exchange) -> IO:
        """Return the `io` of a handler that gets a task, and let its request read a body that comes in."""
        # One that was cancelled before its handler began has let go of its pump.
        pump = exchange.host.driver or GONE
        if exchange.incoming is not None:
            reader = BodyReader(exchange.incoming, self.clock, pump, self.check_thread, self._turns)
            exchange.request.source = reader.read
        return io_of(exchange, self.clock, pump, self.check_thread, self._turns)

    async def _run(self, number: int, exchange: Exchange, function: Callable[..., Any], io: IO) -> None:
        try:
            returned = await function(exchange.request, io)
        except BaseException as error:
            if self._reactor.ends_task(error):
                # The task is being cancelled, with the server: so is the exchange.
                exchange.cancel(self.clock(), SHUT_DOWN)
                raise
            returned = error
        finally:
            self._task_ended(number)
        pump, transport = io.pump, exchange.transport
        send = None if transport.shares and transport.has_company() else exchange.host.direct_send
        if send is None or pump.flagged:
            # Its connection is looked at afterwards: by who serves what was read, where tasks begin at once
            # (Python 3.12), or in a turn that comes. What others answer until then goes out with it.
            with self.lock:
                end_exchange(exchange, returned, self.clock(), io.headers, send, self.runner.answers)
            return
        # Its answer goes out in place: no turn need be taken for it.
        pump.flagged, pump.woken = True, False
        with self.lock:
            end_exchange(exchange, returned, self.clock(), io.headers, send)
            pump.look_after()
