"""When an answer of the client's is late."""

from math import inf


class AnswerTime:
    """How long the answer to one question is waited for.

    The time runs only while the client could answer: not before the TCP/IP stack has the question, as long as
    anything moves, nor while nothing is read from the client.
    """

    __slots__ = ("_since", "_was_sent", "timeout")

    def __init__(self, timeout: float) -> None:
        """Wait `timeout` seconds; infinity: for ever."""
        self.timeout = timeout
        self._since = -inf
        self._was_sent = False

    def begin(self, now: float) -> None:
        """Note that the question was accepted."""
        self._since, self._was_sent = now, False

    def late_at(self, now: float, *, sent: bool, moved_at: float, reading: bool) -> float:
        """Return when the answer is late, as things stand.

        Args:
            now: the time.
            sent: whether the TCP/IP stack has all of the question.
            moved_at: when it last took bytes.
            reading: whether anything is read from the client.
        """
        if not self._was_sent:
            self._since, self._was_sent = max(self._since, moved_at), sent
        if not reading:
            self._since = now
        return self._since + self.timeout
