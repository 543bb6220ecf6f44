"""What a process has published and its broker doesn't have yet.

1. Where newest values count, a newer one takes the place of an older one of its key, and stands for both: so
   followers are told how many were skipped.
2. What was given to the broker, and not acknowledged before the connection was lost, is given to it again,
   under the same ordinals: by these the broker knows what it has.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Condition
from typing import Final

_BATCH: Final = 500
_BATCH_BYTES: Final = 1_000_000


class OutboxFullError(RuntimeError):
    """The broker has not been there for so long that more would wait for it than may (`max_unsent`)."""


@dataclass(slots=True)
class Outgoing:
    """One publication for the broker.

    Attributes:
        key: of which key.
        body: the payload; `None`: the key is removed.
        count: how many publications it stands for.
        ordinal: which of this publisher's it is, once it is being sent; they ascend.
    """

    key: str | None
    body: bytes | None
    count: int = 1
    ordinal: int = 0

    @property
    def size(self) -> int:
        """How many bytes it takes, roughly."""
        return len(self.body or b"") + len(self.key or "")


class Outbox:
    """What waits for the broker. For all threads; one takes out."""

    def __init__(self, max_queued: int, *, replaces: bool) -> None:
        """Hold `max_queued` bytes at most; of each key only the newest, if it `replaces` older ones."""
        self._max_queued = max_queued
        self._replaces = replaces
        self._changed = Condition()
        # By key, or by a number where each counts.
        self._waiting: OrderedDict[object, Outgoing] = OrderedDict()
        self._sending: list[Outgoing] = []
        self._bytes = 0
        self._put = self._ordinal = 0

    def __len__(self) -> int:
        """Return how many wait, or are being sent."""
        with self._changed:
            return len(self._waiting) + len(self._sending)

    def put(self, key: str | None, body: bytes | None) -> None:
        """Add a publication.

        Raises:
            OutboxFullError: there is no room for it.
        """
        added = Outgoing(key, body)
        with self._changed:
            self._put += 1
            place: object = key if self._replaces else self._put
            before = self._waiting.get(place)
            if body is None and before is not None and before.body is None:
                return
            size = self._bytes + added.size - (0 if before is None else before.size)
            if size > self._max_queued and (before is None or added.size > before.size):
                raise OutboxFullError(
                    f"{self._bytes} bytes wait for the broker, and no more than {self._max_queued} may"
                )
            if before is not None:
                added.count += before.count
            self._waiting[place] = added
            self._bytes = size

    def take(self) -> list[Outgoing]:
        """Return what is to be sent now: the same again, until `sent` is called."""
        with self._changed:
            if self._sending:
                # Nothing is added: of each key one publication is sent at a time, as a broker may know by the
                # newest of a key alone what it has.
                return list(self._sending)
            size = 0
            while self._waiting and len(self._sending) < _BATCH and size < _BATCH_BYTES:
                _, each = self._waiting.popitem(last=False)
                size += each.size
                self._bytes -= each.size
                self._ordinal += 1
                each.ordinal = self._ordinal
                self._sending.append(each)
            return list(self._sending)

    def sent(self) -> None:
        """Note that the broker has what was taken."""
        with self._changed:
            self._sending.clear()
            self._changed.notify_all()

    def wait_empty(self, timeout: float) -> bool:
        """Wait until the broker has all; return whether it has."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._waiting or self._sending:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return not (self._waiting or self._sending)
            return True
