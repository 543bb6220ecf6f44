"""The streams of one connection: those that are open, and how the last ones were closed."""

from typing import Final

from httpng_core.http2.engine.flow import FIRST_WINDOW, Credit
from httpng_core.http2.engine.requests import UNKNOWN_LENGTH
from httpng_core.http2.engine.stream_states import (
    CLOSED,
    FORGOTTEN,
    HALF_CLOSED_REMOTE,
    IDLE,
    OPEN,
)

_REMEMBERED: Final = 256
"""Of how many streams that are closed it is known how, at least; at most of twice as many."""


class Stream:
    """A stream that isn't closed.

    Attributes:
        stream_id: its number.
        state: see `stream_states`.
        window: how many body bytes the client allows on it; may be negative.
        credit: how many more we allow; `None` if the request had no body from the start.
        unread: flow-controlled bytes that came and were not given back to the connection yet.
        length: the declared Content-Length of the request, `UNKNOWN_LENGTH` without one.
        received: how much of its body has come.
        has_begun: whether the head of its response was sent.
        is_refused: whether its request isn't served, so that its body is of no use.
    """

    __slots__ = (
        "credit",
        "has_begun",
        "is_refused",
        "length",
        "received",
        "state",
        "stream_id",
        "unread",
        "window",
    )

    def __init__(self, stream_id: int, end: bool, window: int, length: int) -> None:
        self.stream_id = stream_id
        self.state = HALF_CLOSED_REMOTE if end else OPEN
        self.window = window
        self.credit = None if end else Credit(FIRST_WINDOW)
        self.unread = 0
        self.length = length
        self.received = 0
        self.has_begun = False
        self.is_refused = False

    def accepts(self, size: int, end: bool) -> bool:
        """Note `size` more body bytes; return whether they are what the Content-Length declared."""
        self.received += size
        if self.length == UNKNOWN_LENGTH:
            return True
        return self.received == self.length if end else self.received <= self.length


class Streams:
    """All streams by number.

    Attributes:
        open: those that aren't closed.
        highest: the highest number that the client has used.
    """

    __slots__ = ("_past", "highest", "open")

    def __init__(self) -> None:
        self.open: dict[int, Stream] = {}
        self.highest = 0
        # How streams were closed, the latest last. What is older is told apart from these no more.
        self._past: dict[int, int] = {}

    def state(self, stream_id: int) -> int:
        """Return the state of any stream; those with even numbers, which only a server opens, are idle."""
        stream = self.open.get(stream_id)
        if stream is not None:
            return stream.state
        if stream_id > self.highest or not stream_id & 1:
            return IDLE
        return self._past.get(stream_id, FORGOTTEN)

    def close_all(self, streams: list[Stream]) -> int:
        """Note that both sides of these are whole; return what came on them and wasn't consumed."""
        opened, past, unread = self.open, self._past, 0
        for stream in streams:
            stream.state = CLOSED
            if stream.unread:
                unread += stream.unread
                stream.unread = 0
            number = stream.stream_id
            del opened[number]
            past[number] = CLOSED
        if len(past) > 2 * _REMEMBERED:
            self._forget()
        return unread

    def close(self, stream_id: int, state: int) -> None:
        """Note that a stream is closed, and how."""
        self.open.pop(stream_id, None)
        past = self._past
        past[stream_id] = state
        if len(past) > 2 * _REMEMBERED:
            self._forget()

    def _forget(self) -> None:
        """Keep the latest; it costs less to forget many at once."""
        self._past = dict(list(self._past.items())[-_REMEMBERED:])
