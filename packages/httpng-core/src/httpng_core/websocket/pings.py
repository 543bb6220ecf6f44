"""When to send a PING, and when a client that doesn't answer is gone."""

from enum import Enum, auto
from math import inf
from typing import Final

from httpng_core.sending.answer_time import AnswerTime
from httpng_core.websocket.frames import PING, control_frame

_SIZE: Final = 8
_FRAME: Final = 2 + _SIZE


def ping_at(begin: int) -> bytes:
    """Return the PING that begins at a position of the body; its payload is the position where it ends.

    So no two are alike, and an answer tells what the client has.
    """
    return control_frame(PING, (begin + _FRAME).to_bytes(_SIZE, "big"))


def position_of(payload: bytes) -> int:
    """Return the position that a PONG tells; -1 for one that answers no PING of the server."""
    return int.from_bytes(payload, "big") if len(payload) == _SIZE else -1


class Verdict(Enum):
    """What is to be done."""

    WAIT = auto()
    PING = auto()
    GONE = auto()


class PingClock:
    """The PINGs of one WebSocket.

    Attributes:
        due: when to `check` again.
        awaiting: the position that the PING tells which is to be answered, or `None`.
    """

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        """Ping every `interval` seconds, and wait `timeout` seconds for the answer; infinity: for ever."""
        self.due = now + interval
        self.awaiting: int | None = None
        self._interval = interval
        self._answer = AnswerTime(timeout)

    def pinged(self, position: int, now: float) -> None:
        """Note that the PING which was due has been accepted."""
        timeout = self._answer.timeout
        self.awaiting = position
        self._answer.begin(now)
        self.due = now + (self._interval if timeout == inf else timeout)

    def answered(self, position: int, now: float) -> None:
        """Note that the client has answered a PING, and so is there; that answers those before it."""
        if self.awaiting is not None and self.awaiting <= position:
            self.awaiting = None
        if self.awaiting is None:
            self.due = now + self._interval

    def check(self, now: float, *, sent: bool, moved_at: float, reading: bool) -> Verdict:
        """Return what is to be done now; after `PING` call `pinged`.

        The arguments are those of `AnswerTime.late_at`.
        """
        if self.awaiting is None:
            return Verdict.PING if self.due <= now else Verdict.WAIT
        late_at = self._answer.late_at(now, sent=sent, moved_at=moved_at, reading=reading)
        if late_at == inf:
            # Nobody has to answer; the next may go once this one has.
            if sent and self.due <= now:
                return Verdict.PING
            self.due = max(self.due, now + self._interval)
            return Verdict.WAIT
        self.due = late_at
        return Verdict.GONE if self.due <= now else Verdict.WAIT
