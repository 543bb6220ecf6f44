"""When the bytes of a write are accepted: the heart of the send window, without time and results.

1. A write is accepted whole as soon as it is first in line and what is left of it fits into its window.
2. A body longer than its window is accepted frame by frame while it is first in line, each frame only
   when the socket can take it and nothing accepted earlier still waits to be committed.
3. A follow that is first in line draws one payload at a time, whole, which is accepted and committed when
   the kernel has taken a part of it. Its window is open when nothing is in flight or the payload fits.
   Along a path, a payload that waits when something is acknowledged was refused room until then.
4. What was accepted is never taken back; what was not is never sent once the write has left the line.
"""

from collections import deque
from collections.abc import Callable

from httpng_core.errors import ContentLengthError
from httpng_core.sending.auto_window import PathEstimate
from httpng_core.sending.buffer import BodyBuffer
from httpng_core.sending.calls import Follow, Source, Write
from httpng_core.sending.positions import LagBook, SendWindow, Until


class SendQueue:
    """The writers of one exchange in order, the bytes accepted from them, and the positions.

    `on_accepted(write)` is called when all of a queued write was accepted and fits;
    `on_refused(write, error)` when its turn came and its length can't be.
    """

    __slots__ = (
        "_drawn",
        "_lag",
        "_on_accepted",
        "_on_refused",
        "_path",
        "_waiting",
        "buffer",
        "drops",
        "lag_until",
        "length",
        "window",
    )

    def __init__(
        self,
        on_accepted: Callable[[Write], None],
        on_refused: Callable[[Write, Exception], None],
    ) -> None:
        self.window = SendWindow()
        self.buffer = BodyBuffer()
        self.drops = False
        """Body bytes are dropped by rule (HEAD, 204, 304)."""
        self.length: int | None = None
        """The declared Content-Length."""
        self.lag_until: Until = "sent"
        """How far a byte must have come to lag no more."""
        self._waiting: deque[Write] = deque()
        self._lag = LagBook()
        self._drawn: tuple[Follow, float] | None = None
        self._path: PathEstimate | None = None
        self._on_accepted = on_accepted
        self._on_refused = on_refused

    @property
    def has_frame(self) -> bool:
        """Whether there are body bytes to frame: accepted ones, or of a long write first in line."""
        return len(self.buffer) > 0 or self.draws_from_writer or self._following() is not None

    @property
    def draws_from_writer(self) -> bool:
        """Whether the next frame would be accepted from a caller that still waits."""
        if self.buffer or not self._waiting:
            return False
        first = self._waiting[0]
        if not first.is_long or not first.rest:
            return False
        # Until sent, the socket says when there is room; until acked, the window does.
        return first.until == "sent" or self.window.in_flight_until("acked") <= first.limit

    @property
    def is_moving(self) -> bool:
        """Whether bytes are in flight, or a writer waits: something has to move."""
        return self.window.in_flight_until(self.lag_until) > 0 or (
            bool(self._waiting) and self.following is None
        )

    @property
    def following(self) -> Source | None:
        """What is followed now: the source of the follow that is first in line."""
        first = self._waiting[0] if self._waiting else None
        return first.source if isinstance(first, Follow) else None

    @property
    def steady_source(self) -> Source | None:
        """What is followed, if all before it is sent and nothing is tracked."""
        window = self.window
        if not self._waiting or self.buffer or window.in_flight or window.acked is not None:
            return None
        return self.following

    def swept(self, size: int) -> None:
        """A sweep has sent `size` body bytes of what is followed."""
        window = self.window
        window.accept(size)
        window.commit(size)
        window.pay(size)

    def drained_after(self, size: int) -> bool:
        """Whether nothing is left to commit after `size` more bytes, and no writer waits."""
        return len(self.buffer) == size and not self._waiting

    @property
    def promised(self) -> int:
        """How long the body will be once all that wait in line were accepted."""
        return self.window.current + sum(write.rest for write in self._waiting)

    @property
    def is_too_short(self) -> bool:
        """Whether a declared Content-Length will not be reached."""
        return self.length is not None and not self.drops and self.promised < self.length

    def along_path(self) -> PathEstimate:
        """What the path holds; it is measured from the first call on."""
        if self._path is None:
            self._path = PathEstimate(self.window.sent)
        return self._path

    def take_now(self, body: bytes, limit: float, now: float, until: Until = "sent") -> bool:
        """Accepts a body whole if it is its turn and it fits; tells whether it did.

        Raises:
            ContentLengthError: it is longer than what the declared Content-Length leaves.
        """
        if self._waiting:
            return False
        self._check_length(len(body))
        if not self.drops and not self.window.fits(len(body), limit, until):
            return False
        self._accept(body, now)
        return True

    def line_up(self, write: Write, now: float) -> None:
        """Puts a write that had no room at the end of the line."""
        self._waiting.append(write)
        if len(self._waiting) == 1:
            self.advance(now)

    def leave(self, write: Write) -> None:
        """Takes a write out of the line; what was accepted of it stays accepted. Then `advance`."""
        self._waiting.remove(write)

    def leave_all(self) -> list[Write]:
        """Empties the line."""
        left = list(self._waiting)
        self._waiting.clear()
        return left

    def advance(self, now: float) -> None:
        """Gives every write its turn that can have one."""
        waiting = self._waiting
        while waiting:
            write = waiting[0]
            if isinstance(write, Follow):
                if not write.source.ended or self.window.in_flight:
                    return
                waiting.popleft()
                self._on_accepted(write)
                continue
            error = self._refusal(write)
            if error is not None:
                waiting.popleft()
                self._on_refused(write, error)
            elif self.drops or self.window.fits(write.rest, write.limit, write.until):
                waiting.popleft()
                self._accept(write.body[write.accepted :], now)
                write.accepted = len(write.body)
                self._on_accepted(write)
            else:
                return

    def peek(self, limit: int, now: float) -> bytes | memoryview:
        """The body bytes of the next frame, at most `limit`; a long write's are accepted by this."""
        self._drawn = None
        follow = self._following()
        if follow is not None:
            return self._draw(follow, now)
        if self.draws_from_writer:
            write = self._waiting[0]
            piece = write.body[write.accepted : write.accepted + limit]
            write.accepted += len(piece)
            self._accept(piece, now)
        return self.buffer.peek(limit)

    def commit(self, size: int) -> None:
        """The kernel took some of a frame with the first `size` accepted bytes, or the payload drawn."""
        if self._drawn is None:
            self.buffer.drop(size)
        else:
            self._take_drawn(*self._drawn, size)
        self.window.commit(size)

    def pay(self, size: int, now: float) -> None:
        """The kernel took `size` more body bytes."""
        self.window.pay(size)
        if self._path is not None:
            self._path.sent(self.window.sent, now)
        self._left_flight(now)

    def acknowledge(self, size: int, now: float) -> None:
        """The client's TCP acknowledged `size` more body bytes."""
        path = self._path
        if path is not None and self._follow_waits():
            path.refused(path.changed_at)
        self.window.acknowledge(size)
        if path is not None and self.window.acked is not None:
            # First, so that what waits for room finds the window as it is now.
            path.acknowledged(self.window.acked, now)
        self._left_flight(now)

    def forget_acked(self, now: float) -> None:
        """What was acknowledged can't be told any more: in flight counts from sent."""
        self.window.acked = None
        self._left_flight(now)

    def _left_flight(self, now: float) -> None:
        self._lag.pay(self.window.reached(self.lag_until))
        self.advance(now)

    def drop_all(self) -> None:
        """Forgets accepted bytes that were not committed; the positions stay."""
        self.buffer.clear()
        self._lag.clear()

    def lag(self, now: float) -> float:
        """Seconds that the oldest byte in flight has waited."""
        return self._lag.lag(now)

    def _accept(self, piece: bytes, now: float) -> None:
        if self.drops:
            self.window.accept_dropped(len(piece))
        elif piece:
            self.window.accept(len(piece))
            self.buffer.append(piece)
            self._lag.accept(self.window.current, now)

    def _following(self) -> Follow | None:
        """The follow that the next frame would be drawn from."""
        if self.buffer or not self._waiting:
            return None
        first = self._waiting[0]
        if isinstance(first, Follow) and (size := first.source.size) and self._is_open(first, size):
            return first
        return None

    def _follow_waits(self) -> bool:
        """Whether the first in line has a payload for which the window is closed."""
        first = self._waiting[0] if self._waiting else None
        if not isinstance(first, Follow):
            return False
        size = first.source.size
        return size > 0 and not self._is_open(first, size)

    def _is_open(self, follow: Follow, size: int) -> bool:
        window = self.window
        if window.in_flight_until(follow.until) == 0:
            return True
        # What is drawn may be longer than the payload, by the notice of a gap: then it needs that much room.
        size = max(size, follow.refused)
        return window.fits(size, follow.limit_for(size), follow.until)

    def _draw(self, follow: Follow, now: float) -> bytes:
        follow.refused = 0
        payload = self._offered(follow)
        if follow.settled:
            self.advance(now)
            return b""
        if not self._is_open(follow, len(payload)):
            follow.refused = len(payload)
            return b""
        if payload:
            self._drawn = follow, now
        else:
            self.advance(now)
        return payload

    def _offered(self, follow: Follow) -> bytes:
        try:
            return follow.source.offer()
        except Exception as error:
            # It runs code of the user's, which may have ended the exchange before it raised.
            if not follow.settled:
                self._waiting.popleft()
                self._on_refused(follow, error)
            return b""

    def _take_drawn(self, follow: Follow, drawn_at: float, size: int) -> None:
        self._drawn = None
        follow.source.taken()
        self.window.accept(size)
        self._lag.accept(self.window.current, drawn_at)

    def _refusal(self, write: Write) -> ContentLengthError | None:
        try:
            self._check_length(write.rest)
        except ContentLengthError as error:
            return error
        return None

    def _check_length(self, size: int) -> None:
        # By rule the bodies of HEAD, 204 and 304 are dropped, whatever their length.
        if self.length is None or self.drops or self.window.current + size <= self.length:
            return
        raise ContentLengthError(
            f"content-length is {self.length}, {self.window.current} bytes were written and {size} more "
            "would exceed it; nothing of them is sent"
        )
