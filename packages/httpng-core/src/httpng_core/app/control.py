"""What an application may ask of the server that runs it."""

from typing import Protocol

from httpng_core.config.configuration import Configuration
from httpng_core.sending.calls import Pending


class Control(Protocol):
    """A server as its application holds it. None of these blocks.

    `start`, `reconfigure` and `reconfigured` are called within `Lifecycle.configuring`, so the state allows
    them. The others ask `Lifecycle.do` themselves, as a signal may come to the same end; and the server
    tells it what comes of all this: `ServerVerb.REDUCE` and `ServerVerb.REDUCED` around threads that go,
    and `ServerVerb.ENDED` when all is down.
    """

    def start(self, configuration: Configuration) -> None:
        """Open the listeners and serve, after a shutdown has come to its end.

        Raises:
            ConfigError: a directory, a certificate or an address can't be used; nothing is left open.
        """

    def reconfigure(self, configuration: Configuration) -> None:
        """Prepare for another configuration: what it can't do must be found out here.

        Raises:
            ConfigError: a directory can't be served, or the like; nothing has changed.
        """

    def reconfigured(self) -> None:
        """Note that the application has swapped, right after `reconfigure`: it serves what arrives now.

        Before an open connection is given what has arrived on it, it is given the settings that the
        application has by then, whichever thread it belongs to.
        """

    def shutdown(self, *, resets: bool) -> Pending:
        """Stop; what this returns settles when all is down. Each call returns one of its own.

        Args:
            resets: whether all connections are reset now; else exchanges may finish for a while.

        Raises:
            RuntimeError: see `Lifecycle`.
        """

    def force_decrease_threads(self) -> Pending:
        """Reset the connections of threads that are to go; settles when these are gone, with none at once.

        Raises:
            RuntimeError: see `Lifecycle`.
        """
