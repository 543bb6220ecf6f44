"""h2 as we need it: what it announces, what it allows, and where it is stricter or laxer than that.

Frames of responses are made here, as there are so many: the states of the stream and both windows stay h2's.
"""

import struct

from h2.config import H2Configuration
from h2.connection import (
    ConnectionInputs,
    ConnectionState,
    H2Connection,
    H2ConnectionStateMachine,
)
from h2.settings import SettingCodes
from h2.settings import Settings as H2Settings
from h2.stream import H2Stream, StreamInputs

from httpng_core.config.settings import Settings
from httpng_core.http2.reference.hpack import HeadDecoder, HeadEncoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_STREAMS = 100
"""How many streams a client may have open."""
FIRST_WINDOW = 65535
"""How much of a request body may come before we give more credit."""
CONNECTION_WINDOW = 1 << 20

_NO_RFC7540_PRIORITIES = 0x9
_ENCODER_TABLE = 4096
_ROOM_TO_REFUSE = 1 << 16
# How many streams that are over may lie about, so that looking for them is worth it.
_LEFT_LYING, _PURGE_AT_MOST = 8, 5 * MAX_STREAMS

# A frame head (RFC 9113, 4.1): the length in 24 bits, the type, the flags, the stream.
_HEAD = struct.Struct(">HBBBL")
_DATA, _HEADERS, _CONTINUATION = 0, 1, 9
_END_STREAM, _END_HEADERS = 1, 4

_OPEN = (ConnectionState.SERVER_OPEN, ConnectionState.CLIENT_OPEN)
_GOAWAY = (ConnectionInputs.SEND_GOAWAY, ConnectionInputs.RECV_GOAWAY)


class StateMachine(H2ConnectionStateMachine):
    """After a GOAWAY of either side the streams that run go on (RFC 9113, 6.8); h2 would end them."""

    _transitions = {  # noqa: RUF012 - as h2 has it
        **H2ConnectionStateMachine._transitions,
        **{(state, goaway): (None, state) for state in _OPEN for goaway in _GOAWAY},
    }


class ServerH2(H2Connection):
    """h2 in the role of a server. It checks frames, flow control and HPACK; headers are checked by us."""

    # What it remembers of closed streams, for ever.
    MAX_CLOSED_STREAMS = 1000

    def __init__(self, settings: Settings, upgrade: bytes | None = None) -> None:
        """Announces our settings; with `upgrade` a value of HTTP2-Settings, stream 1 has been requested.

        Raises:
            h2.exceptions.ProtocolError, ValueError: that value isn't one.
        """
        super().__init__(
            H2Configuration(
                client_side=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.state_machine = StateMachine()
        self.encoder = HeadEncoder()
        self.decoder = HeadDecoder()
        self._purge_at = _LEFT_LYING
        self.local_settings = _local_settings(MAX_STREAMS, settings.shuttle_size)
        if upgrade is None:
            self.initiate_connection()
        else:
            self.initiate_upgrade_connection(upgrade)
        # h2 would end the connection where one stream is to be refused, so it is told of wider limits.
        self.local_settings = _local_settings(10 * MAX_STREAMS, settings.shuttle_size)
        self.decoder.max_header_list_size = settings.shuttle_size + _ROOM_TO_REFUSE
        self.increment_flow_control_window(CONNECTION_WINDOW - FIRST_WINDOW)
        self.bound_encoder()

    @property
    def open_inbound_streams(self) -> int:
        """How many streams the client has open, or somewhat more: we refuse those past MAX_STREAMS ourselves.

        h2 would look at each of them whenever one begins, to count and to forget those that are over.
        """
        if len(self.streams) >= self._purge_at:
            count = super().open_inbound_streams
            self._purge_at = min(2 * len(self.streams) + _LEFT_LYING, _PURGE_AT_MOST)
            return count
        return len(self.streams)

    def bound_encoder(self) -> None:
        """Keep the table for our header blocks small, and of the client's settings those that are known.

        h2 keeps every one, with 1.5 KB for each.
        """
        if self.encoder.header_table_size > _ENCODER_TABLE:
            self.encoder.header_table_size = _ENCODER_TABLE
        unknown = [code for code in self.remote_settings if not isinstance(code, SettingCodes)]
        for code in unknown:
            del self.remote_settings[code]

    def is_open(self, stream_id: int) -> bool:
        """Whether frames can be made on a stream."""
        stream = self.streams.get(stream_id)
        return stream is not None and not stream.closed

    def head_frames(self, stream: H2Stream, block: bytes, *, ends: bool) -> bytes:
        """HEADERS of a response, with CONTINUATION if the block is long (RFC 9113, 6.2 and 6.10)."""
        _begin(stream, StreamInputs.SEND_HEADERS, ends=ends)
        size, number = self.max_outbound_frame_size, stream.stream_id
        kind, flags = _HEADERS, _END_STREAM if ends else 0
        frames = b""
        while len(block) > size:
            frames += frame_head(size, kind, flags, number) + block[:size]
            block, kind, flags = block[size:], _CONTINUATION, 0
        return frames + frame_head(len(block), kind, flags | _END_HEADERS, number) + block

    def data_head(self, stream: H2Stream, size: int, *, ends: bool) -> bytes:
        """Return the head of a DATA frame of `size` bytes; both windows have room (RFC 9113, 6.1)."""
        _begin(stream, StreamInputs.SEND_DATA, ends=ends)
        stream.outbound_flow_control_window -= size
        self.outbound_flow_control_window -= size
        return frame_head(size, _DATA, _END_STREAM if ends else 0, stream.stream_id)


def frame_head(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return the first 9 bytes of a frame."""
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream_id)


def _begin(stream: H2Stream, step: StreamInputs, *, ends: bool) -> None:
    stream.state_machine.process_input(step)
    if ends:
        stream.state_machine.process_input(StreamInputs.SEND_END_STREAM)


def _local_settings(streams: int, header_list: int) -> H2Settings:
    values: dict[SettingCodes | int, int] = {
        SettingCodes.MAX_CONCURRENT_STREAMS: streams,
        SettingCodes.INITIAL_WINDOW_SIZE: FIRST_WINDOW,
        SettingCodes.MAX_HEADER_LIST_SIZE: header_list,
        _NO_RFC7540_PRIORITIES: 1,
    }
    return H2Settings(client=False, initial_values=values)  # type: ignore[arg-type]
