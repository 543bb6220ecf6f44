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


def misplaced(kind: str, *, is_whole: bool, has_begun: bool) -> RuntimeError:
    """Return the error for a message that has its place, but not there."""
    if is_whole:
        return RuntimeError(f"{kind} after the response's last message")
    if not has_begun:
        return RuntimeError(f"{kind} before http.response.start")
    return RuntimeError(f"a second {kind}")
