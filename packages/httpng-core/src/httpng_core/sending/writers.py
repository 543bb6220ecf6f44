"""The calls that stand in the line of writers: their deadlines, their results, and what falls short.

`SendQueue` decides when bytes are accepted; this says what a call is told, and remembers whether the last one
that fell short makes what the client has pass for complete.
"""

from httpng_core.sending.calls import Follow, Write
from httpng_core.sending.queue import SendQueue
from httpng_core.sending.results import Call, SendResult, encode
from httpng_core.sending.waits import HeaderProgress
from httpng_core.timers import Timers


class Writers:
    """The writers of one exchange.

    Attributes:
        queue: their line, and the positions.
        fell_short: whether the last write was not accepted whole, and no later one was.
    """

    __slots__ = ("_header", "_timers", "fell_short", "queue")

    def __init__(self, timers: Timers, header: HeaderProgress) -> None:
        self.queue = SendQueue(self._accepted, self._refused)
        self.fell_short = False
        self._timers = timers
        self._header = header

    def note_whole(self, body: bytes) -> None:
        """All of a body goes out: that makes up for a write that fell short, unless it is empty."""
        if body:
            self.fell_short = False

    def line_up(self, write: Write, now: float) -> Write:
        """Puts a write that had no room at the end of the line, until its deadline."""
        write.timer = self._timers.add(write.deadline, lambda at: self.withdraw(write, at))
        self.queue.line_up(write, now)
        return write

    def withdraw(self, write: Write, now: float) -> None:
        """Takes a write out of the line: its time is up. What was accepted of it stays so."""
        self.queue.leave(write)
        self.fell_short = write.rest > 0 or (self.fell_short and not write.body)
        self._settle(write)
        self.queue.advance(now)

    def cancel(self) -> bool:
        """Nobody in line is served any more; whether a write was cut in its middle.

        Then what the client has can't pass for complete, though it was another task's write.
        """
        left = self.queue.leave_all()
        for write in left:
            self._settle(write, cancelled=True)
        return any(write.accepted and write.rest for write in left)

    def follow_result(self, *, cancelled: bool) -> SendResult:
        """What a follow is told that ended before its feed."""
        return encode(Call.WAIT, cancelled=cancelled, headers_were_sent=self._header.sent)

    def _settle(self, write: Write, *, cancelled: bool = False) -> None:
        self._leave(write)
        if isinstance(write, Follow):
            write.settle(self.follow_result(cancelled=cancelled))
            return
        write.settle(
            encode(
                Call.WRITE,
                cancelled=cancelled,
                headers_were_sent=self._header.sent,
                body_bytes=write.accepted,
            )
        )

    def _accepted(self, write: Write) -> None:
        self._leave(write)
        self.note_whole(write.body)
        write.settle(None)

    def _refused(self, write: Write, error: Exception) -> None:
        self._leave(write)
        write.settle(None, error)

    def _leave(self, write: Write) -> None:
        self._timers.cancel(write.timer)
        if isinstance(write, Follow):
            write.source.end()
