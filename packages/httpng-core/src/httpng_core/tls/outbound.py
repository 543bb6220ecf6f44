"""The outbound of a connection over TLS: frames are sealed when they are made, and paid by whole records."""

from collections.abc import Callable
from typing import Final

from httpng_core.sending.body import Buffer
from httpng_core.sending.host import DirectSend
from httpng_core.tls.end import RECORD, TlsEnd, TlsError
from httpng_core.tls.records import RecordBook
from httpng_core.wire.frame import Frame
from httpng_core.wire.outbound import Outbound

BODY: Final = RECORD - 64
"""The most body bytes of one frame, so that it fits into a record with the framing around it."""


_UNSENT_AT_MOST = 64 * 1024
"""What the client can make TLS say (tickets, key updates, alerts) waits to be read; no more than this."""


class SealedOutbound(Outbound):
    """Wire bytes are records. The ledger counts plaintext, which a client can open by whole records only.

    What is sealed can't be taken back. So each frame is committed when it is made, and nothing more is made
    until the kernel has all of that: one record, up to four to a client that is fast.
    """

    __slots__ = ("_acknowledged", "_book", "_end", "_sealed")

    def __init__(self, now: float, end: TlsEnd) -> None:
        super().__init__(now, is_sealed=True)
        self._book = RecordBook()
        self._acknowledged = 0
        self._end = end
        # What `send_now` has sealed of a frame that is still to be committed.
        self._sealed = b""

    @property
    def accepted_total(self) -> int:
        """How many wire bytes the kernel took."""
        return self._book.accepted

    @property
    def is_clogged(self) -> bool:
        """Whether so much waits that the client can make us say, that no more is to be read."""
        return self._book.pushed - self._book.accepted > _UNSENT_AT_MOST

    def acknowledged(self, total: int, now: float) -> bool:
        """Note that the client's TCP has the first `total` wire bytes; return whether that is news.

        It is news within a record as well, though that pays for nothing yet.
        """
        reached = min(total, self._book.accepted)
        news = reached > self._acknowledged
        if news:
            self._acknowledged, self.moved_at = reached, now
        self.ledger.acknowledge(self._book.acknowledge(total), now)
        return news

    def offer(self, frames: list[Frame], buffers: list[Buffer], size: int) -> None:
        """Commit frames at once."""
        for frame in frames:
            self.commit(frame)
        self.queue(buffers)

    def offer_batch(
        self,
        buffers: list[Buffer],
        size: int,
        taken: Callable[[float], None],
        commit: Callable[[int], int],
    ) -> None:
        """Commit frames at once."""
        commit(size)
        self.queue(buffers)

    def queue(self, buffers: list[Buffer]) -> None:
        """Commit plaintext that the ledger knows of: it is sealed now."""
        plaintext = buffers[0] if len(buffers) == 1 else b"".join(buffers)
        size = len(plaintext)
        if self._sealed:
            sealed, self._sealed = self._sealed, b""
            self._book.push(len(sealed), size)
            self.add_tail(sealed)
            return
        end = self._end
        if size <= RECORD:
            end.seal(plaintext)
            self.take_sealed(size)
            return
        # One by one: OpenSSL never gives back what it has once had to hold at once.
        for start in range(0, size, RECORD):
            record = memoryview(plaintext)[start : start + RECORD]
            sealed = end.sealed(record)
            self._book.push(len(sealed), len(record))
            self.add_tail(sealed)

    def send_now(self, data: bytes, send: DirectSend) -> int:
        """See `Outbound`. What it takes is plaintext, what it returns in `~taken` are sealed bytes."""
        try:
            sealed = self._end.sealed(data)
        except TlsError:
            return 0  # Whoever serves the client for itself learns the same.
        size = len(sealed)
        try:
            taken = send(sealed)
        except OSError:
            taken = 0  # If it is more than "not now", the next attempt tells.
        if taken == size:
            plaintext, ledger = len(data), self.ledger
            self._book.pass_by(size, plaintext)
            ledger.pushed += plaintext
            ledger.accepted += plaintext
            return plaintext
        self._sealed = sealed
        return ~taken

    def send_at_once(self, data: bytes, now: float, send: DirectSend) -> int:
        """See `Outbound`. What it returns are sealed bytes."""
        if len(data) > RECORD:
            return -1  # What is one here counts as one, and the client opens the first of two by itself.
        taken = self.send_now(data, send)
        if taken > 0:
            self.moved_at = now
            return 0
        return len(self._sealed) - ~taken if taken else -1

    def was_cut(self, left: int, now: float) -> None:
        """See `Outbound`."""
        whole = self._whole
        if whole is not None:
            # Here it isn't offered any more.
            buffers, head, self._whole, self.buffers = self.buffers, self._whole_head, None, self.tail
            self.commit(Frame(whole, head, 0, self.offered - head, 0, True))
            self.queue(buffers)
        self.accepted(self._book.pushed - self._book.accepted - left, now)

    def take_sealed(self, plaintext: int = 0) -> None:
        """Take what TLS has to send: a record of `plaintext` bytes, or what it says by itself."""
        sealed = self._end.take()
        if sealed:
            self._book.push(len(sealed), plaintext)
            self.add_tail(sealed)

    def push_plainly(self, data: bytes) -> None:
        """Commit bytes that are not sealed, to a client that doesn't speak TLS."""
        self._book.push(len(data))
        self.add_tail(data)

    def say_goodbye(self) -> None:
        """Say that no more plaintext will come (close_notify; RFC 8446, 6.1)."""
        self._end.close()
        self.take_sealed()

    def _pay(self, size: int, now: float) -> None:
        self.ledger.accept(self._book.accept(size), now)
        if not self.ledger.tracks:
            self._book.forget()
