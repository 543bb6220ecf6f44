"""What a parser of requests gives: heads, and how far the next one has come in."""

from enum import Enum, auto
from typing import Final

from httpng_core.http.request import Request
from httpng_core.http.trailers import Fields
from httpng_core.http1.head import HeaderBlock, SplitFields


class More(Enum):
    """The type of MORE."""

    MORE = auto()


MORE: Final = More.MORE
"""There is more to do with the bytes that are in: ask again in a later turn."""


class Reading(Enum):
    """How far the next request has come in: what a timeout would interrupt."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class ParsedHead:
    """A request off the wire.

    Attributes:
        method: As sent, case kept.
        target: The raw request target in origin form, or `*`.
        host: The host without its port: of an absolute target, else of the Host header, else "default".
        block: The header block.
        body: The whole body; empty while it is streamed.
        trailers: The fields behind the whole body.
        minor: The minor version, of which those above 1 mean the same as 1.
        keep_alive: Whether the client lets the connection go on.
        body_follows: Whether the body is yet to come: `RequestParser.gather` or `stream_body` says how.
        request: What was made of it to tell how its body is to be read.
    """

    __slots__ = (
        "block",
        "body",
        "body_follows",
        "host",
        "keep_alive",
        "method",
        "minor",
        "request",
        "target",
        "trailers",
    )

    def __init__(
        self,
        method: str,
        target: str,
        host: str,
        block: HeaderBlock | SplitFields,
        minor: int,
        keep_alive: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.block = block
        self.body = b""
        self.trailers: Fields = ()
        self.body_follows = False
        self.request: Request | None = None
        self.minor = minor
        self.keep_alive = keep_alive
