"""A worker: one more event loop, in a thread of its own, for the connections that it is given."""

import logging
from collections.abc import Callable
from functools import partial
from threading import Thread

import anyio

from httpng_core import Application
from httpng_driver.loop import hub as hubs
from httpng_driver.loop.accepted import Accepted
from httpng_driver.loop.doorbell import Doorbell
from httpng_driver.loop.limits import Limits
from httpng_driver.loop.pump import Pump
from httpng_driver.reactor import Backend

_log = logging.getLogger("httpng")


class Worker:
    """A thread with a loop and its hub. The first loop's thread makes it and gives it connections.

    Attributes:
        handed: how many connections it was given.
        forgotten: how many of these are closed.
        asked_at: since when one of its connections is asked to give way; `None` if none is.
    """

    def __init__(
        self,
        application: Application,
        backend: Backend,
        limits: Limits,
        number: int,
        on_forget: Callable[[], None],
        on_ended: Callable[["Worker"], None],
    ) -> None:
        """Start the thread.

        Args:
            application: what is served.
            backend: runs the loop.
            limits: those of all loops.
            number: for the name of the thread.
            on_forget: called in the worker's thread when a connection has been closed.
            on_ended: likewise when nothing of the worker is left but its thread.

        Raises:
            OSError, RuntimeError: there is no room for one more thread, or its sockets.
        """
        self.handed = self.forgotten = 0
        self.asked_at: float | None = None
        self._application = application
        self._backend = backend
        self._limits = limits
        self._on_forget = on_forget
        self._on_ended = on_ended
        self._doorbell = Doorbell()
        self._hub: hubs.Hub | None = None
        self._over: anyio.Event | None = None
        self._thread = Thread(target=self._run, name=f"httpng-{number}", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._doorbell.close()
            raise

    @property
    def hub(self) -> "hubs.Hub | None":
        """The hub of its loop; `None` until that runs."""
        return self._hub

    @property
    def load(self) -> int:
        """How many connections it has, those on their way included."""
        return self.handed - self.forgotten

    @property
    def requests(self) -> int:
        """How many requests its loop has begun."""
        hub = self._hub
        return 0 if hub is None else hub.runner.requests

    def take(self, accepted: Accepted) -> None:
        """Serve an accepted socket from now on."""
        self.handed += 1
        self._doorbell.call(partial(self._take, accepted))

    @property
    def pumps(self) -> list[Pump]:
        """Its open connections: to be looked at only, as they belong to its thread."""
        hub = self._hub
        return [] if hub is None else hub.pumps

    def have_give_way(self, pumps: list[Pump], now: float) -> None:
        """Have connections give way soon, as far as they are idle still. Not while others are asked to."""
        self.asked_at = now
        self._doorbell.call(partial(self._give_way, pumps))

    def drain(self) -> None:
        """Finish what runs, take no more requests, and end."""
        self._in_hub(lambda hub: hub.drain(self.stop))

    def reset(self) -> None:
        """Abort its connections; with `drain` it ends when their handlers have."""
        self._in_hub(hubs.Hub.reset)

    def stop(self) -> None:
        """Abort its connections, give the handlers up and end. From any thread; again: nothing."""
        self._doorbell.call(self._stop)

    def renew(self) -> None:
        """Have idle connections learn the application's settings soon, too."""
        self._in_hub(hubs.Hub.renew)

    def join(self) -> None:
        """Wait until the thread has ended, which is soon after `on_ended`."""
        self._thread.join()

    def _in_hub(self, function: Callable[["hubs.Hub"], None]) -> None:
        def call() -> None:
            if self._hub is not None:
                function(self._hub)

        self._doorbell.call(call)

    def _run(self) -> None:
        try:
            self._backend.run(self._serve)
        except Exception:
            _log.exception("a thread failed, and its connections with it")
        finally:
            self._doorbell.close()
            self._on_ended(self)

    async def _serve(self) -> None:
        self._over = anyio.Event()
        async with self._backend.reactor() as reactor:
            hub = hubs.Hub(self._application, reactor, doorbell=self._doorbell, limits=self._limits)
            hub.on_forget = self._forgot
            self._hub = hub
            try:
                await self._over.wait()
            finally:
                hub.close()

    def _stop(self) -> None:
        if self._over is not None:
            self._over.set()

    def _take(self, accepted: Accepted) -> None:
        if self._hub is None:
            # The thread has failed before it began.
            accepted.socket.close()
            self._forgot()
            return
        try:
            self._hub.take(accepted)
        except BaseException:
            accepted.socket.close()
            self._forgot()
            raise

    def _give_way(self, pumps: list[Pump]) -> None:
        try:
            for pump in pumps:
                pump.give_way()
        finally:
            self.asked_at = None

    def _forgot(self) -> None:
        self.forgotten += 1
        self._on_forget()
