"""The chunked transfer coding (RFC 9112, 7.1), decoded in bounded steps as it comes in."""

from enum import Enum, auto
from typing import Final

from httpng_core.http1.grammar import CHUNK_LINE, CRLF, FIELD_LINE
from httpng_core.http1.head import too_many_fields
from httpng_core.http1.refused import RefusedRequest, broken_character, quoted, too_long

MAX_LINES: Final = 256
"""So many lines of chunks and trailers are read in one step."""
MAX_CHUNK_LINE: Final = 4096
"""The longest chunk line with its extensions."""
MAX_EXTENSIONS: Final = 16384
"""The most bytes of chunk extensions in one body."""


class _Part(Enum):
    """What comes next."""

    LINE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()
    NOTHING = auto()


class ChunkedDecoder:
    """Bytes of a chunked body in, pieces of its content out.

    It takes all that it is given, and keeps only what it has of an unfinished line, and trailers. Extensions
    are checked and thrown away.

    Attributes:
        max_body: The longest content.
        size: The length of the content so far, the rest of the chunk under way included.
        trailers: The fields behind the content.
    """

    __slots__ = (
        "_extensions",
        "_fields_left",
        "_held",
        "_left",
        "_max_fields",
        "_max_trailers",
        "_part",
        "_pieces",
        "_room",
        "_trailers_left",
        "max_body",
        "size",
        "trailers",
    )

    def __init__(self, max_body: int, max_trailers: int, max_fields: int) -> None:
        self.max_body = max_body
        self._max_fields = max_fields
        self._max_trailers = max_trailers
        self._part = _Part.LINE
        # What is left of the chunk, and of the limit of the step.
        self._left = 0
        self._room = 0
        self._held = bytearray()
        self._pieces: list[bytes] = []
        self._extensions = 0
        self._trailers_left = max_trailers
        self._fields_left = max_fields
        self.size = 0
        self.trailers: list[tuple[bytes, bytes]] = []

    @property
    def ended(self) -> bool:
        """Whether the last chunk and the trailers have been read."""
        return self._part is _Part.NOTHING

    def take(self) -> bytes:
        """Return the content that was decoded since the last call."""
        pieces = self._pieces
        if not pieces:
            return b""
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        return content

    def decode(self, data: bytes, at: int, limit: int) -> int:
        """Decode from `data[at]` on and return where it stopped.

        It stops at the end of `data` or of the body, and after `limit` bytes of content or MAX_LINES lines.

        Raises:
            RefusedRequest: It isn't the chunked coding, or too much of it.
        """
        stop = len(data)
        lines = MAX_LINES
        self._room = limit
        while at < stop and lines > 0 and self._room > 0:
            part = self._part
            if part is _Part.DATA:
                at = self._take_data(data, at)
            elif part is _Part.DATA_END:
                at = self._take_data_end(data, at)
            elif part is _Part.NOTHING:
                break
            else:
                lines -= 1
                at = self._take_chunk(data, at)
        return at

    def _take_chunk(self, data: bytes, at: int) -> int:
        """Take a chunk that is in whole; else its line, or what there is of a line."""
        if self._held or self._part is _Part.TRAILERS:
            return self._take_line(data, at)
        found = CHUNK_LINE.match(data, at)
        if found is None:
            return self._take_line(data, at)
        start = found.end()
        self._begin_chunk(found[1], start - at)
        end = start + self._left
        if not 0 < self._left <= self._room or data[end : end + 2] != CRLF:
            return start
        self._pieces.append(data[start:end])
        self._room -= self._left
        self._left = 0
        self._part = _Part.LINE
        return end + 2

    def _take_data(self, data: bytes, at: int) -> int:
        size = min(self._left, self._room, len(data) - at)
        self._pieces.append(data if size == len(data) else data[at : at + size])
        self._room -= size
        self._left -= size
        if self._left == 0:
            self._part = _Part.DATA_END
        return at + size

    def _take_data_end(self, data: bytes, at: int) -> int:
        """Take the CRLF behind the data of a chunk, or the half of it that is in."""
        size = len(self._held)
        found = data[at : at + 2 - size]
        self._held += found
        if not CRLF.startswith(self._held):
            raise RefusedRequest(400, f"chunk data doesn't end where its size says: {quoted(found)}")
        if len(self._held) == 2:
            self._held.clear()
            self._part = _Part.LINE
        return at + len(found)

    def _take_line(self, data: bytes, at: int) -> int:
        newline = data.find(b"\n", at)
        stop = len(data) if newline < 0 else newline + 1
        checked = max(len(self._held) - 1, 0)
        self._held += data[at:stop]
        self._check_held(checked)
        if newline >= 0:
            line = bytes(self._held)
            self._held.clear()
            self._end_line(line)
        return stop

    def _check_held(self, start: int) -> None:
        """Refuse at once what can't become a line, and a line that is too long."""
        held, is_chunk = self._held, self._part is _Part.LINE
        limit = MAX_CHUNK_LINE if is_chunk else self._trailers_left
        broken = broken_character(held, start, min(len(held), limit))
        if broken is not None:
            raise broken
        if len(held) > limit:
            if is_chunk:
                raise _long_line()
            raise RefusedRequest(431, f"trailers are longer than {self._max_trailers} bytes")

    def _end_line(self, line: bytes) -> None:
        if self._part is _Part.LINE:
            found = CHUNK_LINE.fullmatch(line)
            if found is None:
                raise RefusedRequest(400, f"malformed chunk line: {quoted(line[:-2])}")
            self._begin_chunk(found[1], len(line))
        elif line == CRLF:
            self._part = _Part.NOTHING
        else:
            self._trailers_left -= len(line)
            self._fields_left -= 1
            if self._fields_left < 0:
                raise too_many_fields(self._max_fields)
            if FIELD_LINE.fullmatch(line) is None:
                raise RefusedRequest(400, f"malformed trailer: {quoted(line[:-2])}")
            name, _, value = line.partition(b":")
            self.trailers.append((name.lower(), value.strip(b" \t\r\n")))

    def _begin_chunk(self, digits: bytes, line_size: int) -> None:
        if line_size > MAX_CHUNK_LINE:
            raise _long_line()
        self._extensions += line_size - len(digits) - len(CRLF)
        if self._extensions > MAX_EXTENSIONS:
            raise RefusedRequest(400, f"more than {MAX_EXTENSIONS} bytes of chunk extensions")
        size = int(digits, 16)
        self.size += size
        if self.size > self.max_body:
            # Refused by what is announced, before it is read.
            raise too_long(self.max_body)
        self._left = size
        self._part = _Part.DATA if size else _Part.TRAILERS


def _long_line() -> RefusedRequest:
    return RefusedRequest(400, f"chunk line is longer than {MAX_CHUNK_LINE} bytes")
