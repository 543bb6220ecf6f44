"""A session of which h2 reads what comes: its events are made those of the engine.

Frames of responses, control frames and credit are the engine's (`Sending`), as is what becomes of a request
whose head has been read. h2 judges frames, header blocks, the states of streams and what both windows allow.
"""

from collections.abc import Iterable
from typing import Final

from h2 import events as h2_events

from httpng_core.http2.engine import frames
from httpng_core.http2.engine.errors import (
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    FatalError,
    StreamError,
)
from httpng_core.http2.engine.events import PeerLeft, SettingsChanged, WindowOpened
from httpng_core.http2.engine.frames import Frame, FrameReader
from httpng_core.http2.engine.hpack_decoder import HeaderList
from httpng_core.http2.engine.hpack_table import OVERHEAD
from httpng_core.http2.engine.requests import RequestHead
from httpng_core.http2.engine.session import Session
from httpng_core.http2.engine.session_config import Config
from httpng_core.http2.engine.stream_states import CLOSED, HALF_CLOSED_REMOTE, IGNORED, RESET_LOCAL
from httpng_core.http2.reference.wire import ROOM_TO_REFUSE, ServerH2

_ANSWERED: Final = (frames.SETTINGS, frames.PING)
_COUNTED_ELSEWHERE: Final = (frames.HEADERS, frames.DATA, frames.RST_STREAM)


