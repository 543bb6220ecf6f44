"""Reading a request's body, in the words of who waits for it: what `Request.read` and `stream` return."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

BodySource = Callable[[int | None, float | None], Awaitable[bytes]]
"""Begins to read a body that comes in while the handler runs, by a limit and a timeout; see `Request.read`.

What it returns is awaited, or yielded by a generator handler.
"""


class GivenRead:
    """A read that has nothing to wait for.

    Attributes:
        piece: what it brings.
    """

    __slots__ = ("piece",)

    def __init__(self, piece: bytes) -> None:
        self.piece = piece

    def __await__(self) -> Generator[Any, Any, bytes]:
        """Return the piece at once."""
        return self.piece
        yield


class BodyStream:
    """The pieces of a body, for `async for`."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        self._read = read

    def __aiter__(self) -> "BodyStream":
        """Return itself: what was read is gone."""
        return self

    def __anext__(self) -> "_Next":
        """Begin to read the next piece."""
        return _Next(self._read())


class _Next:
    """The next piece of a stream, awaited once."""

    __slots__ = ("_read",)

    def __init__(self, read: Awaitable[bytes]) -> None:
        self._read = read

    def __await__(self) -> Generator[Any, Any, bytes]:
        piece = yield from self._read.__await__()
        if not piece:
            raise StopAsyncIteration
        return piece
