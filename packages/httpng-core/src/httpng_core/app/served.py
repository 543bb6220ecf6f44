"""What a runner serves, and what a handler is to it.

These are apart from the runner, which is compiled: others derive from `Served`, and `isinstance` is asked
about `Handler`.
"""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from httpng_core.config.configuration import Configuration
from httpng_core.http.request import Request
from httpng_core.sending.exchange import Exchange

if TYPE_CHECKING:
    from httpng_core.app.runner import Runner


@runtime_checkable
class Handler(Protocol):
    """A handler by kind: how it is started on an exchange."""

    def start(self, exchange: Exchange, runner: "Runner") -> None:
        """Start the handler; it may run to its end within this call."""


def streams_body(handler: Handler, request: Request, otherwise: bool) -> bool:
    """Return whether a handler is to be started on a request before its body is in.

    A handler that decides that for itself has a method `streams(request, otherwise)`, which must not raise.
    """
    decide = getattr(handler, "streams", None)
    return otherwise if decide is None else bool(decide(request, otherwise))


class StreamChoice:
    """A handler of a site or route that says whether bodies are streamed.

    Attributes:
        handler: the handler.
    """

    def __init__(self, handler: Handler, stream_body: bool) -> None:
        self.handler = handler
        self._stream_body = stream_body

    def start(self, exchange: Exchange, runner: "Runner") -> None:
        """Start the handler."""
        self.handler.start(exchange, runner)

    def streams(self, request: Request, otherwise: bool) -> bool:
        """Return what was said, unless the handler knows better."""
        return streams_body(self.handler, request, self._stream_body)


class Served:
    """What a runner serves: an `Application`, or nothing yet. All of it may be replaced meanwhile."""

    configuration: Configuration
    handler: Handler
    state: object = None
