"""What a session allows its client."""

from typing import Final

from httpng_core.http2.engine.hpack_decoder import MAX_FIELDS
from httpng_core.http2.engine.limits import MAX_CONTROL_RATE, MAX_RESET_RATE

MAX_STREAMS: Final = 100
"""How many streams a client may have open."""


class Config:
    """What a session allows.

    Attributes:
        max_streams: how many streams may be open at once.
        max_header_list: what a header list may count (RFC 9113, 10.5.1); a longer one is refused with 431.
        max_fields: how many fields it may have; likewise.
        max_reset_rate, max_control_rate: see `limits`.
        has_connect: whether extended CONNECT (RFC 8441) is announced.
    """

    __slots__ = (
        "has_connect",
        "max_control_rate",
        "max_fields",
        "max_header_list",
        "max_reset_rate",
        "max_streams",
    )

    def __init__(
        self,
        max_streams: int = MAX_STREAMS,
        max_header_list: int = 65536,
        max_fields: int = MAX_FIELDS,
        max_reset_rate: float = MAX_RESET_RATE,
        max_control_rate: float = MAX_CONTROL_RATE,
        has_connect: bool = False,
    ) -> None:
        self.max_streams = max_streams
        self.max_header_list = max_header_list
        self.max_fields = max_fields
        self.max_reset_rate = max_reset_rate
        self.max_control_rate = max_control_rate
        self.has_connect = has_connect
