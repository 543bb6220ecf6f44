"""A request's body that comes in on HTTP/1.1 while its handler runs: from the parser to who reads it."""

from typing import Final

from httpng_core.errors import BodyError, BodyMalformedError, BodyTooLongError
from httpng_core.http1.parser import RequestParser
from httpng_core.http1.refused import RefusedRequest
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.incoming import Incoming

MAX_DROPPED: Final = 256 * 1024
"""So much of a body that nobody read is dropped for the sake of the next request; more ends all."""
NO_LIMIT: Final = 1 << 62


class Upload:
    """The body of the request under way.

    Attributes:
        dropped: how many bytes came that nobody reads.
        has_more: whether more is in than was moved in one go.
        is_broken: whether what came can't be told apart from the next request any more.
    """

    __slots__ = (
        "_exchange",
        "_incoming",
        "_parser",
        "dropped",
        "has_more",
        "is_broken",
    )

    def __init__(self, exchange: Exchange, parser: RequestParser) -> None:
        settings = exchange.settings
        self.dropped = 0
        self.has_more = self.is_broken = False
        self._exchange = exchange
        self._parser = parser
        self._incoming = Incoming(exchange.transport, exchange.timers, settings, settings.max_stream_len)
        exchange.incoming = self._incoming

    @property
    def wants_more(self) -> bool:
        """Whether bytes that come now have a place to go."""
        return self._incoming.wants_more

    @property
    def is_short(self) -> bool:
        """Whether the rest is worth being dropped, as far as can be told, and will come by itself."""
        return not (self.is_broken or self._parser.wants_continue or self._parser.rest > MAX_DROPPED)

    def move(self, now: float) -> bool:
        """Give what has come to who reads; return whether that was the end of the body."""
        incoming, parser = self._incoming, self._parser
        self.has_more = False
        if self.is_broken:
            parser.take_rest()
            return False
        try:
            for _ in range(parser.steps_at_once):
                piece = parser.next_piece()
                if not piece:
                    break
                if incoming.drops:
                    self.dropped += len(piece)
                incoming.take(piece, now)
        except RefusedRequest as error:
            self.is_broken = True
            parser.take_rest()
            incoming.fail(_body_error(error), now)
            return False
        if piece is None:
            return False
        if piece:
            # The end of the body may be all that is left.
            self.has_more = True
            return False
        self._exchange.body_ended(parser.trailers, now)
        return True


def _body_error(error: RefusedRequest) -> BodyError:
    return (BodyTooLongError if error.status == 413 else BodyMalformedError)(error.reason)
