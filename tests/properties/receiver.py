"""A client that decodes HTTP/1.1 for itself: nothing of it comes from the code under test."""

from __future__ import annotations

import copy

BODILESS = (204, 304)


class Receiver:
    """A client that knows chunks and lengths, a few bytes at a time; nothing of it comes from the code."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self.responses: list[Received] = []
        self._line = bytearray()

    def feed(self, data: bytes) -> None:
        while data:
            if not self.responses or self.responses[-1].complete:
                data = self._head(data)
            else:
                data = self.responses[-1].feed(data)

    def _head(self, data: bytes) -> bytes:
        self._line += data
        head, end, rest = bytes(self._line).partition(b"\r\n\r\n")
        if not end:
            return b""
        self._line.clear()
        which = len(self.responses)
        method = self.methods[which] if which < len(self.methods) else "GET"
        self.responses.append(Received(head, method))
        return rest

    def begun(self, index: int) -> bool:
        """Whether any byte of a response has come."""
        return len(self.responses) > index or (len(self.responses) == index and bool(self._line))

    def with_tail(self, tail: bytes) -> Receiver:
        """The same client once it has `tail` as well."""
        later = copy.deepcopy(self)
        later.feed(tail)
        return later


class Received:
    """One response, as far as it has come.

    Attributes:
        left: how much is to come of the body, or of a chunk; `None` if it ends with the connection.
    """

    def __init__(self, head: bytes, method: str) -> None:
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split(" ")[1])
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.body = bytearray()
        self.complete = False
        self.left: int | None = 0
        self._line = bytearray()
        self._chunk = "no"
        if method == "HEAD" or self.status in BODILESS:
            self.complete = True
        elif self.headers.get("transfer-encoding") == "chunked":
            self._chunk = "size"
        elif "content-length" in self.headers:
            self.left = int(self.headers["content-length"])
            self.complete = self.left == 0
        else:
            self.left = None

    def feed(self, data: bytes) -> bytes:
        """Takes what is of this response and gives the rest back."""
        if self.left is None:
            self.body += data
            return b""
        if self.left:
            piece, data = data[: self.left], data[self.left :]
            self.body += piece
            self.left -= len(piece)
            self.complete = self._chunk == "no" and not self.left
            return data
        return self._framing(data)

    def _framing(self, data: bytes) -> bytes:
        self._line += data[:1]
        if self._line.endswith(b"\r\n"):
            line, self._line = bytes(self._line[:-2]), bytearray()
            self._chunk_line(line)
        return data[1:]

    def _chunk_line(self, line: bytes) -> None:
        if self._chunk == "size":
            self.left = int(line, 16)
            self._chunk = "end" if self.left else "last"
        else:
            assert line == b""
            self.complete = self._chunk == "last"
            self._chunk = "size"
