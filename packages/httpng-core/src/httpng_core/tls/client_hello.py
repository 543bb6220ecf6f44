"""What a client offers by ALPN (RFC 7301), read from its first bytes: the ssl module doesn't tell."""

import struct
from typing import Final

LONGEST: Final = 32 * 1024
"""A ClientHello that is longer isn't looked into; OpenSSL has a limit of its own."""
_RECORD: Final = struct.Struct("!BHH")
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_ALPN: Final = 16
_FIXED: Final = 4 + 2 + 32
"""The bytes before the session id: the head of the message, the version, the random bytes."""

NO_APPLICATION_PROTOCOL: Final = b"\x15\x03\x03\x00\x02\x02\x78"
"""The alert, in a record in clear text: nothing is agreed on yet (RFC 8446, 6.2)."""


def offered_protocols(flight: bytes) -> tuple[str, ...] | None:
    """Return the protocols that a client offers; none without ALPN, or in what is no ClientHello.

    `None`: more of it has to come.
    """
    message, at = b"", 0
    while at + _RECORD.size <= len(flight):
        kind, _, size = _RECORD.unpack_from(flight, at)
        if kind != _HANDSHAKE:
            return ()
        message += flight[at + _RECORD.size : at + _RECORD.size + size]
        at += _RECORD.size + size
    if len(message) < 4:
        return None
    end = 4 + int.from_bytes(message[1:4], "big")
    if message[0] != _CLIENT_HELLO or end > LONGEST:
        return ()
    if len(message) < end:
        return None
    try:
        return tuple(name.decode("latin-1") for name in _names(message[:end]))
    except (IndexError, struct.error):
        return ()  # OpenSSL says what is wrong with it.


def _names(message: bytes) -> list[bytes]:
    at = _FIXED + 1 + message[_FIXED]
    at += 2 + _short(message, at)
    at += 1 + message[at] + 2
    while at < len(message):
        kind, size = _short(message, at), _short(message, at + 2)
        if kind == _ALPN:
            return _split(message[at + 6 : at + 4 + size])
        at += 4 + size
    return []


def _split(names: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(names):
        size = names[at]
        found.append(names[at + 1 : at + 1 + size])
        at += 1 + size
    return found


def _short(message: bytes, at: int) -> int:
    return int(struct.unpack_from("!H", message, at)[0])
