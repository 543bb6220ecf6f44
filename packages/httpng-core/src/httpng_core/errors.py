"""Mistakes. What happens every day, a slow client or one that is gone, is a result and is never raised."""


class HttpngError(Exception):
    """The base of every error that httpng raises on its own account."""


class ConfigError(HttpngError, ValueError):
    """A setting, a site or a listen address that can't be used as it is given."""


class ResponseStateError(HttpngError, RuntimeError):
    """A call that the state of the response forbids, such as a second `write_header`."""


class ContentLengthError(HttpngError, ValueError):
    """More body bytes than the response's Content-Length declares; nothing of that write is sent."""


class AckedUnknownError(HttpngError):
    """Something counts on acknowledged bytes where the platform can't tell them."""


class ConfirmedUnknownError(HttpngError):
    """Something counts on bytes that the client confirms where nothing confirms them."""


class BodyStreamedError(HttpngError, RuntimeError):
    """`req.body` was asked for where the handler starts before the body is in: it is read piece by piece."""


class BodyError(HttpngError, OSError):
    """Reading the body of a request has come to an end before its end.

    A handler that lets it pass answers with `status`, or, if its response has begun, resets the exchange.

    Attributes:
        status: the HTTP status code that says so.
    """

    status: int = 400


class RequestCancelled(BodyError, ConnectionError):  # noqa: N818 - what handlers are told elsewhere as `cancelled`
    """The client left before its request was whole, or the exchange is over."""


class BodyMalformedError(BodyError):
    """What came as the body breaks the protocol, or isn't what the handler takes it for."""


class BodyTooLongError(BodyError):
    """The body is longer than `max_stream_len`."""

    status = 413


class BodyTimeoutError(BodyError, TimeoutError):
    """The handler waited for the body longer than `body_timeout`, or it comes slower than `min_body_rate`."""

    status = 408


class ReadTimeoutError(BodyError, TimeoutError):
    """Nothing came within the timeout of this read. Nothing is lost: the next one goes on."""

    status = 408


class StartupError(HttpngError, RuntimeError):
    """The application's own start has failed, so nothing is served: its `lifespan` raised, or said so."""


class HandshakeError(HttpngError, RuntimeError):
    """`accept_websocket` on a request that doesn't ask for a WebSocket, or not as RFC 6455 and 8441 say.

    A handler that lets it pass answers with `status` and `headers`.

    Attributes:
        status: the HTTP status code that says so.
        headers: what goes with it.
    """

    def __init__(self, message: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class RemoteError(HttpngError):
    """What the peer sent breaks the protocol.

    Attributes:
        status: The HTTP status code that the peer should get as its answer.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def is_handlers_error(error: BaseException) -> bool:
    """Return whether what user code raised is its own error, so that it touches nobody else.

    All is, whatever class it has, but KeyboardInterrupt and SystemExit, which are meant for the program.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_handlers_error, error.exceptions))
    return not isinstance(error, (KeyboardInterrupt, SystemExit))
