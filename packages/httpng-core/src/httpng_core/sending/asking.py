"""When to ask a client how far it has come, and when one that doesn't say is given up."""

from collections.abc import Callable
from typing import Final

from httpng_core.sending.answer_time import AnswerTime
from httpng_core.sending.calls import Wait
from httpng_core.sending.confirming import Confirming
from httpng_core.sending.ends import Cause, EndKind
from httpng_core.sending.states import LAST_WRITABLE
from httpng_core.sending.tracking import Tracking
from httpng_core.timers import Timer

NOT_CONFIRMED: Final = Cause(EndKind.STALLED, "stalled: the client has confirmed nothing for confirm_timeout")
MOST_ASKED: Final = 16
"""So many questions are under way along a path at most, spread evenly over what it holds."""
SOON: Final = 0.0
"""A deadline that has always come: what is accepted in this turn is asked for by one question."""


def _nothing() -> None:
    """Do nothing: nobody is asked any more."""


class Asker:
    """Asks the client of one exchange, by questions that it makes part of the body.

    One goes behind what was accepted, when none is under way, and
    1. a call waits for what is confirmed, or
    2. `confirm_every` bytes are to be confirmed, or
    3. `confirm_interval` has passed since the last.

    Where a window follows the path until confirmed, several are under way, spread over what the path holds:
    one at a time would open the window once in two round trips.
    """

    __slots__ = (
        "_answer",
        "_behind",
        "_exchange",
        "_late",
        "_next",
        "_over",
        "_question",
        "_reads",
        "_timer",
    )

    def __init__(
        self,
        exchange: Tracking,
        question: Callable[[int], bytes],
        reads: Callable[[], bool],
        *,
        behind: bytes | None = None,
        over: Callable[[], None] = _nothing,
    ) -> None:
        """Begin to count what the client confirms.

        Args:
            exchange: whose client is asked.
            question: returns the question that begins at a position of the body.
            reads: tells whether anything is read from the client.
            behind: what the body must end with where a question may go, two bytes or none; all of the body is
                to be confirmed then. `None`: messages are, and a question may go behind any.
            over: called when the exchange is over.
        """
        self._exchange = exchange
        self._question = question
        self._reads = reads
        self._behind = behind
        self._over = over
        self._answer = AnswerTime(exchange.settings.confirm_timeout)
        self._next = 0.0
        self._timer: Timer | None = None
        self._late: Timer | None = None
        confirming = Confirming(exchange.current, self._look, self._end)
        if behind is not None:
            confirming.last = behind
        exchange.begin_confirming(confirming)

    def ask_last(self, now: float) -> None:
        """Ask for all that isn't confirmed, and for nothing more: the exchange comes to its end."""
        confirming = self._exchange.confirming
        if confirming is not None and not confirming.is_asked:
            self._ask(confirming, now)
        self.stop()

    def stop(self) -> None:
        """Ask nothing more, and wait for no answer."""
        self._exchange.timers.cancel(self._timer)
        self._exchange.timers.cancel(self._late)
        # Let go of what it was; nobody asks any more.
        self._reads = bool
        confirming = self._exchange.confirming
        assert confirming is not None
        confirming.look = _nothing

    def _end(self) -> None:
        self.stop()
        confirming = self._exchange.confirming
        assert confirming is not None
        confirming.end = _nothing
        self._over()

    def _look(self) -> None:
        """Have the client asked soon, if it is to be; nothing is waited for once it has answered."""
        exchange = self._exchange
        confirming, timers, timer = exchange.confirming, exchange.timers, self._timer
        assert confirming is not None
        if not confirming.asked:
            timers.cancel(self._late)
        if confirming.is_asked or (timer is not None and timer.deadline == SOON):
            return
        if self._is_wanted(confirming) or (timer is None and not confirming.asked):
            timers.cancel(timer)
            self._timer = timers.add(SOON, self._ask_if_due)
            exchange.host.wake()

    def _is_wanted(self, confirming: Confirming) -> bool:
        """Return whether to ask now, whenever that was done last."""
        exchange, asked = self._exchange, len(confirming.asked)
        if exchange.path is not None and exchange.path_until == "confirmed":
            new = confirming.owed - confirming.asked_to
            return asked < MOST_ASKED and new >= exchange.path.window / MOST_ASKED
        if asked:
            return False
        if confirming.owed - confirming.at >= exchange.settings.confirm_every:
            return True
        queue, waits = exchange.queue, exchange.waits
        if queue is not None and queue.waits_until("confirmed"):
            return True
        pending = () if waits is None else waits.pending
        return any(isinstance(each, Wait) and each.until == "confirmed" for each in pending)

    def _ask_if_due(self, now: float) -> None:
        self._timer = None
        confirming = self._exchange.confirming
        if confirming is None or confirming.is_asked or not self._may_ask(confirming):
            return
        is_wanted = self._is_wanted(confirming)
        if confirming.asked and not is_wanted:
            return  # The window has grown meanwhile.
        if is_wanted or now >= self._next:
            self._ask(confirming, now)
        else:
            self._timer = self._exchange.timers.add(self._next, self._ask_if_due)

    def _may_ask(self, confirming: Confirming) -> bool:
        """Return whether a question has a place here: not in half an event, nor behind the end."""
        exchange = self._exchange
        if exchange.state > LAST_WRITABLE or exchange.length is not None:
            return False
        return not self._behind or confirming.last == self._behind

    def _ask(self, confirming: Confirming, now: float) -> None:
        exchange = self._exchange
        last, confirming.last = confirming.last, None
        exchange.accept(self._question(exchange.current), now)
        confirming.last = last
        exchange.transport.wake()
        self._next = now + exchange.settings.confirm_interval
        if not confirming.asked:
            self._answer.begin(now)
            self._watch(now + self._answer.timeout)
        confirming.asked.append(exchange.current)

    def _watch(self, deadline: float) -> None:
        timers = self._exchange.timers
        timers.cancel(self._late)
        self._late = timers.add(deadline, self._check)

    def _check(self, now: float) -> None:
        exchange, confirming = self._exchange, self._exchange.confirming
        assert confirming is not None
        sent = exchange.sent >= confirming.asked[0]
        late_at = self._answer.late_at(now, sent=sent, moved_at=exchange.moved_at, reading=self._reads())
        late_at = max(late_at, confirming.heard_at + self._answer.timeout)
        if late_at <= now:
            exchange.reset(now, NOT_CONFIRMED)
        else:
            self._watch(late_at)
