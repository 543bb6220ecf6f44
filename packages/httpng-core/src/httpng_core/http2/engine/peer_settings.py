"""SETTINGS of both sides (RFC 9113, 6.5): what the client's say, checked, and what ours announce."""

from struct import Struct
from typing import Final

from httpng_core.http2.engine.errors import FLOW_CONTROL_ERROR, PROTOCOL_ERROR, FatalError
from httpng_core.http2.engine.flow import FIRST_WINDOW, MAX_WINDOW
from httpng_core.http2.engine.frames import MAX_FRAME, settings
from httpng_core.http2.engine.hpack_table import DEFAULT_SIZE

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
ENABLE_CONNECT_PROTOCOL: Final = 0x8
NO_RFC7540_PRIORITIES: Final = 0x9

_FLAGS: Final = frozenset((ENABLE_PUSH, ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES))
_PAIR: Final = Struct(">HL")
_LARGEST_FRAME: Final = (1 << 24) - 1


class PeerSettings:
    """What the client allows. What we don't know is ignored, and not kept.

    Attributes:
        initial_window: how many body bytes each stream may be sent at first.
        max_frame: the longest payload that it takes.
        table_size: the smallest table for header blocks that it has asked for.
    """

    __slots__ = ("initial_window", "max_frame", "table_size")

    def __init__(self) -> None:
        self.initial_window = FIRST_WINDOW
        self.max_frame = MAX_FRAME
        self.table_size = DEFAULT_SIZE

    def update(self, payload: bytes) -> None:
        """Take the entries of a SETTINGS frame, in order.

        Raises:
            FatalError: A value that its setting can't have (RFC 9113, 6.5.2; RFC 8441, 3; RFC 9218, 2.1).
        """
        for name, value in _PAIR.iter_unpack(payload):
            if name == INITIAL_WINDOW_SIZE:
                if value > MAX_WINDOW:
                    raise FatalError(FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large")
                self.initial_window = value
            elif name == MAX_FRAME_SIZE:
                if not MAX_FRAME <= value <= _LARGEST_FRAME:
                    raise FatalError(PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of its range")
                self.max_frame = value
            elif name == HEADER_TABLE_SIZE:
                self.table_size = min(self.table_size, value)
            elif name in _FLAGS and value > 1:
                raise FatalError(PROTOCOL_ERROR, "a setting is neither 0 nor 1")


def announcement(max_streams: int, max_header_list: int, has_connect: bool) -> bytes:
    """Return the SETTINGS frame that we begin with."""
    values = [
        (MAX_CONCURRENT_STREAMS, max_streams),
        (INITIAL_WINDOW_SIZE, FIRST_WINDOW),
        (MAX_HEADER_LIST_SIZE, max_header_list),
        (NO_RFC7540_PRIORITIES, 1),
    ]
    if has_connect:
        values.append((ENABLE_CONNECT_PROTOCOL, 1))
    return settings(values)
