"""What the log says of a handler that failed: one line, or one and a traceback."""

import logging

from httpng_core.app.limited_log import shortened
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.states import ResponseState

_log = logging.getLogger("httpng")


def log_handler_error(exchange: Exchange, told: object = "", error: BaseException | None = None) -> None:
    """Log that a handler failed, once its exchange has been ended so: client, request, and where that stood.

    Args:
        exchange: the exchange.
        told: what is wrong, for people; empty where the traceback tells.
        error: what was raised, where its traceback is of use.
    """
    request = exchange.request
    _log.error(
        "handler error on %s %s of %s (%s)%s%s",
        shortened(request.method),
        shortened(request.path),
        request.peer,
        _standing(exchange),
        ": " if told != "" else "",
        # An error as it is: whoever handles the record may look at it, as a `Loopback` does.
        told,
        exc_info=error,
    )


def _standing(exchange: Exchange) -> str:
    """Return what the client gets, in a few words."""
    state, head = exchange.state, exchange.head
    if head is None:
        return "nothing sent"
    if exchange.substitute:
        return f"answered with {head.status}"
    size = f"{exchange.current} bytes"
    if state is ResponseState.CUTTING or state is ResponseState.CUT:
        return f"cut after {size}"
    if exchange.is_over and state is not ResponseState.CLOSED:
        return f"ended before, after {size}"
    return f"after {size}" if exchange.tunnel is not None else f"after its answer of {size}"
