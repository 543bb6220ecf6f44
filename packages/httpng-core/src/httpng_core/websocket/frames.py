"""The frames that a server sends (RFC 6455, 5): whole messages, PING, PONG and CLOSE. None is masked."""

from typing import Final

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_FIN: Final = 0x80
_COMPRESSED: Final = 0x40

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
"""What is told of a CLOSE without a code; it isn't sent."""
ABNORMAL: Final = 1006
"""What is told of an end without a CLOSE; it isn't sent."""
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
TRY_LATER: Final = 1013
"""The server can't serve this client now (IANA's registry of close codes)."""
RESTART: Final = 1012
"""The server stops or is replaced: a client may connect anew (IANA's registry of close codes)."""

MAX_REASON: Final = 123
"""How many bytes the reason of a CLOSE may have: a control frame has at most 125 (RFC 6455, 5.5)."""
_SENDABLE: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014))


def frame_head(opcode: int, size: int, *, compressed: bool = False) -> bytes:
    """Return what comes before the payload of a frame that is a whole message, `size` bytes on the wire."""
    first = _FIN | opcode | (_COMPRESSED if compressed else 0)
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


def control_frame(opcode: int, payload: bytes) -> bytes:
    """Return a PING, PONG or CLOSE; its payload has at most 125 bytes."""
    return bytes((_FIN | opcode, len(payload))) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a CLOSE; with the code `NO_STATUS` one without a code, as an answer to such a one."""
    if code == NO_STATUS:
        return control_frame(CLOSE, b"")
    return control_frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def check_close(code: object, reason: object) -> None:
    """Check what a handler closes with (RFC 6455, 7.4).

    Raises:
        TypeError: the code isn't an integer, or the reason no text.
        ValueError: a code that a server can't send, or a reason that is too long.
    """
    if isinstance(code, bool) or not isinstance(code, int):
        raise TypeError(f"close code must be an integer, not {type(code).__name__}")
    if code not in _SENDABLE and not 3000 <= code <= 4999:
        raise ValueError(f"close code {code} can't be sent: use 1000, one of 1001 to 1014, or 3000 to 4999")
    if not isinstance(reason, str):
        raise TypeError(f"close reason must be a string, not {type(reason).__name__}")
    size = len(reason.encode())
    if size > MAX_REASON:
        raise ValueError(f"close reason has {size} bytes of UTF-8, more than {MAX_REASON}")