class Cutter(FrameReader):
    """Cuts what came into frames as they are: h2 judges them, but for what it would hold too much of."""

    __slots__ = ()

    def _check_head(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        if length > frames.MAX_FRAME:
            raise FatalError(FRAME_SIZE_ERROR, "a frame is too long")

    def _read(self, kind: int, flags: int, stream_id: int, payload: bytes) -> Frame | None:
        frame = Frame(kind, flags, stream_id, payload, len(payload))
        if kind == frames.HEADERS or kind == frames.CONTINUATION:
            is_whole = flags & frames.END_HEADERS != 0
            self._started = None if is_whole else frame
            self._block_size = 0 if is_whole else self._block_size + frame.size
            if self._block_size > self._max_block:
                raise FatalError(ENHANCE_YOUR_CALM, "a header block is too long")
        return frame


class ReferenceSession(Session):
    """One connection, read by h2. See `Session`.

    Attributes:
        h2: what reads it.
    """

    __slots__ = ("_list", "_max_fields", "h2")

    def __init__(self, config: Config, now: float, upgrade: bytes | None = None) -> None:
        super().__init__(config, now, upgrade)
        self.h2 = ServerH2(config, upgrade)
        self._reader = Cutter(config.max_header_list + ROOM_TO_REFUSE)
        self._max_fields = config.max_fields
        # The header list of the request that begins.
        self._list = HeaderList((), 0, False)

    def reconfigure(self, config: Config, now: float) -> None:
        """See `Session`."""
        super().reconfigure(config, now)
        self._max_fields = config.max_fields

    def _take_headers(self, frame: Frame, now: float) -> None:
        self._take_other(frame, now)

    def _take_data(self, frame: Frame, now: float) -> None:
        self._take_other(frame, now)

    def _take_other(self, frame: Frame, now: float) -> None:
        """Have h2 read a frame, of whatever kind, and act on what it says."""
        kind, flags, stream_id, size = frame.kind, frame.flags, frame.stream_id, frame.size
        if not self.has_settings and (kind != frames.SETTINGS or flags & frames.ACK):
            raise FatalError(PROTOCOL_ERROR, "the client doesn't begin with its settings")
        if kind == frames.SETTINGS and not flags & frames.ACK:
            self._limits.count_settings(size // 6, now)
        elif kind not in _COUNTED_ELSEWHERE:
            self._limits.count_control(now)
        self.h2.lend(self.streams, self.window, self.credit.window)
        happened, answer = self.h2.read(frames.frame_head(size, kind, flags, stream_id) + frame.payload)
        if kind == frames.DATA:
            self.credit.receive(size)
        if answer and kind in _ANSWERED:
            self._push(answer)
        elif answer:
            self._take_refusal(frame, int.from_bytes(answer[-4:], "big"), now)
            return
        elif kind == frames.RST_STREAM and not happened:
            self._limits.count_control(now)
        for event in happened:
            self._take_event(event, frame, now)
        self.window = self.h2.take_back(self.streams)

    def _take_refusal(self, frame: Frame, code: int, now: float) -> None:
        """Act on the RST_STREAM with which h2 answers a frame of a stream that is over, for the client."""
        stream_id, is_known = frame.stream_id, self.streams.state(frame.stream_id) != RESET_LOCAL
        if frame.kind == frames.DATA:
            # The connection has it back.
            self._drop_data(stream_id, frame.size, IGNORED, now)
        elif frame.kind == frames.HEADERS:
            self._limits.count_control(now)
        # A client that may not know yet of our own is told nothing more.
        if is_known:
            raise StreamError(stream_id, code, "a frame on a stream that is closed, or a window too large")

    def _take_event(self, event: h2_events.Event, frame: Frame, now: float) -> None:
        stream_id = frame.stream_id
        if isinstance(event, h2_events.RequestReceived):
            self._list = self._header_list(event.headers)
            self._begin(stream_id, b"", event.stream_ended is not None, False)
        elif isinstance(event, h2_events.DataReceived):
            self._take_body(frame, event.data or b"", event.stream_ended is not None, now)
        elif isinstance(event, h2_events.TrailersReceived):
            trailers = self._header_list(event.headers)
            self._end_with_trailers(self.streams.open[stream_id], trailers, self._ended(stream_id))
        else:
            self._take_other_event(event, frame, now)

    def _take_other_event(self, event: h2_events.Event, frame: Frame, now: float) -> None:
        stream_id = frame.stream_id
        if isinstance(event, h2_events.StreamReset):
            self._take_reset(frame, now)
        elif isinstance(event, h2_events.RemoteSettingsChanged):
            self.has_settings = True
            self._apply(frame.payload)
            self._emit(SettingsChanged(0))
        elif isinstance(event, h2_events.WindowUpdated):
            before = self.streams.open[stream_id].window if stream_id else self.window
            if before <= 0 < before + event.delta:
                self._emit(WindowOpened(stream_id))
        elif isinstance(event, h2_events.PingAckReceived):
            self._take_ping(frame)
        elif isinstance(event, h2_events.ConnectionTerminated):
            self._emit(PeerLeft(int.from_bytes(frame.payload[4:8], "big")))
        elif frame.kind == frames.PRIORITY_UPDATE and stream_id == 0 and frame.size >= 4:
            self._take_priority_update(frame.payload)

    def _take_body(self, frame: Frame, data: bytes, end: bool, now: float) -> None:
        stream = self.streams.open[frame.stream_id]
        if not data and not end:
            self._limits.count_control(now)
        stream.unread += frame.size
        assert stream.credit is not None
        stream.credit.receive(frame.size)
        stream.accepts(len(data), False)
        self._deliver(stream, data, frame.size)
        if end:
            self._end_request(stream, None, self._ended(frame.stream_id))

    def _head(self, block: bytes) -> RequestHead:
        """Return the head of the request that begins, of which h2 has read the block."""
        return self._parse(self._list)

    def _header_list(self, given: Iterable[tuple[bytes, bytes]]) -> HeaderList:
        # Not what h2 gives: a type of its own.
        fields = tuple([(name, value) for name, value in given])
        size = sum([len(name) + len(value) + OVERHEAD for name, value in fields])
        is_oversized = size > self._config.max_header_list or len(fields) > self._max_fields
        return HeaderList(fields, size, is_oversized)

    def _ended(self, stream_id: int) -> int:
        """Return the state of a stream of which the request is whole."""
        return CLOSED if self.h2.streams[stream_id].closed else HALF_CLOSED_REMOTE
