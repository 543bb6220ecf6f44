"""The records that were sealed: which offset of the sealed bytes carries which offset of the plaintext.

The kernel counts sealed bytes, the connection within counts plaintext. A client can't open a part of a
record, so plaintext counts by whole records only. Handshake bytes, tickets, key updates and alerts are
sealed bytes that carry none. Offsets count from the start of the connection and only grow.
"""

from collections import deque


class RecordBook:
    """Sealed bytes `pushed`, of which the kernel took `accepted`; numbers only."""

    __slots__ = (
        "_accepted",
        "_acknowledged",
        "_has_passed",
        "_plaintext",
        "_reached",
        "_waiting",
        "accepted",
        "pushed",
    )

    def __init__(self) -> None:
        self.pushed = 0
        self.accepted = 0
        self._plaintext = 0
        self._reached = 0
        self._acknowledged = 0
        self._waiting: deque[tuple[int, int]] = deque()
        self._accepted: deque[tuple[int, int]] = deque()
        # Whether records have passed by that `_accepted` doesn't know yet.
        self._has_passed = False

    def __len__(self) -> int:
        """Return how many records it remembers."""
        return len(self._waiting) + len(self._accepted)

    def push(self, size: int, plaintext: int = 0) -> None:
        """Add `size` sealed bytes; with the last of them `plaintext` more bytes can be opened."""
        if self._has_passed:
            self._note_passed()
        self.pushed += size
        if plaintext:
            self._plaintext += plaintext
            self._waiting.append((self.pushed, self._plaintext))

    def pass_by(self, size: int, plaintext: int) -> None:
        """Add a record that the kernel took at once, while nothing waited before it."""
        self.pushed += size
        self.accepted += size
        self._plaintext += plaintext
        self._reached += plaintext
        self._has_passed = True

    def accept(self, size: int) -> int:
        """Note that the kernel took `size` more sealed bytes; return how many of plaintext these carry."""
        self.accepted += size
        before = self._reached
        while self._waiting and self._waiting[0][0] <= self.accepted:
            record = self._waiting.popleft()
            self._accepted.append(record)
            self._reached = record[1]
        return self._reached - before

    def acknowledge(self, total: int) -> int:
        """Note the first `total` sealed bytes as acknowledged; return how many of the plaintext these carry.

        What was forgotten meanwhile counts once all that was accepted by then is acknowledged.
        """
        if self._has_passed:
            self._note_passed()
        while self._accepted and self._accepted[0][0] <= total:
            self._acknowledged = self._accepted.popleft()[1]
        return self._acknowledged

    def _note_passed(self) -> None:
        self._has_passed = False
        self._accepted.append((self.accepted, self._reached))

    def forget(self) -> None:
        """Forget records kept for acknowledgements, which nobody asks for: the last accepted one will do."""
        while len(self._accepted) > 1:
            self._accepted.popleft()
