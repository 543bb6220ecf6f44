"""The body of a request that is read while it comes in: pieces in from a protocol, reads from the handler.

A body is held back by not taking more of it from the client: what is held here, and not read, is bounded by
the protocol, which asks `wants_more` (HTTP/1.1), or gives credit for what was `consumed` (HTTP/2).
"""

from collections import deque
from math import inf
from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.config.types import Seconds
from httpng_core.errors import (
    BodyError,
    BodyTimeoutError,
    BodyTooLongError,
    ReadTimeoutError,
    RequestCancelled,
)
from httpng_core.http.body_rate import BODY_GRACE
from httpng_core.http.trailers import Fields
from httpng_core.sending.calls import Read
from httpng_core.sending.checks import checked_timeout
from httpng_core.sending.transport import NO_TRANSPORT, Transport
from httpng_core.timers import Timers

MAX_PIECE: Final = 65536
"""The longest piece that a read without a limit brings."""
# Smaller pieces are merged: a bytes object costs 33 bytes beside its content.
_SMALL: Final = 1024


class Incoming:
    """A request's body on its way to the handler.

    Attributes:
        held: how many bytes have come and are not read.
        received: how many bytes have come in all.
        touched: when bytes have come or were read last.
        is_complete: whether all of it has come.
        error: why it will never be complete, if so; what is held can be read before that is raised.
        drops: whether what comes is of no use: the exchange is over, or its handler is.
        trailers: the fields behind the body, once it is complete.
    """

    __slots__ = (
        "_allowance",
        "_given_back",
        "_limit",
        "_offset",
        "_pieces",
        "_rate",
        "_read",
        "_timeout",
        "_timers",
        "_transport",
        "_waits_since",
        "drops",
        "error",
        "held",
        "is_complete",
        "received",
        "touched",
        "trailers",
    )

    def __init__(self, transport: Transport, timers: Timers, settings: Settings, limit: int | None) -> None:
        """Begin with nothing; more than `limit` bytes are an error of the client's."""
        self.held = self.received = 0
        self.touched = 0.0
        self.is_complete = self.drops = False
        self.error: BodyError | None = None
        self.trailers: Fields = ()
        self._transport: Transport = transport
        self._timers = timers
        self._limit = limit
        self._timeout = settings.body_timeout
        self._rate = settings.min_body_rate
        self._pieces: deque[bytes] = deque()
        self._offset = 0
        self._given_back = 0
        self._read: Read | None = None
        # For so many seconds more may be waited, by what has come. Time in which nobody waits is free.
        self._allowance = BODY_GRACE
        self._waits_since = 0.0

    # What the handler asks ----------------------------------------------------------------------------

    @property
    def is_read(self) -> bool:
        """Whether all has come and nothing is left to be read."""
        return self.is_complete and not self.held

    @property
    def kept(self) -> int:
        """How many bytes are kept to be read, those before them in the same piece included."""
        return self.held + self._offset

    def read(self, limit: int | None, now: float, timeout: Seconds | None = None) -> Read:
        """Read what is held, or wait for what comes next; the value of the call is a piece, `b""` at the end.

        Args:
            limit: the most bytes; `None`: `MAX_PIECE`. Fewer come if fewer are held.
            now: the time.
            timeout: seconds; then the call raises `ReadTimeoutError`. `None`: only `body_timeout` and
                `min_body_rate` end it, which count while a read waits.

        Raises:
            TypeError, ValueError: wrong arguments.
            RuntimeError: another read waits.
        """
        read = Read(_checked_limit(limit), inf if timeout is None else now + checked_timeout(timeout))
        if self._read is not None:
            raise RuntimeError("another read of this body waits: there can be one at a time")
        if self.held:
            self._give(read, now)
        elif self.is_complete:
            read.answer(b"")
        elif self.error is not None:
            read.answer(None, self.error)
        else:
            self._wait(read, now)
        return read

    def withdraw(self, read: Read, now: float) -> None:
        """End a read as its timeout would; what it has brought is there for the next one."""
        if read is self._read:
            self._stop_waiting(now).answer(None, _late(read))
        elif not read.failed and (piece := read.value) and not self.drops:
            if self._offset:
                self._pieces[0] = self._pieces[0][self._offset :]
                self._offset = 0
            self._pieces.appendleft(piece)
            self.held += len(piece)
            self._given_back += len(piece)

    # What the protocol tells --------------------------------------------------------------------------

    @property
    def wants_more(self) -> bool:
        """Whether bytes that come now have a place to go."""
        return not self.held or self.drops or self.error is not None

    def take(self, data: bytes, now: float) -> None:
        """Take a piece that came; it isn't empty."""
        if self.drops or self.error is not None:
            return
        size = len(data)
        self.received += size
        if self._limit is not None and self.received > self._limit:
            self.fail(too_long(self._limit), now)
            return
        if self._rate:
            self._earn(size, now)
        pieces = self._pieces
        if pieces and size < _SMALL and len(pieces[-1]) < _SMALL:
            pieces[-1] += data
        else:
            pieces.append(data)
        self.held += size
        self.touched = now
        if self._read is not None:
            self._give(self._stop_waiting(now), now)

    def others_came(self, size: int, now: float) -> None:
        """Note that the client has sent `size` bytes of other bodies: it may send one after the other."""
        if self._rate and self._read is not None:
            self._earn(size, now)

    def end(self, trailers: Fields, now: float) -> None:
        """Note that all has come."""
        if self.error is not None:
            return
        self.is_complete, self.trailers, self._transport = True, trailers, NO_TRANSPORT
        if self._read is not None:
            self._stop_waiting(now).answer(b"")

    def fail(self, error: BodyError, now: float) -> None:
        """Note that it will never be complete: reads raise, once all is read that has come."""
        if self.is_complete or self.error is not None:
            return
        self.error = error
        self._transport.body_failed(now)
        if self._read is not None:
            self._stop_waiting(now).answer(None, error)

    def abandon(self, cause: str, now: float) -> None:
        """Note that the exchange is over, or its handler: what isn't complete is dropped."""
        if self.is_complete or self.drops:
            return
        self.drops = True
        self._pieces.clear()
        self.held = self._offset = 0
        if self.error is None:
            self.error = RequestCancelled(cause)
        if self._read is not None:
            self._stop_waiting(now).answer(None, self.error)

    def let_go(self) -> None:
        """Forget the protocol: who keeps this keeps nothing of its connection."""
        self._transport = NO_TRANSPORT

    # Inside -------------------------------------------------------------------------------------------

    def _wait(self, read: Read, now: float) -> None:
        self._transport.body_awaited(now)
        if read.deadline <= now:
            read.answer(None, _late(read))
            return
        self._read, self._waits_since = read, now
        read.timer = self._timers.add(min(read.deadline, self._body_due()), self._expired)

    def _body_due(self) -> float:
        """Return when the client has taken too long, as things stand."""
        return self._waits_since + (min(self._timeout, self._allowance) if self._rate else self._timeout)

    def _stop_waiting(self, now: float) -> Read:
        """Return the read that waits: it is to be answered."""
        read = self._read
        assert read is not None
        self._allowance -= now - self._waits_since
        self._timers.cancel(read.timer)
        self._read = None
        return read

    def _expired(self, now: float) -> None:
        read = self._read
        assert read is not None
        if read.deadline <= now:
            self._stop_waiting(now).answer(None, _late(read))
        elif (due := min(read.deadline, self._body_due())) > now:
            # Others have come meanwhile.
            read.timer = self._timers.add(due, self._expired)
        elif now - self._waits_since >= self._timeout:
            self.fail(BodyTimeoutError(f"no byte of the request body for {self._timeout} seconds"), now)
        else:
            self.fail(BodyTimeoutError("the request body came too slowly"), now)

    def _earn(self, size: int, now: float) -> None:
        left, most = self._allowance + size / self._rate, max(self._timeout, BODY_GRACE)
        self._allowance = min(left, most if self._read is None else most + now - self._waits_since)

    def _give(self, read: Read, now: float) -> None:
        piece = self._take(read.limit)
        size = len(piece)
        self.held -= size
        self.touched = now
        if self._given_back:
            # That much was consumed before.
            before = min(self._given_back, size)
            self._given_back -= before
            size -= before
        read.answer(piece)
        if size:
            self._transport.body_consumed(size, now)

    def _take(self, limit: int) -> bytes:
        pieces = self._pieces
        if len(pieces) == 1 and self.held <= limit and not self._offset:
            return pieces.popleft()
        parts: list[bytes] = []
        while pieces and limit > 0:
            piece = pieces[0]
            part = piece[self._offset : self._offset + limit]
            parts.append(part)
            limit -= len(part)
            self._offset += len(part)
            if self._offset == len(piece):
                pieces.popleft()
                self._offset = 0
        return b"".join(parts)


def too_long(limit: int) -> BodyTooLongError:
    """Return the error of a body that is longer than `limit`."""
    return BodyTooLongError(f"request body is longer than {limit} bytes")


def _checked_limit(limit: object) -> int:
    if limit is None:
        return MAX_PIECE
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"limit must be a number of bytes, not {type(limit).__name__}")
    if limit < 1:
        raise ValueError(f"limit is {limit}, must be at least 1")
    return limit


def _late(read: Read) -> ReadTimeoutError:
    return ReadTimeoutError("no byte of the request body has come within the timeout of the read")
