"""What `send` raises where its bytes will reach nobody: an OSError, as ASGI wants it."""

from httpng_core import HttpngError


class SendTimeout(HttpngError, OSError):  # noqa: N818 - what happened, not a mistake
    """`send` found no room within the send timeout, and the exchange was aborted."""


class ClientGoneError(HttpngError, ConnectionError):
    """The client has gone, or the server is being stopped: what is sent reaches nobody."""


def is_consequence(error: BaseException | None) -> bool:
    """Return whether an error is one of these, or comes of one: they need not be told again."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, (SendTimeout, ClientGoneError)):
            return True
        seen.add(id(one))
        pending += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            pending += one.exceptions
    return False
