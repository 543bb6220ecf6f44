"""The reference engine for HTTP/1.1 requests: h11 reads them, with the interface of `parser`.

It is slower, and takes some of what the grammar of our own refuses: bare LF as a line end, folded header
lines, control characters in values. Each request gets a connection of h11's, which leaves nothing over from
the last one. What h11 isn't told is kept here: it would read ahead without a bound.
"""

import re
from typing import Final

import h11

from httpng_core.errors import RemoteError
from httpng_core.http.target import check_host, host_and_path
from httpng_core.http.trailers import received_trailers
from httpng_core.http1.body import BodyBuffer
from httpng_core.http1.grammar import CRLF
from httpng_core.http1.head import SplitFields, too_many_fields
from httpng_core.http1.parsed import MORE, More, ParsedHead, Reading
from httpng_core.http1.parser import MAX_EMPTY_LINES
from httpng_core.http1.refused import Asked, RefusedRequest

_MAX_GIVEN: Final = 4096
"""So many bytes h11 is given in one step."""
_EMPTY_SIZE: Final = 2 * MAX_EMPTY_LINES + 2
# How h11's messages quote what came, unbounded.
_QUOTE: Final = re.compile(r":? (?:bytearray\()?b['\"].*", re.DOTALL)

_Pairs = tuple[tuple[bytes, bytes], ...]


