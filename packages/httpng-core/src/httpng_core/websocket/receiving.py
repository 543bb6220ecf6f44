"""What a client sends (RFC 6455, 5): frames in, whole messages and control frames out, within limits.

wsproto reads the frames: masks, lengths, opcodes, fragments, UTF-8, close codes. Here is what it leaves open:
how long a message may be, and where to stop.
"""

from dataclasses import dataclass
from typing import Final

from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from httpng_core.websocket.deflate import Deflate
from httpng_core.websocket.frames import TOO_BIG

_MOST_PARTS: Final = 256


@dataclass(frozen=True, slots=True)
class Control:
    """A control frame.

    Attributes:
        opcode: `frames.PING`, `PONG` or `CLOSE`.
        payload: of a PING or PONG.
        code, reason: of a CLOSE; `frames.NO_STATUS` if it has no code.
    """

    opcode: int
    payload: bytes = b""
    code: int = 0
    reason: str = ""


class Failure(Exception):  # noqa: N818 - what happens to a WebSocket is called so (RFC 6455, 7.1.7)
    """What came breaks the protocol or a limit; the WebSocket is to be failed with `code`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """The frames of one client.

    Attributes:
        size: the length of the message that comes in, so far.
        unread: how many bytes have come that `next` has yet to read, or some more.
    """

    def __init__(self, max_size: int, deflate: Deflate | None = None) -> None:
        """Refuse messages of more than `max_size` bytes, inflated."""
        self.size = 0
        self.unread = 0
        self._max_size = max_size
        self._frames = FrameProtocol(client=False, extensions=[] if deflate is None else [deflate])
        self._parts: list[str | bytes] = []

    def feed(self, data: bytes) -> None:
        """Take what came; `next` reads it."""
        self._frames.receive_bytes(data)
        self.unread += len(data)

    def next(self) -> str | bytes | Control | bool | None:
        """Read one frame: return the message that it completes, or the control frame that it is.

        Returns:
            True for a part of a message; `None` if there is no more to read.

        Raises:
            Failure: the client broke the protocol, or a message is too long. Nothing can be read after that.
        """
        try:
            frame = next(self._frames.received_frames(), None)
        except ParseFailed as failed:
            reason = "message too big" if failed.code == TOO_BIG else str(failed)
            raise Failure(int(failed.code), reason) from None
        if frame is None:
            self.unread = 0
            return None
        payload = frame.payload
        if frame.opcode is Opcode.CLOSE:
            assert isinstance(payload, tuple)
            return Control(int(frame.opcode), code=int(payload[0]), reason=payload[1] or "")
        assert not isinstance(payload, tuple)
        if frame.opcode.iscontrol():
            assert not isinstance(payload, str)
            return Control(int(frame.opcode), bytes(payload))
        return self._take(payload, frame.message_finished)

    def _take(self, part: str | bytes, finished: bool) -> str | bytes | bool:
        self.size += len(part) if isinstance(part, bytes) or part.isascii() else len(part.encode())
        if self.size > self._max_size:
            raise Failure(TOO_BIG, f"message is longer than {self._max_size} bytes")
        parts = self._parts
        if finished and not parts:
            self.size = 0
            return part
        if part or not parts:
            parts.append(part)
        if finished:
            self._parts, self.size = [], 0
            return _joined(parts)
        if len(parts) >= _MOST_PARTS:
            # Of one byte each, they would take many times what they hold.
            self._parts = [_joined(parts)]
        return True


def _joined(parts: list[str | bytes]) -> str | bytes:
    # All are of the kind of the first.
    if isinstance(parts[0], str):
        return "".join(part for part in parts if isinstance(part, str))
    return b"".join(part for part in parts if isinstance(part, bytes))
