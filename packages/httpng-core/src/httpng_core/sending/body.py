"""The body of one response: its positions, and the bytes that were accepted and not committed yet.

1. `acked <= sent <= committed <= current`, `confirmed <= sent`, and no position ever falls. All count body
   bytes as the handler passed them.
2. *In flight* is `current - sent`, or `current - acked` where a window counts until acked; likewise
   `current - confirmed`.
3. A body fits when `in flight + its length <= send window`.
4. Where `acked` is not known, or no longer, in flight counts from `sent`.

What most responses never need (the lag book, the path) is made at first use.
"""

from collections import deque
from functools import lru_cache
from math import inf
from typing import Final

from httpng_core.config.types import Until
from httpng_core.errors import ContentLengthError
from httpng_core.sending.auto_window import PathEstimate
from httpng_core.sending.confirming import Confirming
from httpng_core.sending.positions import LagBook

SMALL_PIECE: Final = 4096
"""Pieces shorter than this are joined with their neighbours; longer ones go out by reference."""

Buffer = bytes | memoryview


class ResponseBody:
    """Positions in bytes, and the bytes between `committed` and `current`.

    Attributes:
        current: accepted from the handler.
        committed: framed into wire bytes of which the kernel has taken some.
        sent: passed to the TCP/IP stack.
        acked: acknowledged by the client's TCP; `None` while that is not tracked.
        confirmed: confirmed by the client's program; `None` while it isn't asked.
        confirming: how far that has come, once it is asked.
        length: the declared Content-Length, or `None`.
        largest_lag: the longest that a byte was in flight so far, in seconds.
        drops: whether body bytes are dropped by rule (HEAD, 204, 205, 304).
        buffered: how many bytes wait to be committed.
        lag_until: how far a byte must have come to lag no more.
        path: what the path holds, once a window follows it.
        path_until: how far bytes have to come along that path.
        pieces: what waits to be committed; to be looked at only.
    """

    __slots__ = (
        "_lag_book",
        "_lag_since",
        "_offset",
        "acked",
        "buffered",
        "committed",
        "confirmed",
        "confirming",
        "current",
        "drops",
        "lag_until",
        "largest_lag",
        "length",
        "path",
        "path_until",
        "pieces",
        "sent",
    )

    def __init__(self) -> None:
        self.current = 0
        self.committed = 0
        self.sent = 0
        self.acked: int | None = None
        self.confirmed: int | None = None
        self.confirming: Confirming | None = None
        self.length: int | None = None
        self.drops = False
        self.buffered = 0
        self.lag_until: Until = "sent"
        self.path: PathEstimate | None = None
        self.path_until: Until = "acked"
        self.pieces: deque[bytes] | None = None
        self._offset = 0
        self._lag_since = 0.0
        self._lag_book: LagBook | None = None
        self.largest_lag = 0.0

    # Positions ----------------------------------------------------------------------------------------

    def reached(self, until: Until) -> int:
        """Return the position up to which bytes are no longer in flight."""
        if until == "sent":
            return self.sent
        position = self.acked if until == "acked" else self.confirmed
        return self.sent if position is None else position

    def in_flight(self, until: Until) -> int:
        """Return how many accepted bytes have not come as far as `until`."""
        return self.current - self.reached(until)

    def check_length(self, size: int) -> None:
        """Check that `size` more bytes keep within the declared Content-Length.

        Raises:
            ContentLengthError: they don't.
        """
        # By rule the bodies of HEAD, 204, 205 and 304 are dropped, whatever their length.
        if self.length is None or self.drops or self.current + size <= self.length:
            return
        raise ContentLengthError(
            f"content-length is {self.length}, {self.current} bytes were written and {size} more "
            "would exceed it; nothing of them is sent"
        )

    @property
    def kept(self) -> int:
        """How many bytes are kept to be committed, those before them in the same piece included."""
        return self.buffered + self._offset

    def lag(self, now: float) -> float:
        """Return the seconds that the oldest byte in flight has waited, to the millisecond."""
        if self._lag_book is not None:
            return self._lag_book.lag(now)
        if self.current == self.reached(self.lag_until):
            return 0.0
        return round(max(now - self._lag_since, 0.0), 3)

    @property
    def lags_since(self) -> float:
        """When the oldest byte in flight was accepted; infinity: none is in flight."""
        if self._lag_book is not None:
            return self._lag_book.since
        return inf if self.current == self.reached(self.lag_until) else self._lag_since

    def note_lag(self, now: float) -> None:
        """Have `largest_lag` know of what is in flight: it is paid now, or dropped."""
        lag = self.lag(now)
        if lag > self.largest_lag:
            self.largest_lag = lag

    def along_path(self, until: Until) -> PathEstimate:
        """Return what the path holds as far as `until`; it is measured from the first call on."""
        if self.path is None or self.path_until != until:
            self.path, self.path_until = PathEstimate(self.sent), until
        return self.path

    # In -----------------------------------------------------------------------------------------------

    def accept(self, piece: bytes, now: float) -> None:
        """Take `piece` over from the handler; where bodies are dropped by rule it counts as sent."""
        size = len(piece)
        if self.drops:
            self.current += size
            self.committed += size
            self.sent += size
            if self.acked is not None:
                self.acked += size
            if self.confirmed is not None:
                self.confirmed += size
        elif size:
            if self.current == self.sent and self.lag_until == "sent":
                self._lag_since = now
            else:
                self.stamp(now)
            self.current += size
            self.buffered += size
            if self.confirming is not None:
                self.confirming.took(piece, self.current)
            if self._lag_book is not None:
                self._lag_book.accept(self.current, now)
            if self.pieces is None:
                self.pieces = deque((piece,))
            else:
                self.pieces.append(piece)

    def stamp(self, now: float) -> None:
        """Note when bytes are accepted; a book is kept only while several stamps are needed."""
        if self._lag_book is not None:
            return
        if self.current == self.reached(self.lag_until):
            self._lag_since = now
        elif now - self._lag_since >= LagBook.RESOLUTION:
            self._lag_book = LagBook()
            self._lag_book.accept(self.current, self._lag_since)

    def accept_offered(self, piece: bytes, now: float) -> None:
        """Accept `piece` ahead of what is buffered: it was offered, and the kernel may have it."""
        assert not self._offset, "what was offered goes first"
        behind = self._pieces_out()
        self.accept(piece, now)
        if behind is not None and self.pieces is not None:
            self.pieces.extend(behind)

    def _pieces_out(self) -> deque[bytes] | None:
        """Take the pieces out. On its own: a compiler would hold that none can have come in their place."""
        pieces, self.pieces = self.pieces, None
        return pieces

    def accept_committed(self, size: int, at: float) -> None:
        """Accept and commit `size` bytes that the kernel has begun to take and that were chosen at `at`."""
        self.stamp(at)
        self.current += size
        self.committed += size
        if self._lag_book is not None:
            self._lag_book.accept(self.current, at)

    # Out ----------------------------------------------------------------------------------------------

    def peek(self, limit: int) -> Buffer:
        """Return the first buffered bytes, at most `limit`. Nothing is copied out of one large piece."""
        pieces = self.pieces
        if not pieces:
            return b""
        first, offset = pieces[0], self._offset
        available = len(first) - offset
        if len(pieces) == 1 or available >= limit:
            return first if offset == 0 and available <= limit else memoryview(first)[offset : offset + limit]
        parts: list[Buffer] = []
        for piece in pieces:
            parts.append(memoryview(piece)[offset : offset + limit])
            limit -= len(parts[-1])
            offset = 0
            if limit == 0:
                break
        return b"".join(parts)

    def frames(self, limit: int, size: int) -> list[Buffer]:
        """Return the first `limit` buffered bytes, or a little more, in buffers of at most `size` each.

        Large pieces are given by reference, neighbouring small ones joined.
        """
        made: list[Buffer] = []
        small: list[Buffer] = []
        joined, offset = 0, self._offset
        for piece in self.pieces or ():
            rest = len(piece) - offset
            if small and (rest >= SMALL_PIECE or joined + rest > size):
                made.append(b"".join(small))
                small, joined = [], 0
            if rest < SMALL_PIECE:
                small.append(memoryview(piece)[offset:] if offset else piece)
                joined += rest
                limit -= rest
            elif rest <= size and offset == 0:
                made.append(piece)
                limit -= rest
            else:
                view, stop = memoryview(piece), len(piece)
                if rest > limit:
                    stop = min(stop, offset - (-limit // size) * size)
                made += map(view.__getitem__, _slices(offset, stop, size))
                limit -= stop - offset
            offset = 0
            if limit <= 0:
                break
        if small:
            made.append(b"".join(small))
        return made

    def commit(self, size: int) -> None:
        """Take the first `size` buffered bytes off: the kernel has taken some of the frames they are in."""
        self.committed += size
        self.buffered -= size
        if not self.buffered:
            self.pieces, self._offset = None, 0
            return
        assert self.buffered >= 0, f"committed {self.committed} of {self.current} accepted bytes"
        pieces = self.pieces
        assert pieces is not None
        size += self._offset
        while size >= len(pieces[0]):
            size -= len(pieces.popleft())
        self._offset = size

    def pay(self, size: int, now: float) -> None:
        """Count `size` more bytes as sent: the kernel said so."""
        if now - self._lag_since > self.largest_lag + 0.001:
            self.note_lag(now)
            if self._lag_book is not None:
                # It isn't asked again before there is news.
                self._lag_since = self._lag_book.since
        self.sent += size
        assert self.sent <= self.committed, f"sent {self.sent} of {self.committed} committed bytes"
        if self.path is not None:
            # Frames without a message are confirmed by nobody.
            idle = self.path_until == "confirmed" and self.confirmed == self.sent - size
            self.path.sent(self.sent, now, idle=idle)
        if self.confirming is not None and self.confirming.is_complete:
            self.confirmed = self.sent
        if self._lag_book is not None:
            self._pay_lag()

    def acknowledge(self, size: int, now: float) -> None:
        """Count `size` more bytes as acknowledged by the client's TCP; nothing where that isn't tracked."""
        if self.acked is None:
            return
        if size and self.lag_until == "acked" and now - self._lag_since > self.largest_lag + 0.001:
            self.note_lag(now)
        self.acked += size
        assert self.acked <= self.sent, f"{self.acked} acknowledged of {self.sent} sent bytes"
        if self.path is not None and self.path_until == "acked":
            self.path.acknowledged(self.acked, now)
        if self._lag_book is not None:
            self._pay_lag()

    def note_confirmed(self, position: int, now: float) -> None:
        """Note that the client has confirmed everything before `position`, which it was sent."""
        assert self.confirming is not None, "it was not asked"
        if self.lag_until == "confirmed" and now - self._lag_since > self.largest_lag + 0.001:
            self.note_lag(now)
        self.confirming.answered(position, now)
        self.confirmed = self.sent if self.confirming.is_complete else position
        if self.path is not None and self.path_until == "confirmed":
            self.path.acknowledged(position, now)
        if self._lag_book is not None:
            self._pay_lag()

    def forget_acked(self) -> None:
        """Count in flight from sent again, as what was acknowledged can't be told any more."""
        self.acked = None
        if self._lag_book is not None:
            self._pay_lag()

    def drop_all(self) -> None:
        """Forget accepted bytes that were not committed; the positions stay."""
        self.pieces, self._offset, self.buffered = None, 0, 0
        self._lag_book, self._lag_since = None, inf

    def _pay_lag(self) -> None:
        book, reached = self._lag_book, self.reached(self.lag_until)
        assert book is not None
        if reached == self.current:
            self._lag_book = None
        else:
            book.pay(reached)


@lru_cache(64)
def _slices(start: int, stop: int, size: int) -> list[slice]:
    """Return what cuts a piece up. Handlers mostly write pieces of one size, so these are known."""
    return [slice(at, at + size) for at in range(start, stop, size)]
