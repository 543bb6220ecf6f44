"""A body that is gathered until it is whole."""

from typing import Final

# Pieces from here on are kept as they came, smaller ones are merged: a bytes object costs 33 bytes beside its
# content, which for pieces of one byte would be most of the memory.
_LARGE: Final = 4096
# Merged pieces are put aside at this size, so that they aren't copied each time that the buffer grows.
_FULL: Final = 65536


class BodyBuffer:
    """The pieces of a body in few objects, however small they came: `size` bytes."""

    __slots__ = ("_pieces", "_small", "size")

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[bytes] = []
        self._small = bytearray()

    def add(self, piece: bytes) -> None:
        """Add `piece` behind what came before."""
        self.size += len(piece)
        if len(piece) < _LARGE:
            self._small += piece
            if len(self._small) >= _FULL:
                self._put_aside()
            return
        if self._small:
            self._put_aside()
        self._pieces.append(piece)

    def take(self) -> bytes:
        """Return the whole and forget it."""
        if self._small:
            self._put_aside()
        pieces = self._pieces
        self._pieces, self.size = [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _put_aside(self) -> None:
        self._pieces.append(bytes(self._small))
        self._small = bytearray()
