"""When to send a PING, and when a client that doesn't answer is gone."""

from enum import Enum, auto
from math import inf


class Verdict(Enum):
    """What is to be done."""

    WAIT = auto()
    PING = auto()
    GONE = auto()


class PingClock:
    """The PINGs of one WebSocket.

    The time of an answer runs only while the client could give one: not before the TCP/IP stack has the
    PING, as long as anything moves, nor while nothing is read as the handler takes no messages.

    Attributes:
        due: when to `check` again.
        awaiting: the payload of the PING that is to be answered, or `None`.
    """

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        """Ping every `interval` seconds, and wait `timeout` seconds for the answer; infinity: for ever."""
        self.due = now + interval
        self.awaiting: bytes | None = None
        self._interval = interval
        self._timeout = timeout
        self._count = 0
        self._since = now
        self._was_sent = False

    def answered(self, payload: bytes, now: float) -> None:
        """Note a PONG; one that nobody asked for changes nothing."""
        if payload == self.awaiting:
            self.awaiting = None
            self.due = now + self._interval

    def check(self, now: float, *, sent: bool, moved_at: float, reading: bool) -> Verdict:
        """Return what is to be done now; after `PING` send one with the payload `awaiting`.

        Args:
            now: the time.
            sent: whether the TCP/IP stack has all of the last PING.
            moved_at: when it last took bytes.
            reading: whether anything is read from the client.
        """
        if self.awaiting is None:
            return self._ping(now) if self.due <= now else Verdict.WAIT
        if not self._was_sent:
            self._since, self._was_sent = max(self._since, moved_at), sent
        if not reading:
            self._since = now
        if self._timeout == inf:
            # Nobody has to answer; the next may go once this one has.
            if sent and self.due <= now:
                return self._ping(now)
            self.due = max(self.due, now + self._interval)
            return Verdict.WAIT
        self.due = self._since + self._timeout
        return Verdict.GONE if self.due <= now else Verdict.WAIT

    def _ping(self, now: float) -> Verdict:
        self._count += 1
        self.awaiting = self._count.to_bytes(4, "big")
        self._since, self._was_sent = now, False
        self.due = now + min(self._timeout, self._interval if self._timeout == inf else inf)
        return Verdict.PING
