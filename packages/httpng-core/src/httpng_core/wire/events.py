"""What a connection reports: frozen, in the past tense."""

from dataclasses import dataclass
from typing import Literal

from httpng_core.http.request import Address
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.states import ResponseState

Outcome = Literal["complete", "cancelled", "aborted"]


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A whole request has come in: its handler may start on `exchange`."""

    exchange: Exchange


@dataclass(frozen=True, slots=True)
class ExchangeEnded:
    """An exchange is over.

    Attributes:
        exchange: the exchange, its positions final.
        outcome: "complete" (the TCP/IP stack has all of it), "cancelled" (the client is gone) or
            "aborted" (we gave it up).
        seconds: from the request's arrival to this.
    """

    exchange: Exchange
    outcome: Outcome
    seconds: float


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """What the client sent could not be served; it was answered with `status` and the connection closes.

    On HTTP/2 it goes on, if only a request was at fault; and what breaks the protocol (400) is answered with
    a reset or a GOAWAY.
    """

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class TlsFailed:
    """The handshake failed, or what came later could not be opened; the connection closes.

    Attributes:
        reason: why, in one line.
        peer: the client's end.
    """

    reason: str
    peer: Address


Event = RequestReceived | ExchangeEnded | RequestRefused | TlsFailed
"""What `Connection.next_event` gives."""

_OUTCOMES: dict[ResponseState, Outcome] = {
    ResponseState.CLOSED: "complete",
    ResponseState.CANCELLED: "cancelled",
    ResponseState.ABORTED: "aborted",
}


def exchange_ended(exchange: Exchange, now: float) -> ExchangeEnded:
    """The event of an exchange that has just come into a final state."""
    return ExchangeEnded(exchange, _OUTCOMES[exchange.state], now - exchange.started)
