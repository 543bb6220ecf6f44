"""Error codes of HTTP/2 (RFC 9113, 7), and the two kinds of errors that a peer can make (RFC 9113, 5.4)."""

from typing import Final

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
SETTINGS_TIMEOUT: Final = 0x4
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
CONNECT_ERROR: Final = 0xA
ENHANCE_YOUR_CALM: Final = 0xB


class FatalError(Exception):
    """An error of the connection: it is answered with GOAWAY, and nothing more is read.

    Attributes:
        code: one of the codes above.
        reason: what was wrong, for logs.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StreamError(Exception):
    """An error of one stream: it is answered with RST_STREAM, and the connection goes on.

    Attributes:
        stream_id: the stream.
        code: one of the codes above.
        reason: what was wrong, for logs.
    """

    def __init__(self, stream_id: int, code: int, reason: str) -> None:
        super().__init__(reason)
        self.stream_id = stream_id
        self.code = code
        self.reason = reason
