"""What a connection reports, in the past tense."""

from typing import Final, Literal

from httpng_core.http.address import Address
from httpng_core.sending.ends import Cause, EndKind
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.states import ResponseState

_CLOSED: Final = ResponseState.CLOSED

Outcome = Literal["complete", "cancelled", "cut short", "reset"]


class RequestReceived:
    """A request has come in: its handler may start.

    Attributes:
        exchange: what it starts on.
    """

    __slots__ = ("exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange


class ExchangeEnded:
    """An exchange is over.

    Attributes:
        exchange: the exchange, its positions final.
        outcome: "complete" (the TCP/IP stack has all of it), "cancelled" (the client is gone), "cut short"
            (the stack has all that was accepted, and the client can tell that something is missing) or
            "reset" (we gave it up).
        end: why it ended, as `EndKind` has it: "complete", "client_reset", "limit(max_queued)".
        cause: the same for people; empty after a clean end.
        seconds: from the request's arrival to this.
    """

    __slots__ = ("cause", "end", "exchange", "outcome", "seconds")

    def __init__(self, exchange: Outgoing, now: float) -> None:
        assert isinstance(exchange, Exchange)
        self.exchange = exchange
        self.outcome: Outcome = "complete" if exchange.state is _CLOSED else _OUTCOMES[exchange.state]
        self.end = exchange.cause.label
        self.cause = exchange.cause.text
        self.seconds = now - exchange.started


class RequestRefused:
    """What the client sent could not be served; it was answered with `status` and the connection closes.

    On HTTP/2 it goes on, if only a request was at fault; and what breaks the protocol (400) is answered with
    a reset or a GOAWAY.

    Attributes:
        status: the HTTP status code.
        reason: why, in one line.
        peer: the client's end.
        method, target, version: what is known of the request; empty where nothing is.
        end: why it ended, as `EndKind` has it: "refused(400)", or "limit(max_exchanges)".
    """

    __slots__ = ("end", "method", "peer", "reason", "status", "target", "version")

    def __init__(
        self,
        status: int,
        reason: str,
        peer: Address,
        *,
        method: str = "",
        target: str = "",
        version: str = "",
        cause: Cause | None = None,
    ) -> None:
        self.end = f"{EndKind.REFUSED.value}({status})" if cause is None else cause.label
        self.status = status
        self.reason = reason
        self.peer = peer
        self.method = method
        self.target = target
        self.version = version


class TlsFailed:
    """The handshake failed, or what came later could not be opened; the connection closes.

    Attributes:
        reason: why, in one line.
        peer: the client's end.
    """

    __slots__ = ("peer", "reason")

    end: Final = EndKind.TLS_FAILED.value

    def __init__(self, reason: str, peer: Address) -> None:
        self.reason = reason
        self.peer = peer


class ConnectionDropped:
    """A connection without an exchange was reset, as a limit of the server's is reached.

    Attributes:
        reason: why, in one line.
        end: the same, as `EndKind` has it: "limit(max_connections_per_address)".
        peer: the client's end.
    """

    __slots__ = ("end", "peer", "reason")

    def __init__(self, peer: Address, cause: Cause) -> None:
        self.reason = cause.text
        self.end = cause.label
        self.peer = peer


Event = RequestReceived | ExchangeEnded | RequestRefused | TlsFailed | ConnectionDropped
"""What `Connection.next_event` gives."""

_OUTCOMES: dict[ResponseState, Outcome] = {
    ResponseState.CLOSED: "complete",
    ResponseState.CANCELLED: "cancelled",
    ResponseState.CUT: "cut short",
    ResponseState.RESET: "reset",
}
