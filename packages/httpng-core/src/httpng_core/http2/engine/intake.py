"""Requests that come: heads, bodies and trailers on streams, turned into events."""

from typing import Final

from httpng_core.http2.engine import frames
from httpng_core.http2.engine.errors import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    FatalError,
    StreamError,
)
from httpng_core.http2.engine.events import DataReceived, Event, RequestBegan, RequestEnded, RequestRefused
from httpng_core.http2.engine.frames import Frame, FrameReader
from httpng_core.http2.engine.hpack_decoder import Decoder, HeaderList, literal_path, path_of
from httpng_core.http2.engine.hpack_huffman import decode_path
from httpng_core.http2.engine.limits import Limits
from httpng_core.http2.engine.requests import (
    UNKNOWN_LENGTH,
    RequestError,
    RequestHead,
    check_trailers,
    is_plain_path,
    parse_request,
)
from httpng_core.http2.engine.sending import Sending
from httpng_core.http2.engine.session_config import Config
from httpng_core.http2.engine.stream_states import (
    CONNECTION_IS_WRONG,
    CONNECTION_STREAM_CLOSED,
    HALF_CLOSED_REMOTE,
    IGNORED,
    RECEIVE_DATA,
    RECEIVE_DATA_END,
    RECEIVE_HEADERS,
    RECEIVE_HEADERS_END,
    RESET_LOCAL,
    STREAM_IS_CLOSED,
    STREAM_IS_MALFORMED,
    outcome,
)
from httpng_core.http2.engine.streams import Stream

_ROOM_TO_REFUSE: Final = 64 * 1024
# Little, as it is the client who chooses what is kept.
_KEPT_HEADS: Final = 32
_KEPT_LIKES: Final = 16
_LONGEST_KEPT: Final = 192


