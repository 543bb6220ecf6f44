"""Requests out of the bytes of one connection (RFC 9112): head, body, and what comes behind."""

from typing import Final

from httpng_core.http.trailers import Fields, received_trailers
from httpng_core.http1.body import BodyBuffer
from httpng_core.http1.chunked import ChunkedDecoder
from httpng_core.http1.grammar import CRLF, HEAD_END, ORIGIN_LINE
from httpng_core.http1.head import HeaderBlock, read_header_block, read_request_line, too_many_fields
from httpng_core.http1.parsed import MORE, More, ParsedHead, Reading
from httpng_core.http1.refused import (
    MOST_ASKED,
    Asked,
    RefusedRequest,
    asked,
    broken_character,
    too_long,
)

MAX_STEP: Final = 65536
"""So many bytes of a body are read in one step."""
MAX_EMPTY_LINES: Final = 4
"""So many empty lines before a request line are ignored (RFC 9112, 2.2)."""
_EMPTY_SIZE: Final = 2 * MAX_EMPTY_LINES + 2
# A longer header block isn't kept for comparison: it would stay in memory while the connection is idle.
_LONGEST_KEPT: Final = 4096


class RequestParser:
    """Bytes in by `feed`, requests out by `next_request`, one after the other.

    After a RefusedRequest the connection can't go on: asked again, the parser refuses again.

    Attributes:
        max_head: The longest head, and the longest trailers, in bytes. The limits may change at any time.
        max_body: The longest body.
        max_fields: The most header fields, and the most trailer fields.
        stream: Whether `next_request` gives a request as soon as its head is in, though a body follows. Then
            `next_piece` reads that, within `max_body` unless `stream_body` says else; or `gather` has
            `next_request` give the request once more, whole.
        trailers: The fields behind the last chunked body that was read to its end.
        block: The header block of the last request, if it isn't long: most clients send the same one again.
        has_rest: Whether there may be bytes that aren't read yet.
        steps_at_once: So many calls of `next_request` may be made before others have their turn.
        wants_continue: Whether the client waits for 100 before it sends the body of the request that is being
            read; whoever sends it sets this to False.
    """

    steps_at_once: Final = 4
    __slots__ = (
        "_at",
        "_behind",
        "_body",
        "_data",
        "_decoder",
        "_empty_lines",
        "_head",
        "_left",
        "_refused",
        "_scanned",
        "block",
        "has_rest",
        "max_body",
        "max_fields",
        "max_head",
        "stream",
        "trailers",
        "wants_continue",
    )

    def __init__(self, max_head: int, max_body: int, max_fields: int) -> None:
        self.max_head = max_head
        self.max_body = max_body
        self.max_fields = max_fields
        self.stream = False
        self.trailers: Fields = ()
        self.has_rest = False
        self.wants_continue = False
        # Unread are _data[_at:], and _behind it what came before that was read. _data is empty when all of
        # it is read, and while a head is incomplete: then all is in _behind, which can grow without copies.
        self._data = b""
        self._at = 0
        self._behind = bytearray()
        # Up to here there is no end of a head in _behind.
        self._scanned = 0
        self._empty_lines = 0
        self.block: HeaderBlock | None = None
        # The request whose body is being read.
        self._head: ParsedHead | None = None
        self._body: BodyBuffer | None = None
        self._decoder: ChunkedDecoder | None = None
        self._left = 0
        self._refused: RefusedRequest | None = None

    @property
    def state(self) -> Reading:
        """What has been read of the next request."""
        if self._head is not None:
            return Reading.BODY
        start = self._data[self._at : self._at + _EMPTY_SIZE] + self._behind[:_EMPTY_SIZE]
        # Empty lines, and half of one, are no part of a head.
        return Reading.HEAD if start.strip(CRLF) else Reading.NOTHING

    def asked(self) -> Asked:
        """Return what is known of the request that is being read, for logs."""
        head = self._head
        if head is not None:
            return Asked(head.method, head.target, f"1.{head.minor}")
        at = self._at
        return asked(self._data[at : at + MOST_ASKED] or bytes(self._behind[:MOST_ASKED]))

    @property
    def buffered(self) -> int:
        """The number of bytes that came and aren't read yet."""
        return len(self._data) - self._at + len(self._behind)

    @property
    def held(self) -> int:
        """The number of bytes that are kept: those that aren't read, and those of a whole body."""
        return len(self._data) + len(self._behind) + (0 if self._body is None else self._body.size)

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self.has_rest = True
        if self._data or self._behind:
            self._behind += data
        else:
            self._data = data

    def receive_whole(self, data: bytes) -> tuple[bytes, bytes, HeaderBlock] | None:
        """Return the method, the target and the header block of an ordinary request, if that is `data`.

        `None`: it isn't just that, and nothing is taken. A request with a body, one that asks for another
        protocol and a connection's first one never are.
        """
        block = self.block
        line = ORIGIN_LINE.match(data)
        if block is None or line is None or self.has_rest or self._head is not None:
            return None
        method, target, digit = line.groups()
        start = line.end()
        digit_before, most = block.framing.digit, self.max_fields
        if data[start:] != block.raw + CRLF or digit != digit_before or block.count > most:
            likeness, other = block.likeness, None
            if likeness is not None and digit == digit_before:
                other = likeness.block(data, start, len(data), most)
            if other is None:
                if data.find(HEAD_END, start - 2) + 4 != len(data):
                    return None
                try:
                    other = read_header_block(data[start:-2], int(digit), most, block)
                except RefusedRequest:
                    # It will be again, when it is read in steps.
                    return None
            block = other
        if not block.framing.is_plain or len(data) > self.max_head:
            return None
        if len(block.raw) <= _LONGEST_KEPT:
            self.block = block
        self._empty_lines = 0
        return method, target, block

    @property
    def rest(self) -> int:
        """How many bytes of a body are still to be read, as far as it was declared."""
        return self._left if self._head is not None and self._decoder is None else 0

    def stream_body(self, max_body: int) -> None:
        """Have the body that follows the last head read by `next_piece`, up to so many bytes.

        Raises:
            RefusedRequest: It is declared to be longer.
        """
        self._limit(max_body)
        if self._decoder is not None:
            self._decoder.max_body = max_body

    def gather(self) -> None:
        """Have the body that follows the last head read whole: `next_request` goes on with that.

        Raises:
            RefusedRequest: It is declared to be longer than `max_body`.
        """
        assert self._head is not None
        self._head.body_follows = False
        self._body = BodyBuffer()
        self._limit(self.max_body)

    def take_rest(self) -> bytes:
        """Return the bytes behind the last request and forget them: another protocol goes on with them."""
        rest = self._data[self._at :] + bytes(self._behind)
        self._data, self._at, self._scanned = b"", 0, 0
        self._behind = bytearray()
        self.has_rest = False
        return rest

    def drop(self) -> None:
        """Forget all that came, as the connection doesn't go on."""
        self.take_rest()
        self._body = None

    def next_request(self) -> ParsedHead | More | None:
        """Return the next request; `None` if that takes more bytes, MORE if it takes another call.

        A call reads one head, and one step of its body: of MAX_STEP bytes or MAX_LINES chunks.

        Raises:
            RefusedRequest: What came breaks RFC 9112 or a limit.
        """
        if self._head is not None:
            return None if self._body is None else self._read_body(self._head, self._body)
        data, at = self._data, self._at
        if not data:
            return self._read_other_head() if self._behind else None
        end = data.find(HEAD_END, at)
        line = ORIGIN_LINE.match(data, at)
        if line is None or end < 0 or end + 4 - at > self.max_head:
            return self._read_other_head()
        method, target, minor = line.groups()
        return self._begin(method.decode(), target.decode(), "", int(minor), line.end(), end)

    def next_piece(self, limit: int = MAX_STEP) -> bytes | None:
        """Return up to `limit` bytes of a streamed body, `b""` at its end, `None` if that takes more bytes.

        Raises:
            RefusedRequest: What came breaks RFC 9112 or a limit.
        """
        while self._head is not None:
            if not self.buffered:
                return None
            piece = self._step(limit)
            if piece:
                return piece
        return b""

    def _read_other_head(self) -> ParsedHead | More | None:
        """Read a head that isn't whole, isn't in one piece or isn't in the usual form."""
        data = self._data
        while data.startswith(CRLF, self._at):
            self._count_empty_line()
            self._at += 2
        end = data.find(HEAD_END, self._at)
        if end < 0:
            if data:
                self._behind[:0] = data[self._at :]
                self._data, self._at, self._scanned = b"", 0, 0
            if not self._find_end_behind():
                return None
            data = self._data
            end = data.find(HEAD_END)
        at = self._at
        if end + 4 - at > self.max_head:
            raise broken_character(data, at, at + self.max_head) or self._long_head()
        line = ORIGIN_LINE.match(data, at)
        if line is None:
            return self._begin(*read_request_line(data, at, end), end)
        method, target, minor = line.groups()
        return self._begin(method.decode(), target.decode(), "", int(minor), line.end(), end)

    def _find_end_behind(self) -> bool:
        """Return whether a head is whole in `_behind`; if so it is put into `_data`."""
        behind = self._behind
        while behind.startswith(CRLF):
            self._count_empty_line()
            del behind[:2]
            self._scanned = 0
        if behind.find(HEAD_END, self._scanned) >= 0:
            self._data, self._behind, self._scanned = bytes(behind), bytearray(), 0
            return True
        broken = broken_character(behind, self._scanned, min(len(behind), self.max_head))
        if broken is not None:
            raise broken
        if len(behind) > self.max_head:
            raise self._long_head()
        self._scanned = max(len(behind) - 3, 0)
        return False

    def _count_empty_line(self) -> None:
        if self._empty_lines == MAX_EMPTY_LINES:
            raise RefusedRequest(400, f"more than {MAX_EMPTY_LINES} empty lines before a request")
        self._empty_lines += 1

    def _long_head(self) -> RefusedRequest:
        return RefusedRequest(431, f"request head is longer than {self.max_head} bytes")

    def _begin(
        self, method: str, target: str, host: str, minor: int, start: int, end: int
    ) -> ParsedHead | More | None:
        """Begin a request whose header block is `_data[start:end]`, without the last CRLF."""
        data = self._data
        raw = data[start : end + 2]
        block = self.block
        if block is None or block.raw != raw or block.framing.minor != minor:
            other = None
            if block is not None and block.likeness is not None and block.framing.minor == minor:
                other = block.likeness.block(data, start, end + 4, self.max_fields)
            block = read_header_block(raw, minor, self.max_fields, block) if other is None else other
            self.block = block if len(raw) <= _LONGEST_KEPT else None
        elif block.count > self.max_fields:
            raise too_many_fields(self.max_fields)
        framing = block.framing
        head = ParsedHead(method, target, host or framing.host, block, minor, framing.keep_alive)
        if framing.has_body:
            return self._begin_body(head, block, end + 4)
        self._empty_lines = 0
        if end + 4 == len(data):
            self._data, self._at, self.has_rest = b"", 0, bool(self._behind)
        else:
            self._at = end + 4
        return head

    def _begin_body(self, head: ParsedHead, block: HeaderBlock, start: int) -> ParsedHead | More | None:
        self._empty_lines = 0
        self._consume(start)
        self._head = head
        framing = block.framing
        self._left = framing.content_length
        self.trailers = ()
        self._decoder = (
            ChunkedDecoder(self.max_body, self.max_head, self.max_fields) if framing.chunked else None
        )
        # A client that doesn't wait needs no 100.
        self.wants_continue = framing.expects_continue and not self.buffered
        if self.stream:
            self._body, head.body_follows = None, True
            return head
        self.gather()
        return self.next_request()

    def _limit(self, max_body: int) -> None:
        if self._left > max_body:
            # Refused before a byte of it is read, and before a 100 asks for it.
            self.wants_continue = False
            self._refused = too_long(max_body)
            raise self._refused

    def _read_body(self, head: ParsedHead, body: BodyBuffer) -> ParsedHead | More | None:
        piece = self._step(MAX_STEP)
        if piece:
            body.add(piece)
        if self._head is None:
            head.body, head.trailers = body.take(), self.trailers
            self._body = None
            return head
        return MORE if self.buffered else None

    def _step(self, limit: int) -> bytes:
        """Read up to `limit` bytes of the body; at its end `_head` is `None`."""
        if self._refused is not None:
            raise self._refused
        if not self._data:
            if not self._behind:
                return b""
            self._data, self._behind = bytes(self._behind), bytearray()
        self.wants_continue = False
        if self._decoder is not None:
            return self._step_chunked(self._decoder, limit)
        data, at = self._data, self._at
        size = min(self._left, limit, len(data) - at)
        # All that came in one read stays one object.
        piece = data if size == len(data) else data[at : at + size]
        self._consume(at + size)
        self._left -= size
        if self._left == 0:
            self._head = None
        return piece

    def _step_chunked(self, decoder: ChunkedDecoder, limit: int) -> bytes:
        try:
            self._consume(decoder.decode(self._data, self._at, limit))
        except RefusedRequest as error:
            self._refused = error
            raise
        if decoder.ended:
            self._head = self._decoder = None
            self.trailers = received_trailers(tuple(decoder.trailers))
        return decoder.take()

    def _consume(self, at: int) -> None:
        """Take note that `_data` is read up to `at`; what is read whole isn't kept."""
        if at == len(self._data):
            self._data = b""
            self._at = 0
        else:
            self._at = at
