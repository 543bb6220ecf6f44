"""What one follower of a feed has not got yet: by policy the latest of each key, or every payload.

A backlog gives its first payload as often as it is asked; only `drop` takes one off.
"""

from collections import deque
from collections.abc import Hashable
from typing import Protocol

from httpng_core.http.chunks import CHUNK_END, chunk_head


class Payload:
    """What was published: bytes that all followers share.

    Attributes:
        body: the bytes.
        key: what they are the value of.
        at: when they were published.
    """

    __slots__ = ("_chunk", "at", "body", "key")

    def __init__(self, body: bytes, key: Hashable, at: float) -> None:
        self.body = body
        self.key = key
        self.at = at
        self._chunk = b""

    @property
    def chunk(self) -> bytes:
        """The body framed as a chunk of HTTP/1.1, once for all followers."""
        if not self._chunk:
            self._chunk = b"".join((chunk_head(len(self.body)), self.body, CHUNK_END))
        return self._chunk


class Backlog(Protocol):
    """The payloads that wait for one follower, in the order in which it is their turn.

    Attributes:
        replaces: whether a payload takes the place of an older one of its key.
    """

    replaces: bool

    def __len__(self) -> int:
        """How many there are."""

    @property
    def overflows(self) -> bool:
        """Whether the follower is too far behind to be served at all."""

    def add(self, payload: Payload) -> None:
        """One more was published."""

    def first(self) -> Payload | None:
        """Return the next to be sent."""

    def drop(self, payload: Payload) -> None:
        """Note that the first, as `first` gave it, was sent or is too old; it may have been replaced."""

    def would_lose(self, payload: Payload, ahead: int = 0) -> bool:
        """Whether adding it would cost another one its place; `ahead` bytes wait before all of these."""

    def payloads(self) -> list[Payload]:
        """All of them, in order."""

    def clear(self) -> None:
        """Forgets all of them."""


class LatestBacklog(dict[Hashable, Payload]):
    """The newest payload of each key, in the order in which the keys became pending."""

    __slots__ = ()
    overflows = False
    replaces = True

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

    def would_lose(self, payload: Payload, ahead: int = 0) -> bool:
        """See `Backlog`."""
        return payload.key in self

    def payloads(self) -> list[Payload]:
        """See `Backlog`."""
        return list(self.values())


class EveryBacklog(deque[Payload]):
    """Every payload, with at most `max_queued` bytes; beyond that the oldest go, or it overflows."""

    replaces = False

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

    def would_lose(self, payload: Payload, ahead: int = 0) -> bool:
        """See `Backlog`; to overflow counts as well."""
        queued = self._queued + ahead
        return queued > 0 and queued + len(payload.body) > self._max_queued

    def payloads(self) -> list[Payload]:
        """See `Backlog`."""
        return list(self)

    def clear(self) -> None:
        """See `Backlog`."""
        super().clear()
        self._queued = 0
