"""The outbound of a connection over TLS: frames are sealed when they are made, and paid by whole records."""

from collections.abc import Callable, Iterator
from typing import Final

from httpng_core.sending.body import Buffer
from httpng_core.sending.host import DirectSend
from httpng_core.tls.end import RECORD, TlsEnd, TlsError
from httpng_core.tls.records import RecordBook
from httpng_core.wire.frame import Frame
from httpng_core.wire.outbound import Outbound

_UNSENT_AT_MOST: Final = 128 * 1024
"""What the client can make TLS say (tickets, key updates, alerts) waits to be read; no more than this.

Half of it may be an offer."""


class SealedOutbound(Outbound):
    """Wire bytes are records. The ledger counts plaintext, which a client can open by whole records only.

    What is sealed can't be taken back. So each frame is committed when it is made, and nothing more is made
    until the kernel has all of that: one record, up to four to a client that is fast. A batch is committed
    when the kernel has answered, or before anything changes that it was made by: mostly it takes all at once.
    """

    __slots__ = ("_acknowledged", "_book", "_end", "_given", "_sealed")

    def __init__(self, now: float, end: TlsEnd) -> None:
        super().__init__(now, is_sealed=True)
        self._book = RecordBook()
        self._acknowledged = 0
        self._end = end
        # What `send_now` has sealed of a frame that is still to be committed.
        self._sealed = b""
        # How many sealed bytes the batch is that is offered.
        self._given = 0

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
        """See `Outbound`. The frames are sealed now, so they go out whatever becomes of the offer."""
        assert self.is_empty, "what is committed goes first"
        self.buffers = list(self._seal(buffers))
        self._batch, self.offered = (taken, commit), size
        self._given = sum(map(len, self.buffers))
        self.is_empty = False

    def settle_batch(self) -> None:
        """See `Outbound`."""
        batch = self._batch
        if batch is not None:
            self._batch, records, self.buffers = None, self.buffers, self.tail
            batch[1](self.offered)
            # What TLS has said meanwhile comes behind it.
            self.tail[:0] = records
            self._unanswered += self._given

    def accepted(self, size: int, now: float) -> None:
        """See `Outbound`."""
        batch, ledger = self._batch, self.ledger
        if batch is not None and size == self._given and not ledger.tracks:
            self._batch, self.buffers, self.is_empty = None, self.tail, not self.tail
            self.size.taken(size, size)
            self._book.accept(size)
            self._book.forget()
            ledger.pushed += self.offered
            ledger.accepted += self.offered
            self.moved_at = now
            batch[0](now)
            return
        self.settle_batch()
        super().accepted(size, now)

    def queue(self, buffers: list[Buffer]) -> None:
        """Commit plaintext that the ledger knows of: it is sealed now."""
        for record in self._seal(buffers):
            self.add_tail(record)

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

    def take_sealed(self) -> None:
        """Take what TLS has to say by itself: it carries no plaintext."""
        sealed = self._end.take()
        if sealed:
            self._book.push(len(sealed))
            self.add_tail(sealed)

    def push_plainly(self, data: bytes) -> None:
        """Commit bytes that are not sealed, to a client that doesn't speak TLS."""
        self._book.push(len(data))
        self.add_tail(data)

    def say_goodbye(self) -> None:
        """Say that no more plaintext will come (close_notify; RFC 8446, 6.1)."""
        self._end.close()
        self.take_sealed()

    def _seal(self, buffers: list[Buffer]) -> Iterator[bytes]:
        """Yield records of the plaintext; what of it is sealed already is taken for it."""
        plaintext = buffers[0] if len(buffers) == 1 else b"".join(buffers)
        size, end, book = len(plaintext), self._end, self._book
        if self._sealed:
            sealed, self._sealed = self._sealed, b""
            book.push(len(sealed), size)
            yield sealed
            return
        # One by one: OpenSSL never gives back what it has once had to hold at once.
        for start in range(0, size, RECORD):
            record = memoryview(plaintext)[start : start + RECORD]
            sealed = end.sealed(record)
            book.push(len(sealed), len(record))
            yield sealed

    def _pay(self, size: int, now: float) -> None:
        self.ledger.accept(self._book.accept(size), now)
        if not self.ledger.tracks:
            self._book.forget()
