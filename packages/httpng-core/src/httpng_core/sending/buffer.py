"""Body bytes that were accepted and not committed yet, in order."""

from collections import deque


class BodyBuffer:
    """A queue of bytes that can be looked at before it is taken from.

    A frame is only *offered* to the kernel at first; its bytes leave the buffer when the kernel took
    some of them. Hence `peek` and `drop`.
    """

    __slots__ = ("_offset", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._offset = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, piece: bytes) -> None:
        """Adds bytes at the end."""
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)

    def peek(self, limit: int) -> bytes | memoryview:
        """The first `limit` bytes, or all there are. Nothing is copied out of one large piece."""
        if not self._pieces:
            return b""
        first = self._pieces[0]
        available = len(first) - self._offset
        if len(self._pieces) == 1 or available >= limit:
            if self._offset == 0 and available <= limit:
                return first
            return memoryview(first)[self._offset : self._offset + limit]
        return self._join(limit)

    def _join(self, limit: int) -> bytes:
        parts: list[bytes | memoryview] = []
        offset = self._offset
        for piece in self._pieces:
            parts.append(memoryview(piece)[offset : offset + limit])
            limit -= len(parts[-1])
            offset = 0
            if limit == 0:
                break
        return b"".join(parts)

    def drop(self, size: int) -> None:
        """Takes the first `size` bytes off."""
        self._size -= size
        while size:
            available = len(self._pieces[0]) - self._offset
            if size < available:
                self._offset += size
                return
            size -= available
            self._pieces.popleft()
            self._offset = 0

    def clear(self) -> None:
        """Forgets everything."""
        self._pieces.clear()
        self._offset = self._size = 0
