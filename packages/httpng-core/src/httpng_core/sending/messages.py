"""Positions of an exchange whose body is made of messages (WebSocket): in bytes of messages, before framing.

The body of such an exchange is frames, some of which carry no message (PING, PONG, CLOSE). What a handler
counts is the bytes that it sent; this maps one to the other. A message that is framed as it is counts byte by
byte, one that is compressed as a whole, once its last byte has come so far.
"""

from collections import deque

from httpng_core.config.types import Until
from httpng_core.sending.body import ResponseBody

_Entry = tuple[int, int, int, int]
"""Where in the body a message begins, behind its frame head, and ends; and the same in bytes of messages."""


class _Mark:
    """How far messages have come in one respect: sent, or acknowledged."""

    __slots__ = ("entries", "reached")

    def __init__(self, entries: deque[_Entry], reached: int) -> None:
        self.entries = entries
        self.reached = reached

    def at(self, offset: int) -> int:
        """Return how many bytes of messages lie before `offset` of the body; offsets never fall."""
        entries = self.entries
        while entries and entries[0][1] <= offset:
            self.reached = entries.popleft()[3]
        if entries:
            start, end, first, last = entries[0]
            if start < offset and end - start == last - first:
                return first + offset - start
        return self.reached


class MessagePositions:
    """Where the messages of one exchange stand, in bytes as the handler passed them.

    Attributes:
        body: what they are framed into.
        current: the bytes of messages that were accepted.
        offered: how many bytes of messages a follow has drawn last, if one does.
    """

    __slots__ = ("_acked", "_confirmed", "_sent", "body", "current", "offered")

    def __init__(self, body: ResponseBody) -> None:
        self.current = self.offered = 0
        self.body = body
        self._sent = _Mark(deque(), 0)
        self._acked: _Mark | None = None
        self._confirmed: _Mark | None = None

    def add(self, begin: int, head: int, frame: int, size: int) -> None:
        """Note that a message of `size` bytes was accepted, as a frame of `frame` bytes.

        Args:
            begin: where in the body the frame begins.
            head: the bytes before the payload.
            frame: the bytes of all of it.
            size: the bytes that the handler passed.
        """
        before = self.current
        self.current += size
        entry = (begin + head, begin + frame, before, self.current)
        self._sent.entries.append(entry)
        if self._acked is not None:
            self._acked.entries.append(entry)
        if self._confirmed is not None:
            self._confirmed.entries.append(entry)
        if self.body.confirming is not None:
            self.body.confirming.owe(begin + frame)

    def reached(self, until: Until) -> int:
        """Return the position up to which bytes are no longer in flight."""
        position = None if until == "sent" else self.acked if until == "acked" else self.confirmed
        return self.sent if position is None else position

    def in_flight(self, until: Until) -> int:
        """Return how many accepted bytes have not come as far as `until`."""
        return self.current - self.reached(until)

    @property
    def sent(self) -> int:
        """How many bytes were passed to the TCP/IP stack."""
        body = self.body
        # Those first: the entries that they have yet to come to are dropped here.
        if self._acked is None and body.acked is not None:
            self._acked = self._track()
        if self._confirmed is None and body.confirmed is not None:
            self._confirmed = self._track()
        return self._sent.at(body.sent)

    @property
    def acked(self) -> int | None:
        """How many bytes the client's TCP has acknowledged; `None` where that is not known."""
        acked = self.body.acked
        if acked is None:
            return None
        if self._acked is None:
            self._acked = self._track()
        return self._acked.at(acked)

    @property
    def confirmed(self) -> int | None:
        """How many bytes the client's program has confirmed; `None` while it isn't asked."""
        confirmed = self.body.confirmed
        if confirmed is None:
            return None
        if self._confirmed is None:
            self._confirmed = self._track()
        return self._confirmed.at(confirmed)

    def _track(self) -> _Mark:
        """Count from now on how far messages come; what was sent before counts once all of that has."""
        sent = self._sent
        entries = deque(sent.entries)
        if sent.reached:
            # As a whole: where its parts lie is forgotten.
            end = entries[0][0] if entries else self.body.sent
            entries.appendleft((end, end, 0, sent.reached))
        return _Mark(entries, 0)
