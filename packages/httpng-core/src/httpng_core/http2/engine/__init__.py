"""A server's engine of RFC 9113, without sockets, clocks or a library.

A `Session` takes bytes and returns events: `RequestBegan`, `DataReceived` and so on, and `ConnectionFailed`
with a code such as `PROTOCOL_ERROR`. What it is made of can be used by itself: `frames` and their
`FrameReader`, the `Decoder` and the `hpack_encoder` of HPACK (RFC 7541), `parse_request`, the `Credit` of
flow control, the `Limits` of what a client may make the server do, and the table of `stream_states`.
"""

from httpng_core.http2.engine import frames, hpack_encoder, stream_states
from httpng_core.http2.engine.errors import (
    CANCEL,
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    FatalError,
    StreamError,
)
from httpng_core.http2.engine.events import (
    ConnectionFailed,
    DataReceived,
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
from httpng_core.http2.engine.flow import FIRST_WINDOW, MAX_WINDOW, Credit, grown
from httpng_core.http2.engine.hpack_decoder import Decoder, HeaderList
from httpng_core.http2.engine.hpack_huffman import decode_huffman
from httpng_core.http2.engine.hpack_table import OVERHEAD, STATIC_TABLE
from httpng_core.http2.engine.limits import FRAME_WORTH, MAX_CONTROL_RATE, MAX_RESET_RATE, Bucket, Limits
from httpng_core.http2.engine.requests import (
    UNKNOWN_LENGTH,
    RequestError,
    RequestHead,
    check_trailers,
    normal_authority,
    parse_request,
)
from httpng_core.http2.engine.sending import CONNECTION_WINDOW
from httpng_core.http2.engine.session import MAX_CONTROL, PREFACE, WORK, Session
from httpng_core.http2.engine.session_config import Config
from httpng_core.http2.engine.streams import Streams

__all__ = [
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECTION_WINDOW",
    "ENHANCE_YOUR_CALM",
    "FIRST_WINDOW",
    "FLOW_CONTROL_ERROR",
    "FRAME_SIZE_ERROR",
    "FRAME_WORTH",
    "INTERNAL_ERROR",
    "MAX_CONTROL",
    "MAX_CONTROL_RATE",
    "MAX_RESET_RATE",
    "MAX_WINDOW",
    "NO_ERROR",
    "OVERHEAD",
    "PREFACE",
    "PROTOCOL_ERROR",
    "REFUSED_STREAM",
    "STATIC_TABLE",
    "STREAM_CLOSED",
    "UNKNOWN_LENGTH",
    "WORK",
    "Bucket",
    "Config",
    "ConnectionFailed",
    "Credit",
    "DataReceived",
    "Decoder",
    "Event",
    "FatalError",
    "HeaderList",
    "Limits",
    "PeerLeft",
    "PingAnswered",
    "PriorityUpdated",
    "RequestBegan",
    "RequestEnded",
    "RequestError",
    "RequestHead",
    "RequestRefused",
    "Session",
    "SettingsChanged",
    "StreamError",
    "StreamReset",
    "Streams",
    "WindowOpened",
    "check_trailers",
    "decode_huffman",
    "frames",
    "grown",
    "hpack_encoder",
    "normal_authority",
    "parse_request",
    "stream_states",
]