class ReferenceParser:
    """What `RequestParser` is, in the same words; bodies are always read whole, whatever `stream` says."""

    # Steps go by bytes here: all that comes in one read is taken at once, whatever it holds.
    steps_at_once: Final = 32
    __slots__ = (
        "_body",
        "_body_size",
        "_empty_lines",
        "_fed",
        "_h11",
        "_head",
        "_refused",
        "_waiting",
        "max_body",
        "max_fields",
        "max_head",
        "stream",
        "wants_continue",
    )

    def __init__(self, max_head: int, max_body: int, max_fields: int) -> None:
        self.max_head = max_head
        self.max_body = max_body
        self.max_fields = max_fields
        self.stream = False
        self._waiting = bytearray()
        self._refused: RefusedRequest | None = None
        self._restart()

    def _restart(self) -> None:
        """Go on with the bytes behind the last request."""
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=self.max_head)
        self._head: ParsedHead | None = None
        self._body = BodyBuffer()
        self._body_size = 0
        self._fed = 0
        self._empty_lines = 0
        self.wants_continue = False

    @property
    def state(self) -> Reading:
        """What has been read of the next request."""
        if self._head is not None:
            return Reading.BODY
        # Empty lines, and half of one, are no part of a head.
        begun = self._fed > 0 or self._waiting[:_EMPTY_SIZE].strip(CRLF)
        return Reading.HEAD if begun else Reading.NOTHING

    def asked(self) -> Asked:
        """Return what is known of the request that is being read, for logs."""
        head = self._head
        return Asked() if head is None else Asked(head.method, head.target, f"1.{head.minor}")

    @property
    def buffered(self) -> int:
        """The number of bytes that came and aren't read yet."""
        return len(self._waiting) + len(self._h11.trailing_data[0])

    @property
    def held(self) -> int:
        """The number of bytes that are kept: those that aren't read yet, and what there is of the request."""
        return len(self._waiting) + (self._fed if self._head is None else self._body.size)

    @property
    def has_rest(self) -> bool:
        """Whether there are bytes that aren't read yet."""
        return self.buffered > 0

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._waiting += data

    def receive_whole(self, data: bytes) -> None:
        """Return none: every request is read in steps."""
        return

    def take_rest(self) -> bytes:
        """Return the bytes behind the last request and forget them: another protocol goes on with them."""
        rest = bytes(self._waiting)
        self._waiting.clear()
        return rest

    def drop(self) -> None:
        """Forget all that came, as the connection doesn't go on."""
        self.take_rest()
        self._body = BodyBuffer()

    def next_request(self) -> ParsedHead | More | None:
        """Return the next request; `None` if that takes more bytes, MORE if it takes another call.

        Raises:
            RefusedRequest: What came breaks RFC 9112 or a limit.
        """
        if self._refused is not None:
            raise self._refused
        try:
            return self._step()
        except h11.RemoteProtocolError as error:
            self._refused = RefusedRequest(error.error_status_hint, _QUOTE.sub("", str(error)))
        except RefusedRequest as error:
            self._refused = error
        except RemoteError as error:
            self._refused = RefusedRequest(error.status, str(error))
        raise self._refused

    def _step(self) -> ParsedHead | More | None:
        """Give h11 some bytes, and take what it makes of them."""
        if not self._give():
            return None
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Request):
                head, has_body = self._read_head(event)
                if not has_body:
                    # The end is clear without asking for it.
                    return self._end(head)
                self._head = head
                # A client that doesn't wait needs no 100.
                self.wants_continue = self._h11.they_are_waiting_for_100_continue and not self.buffered
            elif isinstance(event, h11.Data):
                self._take_body(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert self._head is not None
                self._limit_fields(len(list(event.headers)))
                self._head.trailers = received_trailers(tuple(event.headers))
                return self._end(self._head)
            else:
                return MORE if self._waiting else None

    def _give(self) -> bool:
        waiting = self._waiting
        if not self._fed:
            # h11 refuses empty lines before a request line (RFC 9112, 2.2).
            while waiting.startswith(CRLF):
                if self._empty_lines == MAX_EMPTY_LINES:
                    raise RefusedRequest(400, f"more than {MAX_EMPTY_LINES} empty lines before a request")
                self._empty_lines += 1
                del waiting[:2]
        if not waiting or (not self._fed and waiting == b"\r"):
            # h11 would take no bytes for the end of the stream.
            return False
        piece = bytes(waiting[:_MAX_GIVEN])
        del waiting[:_MAX_GIVEN]
        self._fed += len(piece)
        self.wants_continue = False
        self._h11.receive_data(piece)
        return True

    def _read_head(self, event: h11.Request) -> tuple[ParsedHead, bool]:
        """Return the head, and whether there is a body to come (RFC 9112, 6.3)."""
        if self._fed - len(self._h11.trailing_data[0]) > self.max_head:
            raise RefusedRequest(431, f"request head is longer than {self.max_head} bytes")
        major, _, minor = event.http_version.partition(b".")
        if major != b"1":
            raise RefusedRequest(505, "only HTTP/1 is spoken here")
        if event.method == b"CONNECT":
            raise RefusedRequest(400, "CONNECT to a server that is no proxy")
        pairs = tuple(event.headers)
        self._limit_fields(len(pairs))
        length = next((int(value) for name, value in pairs if name == b"content-length"), 0)
        coded = any(name == b"transfer-encoding" for name, _ in pairs)
        if coded and (minor < b"1" or any(name == b"content-length" for name, _ in pairs)):
            # RFC 9112, 6.1: the two together, or one in HTTP/1.0, is how requests are smuggled.
            raise RefusedRequest(400, "Transfer-Encoding with Content-Length, or in HTTP/1.0")
        named = check_host(event.http_version, [value for name, value in pairs if name == b"host"])
        host, path = host_and_path(event.method, event.target, named)
        self._limit_body(length)
        block = _split_fields(pairs, int(minor))
        head = ParsedHead(event.method.decode(), path, host, block, block.minor, block.keep_alive)
        return head, coded or length > 0

    def _limit_fields(self, count: int) -> None:
        if count > self.max_fields:
            raise too_many_fields(self.max_fields)

    def _limit_body(self, size: int) -> None:
        if size > self.max_body:
            raise RefusedRequest(413, f"request body is longer than {self.max_body} bytes")

    def _take_body(self, data: bytes | bytearray) -> None:
        self._body_size += len(data)
        self._limit_body(self._body_size)
        self._body.add(bytes(data))

    def _end(self, head: ParsedHead) -> ParsedHead:
        head.body = self._body.take()
        self._waiting[:0] = self._h11.trailing_data[0]
        self._restart()
        return head


def _split_fields(pairs: _Pairs, minor: int) -> SplitFields:
    options = _tokens(pairs, b"connection")
    # RFC 9112, 9.3.
    keep_alive = b"close" not in options and (minor >= 1 or b"keep-alive" in options)
    # Upgrade counts only where Connection names it, and not from HTTP/1.0 (RFC 9110, 7.8).
    upgrade = _tokens(pairs, b"upgrade") if minor >= 1 and b"upgrade" in options else []
    return SplitFields(pairs, minor, keep_alive, tuple(upgrade))


def _tokens(pairs: _Pairs, wanted: bytes) -> list[bytes]:
    values = [value for name, value in pairs if name == wanted]
    return [token.strip(b" \t") for value in values for token in value.lower().split(b",")]
