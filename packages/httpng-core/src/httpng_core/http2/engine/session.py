"""A server's side of HTTP/2 (RFC 9113) as a state machine: bytes in, events out, frames to be sent.

It knows neither sockets nor clocks: time is an argument. `receive` takes what came and returns what it means;
what must be answered by rule waits in `control`. Frames of responses are made by the verbs of `Sending`, when
their owner can pass them on.
"""

from typing import Final

from httpng_core.http2.engine import frames
from httpng_core.http2.engine.errors import ENHANCE_YOUR_CALM, PROTOCOL_ERROR, FatalError, StreamError
from httpng_core.http2.engine.events import (
    ConnectionFailed,
    Event,
    PeerLeft,
    PingAnswered,
    PriorityUpdated,
    RequestBegan,
    RequestEnded,
    RequestRefused,
    SettingsChanged,
    StreamReset,
    WindowOpened,
)
from httpng_core.http2.engine.flow import grown
from httpng_core.http2.engine.frames import END_HEADERS, END_STREAM, HEAD_SIZE, HEADERS, KIND, Frame
from httpng_core.http2.engine.intake import Intake
from httpng_core.http2.engine.peer_settings import announcement
from httpng_core.http2.engine.requests import UNKNOWN_LENGTH, RequestHead
from httpng_core.http2.engine.sending import CONNECTION_WINDOW
from httpng_core.http2.engine.session_config import Config
from httpng_core.http2.engine.stream_states import (
    IDLE,
    RECEIVE_PRIORITY,
    RECEIVE_RESET,
    RECEIVE_WINDOW_UPDATE,
    RESET_LOCAL,
    RESET_REMOTE,
    outcome,
)
from httpng_core.http2.engine.streams import Stream

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_CONTROL: Final = 64 * 1024
"""How many bytes of answers, to PING and the like, wait for a client that doesn't read them."""
WORK: Final = 512
"""How much of what came is acted on in one call: frames, and each KiB of a header block."""
_WHOLE: Final = END_STREAM | END_HEADERS
_SHORT_BLOCK: Final = 1024 << 8
"""With the size of a frame as `KIND` has it."""


