"""Who waits for positions or for the header block, and when they settle."""

from enum import IntEnum

from httpng_core.config.types import Until
from httpng_core.sending.body import ResponseBody
from httpng_core.sending.calls import HeaderWrite, Pending, Wait
from httpng_core.sending.results import Call, encode_result
from httpng_core.timers import Timers


class HeadStage(IntEnum):
    """How far the header block of one response has come."""

    NONE = 0
    """None was given, neither by the handler nor by us."""
    BEGUN = 1
    """There is one."""
    COMMITTED = 2
    """The kernel took a part of the frame that it is in."""
    SENT = 3
    """The TCP/IP stack has it."""
    ACKED = 4
    """The client's TCP has it; only told while that is tracked."""


def reached(wait: Wait, body: ResponseBody, stage: HeadStage) -> bool:
    """Return whether the response has come as far as `wait` asks."""
    positions = wait.positions
    if wait.position > 0:
        reached = body.reached(wait.until) if positions is None else positions.reached(wait.until)
        return reached >= wait.position
    if wait.position == 0 and _head_pending(wait.until, body, stage):
        return False
    in_flight = body.in_flight(wait.until) if positions is None else positions.in_flight(wait.until)
    return in_flight <= -wait.position


def _head_pending(until: Until, body: ResponseBody, stage: HeadStage) -> bool:
    """Return whether there is a header block that has not come as far as `until`."""
    if stage is HeadStage.NONE:
        return False
    needed = HeadStage.ACKED if until == "acked" and body.acked is not None else HeadStage.SENT
    return stage < needed


class Waits:
    """The waits of one exchange; made when the first call has to wait.

    Attributes:
        pending: those that have not settled, in the order of their calls. To be looked at only.
    """

    __slots__ = ("_timers", "pending")

    def __init__(self, timers: Timers) -> None:
        self.pending: list[Wait | HeaderWrite] = []
        self._timers = timers

    def settle_met(self, body: ResponseBody, stage: HeadStage, *, over: bool) -> None:
        """Settle those for which the response has come far enough; all, if it is `over`."""
        waits, self.pending = self.pending, []
        for wait in waits:
            met = reached(wait, body, stage) if isinstance(wait, Wait) else stage >= HeadStage.SENT
            if met or over:
                self.settle(wait, body, stage, over=not met)
            else:
                self.pending.append(wait)

    def withdraw(self, wait: Pending, body: ResponseBody, stage: HeadStage) -> None:
        """Settle a pending wait with how far it is: its time is up."""
        self.pending = [each for each in self.pending if each is not wait]
        self.settle(wait, body, stage)

    def forget_acked(self, body: ResponseBody, stage: HeadStage) -> None:
        """Settle those that wait for what is acknowledged: it can't be told any more."""
        for wait in [each for each in self.pending if isinstance(each, Wait) and each.until == "acked"]:
            self.withdraw(wait, body, stage)

    def cancel_header_writes(self, body: ResponseBody, stage: HeadStage) -> None:
        """Settle those that wait for a header block that will never go out."""
        for wait in [each for each in self.pending if isinstance(each, HeaderWrite)]:
            self.pending.remove(wait)
            self.settle(wait, body, stage, over=True)

    def settle(self, wait: Pending, body: ResponseBody, stage: HeadStage, *, over: bool = False) -> None:
        """Settle `wait` with how far it is."""
        self._timers.cancel(wait.timer)
        sent = stage >= HeadStage.SENT
        if isinstance(wait, Wait):
            met = reached(wait, body, stage)
            wait.settle(encode_result(Call.WAIT, cancelled=over, headers_were_sent=sent, reached=met))
        elif sent:
            wait.settle(None)
        else:
            wait.settle(encode_result(Call.WRITE_HEADER, cancelled=over, headers_were_sent=False))
