"""What wire bytes of HTTP/2 carry for each stream, by frame heads alone; nothing of it is of the code."""

from __future__ import annotations

DATA, HEADERS, SETTINGS, CONTINUATION = 0, 1, 4, 9
ACK = 1
END_STREAM, END_HEADERS = 1, 4


class FrameWalker:
    """A few bytes at a time.

    Attributes:
        bodies: the body bytes of each stream, as far as they have come.
        heads: streams of which the header block has come whole.
        ends: streams of which the end has come.
        longest: the longest frame.
        acks: how many SETTINGS of the client were acknowledged.
    """

    def __init__(self) -> None:
        self.bodies: dict[int, bytearray] = {}
        self.heads: set[int] = set()
        self.ends: set[int] = set()
        self.longest = 0
        self.acks = 0
        self._head = bytearray()
        self._left = 0

    def feed(self, data: bytes) -> None:
        while data:
            if len(self._head) < 9:
                need = 9 - len(self._head)
                self._head += data[:need]
                data = data[need:]
                if len(self._head) == 9:
                    self._left = int.from_bytes(self._head[:3])
                    self.longest = max(self.longest, self._left)
                    self._whole()
            else:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                if self._head[3] == DATA:
                    self.bodies.setdefault(self._stream, bytearray()).extend(piece)
                self._whole()

    @property
    def _stream(self) -> int:
        return int.from_bytes(self._head[5:])

    def _whole(self) -> None:
        if self._left:
            return
        kind, flags = self._head[3], self._head[4]
        if kind in (HEADERS, CONTINUATION) and flags & END_HEADERS:
            self.heads.add(self._stream)
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ends.add(self._stream)
        if kind == SETTINGS and flags & ACK:
            self.acks += 1
        self._head.clear()
