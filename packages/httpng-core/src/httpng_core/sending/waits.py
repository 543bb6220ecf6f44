"""Who waits for positions or for the header block, and when they settle."""

from httpng_core.sending.calls import HeaderWrite, Pending, Wait
from httpng_core.sending.positions import SendWindow, Until
from httpng_core.sending.results import Call, encode
from httpng_core.timers import Timers


class HeaderProgress:
    """How far the header block of one response has come.

    Attributes:
        given: the handler gave one; a second is a mistake.
        begun: there is one, the handler's or ours.
        committed: the kernel took a part of the frame that it is in.
        sent: the TCP/IP stack has it.
        acked: the client's TCP has it; only told while that is tracked.
    """

    __slots__ = ("acked", "begun", "committed", "given", "sent")

    def __init__(self) -> None:
        self.given = self.begun = self.committed = self.sent = self.acked = False


class Waits:
    """The waits of one exchange.

    Attributes:
        pending: those that have not settled, in the order of their calls. To be looked at only.
    """

    __slots__ = ("_header", "_timers", "_window", "pending")

    def __init__(self, window: SendWindow, header: HeaderProgress, timers: Timers) -> None:
        self.pending: list[Wait | HeaderWrite] = []
        self._window = window
        self._header = header
        self._timers = timers

    def add(self, wait: Wait | HeaderWrite) -> None:
        """Settles `wait` when what it waits for has come, or at its deadline."""
        wait.timer = self._timers.add(wait.deadline, lambda now: self.withdraw(wait))
        self.pending.append(wait)

    def withdraw(self, wait: Pending) -> None:
        """Settles a pending wait with how far it is: its time is up."""
        self.pending = [each for each in self.pending if each is not wait]
        self._settle(wait)

    def forget_acked(self) -> None:
        """What is acknowledged can't be told any more: who waits for it settles."""
        for wait in [each for each in self.pending if isinstance(each, Wait) and each.until == "acked"]:
            self.withdraw(wait)

    def settle_met(self, *, over: bool) -> None:
        """Settles those for which the exchange has come far enough; all, if it is `over`."""
        waits, self.pending = self.pending, []
        for wait in waits:
            met = self.reached(wait) if isinstance(wait, Wait) else self._header.sent
            if met or over:
                self._settle(wait, over=over)
            else:
                self.pending.append(wait)

    def cancel_header_writes(self) -> None:
        """The header block that they wait for will never go out."""
        for wait in [each for each in self.pending if isinstance(each, HeaderWrite)]:
            self.pending.remove(wait)
            self._settle(wait, over=True)

    def reached(self, wait: Wait) -> bool:
        """Whether the exchange has come as far as `wait` asks."""
        window = self._window
        if wait.position > 0:
            return window.reached(wait.until) >= wait.position
        if wait.position == 0 and self._header_pending(wait.until):
            return False
        return window.in_flight_until(wait.until) <= -wait.position

    def _header_pending(self, until: Until) -> bool:
        """Whether there is a header block that has not come as far as `until`."""
        header = self._header
        acked = until == "acked" and self._window.acked is not None
        return header.begun and not (header.acked if acked else header.sent)

    def _settle(self, wait: Pending, *, over: bool = False) -> None:
        self._timers.cancel(wait.timer)
        sent = self._header.sent
        if isinstance(wait, Wait):
            reached = self.reached(wait)
            wait.settle(encode(Call.WAIT, cancelled=over, headers_were_sent=sent, reached=reached))
        elif sent:
            wait.settle(None)
        else:
            wait.settle(encode(Call.WRITE_HEADER, cancelled=over, headers_were_sent=False))
