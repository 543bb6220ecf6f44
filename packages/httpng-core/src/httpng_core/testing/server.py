"""For tests: the server of a `Loopback` as its application controls it. No sockets, no threads."""

from collections.abc import Callable, Sequence

from httpng_core.app.application import Application
from httpng_core.app.lifecycle import ServerState, ServerVerb
from httpng_core.app.runner import Runner
from httpng_core.config.configuration import Configuration
from httpng_core.connection import Connection
from httpng_core.sending.calls import Pending


class ScriptedServer:
    """A `Control` that does at once what it is told.

    Attributes:
        listens: whether clients can connect.
        keeps_threads: threads that are to go stay until `end_threads`, or until they are forced.
    """

    def __init__(
        self,
        application: Application,
        clock: Callable[[], float],
        connections: Callable[[], Sequence[Connection]],
        runner: Runner,
    ) -> None:
        """Run `application` by `runner`; `connections` are those that it has, closed ones among them."""
        self.keeps_threads = False
        self._application = application
        self._lifecycle = application.lifecycle
        self._clock = clock
        self._connections = connections
        self._runner = runner
        self._stop_at: float | None = None
        self._stopping = Pending()
        application.control = self
        # A script that has yet to call `cfg` begins to listen by that.
        self.listens = application.has_ended or self._lifecycle.state is not ServerState.STOPPED
        if self.listens:
            self._lifecycle.do(ServerVerb.CONFIGURE)

    # Control ------------------------------------------------------------------------------------------

    def start(self, configuration: Configuration) -> None:
        """Note that clients can connect again."""
        self.listens = True

    def reconfigure(self, configuration: Configuration) -> None:
        """Begin to end threads, if there are to be fewer."""
        fewer = configuration.settings.threads < self._application.settings.threads
        if fewer and self.keeps_threads:
            self._lifecycle.do(ServerVerb.REDUCE)

    def reconfigured(self) -> None:
        """Give the open connections their new settings."""
        for connection in self._connections():
            connection.reconfigure(self._application.settings, self._clock())

    def shutdown(self, *, resets: bool) -> Pending:
        """Drain the connections; those that are left after `shutdown_timeout` are reset, or all now."""
        self._lifecycle.do(ServerVerb.SHUTDOWN)
        self.listens = False
        now = self._clock()
        self._stop_at = now + self._application.settings.shutdown_timeout
        self._stopping = Pending()
        for connection in self._connections():
            connection.drain(now)
        self._application.drained(self._runner)
        for connection in self._connections() if resets else ():
            connection.abort(now)
        return self._stopping

    def force_decrease_threads(self) -> Pending:
        """End the threads that are to go."""
        self._lifecycle.do(ServerVerb.FORCE_DECREASE)
        self.end_threads()
        pending = Pending()
        pending.settle(None)
        return pending

    # The script ---------------------------------------------------------------------------------------

    def end_threads(self) -> None:
        """Note that the threads that are to go have gone."""
        self._lifecycle.do(ServerVerb.REDUCED)

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` is due, or `None`."""
        return self._stop_at

    def handle_timeout(self, now: float) -> None:
        """Abort what goes on for too long after a shutdown."""
        if self._stop_at is not None and self._stop_at <= now:
            self._stop_at = None
            for connection in self._connections():
                connection.abort(now)

    def settle(self) -> None:
        """Note the end of the last connection, if all is to end."""
        if self._lifecycle.state is not ServerState.STOPPING or not self._all_closed():
            return
        self._stop_at = None
        self._lifecycle.do(ServerVerb.ENDED)
        self._stopping.settle(None)

    def _all_closed(self) -> bool:
        return all(connection.close_expected() for connection in self._connections())
