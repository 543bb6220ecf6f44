"""A response that is given whole, or a piece of one: what others do step by step is done in one go."""

from collections import deque
from typing import Final

from httpng_core.http.response import ResponseHead
from httpng_core.sending.host import NO_HOST, DirectSend
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.states import ResponseState
from httpng_core.sending.transport import NO_TRANSPORT
from httpng_core.sending.waits import HeadStage

_ENDED: Final = ResponseState.ENDED
_CLOSED: Final = ResponseState.CLOSED
_BEGUN: Final = HeadStage.BEGUN
_COMMITTED: Final = HeadStage.COMMITTED
_SENT: Final = HeadStage.SENT
_STREAMING: Final = ResponseState.STREAMING
_LARGEST: Final = 16 * 1024
"""A longer piece is committed in parts, if the client is slow."""


class Whole(Outgoing):
    """A response that may be given whole."""

    __slots__ = ()

    def begin_whole(
        self, head: ResponseHead, data: bytes, size: int, now: float, send: DirectSend | None
    ) -> bool:
        """Take a whole response in one go, and its end, if it is an ordinary one; return whether it is.

        With `send` it goes to the kernel at once, if nobody waits for how far it comes.
        """
        settings = self.settings
        window = settings.default_send_window if self.window is None else self.window
        if (
            head.bodiless
            or (head.content_length is not None and head.content_length != size)
            or settings.headers is not None
            or self.request.method == "HEAD"
            or self.queue is not None
            or self.confirming is not None
            or (window != "auto" and size > window)
        ):
            return False
        left = -1
        if (
            send is not None
            and self.waits is None
            and self.stalls is None
            and self.incoming is None
            and self.on_over is None
            and self.drain_waits is None
        ):
            left = self.transport.send_whole(self, head, data, now, send)
            if not left:
                return True
        self.head, self.head_stage, self.length = head, _BEGUN, size
        if size:
            self.current = self.buffered = size
            self.pieces, self._lag_since = deque((data,)), now
        self.is_whole, self.state = True, _ENDED
        if self.incoming is not None:
            self.incoming.abandon("its handler is done", now)
        self.transport.exchange_ended(self, now)
        if left > 0:
            self.transport.was_cut(left, now)
        self.host.wake()
        return True

    def sent_whole(self, head: ResponseHead, size: int, now: float) -> None:
        """Note that the kernel took a whole response in the call that gave it, and let go of the connection.

        What frames it tells whom it has to tell.
        """
        self.head, self.head_stage, self.length, self.is_whole = head, _SENT, size, True
        self.current = self.committed = self.sent = size
        self.first_sent = self.moved_at = now
        self._end_committed = True
        self.state = _CLOSED
        # Who keeps the exchange keeps nothing of its connection.
        self.transport, self.host = NO_TRANSPORT, NO_HOST

    def commit_whole(self) -> None:
        """Note that the kernel took a part of what was given in one go, so that all of it must go out.

        The exchange may have been given up meanwhile.
        """
        self.offered = False
        self.head_stage = _COMMITTED
        self.buffered, self.pieces = 0, None
        self.committed = self.current
        self._end_committed = True

    def send_piece(self, data: bytes, now: float, send: DirectSend) -> bool:
        """Write a piece as `write` does, if it can go to the kernel at once; return whether it was written.

        It does if all before it has gone, it fits into the default send window, and nobody waits for
        anything or tracks it. If false is returned nothing was done. See `answer` for `send`.
        """
        settings, size = self.settings, len(data)
        window = settings.default_send_window if self.window is None else self.window
        if (
            self.state is not _STREAMING
            or self.head_stage is not _SENT
            or self.current != self.sent
            or self.queue is not None
            or self.stalls is not None
            or self.confirming is not None
            or self.path is not None
            or self.lag_until != "sent"
            or (self.waits is not None and self.waits.pending)
            or window == "auto"
            or not 0 < size <= window
            or size > _LARGEST
            or settings.default_window_until != "sent"
        ):
            return False
        left = self.transport.send_piece(data, now, send)
        if left < 0:
            return False
        self._calls += 1
        self.last_whole = self._calls
        if left:
            self.accept(data, now)
            self.transport.was_cut(left, now)
            self.transport.wake()
        else:
            self.current += size
            self.committed += size
            self.sent += size
            self.moved_at = now
        return True

    def taken_whole(self, now: float) -> None:
        """Note that the kernel took all of what was given in one go, at once; nothing of it is tracked."""
        transport, host = self.transport, self.host
        if self.end_whole(now):
            transport.exchange_over(self, now)
            host.wake()

    def end_whole(self, now: float) -> bool:
        """Note the same; return whether nobody has to be told but what frames it, which its caller tells."""
        self.offered = False
        self.head_stage = _SENT
        self.first_sent = self.moved_at = now
        if self.current and now - self._lag_since > self.largest_lag:
            self.largest_lag = now - self._lag_since
        self.buffered, self.pieces = 0, None
        self.committed = self.sent = self.current
        self._end_committed = True
        self.state = _CLOSED
        if (
            self.waits is not None
            or self.queue is not None
            or self.stalls is not None
            or self.incoming is not None
            or self.on_over is not None
            or self.drain_waits is not None
            or self.confirming is not None
            or self.tunnel is not None
        ):
            self.tell_over(now)
            return False
        # Who keeps the exchange keeps nothing of its connection.
        self.transport, self.host = NO_TRANSPORT, NO_HOST
        return True
