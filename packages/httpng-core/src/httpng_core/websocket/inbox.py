"""The messages of a client that wait for the handler."""

from collections import deque

from httpng_core.sending.calls import DONE, Pending


class Inbox:
    """Messages that have come, the oldest first.

    Attributes:
        held: how many bytes they have together, of text characters.
        messages: those that were not taken.
        ended: whether no more will come.
    """

    __slots__ = ("_arrival", "_max_count", "_max_size", "ended", "held", "messages")

    def __init__(self, max_count: int, max_size: int) -> None:
        """Be full with so many messages, or with so many bytes, of text characters."""
        self.messages: deque[str | bytes] = deque()
        self.ended = False
        self._max_count = max_count
        self._max_size = max_size
        self.held = 0
        self._arrival: Pending | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing more is to be put in."""
        return len(self.messages) >= self._max_count or self.held >= self._max_size

    def put(self, message: str | bytes) -> None:
        """Add a message; the one that makes it full is always taken."""
        self.messages.append(message)
        self.held += len(message)
        self._arrived()

    def take(self) -> str | bytes | None:
        """Take the oldest message; `None` if there is none."""
        if not self.messages:
            return None
        message = self.messages.popleft()
        self.held -= len(message)
        return message

    def end(self) -> None:
        """Note that no more will come; those that are there can still be taken."""
        self.ended = True
        self._arrived()

    def clear(self) -> None:
        """Forget the messages that nobody will take."""
        self.messages.clear()
        self.held = 0

    def arrival(self) -> Pending:
        """Return a call that settles when there is a message to take, or none will come.

        Raises:
            RuntimeError: another one waits.
        """
        if self.messages or self.ended:
            return DONE
        if self._arrival is not None:
            raise RuntimeError("another receive of this WebSocket waits: there can be one at a time")
        self._arrival = Pending()
        return self._arrival

    def forget(self, pending: Pending) -> None:
        """Note that nobody waits for an arrival any more."""
        if self._arrival is pending:
            self._arrival = None

    def _arrived(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.settle(None)
