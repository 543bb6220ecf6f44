"""Frames of HTTP/2 (RFC 9113, 4 and 6): read one by one from what came, and written.

The reader checks what a frame says by itself: its size, its stream identifier, its padding, and that a header
block is whole before anything else comes. What a frame means where it came is for its caller.
"""

from struct import Struct
from typing import Final

from httpng_core.http2.engine.errors import (
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    FatalError,
    StreamError,
)

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9
PRIORITY_UPDATE: Final = 0x10

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

HEAD_SIZE: Final = 9
MAX_FRAME: Final = 16384
"""The longest payload that we take, which is the default of SETTINGS_MAX_FRAME_SIZE."""
MAX_BLOCK: Final = 128 * 1024
"""The longest header block that we take, before it is decoded."""
MAX_CONTINUATIONS: Final = 32
"""How many CONTINUATION frames one header block may have."""

_HOW_HEADERS: Final = END_HEADERS | PADDED | HAS_PRIORITY
_HEAD: Final = Struct(">HBBBL")
KIND: Final = Struct(">LBl")
"""The head of a frame: size and type, flags, and the stream, negative where the reserved bit is set."""
_WORD: Final = Struct(">L")
_PAIR: Final = Struct(">HL")

# What the stream identifier must be (RFC 9113, 6.1 to 6.10; RFC 9218, 7.1), and the one size that is right.
_ON_STREAM: Final = frozenset((DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION))
_ON_CONNECTION: Final = frozenset((SETTINGS, PING, GOAWAY, PRIORITY_UPDATE))
_EXACT: Final = {RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_AT_LEAST: Final = {GOAWAY: 8, PRIORITY_UPDATE: 4}


class Frame:
    """A frame as its sender meant it: without padding, a header block in one piece.

    Attributes:
        kind: the type.
        flags: of HEADERS those of its first frame.
        stream_id: 0 for the connection.
        payload: what it carries; of HEADERS the whole block, without priority fields.
        size: of DATA what counts for flow control, that is with padding; else the size of the payload.
    """

    __slots__ = ("flags", "kind", "payload", "size", "stream_id")

    def __init__(self, kind: int, flags: int, stream_id: int, payload: bytes, size: int) -> None:
        self.kind = kind
        self.flags = flags
        self.stream_id = stream_id
        self.payload = payload
        self.size = size


class FrameReader:
    """Cuts what came into frames.

    Attributes:
        is_partial: whether a header block, or the head of a frame, is there in part only, as `next_frame` has
            found when it returned `None`; a deadline may be due.
        dependency: the stream that the last HEADERS or PRIORITY depends on; -1 if it says nothing.
        continuations: how many CONTINUATION frames the last HEADERS had.
    """

    __slots__ = (
        "_at",
        "_block",
        "_block_size",
        "_buffer",
        "_max_block",
        "_max_continuations",
        "_started",
        "continuations",
        "dependency",
        "is_partial",
    )

    def __init__(self, max_block: int = MAX_BLOCK, max_continuations: int = MAX_CONTINUATIONS) -> None:
        self._buffer = b""
        self._at = 0
        self._max_block = max_block
        self._max_continuations = max_continuations
        # The HEADERS of which the block isn't whole, and what there is of it.
        self._started: Frame | None = None
        self._block: list[bytes] = []
        self._block_size = 0
        self.continuations = 0
        self.dependency = -1
        self.is_partial = False

    @property
    def held(self) -> int:
        """How many bytes are kept of frames, and of a header block, that aren't whole."""
        return len(self._buffer) + self._block_size

    @property
    def is_between(self) -> bool:
        """Whether nothing is kept of what came before: the next frame begins with what comes."""
        return self._started is None and self._at >= len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take `data`, which came after what came before."""
        # What is left over is less than a frame once the frames that are whole have been taken.
        self.is_partial = False
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    def next_frame(self) -> Frame | None:
        """Return the next frame, `None` until more has come.

        Raises:
            FatalError: The connection can't go on.
            StreamError: The frame is wrong, and has been skipped.
        """
        buffer = self._buffer
        while True:
            at = self._at
            if len(buffer) - at < HEAD_SIZE:
                if len(buffer) == at:
                    # All is read: it isn't kept until more comes.
                    self._buffer, self._at = b"", 0
                self.is_partial = len(buffer) > at or self._started is not None
                return None
            high, low, kind, flags, stream_id = _HEAD.unpack_from(buffer, at)
            length: int = high << 8 | low
            stream_id &= 0x7FFFFFFF
            end = at + HEAD_SIZE + length
            # Nearly all requests are of this kind, of which there is nothing more to check.
            is_plain = kind == HEADERS and flags & _HOW_HEADERS == END_HEADERS and self._started is None
            if not is_plain or stream_id == 0 or length > MAX_FRAME:
                self._check_head(kind, flags, stream_id, length)
            if end > len(buffer):
                self.is_partial = self._started is not None or kind in (HEADERS, CONTINUATION)
                return None
            self._at = end
            if is_plain:
                self.continuations = 0
                self.dependency = -1
                return Frame(kind, flags, stream_id, buffer[at + HEAD_SIZE : end], length)
            frame = self._read(kind, flags, stream_id, buffer[at + HEAD_SIZE : end])
            if frame is not None:
                return frame

    def _check_head(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        """Check what the head says by itself, as soon as it is there."""
        if length > MAX_FRAME:
            raise FatalError(FRAME_SIZE_ERROR, "a frame is too long")
        started = self._started
        if (kind == CONTINUATION) != (started is not None) or (
            started is not None and started.stream_id != stream_id
        ):
            raise FatalError(PROTOCOL_ERROR, "a header block isn't whole, or CONTINUATION comes without one")
        if (kind in _ON_STREAM) if stream_id == 0 else (kind in _ON_CONNECTION):
            raise FatalError(PROTOCOL_ERROR, "a frame has a stream identifier that its type can't have")
        if kind == PUSH_PROMISE:
            raise FatalError(PROTOCOL_ERROR, "a client can't push")
        if kind > HEADERS and (
            length != _EXACT.get(kind, length)
            or length < _AT_LEAST.get(kind, 0)
            or (kind == SETTINGS and (length % 6 != 0 or (flags & ACK != 0 and length > 0)))
        ):
            raise FatalError(FRAME_SIZE_ERROR, "a frame has a size that its type can't have")

    def _read(self, kind: int, flags: int, stream_id: int, payload: bytes) -> Frame | None:
        """Return the frame, `None` if it is a header block that isn't whole yet."""
        if kind == HEADERS:
            return self._read_headers(flags, stream_id, payload)
        if kind == DATA:
            size = len(payload)
            return Frame(kind, flags, stream_id, _unpadded(payload) if flags & PADDED else payload, size)
        if kind == CONTINUATION:
            return self._read_continuation(flags, payload)
        if kind == PRIORITY:
            if len(payload) != 5:
                raise StreamError(stream_id, FRAME_SIZE_ERROR, "PRIORITY hasn't 5 bytes")
            self.dependency = _WORD.unpack_from(payload)[0] & 0x7FFFFFFF
        return Frame(kind, flags, stream_id, payload, len(payload))

    def _read_headers(self, flags: int, stream_id: int, payload: bytes) -> Frame | None:
        self.dependency = -1
        self.continuations = 0
        if flags & PADDED:
            payload = _unpadded(payload)
        if flags & HAS_PRIORITY:
            if len(payload) < 5:
                raise FatalError(FRAME_SIZE_ERROR, "HEADERS has no room for its priority")
            self.dependency = _WORD.unpack_from(payload)[0] & 0x7FFFFFFF
            payload = payload[5:]
        frame = Frame(HEADERS, flags, stream_id, payload, len(payload))
        if flags & END_HEADERS:
            return frame
        self._started, self._block, self._block_size = frame, [payload], len(payload)
        return None

    def _read_continuation(self, flags: int, payload: bytes) -> Frame | None:
        frame = self._started
        assert frame is not None  # _check_head has seen to it.
        self.continuations += 1
        self._block_size += len(payload)
        if self._block_size > self._max_block or self.continuations > self._max_continuations:
            raise FatalError(ENHANCE_YOUR_CALM, "a header block is too long")
        self._block.append(payload)
        if not flags & END_HEADERS:
            return None
        frame.payload, frame.size = b"".join(self._block), self._block_size
        self._started, self._block, self._block_size = None, [], 0
        return frame


def _unpadded(payload: bytes) -> bytes:
    """Return a payload without its padding (RFC 9113, 6.1)."""
    size = len(payload)
    if size == 0:
        raise FatalError(FRAME_SIZE_ERROR, "a frame has no room for the length of its padding")
    end = size - payload[0]
    if end < 1:
        raise FatalError(PROTOCOL_ERROR, "a frame has more padding than bytes")
    return payload[1:end]


# Writing ----------------------------------------------------------------------------------------------

SETTINGS_ACK: Final = b"\0\0\0\4\1\0\0\0\0"


def frame_head(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return the 9 bytes before a payload of `size` bytes."""
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream_id)


def data_head(size: int, stream_id: int, end: bool) -> bytes:
    """Return what stands before `size` body bytes."""
    return _HEAD.pack(size >> 8, size & 0xFF, DATA, END_STREAM if end else 0, stream_id)


def headers(stream_id: int, block: bytes, end: bool, max_frame: int) -> bytes:
    """Return HEADERS, and CONTINUATION for what of the block is longer than `max_frame` bytes."""
    size = len(block)
    flags = END_STREAM if end else 0
    if size <= max_frame:
        return _HEAD.pack(size >> 8, size & 0xFF, HEADERS, flags | END_HEADERS, stream_id) + block
    parts = [frame_head(max_frame, HEADERS, flags, stream_id), block[:max_frame]]
    for start in range(max_frame, size, max_frame):
        piece = block[start : start + max_frame]
        last = END_HEADERS if start + max_frame >= size else 0
        parts += [frame_head(len(piece), CONTINUATION, last, stream_id), piece]
    return b"".join(parts)


def whole(stream_id: int, block: bytes, size: int) -> bytes:
    """Return HEADERS of a block that fits into it, and what stands before a body that ends the stream."""
    length = len(block)
    return b"".join(
        (
            _HEAD.pack(length >> 8, length & 0xFF, HEADERS, END_HEADERS, stream_id),
            block,
            _HEAD.pack(size >> 8, size & 0xFF, DATA, END_STREAM, stream_id),
        )
    )


def rst_stream(stream_id: int, code: int) -> bytes:
    """Return RST_STREAM."""
    return frame_head(4, RST_STREAM, 0, stream_id) + _WORD.pack(code)


def settings(values: list[tuple[int, int]]) -> bytes:
    """Return SETTINGS with pairs of identifier and value."""
    return frame_head(6 * len(values), SETTINGS, 0, 0) + b"".join([_PAIR.pack(*pair) for pair in values])


def ping(data: bytes, ack: bool = False) -> bytes:
    """Return PING with 8 bytes, or the answer to one."""
    return frame_head(8, PING, ACK if ack else 0, 0) + data


def goaway(last_stream: int, code: int = NO_ERROR, reason: bytes = b"") -> bytes:
    """Return GOAWAY: streams up to `last_stream` were, or may have been, acted on."""
    return frame_head(8 + len(reason), GOAWAY, 0, 0) + _WORD.pack(last_stream) + _WORD.pack(code) + reason


def window_update(stream_id: int, increment: int) -> bytes:
    """Return WINDOW_UPDATE, for the connection if `stream_id` is 0."""
    return frame_head(4, WINDOW_UPDATE, 0, stream_id) + _WORD.pack(increment)
