"""What one follower of a feed has not got yet: by policy the latest of each key, or every payload.

A backlog gives its first payload as often as it is asked; only `drop` takes one off.
"""

from collections import deque
from collections.abc import Hashable
from typing import Protocol


class Payload:
    """What was published: bytes that all followers share.

    Attributes:
        body: the bytes.
        key: what they are the value of.
        at: when they were published.
        chunk: the body framed for HTTP/1.1, once a follower has needed it.
    """

    __slots__ = ("at", "body", "chunk", "key")

    def __init__(self, body: bytes, key: Hashable, at: float) -> None:
        self.body = body
        self.key = key
        self.at = at
        self.chunk: bytes | None = None


class Backlog(Protocol):
    """The payloads that wait for one follower, in the order in which it is their turn."""

    def __len__(self) -> int:
        """How many there are."""

    @property
    def overflows(self) -> bool:
        """Whether the follower is too far behind to be served at all."""

    def add(self, payload: Payload) -> None:
        """One more was published."""

    def first(self) -> Payload | None:
        """The next to be sent."""

    def drop(self, payload: Payload) -> None:
        """The first, as `first` gave it, was sent or is too old; it may have been replaced since."""


class LatestBacklog(dict[Hashable, Payload]):
    """The newest payload of each key, in the order in which the keys became pending."""

    __slots__ = ()
    overflows = False

    def add(self, payload: Payload) -> None:
        """See `Backlog`. A key that is pending keeps its place."""
        self[payload.key] = payload

    def first(self) -> Payload | None:
        """See `Backlog`."""
        for payload in self.values():
            return payload
        return None

    def drop(self, payload: Payload) -> None:
        """See `Backlog`. A newer one of the key has become pending behind those that wait."""
        newest = self.pop(payload.key, payload)
        if newest is not payload:
            self[payload.key] = newest


class EveryBacklog(deque[Payload]):
    """Every payload, with at most `max_queued` bytes; beyond that the oldest go, or it overflows."""

    def __init__(self, max_queued: int, *, drops_oldest: bool) -> None:
        super().__init__()
        self.overflows = False
        self._queued = 0
        self._max_queued = max_queued
        self._drops_oldest = drops_oldest

    def add(self, payload: Payload) -> None:
        """See `Backlog`. The one that was published last is kept, whatever its length."""
        self.append(payload)
        self._queued += len(payload.body)
        while self._queued > self._max_queued and len(self) > 1:
            if not self._drops_oldest:
                self.overflows = True
                return
            self._queued -= len(self.popleft().body)

    def first(self) -> Payload | None:
        """See `Backlog`."""
        return self[0] if self else None

    def drop(self, payload: Payload) -> None:
        """See `Backlog`."""
        if self and self[0] is payload:
            self.popleft()
            self._queued -= len(payload.body)
