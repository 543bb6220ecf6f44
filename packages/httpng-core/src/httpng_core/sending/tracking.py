"""How far beyond the TCP/IP stack an exchange counts: until the client's TCP or its program has the bytes."""

from httpng_core.config.types import Until
from httpng_core.errors import AckedUnknownError, ConfirmedUnknownError
from httpng_core.sending.checks import checked_until
from httpng_core.sending.confirming import Confirming
from httpng_core.sending.stalling import Stalling
from httpng_core.sending.states import LAST_LIVE


class Tracking(Stalling):
    """An exchange that counts what is acknowledged and what is confirmed once someone asks for it."""

    __slots__ = ()

    def track_acknowledged(self) -> bool:
        """Count what the client's TCP acknowledges from now on; return whether that can be told.

        Then an acknowledgement is progress as well, so that a client that takes long is not a stall.
        """
        if self.acked is None and self.state <= LAST_LIVE:
            self._step_out()
            if not self.transport.track_acknowledged(self):
                return False
            self.acked = 0
        return True

    def track_confirmed(self) -> bool:
        """Count what the client's program confirms from now on; return whether anything confirms."""
        if self.confirming is None and self.tunnel is not None:
            self.tunnel.begin_confirming()
        return self.confirming is not None or self.state > LAST_LIVE

    def begin_confirming(self, confirming: Confirming) -> None:
        """Count from now on what the client confirms; what was sent before counts once it has."""
        self.confirming, self.confirmed = confirming, self.sent if confirming.is_complete else 0

    def confirm(self, position: int, now: float) -> None:
        """Note that the client says that it has everything before `position`.

        What lies beyond `sent`, or is confirmed already, changes nothing: it is stale, or made up.
        """
        confirming = self.confirming
        if confirming is None or self.state > LAST_LIVE or not confirming.at < position <= self.sent:
            return
        self.moved_at = now
        if self.queue is not None:
            self.queue.note_refusal(self, "confirmed")
        self.note_confirmed(position, now)
        if self.queue is not None:
            self.queue.advance(self, now, self._settle_write)
        if self.waits is not None and self.waits.pending:
            self.settle_waits()
        confirming.look()
        self.transport.wake()

    def _track(self, until: Until) -> Until:
        """Return how far bytes have to come for a call that asks for more than "sent", or the window "auto".

        Raises:
            ValueError: there is no such position.
            AckedUnknownError, ConfirmedUnknownError: it can't be told.
        """
        if checked_until(until) == "confirmed":
            if not self.track_confirmed():
                raise ConfirmedUnknownError(
                    "nothing confirms what this response has sent: the client of a WebSocket does, or of a "
                    "stream that was given a token (httpng.confirmations)"
                )
            return until
        if not self.track_acknowledged():
            raise AckedUnknownError("what a client has acknowledged can't be told on this platform")
        return "acked"

    def _step_out(self) -> None:
        """Let no broadcast send any more: someone waits for positions, or wants them acknowledged."""
        if self.queue is not None and (source := self.queue.following) is not None:
            source.step_out()
