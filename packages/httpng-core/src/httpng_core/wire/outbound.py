"""Everything of one connection that is not the kernel's yet: what is committed, what is offered, who is paid.

In: frames. Out: buffers. Back: the kernel's number. A frame is revocable (plain HTTP/1.1), then it is only
*offered*: `accepted(n)` commits the frames that begin before `n`, the one that was cut is the tail, and the
others were never made. Or it can't be taken back (HTTP/2, everything that is sealed): then it is committed
when it is made, and the socket was asked before. On HTTP/2 answers that are given whole can be, and bulk can,
in batches.
"""

from collections.abc import Callable
from typing import Final

from httpng_core.sending.body import Buffer
from httpng_core.sending.host import DirectSend
from httpng_core.sending.whole import Whole
from httpng_core.wire.frame import Frame
from httpng_core.wire.ledger import Ledger, Span
from httpng_core.wire.offer_size import OfferSize

JOIN_BELOW: Final = 32 * 1024
"""Below this, one copy costs less than a vectored send."""


class Outbound:
    """The wire bytes of one connection, in order.

    Attributes:
        ledger: which wire offset pays for what.
        size: how much to offer.
        is_empty: whether the kernel has all that was committed, and nothing is offered.
        tail: committed bytes that wait for the kernel.
        buffers: what is to be given to the kernel next: the tail, or what is offered.
        offered: how many bytes are offered that can still be taken back.
        is_sealed: whether bytes are sealed when they are committed.
        moved_at: when the kernel last took bytes, or the client acknowledged some.
    """

    __slots__ = (
        "_batch",
        "_offer",
        "_unanswered",
        "_whole",
        "_whole_head",
        "buffers",
        "is_empty",
        "is_sealed",
        "ledger",
        "moved_at",
        "offered",
        "size",
        "tail",
    )

    def __init__(self, now: float, *, is_sealed: bool = False) -> None:
        self.ledger = Ledger()
        self.size = OfferSize(is_sealed=is_sealed)
        self.is_sealed = is_sealed
        self.moved_at = now
        self.is_empty = True
        self.tail: list[Buffer] = []
        self._offer: list[Frame] | None = None
        # A response that is offered in one go has no frame, and this is it; and the size of its head.
        self._whole: Whole | None = None
        self._batch: tuple[Callable[[float], None], Callable[[int], int]] | None = None
        self._whole_head = 0
        self.buffers: list[Buffer] = self.tail
        self.offered = 0
        self._unanswered = 0

    @property
    def is_clogged(self) -> bool:
        """Whether so much waits that the client can make us say, that no more is to be read."""
        return False

    @property
    def waiting(self) -> int:
        """How many committed bytes the kernel hasn't taken."""
        return self.ledger.pushed - self.ledger.accepted

    @property
    def accepted_total(self) -> int:
        """How many wire bytes the kernel took."""
        return self.ledger.accepted

    def detached(self) -> int:
        """Copy what is left of larger pieces, so that these can go; return how many bytes are committed."""
        size = 0
        for index, buffer in enumerate(self.tail):
            if isinstance(buffer, memoryview):
                self.tail[index] = bytes(buffer)
            size += len(buffer)
        return size

    # In -----------------------------------------------------------------------------------------------

    def push(self, data: bytes) -> None:
        """Commit wire bytes that belong to no exchange."""
        self.ledger.push(len(data))
        self.queue([data])

    def queue(self, buffers: list[Buffer]) -> None:
        """Commit wire bytes that the ledger knows of."""
        self._unanswered += sum(map(len, buffers))
        self.tail += buffers
        self.is_empty = False

    def offer(self, frames: list[Frame], buffers: list[Buffer], size: int) -> None:
        """Offer frames that can still be taken back; they are of one exchange."""
        assert self.is_empty, "what is committed goes first"
        self._offer, self.buffers, self.offered = frames, buffers, size
        self.is_empty = False
        frames[0].exchange.offered = True

    def offer_whole(self, exchange: Whole, wire: bytes, head: int) -> None:
        """Offer a response that was given in one go: `head` bytes of header block, and all of its body."""
        assert self.is_empty, "what is committed goes first"
        self._whole, self._whole_head = exchange, head
        self.buffers, self.offered = [wire], len(wire)
        self.is_empty = False
        exchange.offered = True

    def offer_batch(
        self,
        buffers: list[Buffer],
        size: int,
        taken: Callable[[float], None],
        commit: Callable[[int], int],
    ) -> None:
        """Offer frames of several exchanges, which can still be taken back.

        Args:
            buffers: their bytes.
            size: how many.
            taken: called with the time if the kernel takes all at once, and nothing is tracked.
            commit: else called with how much goes out: it commits those that begin before that, to the ledger
                as well, takes the others back, and returns where those end.
        """
        assert self.is_empty, "what is committed goes first"
        self._batch = taken, commit
        self.buffers, self.offered = buffers, size
        self.is_empty = False

    def settle_batch(self) -> None:
        """Commit the batch that is offered, if one is: what it was made by is about to change."""
        batch = self._batch
        if batch is not None:
            self._batch, buffers = None, self.buffers
            batch[1](self.offered)
            self.buffers = self.tail
            self._unanswered += self.offered
            self.tail += buffers

    def commit(self, frame: Frame) -> None:
        """Commit a frame: the ledger learns what its bytes pay for. They are queued apart from that."""
        exchange, ledger = frame.exchange, self.ledger
        exchange.commit_frames(head=frame.head > 0, size=frame.body, end=frame.ends)
        if frame.head:
            ledger.push_span(frame.head, Span.HEAD, exchange)
        ledger.push(frame.prefix)
        if frame.body:
            ledger.push_span(frame.body, Span.BODY, exchange)
        ledger.push(frame.suffix)
        if frame.ends:
            ledger.push_span(0, Span.END, exchange)

    def commit_end(self, frame: Frame, now: float) -> None:
        """Commit an end that has no bytes of its own: the kernel need not be asked."""
        self.commit(frame)
        self.ledger.accept(0, now)

    def say_goodbye(self) -> None:
        """Say that no more will come, where the wire has words for it: TLS has."""

    def send_now(self, data: bytes, send: DirectSend) -> int:
        """Send what a broadcast has made for this client, and pays for: it can't be taken back.

        Nothing waits before it. Return its length if the kernel took it whole: then it is counted. Else
        `~taken`, and whoever called commits a frame of the very same bytes, before anything else, and tells
        `accepted(taken)`.
        """
        try:
            taken = send(data)
        except OSError:
            taken = 0  # If it is more than "not now", the next attempt tells.
        if taken == len(data):
            ledger = self.ledger
            ledger.pushed += taken
            ledger.accepted += taken
            return taken
        return ~taken

    def send_at_once(self, data: bytes, now: float, send: DirectSend) -> int:
        """Give the kernel something whole before it is committed; nothing waits before it.

        Return 0 if it took all: then that is counted. Or how many bytes it has left: then whoever called
        offers the very same, before anything else, and calls `was_cut`. -1: nothing was done.
        """
        size = len(data)
        try:
            taken = send(data)
        except OSError:
            return size  # It is told again, to who asks next.
        if taken == size:
            ledger = self.ledger
            ledger.pushed += size
            ledger.accepted += size
            self.moved_at = now
        return size - taken

    def was_cut(self, left: int, now: float) -> None:
        """Note that the kernel was given what is offered by now, and has left the last `left` bytes of it."""
        self.accepted(self.offered - left, now)

    def add_tail(self, data: bytes) -> None:
        """Add committed bytes at the end, whatever they are."""
        self.tail.append(data)
        self._unanswered += len(data)
        self.is_empty = False

    # Back ---------------------------------------------------------------------------------------------

    def accepted(self, size: int, now: float) -> None:
        """Note that the kernel took the first `size` bytes of `buffers`.

        Raises:
            ValueError: that is more than was offered.
        """
        whole = self._whole
        if whole is not None:
            self._whole = None
            if size == self.offered and size < self.size.limit and not self.ledger.tracks:
                ledger = self.ledger
                self.buffers, self.is_empty, self.moved_at = self.tail, True, now
                ledger.pushed += size
                ledger.accepted += size
                whole.taken_whole(now)
                return
            head = self._whole_head
            self._offer = [Frame(whole, head, 0, self.offered - head, 0, True)]
        if self._batch is not None:
            self._batch_accepted(size, now)
            return
        frames = self._offer
        if frames is None:
            self._tail_accepted(size, now)
            return
        offered, buffers = self.offered, self.buffers
        if size > offered:
            raise ValueError(f"{size - offered} more bytes accepted than were offered")
        self._offer, self.buffers, self.is_empty = None, self.tail, True
        if size < offered or size >= self.size.limit:
            self.size.taken(offered, size)
        exchange, ledger = frames[0].exchange, self.ledger
        if not size:
            exchange.refused()
            return
        self.moved_at = now
        if size < offered or ledger.tracks:
            self._accept_part(frames, buffers, size, now)
            return
        # The ordinary case: all was taken, and no offset need be remembered.
        ledger.pushed += size
        ledger.accepted += size
        if len(frames) == 1:
            frame = frames[0]
            exchange.taken(frame.head > 0, frame.body, frame.ends, now)
            return
        body = sum([frame.body for frame in frames])
        exchange.taken(frames[0].head > 0, body, frames[-1].ends, now)

    def acknowledged(self, total: int, now: float) -> bool:
        """Note that the client's TCP has the first `total` wire bytes; return whether that is news."""
        news = self.ledger.acknowledge(total, now)
        if news:
            self.moved_at = now
        return news

    def clear(self) -> None:
        """Forget everything: the socket is to be closed."""
        self.tail = self.buffers = []
        self._batch = None
        self._offer, self.offered, self._unanswered, self.is_empty = None, 0, 0, True
        self._whole = None

    # Inside -------------------------------------------------------------------------------------------

    def _tail_accepted(self, size: int, now: float) -> None:
        if self._unanswered:
            self.size.taken(self._unanswered, size)
            self._unanswered = 0
        if size:
            self.moved_at = now
            self._consume(size)
            self.is_empty = not self.tail
            self._pay(size, now)

    def _batch_accepted(self, size: int, now: float) -> None:
        offered, ledger, batch = self.offered, self.ledger, self._batch
        assert batch is not None
        if size > offered:
            raise ValueError(f"{size - offered} more bytes accepted than were offered")
        buffers = self.buffers
        self._batch, self.buffers, self.is_empty = None, self.tail, True
        if size < offered or size >= self.size.limit:
            self.size.taken(offered, size)
        if size:
            self.moved_at = now
        if size == offered and not ledger.tracks:
            ledger.pushed += size
            ledger.accepted += size
            batch[0](now)
            return
        end = batch[1](size)
        if end > size:
            self.tail += _between(buffers, size, end)
            self.is_empty = False
        ledger.accept(size, now)

    def _accept_part(self, frames: list[Frame], buffers: list[Buffer], size: int, now: float) -> None:
        """Commit the frames that begin before `size`: the one that was cut is the tail, others go back."""
        begins = 0
        for frame in frames:
            if begins >= size:
                break
            frame.cut(size - begins)
            self.commit(frame)
            begins += frame.size
        self.tail += _between(buffers, size, begins)
        self.is_empty = not self.tail
        self.ledger.accept(size, now)

    def _pay(self, size: int, now: float) -> None:
        self.ledger.accept(size, now)

    def _consume(self, size: int) -> None:
        tail = self.tail
        done = 0
        for buffer in tail:
            length = len(buffer)
            if size < length:
                break
            size -= length
            done += 1
        del tail[:done]
        if size:
            if not tail:
                raise ValueError(f"{size} more bytes accepted than were offered")
            tail[0] = memoryview(tail[0])[size:]


def _between(buffers: list[Buffer], start: int, stop: int) -> list[Buffer]:
    """Return the bytes of `buffers` from offset `start` to offset `stop`, without copying them."""
    kept: list[Buffer] = []
    at = 0
    for buffer in buffers:
        if at >= stop:
            break
        end = at + len(buffer)
        if end > start and start < stop:
            low, high = max(start - at, 0), min(stop, end) - at
            kept.append(buffer if low == 0 and high == len(buffer) else memoryview(buffer)[low:high])
        at = end
    return kept
