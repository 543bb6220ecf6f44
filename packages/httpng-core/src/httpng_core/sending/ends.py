"""Why an exchange, or a request that never became one, ended: one word for log, metrics and events."""

from enum import StrEnum
from typing import Final


class EndKind(StrEnum):
    """Why it ended. The value is what logs and metrics say."""

    COMPLETE = "complete"
    """The TCP/IP stack has the whole response."""
    CLIENT_RESET = "client_reset"
    """The client reset the connection or the stream, or vanished."""
    CLIENT_FIN = "client_fin"
    """The client sent its FIN after the response had begun (`cancel_on_half_close`)."""
    STALLED = "stalled"
    """No byte moved for `stall_timeout`, or for `io.stall_timeout`."""
    SEND_TIMEOUT = "send_timeout"
    """The last write of the handler ran into its timeout, or was cancelled, and so fell short."""
    DRAIN_TIMEOUT = "drain_timeout"
    """The server was shut down, and the time for that was up."""
    HANDLER_ERROR = "handler_error"
    """The handler raised, or returned what can't be sent."""
    HANDLER_ABORT = "handler_abort"
    """The handler called `io.abort()`."""
    SHORT_BODY = "short_body"
    """The handler wrote fewer bytes than its Content-Length declares."""
    PROTOCOL_ERROR = "protocol_error"
    """The client broke the protocol; the detail is the code of HTTP/2 that it was told."""
    REFUSED = "refused"
    """The request was answered without a handler; the detail is the status."""
    LIMIT = "limit"
    """A limit was reached; the detail is its name."""
    KILLED = "killed"
    """An operator ended it."""
    TLS_FAILED = "tls_failed"
    """TLS failed: the handshake, or what came later."""
    SERVER_DEFECT = "server_defect"
    """The server itself is at fault."""


class Cause:
    """Why something ended.

    Attributes:
        kind: the word for it.
        text: the same for people, in one line; empty after a clean end.
        label: the kind, with its detail in brackets if it has one: "limit(max_queued)".
    """

    __slots__ = ("kind", "label", "text")

    def __init__(self, kind: EndKind, text: str, detail: str | int = "") -> None:
        """Name the kind; `detail` is one of few: labels of metrics are made of it."""
        self.kind = kind
        self.text = text
        self.label = f"{kind.value}({detail})" if detail != "" else kind.value

    def __str__(self) -> str:
        """Return the text."""
        return self.text


CLEAN: Final = Cause(EndKind.COMPLETE, "")
CLIENT_GONE: Final = Cause(EndKind.CLIENT_RESET, "the client has gone")
CONNECTION_RESET: Final = Cause(EndKind.CLIENT_RESET, "the connection was reset by the client")
CLIENT_FIN: Final = Cause(EndKind.CLIENT_FIN, "the client has gone")
STALLED: Final = Cause(EndKind.STALLED, "stalled: no byte has moved for stall_timeout")
HANDLER_STALLED: Final = Cause(EndKind.STALLED, "stalled: no byte has moved for io.stall_timeout")
SHUT_DOWN: Final = Cause(EndKind.DRAIN_TIMEOUT, "the server was shut down")
"""The time for the shutdown was up."""
ABORTED: Final = Cause(EndKind.HANDLER_ABORT, "aborted by the handler")
FELL_SHORT: Final = Cause(EndKind.SEND_TIMEOUT, "the last write fell short")
"""The last write ran into its timeout, or was cancelled."""
KILLED: Final = Cause(EndKind.KILLED, "ended by an operator")
"""An operator ended it."""
DEFECT: Final = Cause(EndKind.SERVER_DEFECT, "a defect of the server")
"""The server itself is at fault."""
RAISED: Final = Cause(EndKind.HANDLER_ERROR, "the handler raised")


def lost(text: str) -> Cause:
    """Return the cause of a connection that is lost for a reason of the system's, told by `text`."""
    return Cause(EndKind.CLIENT_RESET, text)


def broke_protocol(reason: str, code: int) -> Cause:
    """Return the cause of what ends as the client broke the protocol."""
    return Cause(EndKind.PROTOCOL_ERROR, f"the client broke the protocol: {reason}", code)


def over_limit(name: str, text: str) -> Cause:
    """Return the cause of what was over the limit `name`."""
    return Cause(EndKind.LIMIT, text, name)