class Session(Intake):
    """One connection.

    Attributes:
        has_more: whether bytes are left that haven't been acted on: call `receive(b"", now)` again, after
            others have had their turn, and read no more until then.
        has_failed: whether the client broke the protocol: send `control`, then close.
        is_partial: whether the preface, the head of a frame or a header block is there in part only.
        has_settings: whether the client's settings have come, with which it must begin.
    """

    __slots__ = (
        "_preface",
        "_reset_now",
        "has_failed",
        "has_more",
        "has_settings",
        "is_partial",
    )

    def __init__(self, config: Config, now: float, upgrade: bytes | None = None) -> None:
        """Announce our settings; with `upgrade`, the payload of HTTP2-Settings, stream 1 has been requested.

        Raises:
            FatalError: That payload isn't one.
        """
        super().__init__(config, now)
        # What of the preface is still to come, and the streams that were reset in this call.
        self._preface = PREFACE
        self._reset_now: list[int] = []
        self.has_more = False
        self.has_failed = False
        self.has_settings = False
        self.is_partial = False
        self._push(announcement(config.max_streams, config.max_header_list, config.has_connect))
        self._push(frames.window_update(0, self.credit.widen(CONNECTION_WINDOW)))
        if upgrade is not None:
            self._begin_upgraded(upgrade)

    def _begin_upgraded(self, upgrade: bytes) -> None:
        """Take the settings of the request that asked for the upgrade; it is stream 1 (RFC 7540, 3.2)."""
        if len(upgrade) % 6:
            raise FatalError(PROTOCOL_ERROR, "HTTP2-Settings isn't a whole number of settings")
        self._apply(upgrade)
        self.streams.highest = self.last_stream = 1
        self.streams.open[1] = Stream(1, True, self.peer.initial_window, UNKNOWN_LENGTH)

    @property
    def held(self) -> int:
        """How many bytes are kept of frames that aren't whole, and of answers that the client has to read."""
        return self._reader.held + self.control_size

    def reconfigure(self, config: Config, now: float) -> None:
        """Hold the client to other limits from now on: to the number of fields, and to rates.

        What was announced stays: how many streams it may have, and how long its header lists may be.
        """
        self._decoder.limit(config.max_fields)
        self._limits.change(config.max_reset_rate, config.max_control_rate, now)

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take `data`, which came; return what it means, in order. A bounded part, see `has_more`."""
        if self.has_failed:
            return []
        if self.broadcast_sent:
            self._limits.earn_bytes(self.broadcast_sent)
            self.broadcast_sent = 0
        events = self._events = []
        self._reset_now = []
        try:
            if self._preface:
                data = self._check_preface(data)
            self._reader.feed(data)
            self._read(now)
            if self.control_size > MAX_CONTROL:
                raise FatalError(ENHANCE_YOUR_CALM, "the client doesn't read the answers to its frames")
        except FatalError as error:
            self._fail(error)
        if self._data:
            self._flush_data()
        self.is_partial = self._reader.is_partial or 0 < len(self._preface) < len(PREFACE)
        if self._reset_now:
            return self._without_reset()
        return events

    def take_one(self, data: bytes) -> tuple[RequestHead, str | None] | None:
        """Take the ordinary request that `data` is, and nothing else; its stream is `last_stream` then.

        Return its head, and the path that it has in place of the one of that, if it isn't `None`. `None` in
        place of both: nothing was done, `receive` has to look.
        """
        size, streams = len(data), self.streams
        if size <= HEAD_SIZE or self.broadcast_sent or not self.has_settings or not self._reader.is_between:
            return None
        what, flags, stream_id = KIND.unpack_from(data)
        if (
            what != (size - HEAD_SIZE) << 8 | HEADERS
            or flags != _WHOLE
            or what >= _SHORT_BLOCK
            or stream_id <= streams.highest
            or not stream_id & 1
            or self.is_leaving
            # `receive` looks how much waits of them.
            or self.control
            or len(streams.open) >= self._config.max_streams
            or self._heads_version != self._decoder.version
        ):
            return None
        block = data[HEAD_SIZE:]
        path, head = None, self._heads.get(block)
        if head is None:
            path, head = self._another_path(block), self._like
            if path is None or head is None:
                return None
        if head.length > 0:
            return None
        streams.highest = self.last_stream = stream_id
        streams.open[stream_id] = Stream(stream_id, True, self.peer.initial_window, head.length)
        return head, path

    def take_requests(self, data: bytes) -> list[tuple[int, RequestHead, str | None]]:
        """Take the ordinary requests that `data` is, and nothing else; return their streams, heads and paths.

        A path that isn't `None` is in place of the one of the head.
        That is requests without a body, padding or priority, in one short frame each, on streams that are new
        and may be. An empty list: nothing was done, `receive` has to look.
        """
        at, size, streams, heads = 0, len(data), self.streams, self._heads
        found: list[tuple[int, RequestHead, str | None]] = []
        highest, room = streams.highest, self._config.max_streams - len(streams.open)
        if (
            self.broadcast_sent
            or not self.has_settings
            or not self._reader.is_between
            or self.is_leaving
            or self.control
            or self._heads_version != self._decoder.version
        ):
            return found
        while size - at > HEAD_SIZE:
            what, flags, stream_id = KIND.unpack_from(data, at)
            begin = at + HEAD_SIZE
            at = begin + (what >> 8)
            if (
                what & 0xFF != HEADERS
                or flags != _WHOLE
                or stream_id <= highest
                or not stream_id & 1
                or what >= _SHORT_BLOCK
                or at > size
            ):
                return []
            block = data[begin:at]
            path, head = None, heads.get(block)
            if head is None:
                path, head = self._another_path(block), self._like
                if path is None or head is None:
                    return []
            if head.length > 0:
                return []
            highest = stream_id
            found.append((stream_id, head, path))
        if at != size or len(found) > room or len(found) > WORK:
            return []
        # What `_begin` does, if all is as always.
        streams.highest = self.last_stream = highest
        opened, window = streams.open, self.peer.initial_window
        for stream_id, head, _ in found:
            opened[stream_id] = Stream(stream_id, True, window, head.length)
        return found

    def _check_preface(self, data: bytes) -> bytes:
        """Take off what is left of the preface; return what comes after it."""
        size = min(len(data), len(self._preface))
        if data[:size] != self._preface[:size]:
            raise FatalError(PROTOCOL_ERROR, "the connection doesn't begin with the preface")
        self._preface = self._preface[size:]
        return data[size:]

    def _read(self, now: float) -> None:
        work = WORK
        while work > 0:
            try:
                frame = self._reader.next_frame()
                if frame is None:
                    self.has_more = False
                    return
                work -= 1
                kind = frame.kind
                if kind == frames.HEADERS and self.has_settings:
                    work -= frame.size >> 10
                    self._take_headers(frame, now)
                elif kind == frames.DATA and self.has_settings:
                    self._take_data(frame, now)
                else:
                    self._take_other(frame, now)
            except StreamError as error:
                self._fail_stream(error, now)
        self.has_more = True

    def _take_other(self, frame: Frame, now: float) -> None:
        kind = frame.kind
        if not self.has_settings and (kind != frames.SETTINGS or frame.flags & frames.ACK):
            raise FatalError(PROTOCOL_ERROR, "the client doesn't begin with its settings")
        if kind == frames.WINDOW_UPDATE:
            self._take_window_update(frame, now)
        elif kind == frames.RST_STREAM:
            self._take_reset(frame, now)
        elif kind == frames.SETTINGS:
            self._take_settings(frame, now)
        else:
            self._limits.count_control(now)
            if kind == frames.PING:
                self._take_ping(frame)
            elif kind == frames.PRIORITY:
                self._take_priority(frame.stream_id)
            elif kind == frames.PRIORITY_UPDATE:
                self._take_priority_update(frame.payload)
            elif kind == frames.GOAWAY:
                self._emit(PeerLeft(int.from_bytes(frame.payload[4:8], "big")))

    # Besides ------------------------------------------------------------------------------------------

    def _take_reset(self, frame: Frame, now: float) -> None:
        stream_id = frame.stream_id
        stream = self.streams.open.get(stream_id)
        if stream is None:
            self._refuse_frame(stream_id, outcome(self.streams.state(stream_id), RECEIVE_RESET))
            self._limits.count_control(now)
            return
        self._close(stream, RESET_REMOTE)
        self._reset_now.append(stream_id)
        self._emit(StreamReset(stream_id, int.from_bytes(frame.payload, "big"), False, ""))
        self._limits.count_reset(stream.has_begun, now)

    def _take_window_update(self, frame: Frame, now: float) -> None:
        self._limits.count_control(now)
        stream_id = frame.stream_id
        step = int.from_bytes(frame.payload, "big") & 0x7FFFFFFF
        if stream_id == 0:
            if step == 0:
                raise FatalError(PROTOCOL_ERROR, "a window grows by nothing")
            before = self.window
            self.window = grown(before, step, 0)
        else:
            stream = self.streams.open.get(stream_id)
            if stream is None:
                self._refuse_frame(stream_id, outcome(self.streams.state(stream_id), RECEIVE_WINDOW_UPDATE))
                return
            if step == 0:
                raise StreamError(stream_id, PROTOCOL_ERROR, "a window grows by nothing")
            before = stream.window
            stream.window = grown(before, step, stream_id)
        if before <= 0 < before + step:
            self._emit(WindowOpened(stream_id))

    def _take_settings(self, frame: Frame, now: float) -> None:
        if frame.flags & frames.ACK:
            self._limits.count_control(now)
            return
        self._limits.count_settings(len(frame.payload) // 6, now)
        self.has_settings = True
        self._apply(frame.payload)
        self._push(frames.SETTINGS_ACK)
        self._emit(SettingsChanged(0))

    def _take_ping(self, frame: Frame) -> None:
        if not frame.flags & frames.ACK:
            self._push(frames.ping(frame.payload, True))
        elif self._pings:
            self._pings -= 1
            self._emit(PingAnswered(frame.payload))

    def _take_priority(self, stream_id: int) -> None:
        """Ignore what RFC 7540 meant by it, but not that a stream depends on itself."""
        if self._reader.dependency == stream_id:
            raise StreamError(stream_id, PROTOCOL_ERROR, "a stream depends on itself")
        self._refuse_frame(stream_id, outcome(self.streams.state(stream_id), RECEIVE_PRIORITY))

    def _take_priority_update(self, payload: bytes) -> None:
        stream_id = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        if not stream_id & 1:
            raise FatalError(PROTOCOL_ERROR, "a priority for no stream, or for one that isn't the client's")
        if stream_id in self.streams.open or stream_id > self.streams.highest:
            self._emit(PriorityUpdated(stream_id, payload[4:]))

    # Inside -------------------------------------------------------------------------------------------

    def _fail_stream(self, error: StreamError, now: float) -> None:
        """Reset a stream (RFC 9113, 5.4.2). One that hasn't begun can't be: that ends the connection."""
        stream_id = error.stream_id
        if self.streams.state(stream_id) == IDLE:
            raise FatalError(error.code, error.reason)
        stream = self.streams.open.get(stream_id)
        self._push(frames.rst_stream(stream_id, error.code))
        if stream is not None:
            self._close(stream, RESET_LOCAL)
            self._reset_now.append(stream_id)
        else:
            self.streams.close(stream_id, RESET_LOCAL)
        self._emit(StreamReset(stream_id, error.code, True, error.reason))
        self._limits.count_stream_error(now)

    def _fail(self, error: FatalError) -> None:
        """Say why the connection ends (RFC 9113, 5.4.1). Frames that wait go out before that."""
        self.has_failed = True
        self.has_more = False
        self.leave(error.code, error.reason.encode("ascii", "replace"))
        self._emit(ConnectionFailed(error.code, error.reason))

    def _without_reset(self) -> list[Event]:
        """Leave out requests that began, or became whole, and were reset in this very call."""
        begun = {
            event.stream_id for event in self._events if isinstance(event, (RequestBegan, RequestRefused))
        }
        gone = begun.intersection(self._reset_now)
        return [
            event
            for event in self._events
            if event.stream_id not in gone
            and not (isinstance(event, RequestEnded) and event.stream_id in self._reset_now)
        ]
