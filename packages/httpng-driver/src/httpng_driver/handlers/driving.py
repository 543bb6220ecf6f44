"""What drives the exchange of a handler, as handlers and turns see it."""

from typing import Any, Final

from httpng_core import Answers, Settings


class Driving:
    """What drives an exchange: a `Pump`. This itself drives one that is over, so it does nothing.

    Attributes:
        flagged: whether it is served now, or in this turn.
        kept: what those who serve its requests keep for the next one.
        woken: whether there was something to send, or to do, since this was set to false.
    """

    __slots__ = ("flagged", "kept", "woken")

    def __init__(self) -> None:
        self.flagged = True
        self.kept: Any = None
        self.woken = False

    def push_now(self) -> None:
        """Ask the kernel in this very turn, as a call waits."""

    def wake(self) -> None:
        """Note that there is something to send."""

    def serve(self) -> None:
        """Do whatever the connection wants now."""

    def serve_locked(self) -> None:
        """Do likewise outside of a turn: take the lock."""

    def parse(self, data: bytes, now: float) -> None:
        """Give the connection what was read."""

    def start(self, answers: Answers | None) -> None:
        """Start the handlers of what was parsed."""

    def look_after(self) -> None:
        """Do what is left to do when handlers have begun, or answered in place. The lock is held."""

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Give the connection other settings."""


GONE: Final = Driving()
"""What drives an exchange that is over: nothing is left to do for it."""
