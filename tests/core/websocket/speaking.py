"""A WebSocket in the hands of a test: its client, and a kernel that takes what it is told to."""

import struct
import zlib
from math import inf
from typing import Any

from tests.core.driving import Driven

from httpng_core import Pending
from httpng_core.websocket import WebSocket

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK = b"\x11\x22\x33\x44"


def request(**headers: str) -> bytes:
    """The opening handshake; `_` of a name stands for `-`, an empty value leaves a header out."""
    fields = {
        "host": "x",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": KEY,
        "sec-websocket-version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"GET /chat HTTP/1.1\r\n{lines}\r\n".encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """A frame as a client sends it."""
    size = len(payload)
    masked = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        head += bytes([masked | size])
    elif size < 65536:
        head += bytes([masked | 126]) + struct.pack("!H", size)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", size)
    if not mask:
        return head + payload
    key = int.from_bytes((MASK * (size // 4 + 1))[:size], "big")
    return head + MASK + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def deflate(data: bytes) -> bytes:
    """A message as permessage-deflate has it."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def frames(wire: bytes) -> list[tuple[int, bytes]]:
    """What a server has sent: first byte and payload of each frame that is whole."""
    found, at = [], 0
    while len(wire) - at >= 2:
        first, size = wire[at], wire[at + 1]
        assert size < 128, "a server's frame is masked"
        at += 2
        if size == 126:
            size, at = int.from_bytes(wire[at : at + 2], "big"), at + 2
        elif size == 127:
            size, at = int.from_bytes(wire[at : at + 8], "big"), at + 8
        if len(wire) - at < size:
            break
        found.append((first, wire[at : at + size]))
        at += size
    return found


def messages(wire: bytes) -> list[str | bytes]:
    """The messages that a client decodes of what a server has sent."""
    told: list[str | bytes] = []
    for first, payload in frames(wire):
        if first & 0x40:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        if first & 0xF == TEXT:
            told.append(payload.decode())
        elif first & 0xF == BINARY:
            told.append(payload)
    return told


class Socket(Driven):
    """A WebSocket that was accepted, its handler and client in the hands of the test.

    Attributes:
        ws: the server's side.
    """

    def __init__(
        self,
        handshake: bytes = b"",
        *,
        subprotocol: str | None = None,
        pushed: bool = True,
        tells_acknowledged: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(handshake or request(), tells_acknowledged=tells_acknowledged, **settings)
        self.ws = WebSocket(self.exchange, self.now, subprotocol)
        if pushed:
            self.push()

    @property
    def head(self) -> list[str]:
        return bytes(self.wire).partition(b"\r\n\r\n")[0].decode().split("\r\n")

    @property
    def said(self) -> bytes:
        """What the server has sent behind the handshake."""
        return bytes(self.wire).partition(b"\r\n\r\n")[2]

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        return frames(self.said)

    @property
    def messages(self) -> list[str | bytes]:
        return messages(self.said)

    @property
    def closes(self) -> list[bytes]:
        return [payload for first, payload in self.frames if first & 0xF == CLOSE]

    def send(self, message: Any, timeout: float | None = None, window: int | None = None) -> Pending:
        return self.ws.send(message, self.now, timeout, window)

    def take_all(self) -> list[str | bytes]:
        told: list[str | bytes] = []
        while (message := self.ws.take(self.now)) is not None:
            told.append(message)
        return told

    def rest(self, room: float = inf) -> None:
        """Lets everything happen that needs no time and no client."""
        for _ in range(1000):
            self.push(room)
            deadline = self.connection.next_deadline()
            if deadline is None or deadline > self.now:
                return
            self.connection.handle_timeout(self.now)
        raise AssertionError("it did not come to rest")
