"""What a connection needs of the protocol that it speaks, and the protocol of one that speaks none."""

from enum import Enum, auto
from math import inf
from typing import Final, Protocol

from httpng_core.config.settings import Settings
from httpng_core.sending.ends import Cause
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.holdings import Holding


class Readiness(Enum):
    """What a driver may do with a connection that it could write to."""

    NOTHING = auto()
    """There is nothing to send."""
    ASK = auto()
    """There is; ask the socket whether it can take data, as what is offered can't be taken back."""
    OFFER = auto()
    """There is; `send()` itself may be the question."""


class HttpProtocol(Protocol):
    """What a connection needs of the protocol that it speaks."""

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""

    @property
    def is_flushing(self) -> bool:
        """Whether no progress for a while is the end, so that acknowledgements matter."""

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up, as things stand; infinity: never."""

    @property
    def idle_since(self) -> float | None:
        """When it was last busy, if it waits for a next request and nothing of that has come; else `None`."""

    def prepare(self) -> Readiness:
        """Return whether `fill` would make something, and if the socket must be asked before that."""

    def exchanges(self) -> list[Exchange]:
        """Return those that are under way."""

    def holdings(self) -> list[Holding]:
        """Return what is held for each exchange, and for requests that come in."""

    def receive(self, data: bytes, now: float) -> None:
        """Take what the client sent."""

    def receive_eof(self, now: float) -> None:
        """Note that the client sends no more."""

    def peer_shut(self, now: float) -> None:
        """Note that the client's FIN has come behind bytes that were not read yet."""

    def fill(self, limit: int | None, now: float) -> None:
        """Offer or commit new frames, of at most `limit` body bytes; code of users may run (`on_gap`)."""

    def moved(self, now: float) -> None:
        """Note that the kernel took wire bytes, or that the client acknowledged some."""

    def count_broadcast(self) -> None:
        """Count what broadcasts have sent."""

    def forget_acked(self, now: float) -> None:
        """Note that acknowledgements can't be told any more."""

    def expired(self, now: float) -> None:
        """Note that the deadline has come."""

    def drain(self, now: float, patient: bool) -> None:
        """Take no more requests; see `Connection.drain`."""

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Take other settings from now on, but for exchanges that have begun."""

    def lost(self, now: float, cause: Cause) -> None:
        """Cancel everything: the connection is gone."""


class Silence:
    """Nothing is read or said any more. See `HttpProtocol`."""

    wants_read: Final = True
    is_flushing: Final = False
    idle_since: Final = None

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up: never."""
        return inf

    def prepare(self) -> Readiness:
        """Return that there is nothing to send."""
        return Readiness.NOTHING

    def exchanges(self) -> list[Exchange]:
        """Return none."""
        return []

    def holdings(self) -> list[Holding]:
        """Return that nothing is held."""
        return []

    def receive(self, data: bytes, now: float) -> None:
        """Drop `data`."""

    def receive_eof(self, now: float) -> None:
        """Do nothing."""

    def peer_shut(self, now: float) -> None:
        """Do nothing."""

    def fill(self, limit: int | None, now: float) -> None:
        """Do nothing."""

    def moved(self, now: float) -> None:
        """Do nothing."""

    def count_broadcast(self) -> None:
        """Do nothing."""

    def forget_acked(self, now: float) -> None:
        """Do nothing."""

    def expired(self, now: float) -> None:
        """Do nothing."""

    def drain(self, now: float, patient: bool) -> None:
        """Do nothing."""

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Do nothing."""

    def lost(self, now: float, cause: Cause) -> None:
        """Do nothing."""


SILENCE: Final = Silence()
