"""The half of the engine that sends: frames of responses, control frames, and both windows."""

from typing import Final

from httpng_core.http2.engine import frames
from httpng_core.http2.engine.errors import CANCEL, NO_ERROR
from httpng_core.http2.engine.flow import FIRST_WINDOW, MAX_WINDOW, Credit, grown
from httpng_core.http2.engine.hpack_encoder import EMPTY_TABLE
from httpng_core.http2.engine.hpack_table import DEFAULT_SIZE
from httpng_core.http2.engine.limits import Limits
from httpng_core.http2.engine.peer_settings import PeerSettings
from httpng_core.http2.engine.stream_states import (
    CLOSED,
    FORBIDDEN,
    HALF_CLOSED_REMOTE,
    OPEN,
    RESET_LOCAL,
    SEND_DATA,
    SEND_DATA_END,
    SEND_HEADERS,
    SEND_HEADERS_END,
    TABLE,
)
from httpng_core.http2.engine.streams import Stream, Streams

CONNECTION_WINDOW: Final = 1 << 20
"""How many body bytes of all requests together may be on their way."""


class Sending:
    """What may be sent, and the frames of it.

    Verbs about a stream raise KeyError where it isn't open: events have said so before.

    Attributes:
        control: control frames that are to be sent, in order, before any frame that is made later.
        control_size: how many bytes they are.
        peer: what the client's settings allow.
        credit: what the client may send on the connection.
        streams: all streams.
        window: how many body bytes the client allows on the connection.
        last_stream: the last request that was taken.
        broadcast_sent: what broadcasts have sent since something came, as `Limits.earn_bytes` counts it.
        must_empty_table: whether the next header block must begin with a change of the table's size.
        is_leaving: whether a GOAWAY has said that no more requests are taken.
    """

    __slots__ = (
        "_has_announced",
        "_is_table_empty",
        "_limits",
        "_pings",
        "broadcast_sent",
        "control",
        "control_size",
        "credit",
        "is_leaving",
        "last_stream",
        "must_empty_table",
        "peer",
        "streams",
        "window",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.credit = Credit(FIRST_WINDOW)
        self._has_announced = False
        self._is_table_empty = False
        self.must_empty_table = False
        self._pings = 0
        self.control: list[bytes] = []
        self.control_size = 0
        self.peer = PeerSettings()
        self.streams = Streams()
        self.window = FIRST_WINDOW
        self.last_stream = 0
        self.broadcast_sent = 0
        self.is_leaving = False

    # Questions ----------------------------------------------------------------------------------------

    def is_open(self, stream_id: int) -> bool:
        """Return whether frames may be sent on a stream."""
        stream = self.streams.open.get(stream_id)
        return stream is not None and (stream.state == OPEN or stream.state == HALF_CLOSED_REMOTE)

    def room(self, stream_id: int) -> int:
        """Return how many body bytes both windows allow on a stream; it may be negative."""
        window = self.streams.open[stream_id].window
        return window if window < self.window else self.window

    # Frames of responses ------------------------------------------------------------------------------

    def send_head(self, stream_id: int, block: bytes, end: bool) -> bytes:
        """Return the frames of a head (informational or not) or of trailers; `hpack_encoder` makes blocks."""
        stream = self.streams.open[stream_id]
        if self.must_empty_table:
            self.must_empty_table = False
            block = EMPTY_TABLE + block
        stream.has_begun = True
        made = frames.headers(stream_id, block, end, self.peer.max_frame)
        self._advance(stream, SEND_HEADERS_END if end else SEND_HEADERS)
        return made

    def push_head(self, stream_id: int, block: bytes, end: bool) -> None:
        """Have a head sent among the control frames: an answer that nobody has to time."""
        self._push(self.send_head(stream_id, block, end))

    def send_whole(self, stream_id: int, block: bytes, size: int) -> bytes:
        """Return the frames of a head, and the head of the DATA frame with the whole body, that ends all.

        What `send_head` and `data_frame_head` do, in one; `size` isn't 0.
        """
        stream = self.streams.open[stream_id]
        peer = self.peer
        if self.must_empty_table or len(block) > peer.max_frame or stream.state != HALF_CLOSED_REMOTE:
            return self.send_head(stream_id, block, False) + self.data_frame_head(stream_id, size, True)
        assert size <= stream.window
        assert size <= self.window
        assert size <= peer.max_frame
        stream.window -= size
        self.window -= size
        stream.has_begun = True
        self._close(stream, CLOSED)
        self._limits.earn_responses(1, 1, size)
        return frames.whole(stream_id, block, size)

    def end_whole(self, ended: list[Stream], bodies: int, size: int) -> None:
        """Note that responses to whole requests were sent, each in one go, to the end.

        So many of them have bodies, of `size` bytes in all; each fits into one frame and into its windows.
        """
        unread = self.streams.close_all(ended)
        if unread:
            self._give_connection(unread)
        self.window -= size
        self._limits.earn_responses(len(ended), bodies, size)

    def end_one(self, stream: Stream, size: int) -> None:
        """Do what `end_whole` does for one response, with a body of `size` bytes."""
        if stream.unread:
            self._give_connection(stream.unread)
            stream.unread = 0
        stream.state = CLOSED
        self.streams.close(stream.stream_id, CLOSED)
        self.window -= size
        limits = self._limits
        limits.requests += 1
        if size:
            limits.data_frames += 1
            limits.data_bytes += size

    def data_frame_head(self, stream_id: int, size: int, end: bool) -> bytes:
        """Return the head of a DATA frame with `size` body bytes, which are taken off both windows.

        At most `room(stream_id)` and `peer.max_frame`; 0 is allowed whatever the windows are.
        """
        stream = self.streams.open[stream_id]
        if size:
            assert size <= stream.window
            assert size <= self.window
            assert size <= self.peer.max_frame
            stream.window -= size
            self.window -= size
            self._limits.earn_data(size)
        self._advance(stream, SEND_DATA_END if end else SEND_DATA)
        return frames.data_head(size, stream_id, end)

    def data_sent(self, stream: Stream, frames: int, size: int, end: bool) -> None:
        """Do what `data_frame_head` does for several frames, of `size` bytes in all, but for their heads."""
        stream.window -= size
        self.window -= size
        self._limits.earn_responses(0, frames, size)
        if end:
            self._advance(stream, SEND_DATA_END)

    def swept_head(self, stream: Stream, size: int) -> bytes:
        """Return the head of a DATA frame, of a stream on which more may be sent; it isn't counted yet."""
        return frames.data_head(size, stream.stream_id, False)

    def data_frame_heads(self, stream_id: int, sizes: list[int], end: bool) -> list[bytes]:
        """Return the heads of several DATA frames, of which the last may end the response; see the other."""
        heads = [frames.data_head(size, stream_id, False) for size in sizes[:-1]]
        stream, before = self.streams.open[stream_id], sum(sizes[:-1])
        assert before <= stream.window
        assert before <= self.window
        stream.window -= before
        self.window -= before
        self._limits.earn_data(before)
        heads.append(self.data_frame_head(stream_id, sizes[-1], end))
        return heads

    def _advance(self, stream: Stream, happened: int) -> None:
        state = TABLE[stream.state][happened]
        if state == FORBIDDEN:
            raise ValueError("the response is whole, nothing more can be sent on its stream")
        if state == CLOSED:
            self._close(stream, CLOSED)
            self._limits.earn_request()
        else:
            stream.state = state

    # Control frames -----------------------------------------------------------------------------------

    def take_control(self) -> bytes:
        """Return the control frames that wait, which are the caller's from now on."""
        taken = b"".join(self.control)
        self.control = []
        self.control_size = 0
        return taken

    def reset(self, stream_id: int, code: int = CANCEL) -> None:
        """Give a stream up, if there is anything to give up."""
        stream = self.streams.open.get(stream_id)
        if stream is not None:
            self._close(stream, RESET_LOCAL)
            self._push(frames.rst_stream(stream_id, code))

    def announce_leaving(self) -> None:
        """Say that no more requests should come, without refusing those on their way (RFC 9113, 6.8).

        A drain begins with this; `leave` follows when a `ping` is answered, or some time has passed.
        """
        if not self.is_leaving and not self._has_announced:
            self._has_announced = True
            self._push(frames.goaway(MAX_WINDOW))

    def leave(self, code: int = NO_ERROR, reason: bytes = b"") -> None:
        """Take no more requests: later ones are as if they hadn't come. Streams that are open go on."""
        if not self.is_leaving or code != NO_ERROR:
            self.is_leaving = True
            self._push(frames.goaway(self.last_stream, code, reason))

    def ping(self, data: bytes) -> None:
        """Ask the client for an answer with the same 8 bytes."""
        self._pings += 1
        self._push(frames.ping(data))

    # Credit -------------------------------------------------------------------------------------------

    def consume(self, stream_id: int, size: int) -> None:
        """Give credit for body bytes that are out of the way, to the stream and to the connection."""
        self.consume_connection(stream_id, size)
        self.consume_stream(stream_id, size)

    def consume_connection(self, stream_id: int, size: int) -> None:
        """Give credit to the connection alone, so that a body which isn't consumed holds up no other."""
        stream = self.streams.open.get(stream_id)
        # Of a stream that is closed all was given back then.
        if stream is not None:
            size = min(size, stream.unread)
            stream.unread -= size
            self._give_connection(size)

    def consume_stream(self, stream_id: int, size: int) -> None:
        """Give credit to a stream alone."""
        stream = self.streams.open.get(stream_id)
        if stream is not None and stream.credit is not None:
            self._give(stream, stream.credit.consume(size))

    def widen_stream(self, stream_id: int, window: int) -> None:
        """Let `window` bytes of a request body be on their way from now on, in place of 65,535."""
        stream = self.streams.open.get(stream_id)
        if stream is not None and stream.credit is not None:
            self._give(stream, stream.credit.widen(window))

    def _give(self, stream: Stream, increment: int) -> None:
        # A request that is whole needs no credit.
        if increment and stream.state != HALF_CLOSED_REMOTE:
            self._push(frames.window_update(stream.stream_id, increment))

    def _give_connection(self, size: int) -> None:
        increment = self.credit.consume(size)
        if increment:
            self._push(frames.window_update(0, increment))

    # Inside -------------------------------------------------------------------------------------------

    def _push(self, frame: bytes) -> None:
        self.control.append(frame)
        self.control_size += len(frame)

    def _close(self, stream: Stream, state: int) -> None:
        """Forget a stream. What came on it and wasn't consumed is given back to the connection."""
        stream.state = state
        self.streams.close(stream.stream_id, state)
        if stream.unread:
            self._give_connection(stream.unread)
            stream.unread = 0

    def _apply(self, payload: bytes) -> None:
        """Take the client's settings: all streams' windows change with the initial one (RFC 9113, 6.9.2)."""
        before = self.peer.initial_window
        self.peer.update(payload)
        if self.peer.table_size < DEFAULT_SIZE and not self._is_table_empty:
            self.must_empty_table = self._is_table_empty = True
        step = self.peer.initial_window - before
        if step:
            for stream in self.streams.open.values():
                stream.window = grown(stream.window, step, 0)