class Intake(Sending):
    """The half of a session that takes HEADERS and DATA."""

    __slots__ = (
        "_before_path",
        "_behind_path",
        "_config",
        "_data",
        "_data_stream",
        "_decoder",
        "_events",
        "_heads",
        "_heads_version",
        "_like",
        "_like_size",
        "_likes",
        "_reader",
    )

    def __init__(self, config: Config, now: float) -> None:
        super().__init__(Limits(config.max_reset_rate, config.max_control_rate, now))
        self._config = config
        self._reader = FrameReader(config.max_header_list + _ROOM_TO_REFUSE)
        self._decoder = Decoder(config.max_header_list, config.max_fields)
        # What the requests of short blocks say, by the rule of the decoder's own memo.
        self._heads: dict[bytes, RequestHead] = {}
        self._heads_version = 0
        # Likewise the heads of blocks but for their path, which is a literal; and what their lists count but
        # for it. Clients that ask for many things send such blocks.
        self._likes: dict[bytes, tuple[RequestHead, int]] = {}
        # The last of these, and what its block has before the value of the path, and behind it.
        self._like: RequestHead | None = None
        self._like_size = 0
        self._before_path = self._behind_path = b""
        self._events: list[Event] = []
        # Body bytes that aren't an event yet, and the stream they came on.
        self._data: list[bytes] = []
        self._data_stream = 0

    # Requests -----------------------------------------------------------------------------------------

    def _take_headers(self, frame: Frame, now: float) -> None:
        if self._reader.continuations:
            self._limits.count_control(now, self._reader.continuations)
        stream_id = frame.stream_id
        if stream_id > self.streams.highest or not stream_id & 1:
            depends = self._reader.dependency == stream_id
            self._begin(stream_id, frame.payload, frame.flags & frames.END_STREAM != 0, depends)
            return
        end = frame.flags & frames.END_STREAM
        result = outcome(self.streams.state(stream_id), RECEIVE_HEADERS_END if end else RECEIVE_HEADERS)
        if result in (CONNECTION_IS_WRONG, CONNECTION_STREAM_CLOSED):
            self._refuse_frame(stream_id, result)
        # Whatever becomes of it, the table that later blocks count on changes with this one.
        trailers = self._decoder.decode(frame.payload)
        if result >= IGNORED:
            self._limits.count_control(now)
            self._refuse_frame(stream_id, result)
            return
        self._end_with_trailers(self.streams.open[stream_id], trailers, result)

    def _begin(self, stream_id: int, block: bytes, end: bool, depends_on_itself: bool) -> None:
        """Begin a request. One that is refused changes the table of header blocks all the same."""
        if not stream_id & 1:
            raise FatalError(PROTOCOL_ERROR, "a client's stream has an even number")
        streams = self.streams
        streams.highest = stream_id
        if self.is_leaving or len(streams.open) >= self._config.max_streams:
            self._decoder.decode(block)
            streams.close(stream_id, RESET_LOCAL)
            # Refused, not ignored: a client that waits for an answer learns that it can ask elsewhere.
            reason = "the server goes away" if self.is_leaving else "too many streams are open"
            raise StreamError(stream_id, REFUSED_STREAM, reason)
        self.last_stream = stream_id
        try:
            head = self._heads.get(block)
            if head is None or self._heads_version != self._decoder.version:
                head = self._head(block)
            if depends_on_itself:
                raise RequestError("a stream depends on itself")
            if end and head.length > 0:
                raise RequestError("content-length isn't 0, and there is no body")
        except RequestError as error:
            self._refuse_request(stream_id, end, error)
            return
        streams.open[stream_id] = Stream(stream_id, end, self.peer.initial_window, head.length)
        if self._data:
            self._flush_data()
        self._events.append(RequestBegan(stream_id, head, end))

    def _head(self, block: bytes) -> RequestHead:
        """Return what a block says, which isn't known, or was before the table changed."""
        at, end = literal_path(block)
        rest = block[:at] + block[end:] if at else b""
        known = self._likes.get(rest)
        if known is not None and self._heads_version == self._decoder.version:
            head = self._with_path(known[0], known[1], path_of(block, at, end))
            if head is not None:
                self._like, self._like_size = known
                self._before_path, self._behind_path = block[:at], block[end:]
                if len(self._heads) < _KEPT_HEADS and len(block) <= _LONGEST_KEPT:
                    self._heads[block] = head
                return head
        found = self._decoder.decode(block)
        if self._heads_version != self._decoder.version or len(self._heads) >= _KEPT_HEADS:
            self._heads_version = self._decoder.version
            self._heads.clear()
            self._likes.clear()
            self._like = None
            # This block may have changed the table, and say something else next time.
            return self._parse(found)
        head = self._parse(found)
        if len(block) <= _LONGEST_KEPT:
            self._heads[block] = head
        if rest and len(rest) <= _LONGEST_KEPT and len(self._likes) < _KEPT_LIKES:
            self._likes[rest] = head, found.size - len(head.path)
        return head

    def _another_path(self, block: bytes) -> str | None:
        """Return the path of a block that has another one than the last such (`_like`); `None`: see `_head`.

        Nothing is done with a block that is another one, or wrong. The table has to be as it was.
        """
        before, behind = self._before_path, self._behind_path
        at, size = len(before), len(block)
        if self._like is None or at >= size or not block.startswith(before):
            return None
        length = block[at] & 0x7F
        end = at + 1 + length
        if length == 0x7F or end + len(behind) != size or not block.endswith(behind):
            return None
        text = block[at + 1 : end]
        path = decode_path(text) if block[at] & 0x80 else _plain_path(text)
        if path is None or self._like_size + len(path) > self._config.max_header_list:
            return None
        if len(self._heads) < _KEPT_HEADS and size <= _LONGEST_KEPT:
            self._heads[block] = self._like.with_path(path.encode("ascii"))
        return path

    def _with_path(self, like: RequestHead, size: int, path: bytes) -> RequestHead | None:
        """Return a head like another one but for its path; `None` if it isn't that simple."""
        if size + len(path) > self._config.max_header_list or not is_plain_path(path):
            return None
        return like.with_path(path)

    def _parse(self, found: HeaderList) -> RequestHead:
        if found.is_oversized:
            raise RequestError("the request head is too long", 431)
        return parse_request(found.fields, self._config.has_connect)

    def _refuse_request(self, stream_id: int, end: bool, error: RequestError) -> None:
        if error.status == 0:
            self.streams.close(stream_id, RESET_LOCAL)
            raise StreamError(stream_id, PROTOCOL_ERROR, error.reason)
        stream = Stream(stream_id, end, self.peer.initial_window, UNKNOWN_LENGTH)
        stream.is_refused = True
        self.streams.open[stream_id] = stream
        self._emit(RequestRefused(stream_id, error.status, error.reason, end))

    def _end_with_trailers(self, stream: Stream, trailers: HeaderList, state: int) -> None:
        if trailers.is_oversized:
            raise StreamError(stream.stream_id, ENHANCE_YOUR_CALM, "trailers are too long")
        try:
            check_trailers(trailers.fields)
        except RequestError as error:
            raise StreamError(stream.stream_id, PROTOCOL_ERROR, error.reason) from None
        self._end_request(stream, trailers, state)

    def _end_request(self, stream: Stream, trailers: HeaderList | None, state: int) -> None:
        """Note that a request is whole; `state` is what its stream is now."""
        if not stream.accepts(0, True):
            raise StreamError(
                stream.stream_id, PROTOCOL_ERROR, "the body isn't as long as content-length says"
            )
        if not stream.is_refused:
            self._emit(RequestEnded(stream.stream_id, () if trailers is None else trailers.fields))
        if state == HALF_CLOSED_REMOTE:
            stream.state = state
        else:
            self._close(stream, state)
            self._limits.earn_request()

    # Bodies -------------------------------------------------------------------------------------------

    def _take_data(self, frame: Frame, now: float) -> None:
        stream_id, size, data = frame.stream_id, frame.size, frame.payload
        if not self.credit.receive(size):
            raise FatalError(FLOW_CONTROL_ERROR, "more DATA than the connection's window allows")
        end = frame.flags & frames.END_STREAM != 0
        if not data and not end:
            self._limits.count_control(now)
        result = outcome(self.streams.state(stream_id), RECEIVE_DATA_END if end else RECEIVE_DATA)
        stream = self.streams.open.get(stream_id)
        if result >= IGNORED or stream is None:
            self._drop_data(stream_id, size, result, now)
            return
        stream.unread += size
        assert stream.credit is not None
        if not stream.credit.receive(size):
            raise StreamError(stream_id, FLOW_CONTROL_ERROR, "more DATA than the stream's window allows")
        if not stream.accepts(len(data), False):
            raise StreamError(stream_id, PROTOCOL_ERROR, "the body is longer than content-length says")
        self._deliver(stream, data, size)
        if end:
            self._end_request(stream, None, result)

    def _deliver(self, stream: Stream, data: bytes, size: int) -> None:
        """Gather body bytes; padding, and what nobody reads, is consumed at once."""
        if stream.is_refused:
            self.consume(stream.stream_id, size)
            return
        if size > len(data):
            self.consume(stream.stream_id, size - len(data))
        if data:
            if self._data and self._data_stream != stream.stream_id:
                self._flush_data()
            self._data_stream = stream.stream_id
            self._data.append(data)

    def _drop_data(self, stream_id: int, size: int, result: int, now: float) -> None:
        """Give back to the connection what came on a stream where nobody waits for it."""
        self._limits.count_control(now)
        if stream_id <= self.streams.highest:
            self._give_connection(size)
        self._refuse_frame(stream_id, result)

    # Inside -------------------------------------------------------------------------------------------

    def _emit(self, event: Event) -> None:
        if self._data:
            self._flush_data()
        self._events.append(event)

    def _flush_data(self) -> None:
        """Tell what has been gathered of a body, which is something."""
        data = self._data[0] if len(self._data) == 1 else b"".join(self._data)
        self._data = []
        self._events.append(DataReceived(self._data_stream, data))

    def _refuse_frame(self, stream_id: int, result: int) -> None:
        """Raise what the table says about a frame; nothing if it is ignored."""
        if result == CONNECTION_IS_WRONG:
            raise FatalError(PROTOCOL_ERROR, "a frame on a stream that hasn't begun, or is long over")
        if result == CONNECTION_STREAM_CLOSED:
            raise FatalError(STREAM_CLOSED, "a frame on a stream that is closed")
        if result == STREAM_IS_CLOSED:
            raise StreamError(stream_id, STREAM_CLOSED, "a frame on a stream that is closed, or half closed")
        if result == STREAM_IS_MALFORMED:
            raise StreamError(stream_id, PROTOCOL_ERROR, "trailers don't end the request")


def _plain_path(text: bytes) -> str | None:
    return text.decode("ascii") if is_plain_path(text) else None
