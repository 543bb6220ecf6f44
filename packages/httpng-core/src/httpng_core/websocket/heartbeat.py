"""PINGs both ways on a WebSocket: the client's answered; ours by the clock, or to have messages confirmed."""

from collections.abc import Callable
from math import inf
from typing import Final

from httpng_core.sending.asking import SOON, Asker
from httpng_core.sending.ends import over_limit
from httpng_core.sending.exchange import Exchange
from httpng_core.timers import Timer
from httpng_core.websocket.frames import PONG, control_frame
from httpng_core.websocket.pings import PingClock, Verdict, ping_at, position_of

NO_PONG: Final = over_limit("ws_ping_timeout", "no PONG has come within ws_ping_timeout")
MOST_PONGS: Final = 16
"""So many PINGs are answered one by one; of more at once only the last ones (RFC 6455, 5.5.3)."""


class Heartbeat:
    """What keeps one WebSocket alive, or finds that its client is gone."""

    __slots__ = ("_asker", "_clock", "_exchange", "_pong_end", "_pongs", "_reads", "_stopped", "_timer")

    def __init__(self, exchange: Exchange, reads: Callable[[], bool], now: float) -> None:
        """Begin with nothing said; `reads` tells whether anything is read from the client."""
        settings = exchange.settings
        self._clock = PingClock(settings.ws_ping_interval, settings.ws_ping_timeout, now)
        self._exchange = exchange
        self._reads = reads
        # The answers that are due, and where in the body the last ones end.
        self._pongs: list[bytes] = []
        self._pong_end = 0
        self._asker: Asker | None = None
        self._stopped = False
        self._timer: Timer | None = None
        self._watch()

    def begin_confirming(self) -> None:
        """Have messages confirmed from now on, by the answers to PINGs behind them."""
        self._asker = Asker(self._exchange, ping_at, lambda: self._reads())
        if self._stopped:
            self._asker.stop()

    def stop(self, now: float, *, ask: bool) -> None:
        """Say nothing more; if CLOSE comes next (`ask`), what isn't confirmed is asked for before it."""
        if self._stopped:
            return
        self._stopped, self._reads = True, bool
        self._exchange.timers.cancel(self._timer)
        if self._asker is None:
            return
        if ask:
            self._asker.ask_last(now)
        else:
            self._asker.stop()

    def pinged(self, payload: bytes) -> None:
        """Note a PING of the client's; of many that have no answer yet the first is forgotten."""
        if len(self._pongs) == MOST_PONGS:
            del self._pongs[0]
        self._pongs.append(payload)

    def ponged(self, payload: bytes, now: float) -> None:
        """Note a PONG of the client's.

        It says that the client has what lies before the PING that it answers, and has answered those before
        that, though it need not say so (RFC 6455, 5.5.3). One that answers none of those that are under way,
        or one that isn't sent yet, says nothing.
        """
        exchange, confirming = self._exchange, self._exchange.confirming
        position = position_of(payload)
        asked = () if confirming is None else confirming.asked
        if (position != self._clock.awaiting and position not in asked) or position > exchange.sent:
            return
        self._clock.answered(position, now)
        exchange.confirm(position, now)
        self._watch()

    def answer(self, now: float) -> None:
        """Answer the PINGs that wait, if any, unless an answer still waits for the client to read."""
        exchange, pongs = self._exchange, self._pongs
        if not pongs or self._stopped or exchange.sent < self._pong_end:
            return
        exchange.accept(b"".join(control_frame(PONG, payload) for payload in pongs), now)
        exchange.transport.wake()
        pongs.clear()
        self._pong_end = exchange.current
        # One that comes meanwhile is answered when this is out: what a client can make us hold is bounded.
        exchange.wait(self._pong_end, now, inf, "sent").on_settle = self._answered

    def _answered(self) -> None:
        if self._pongs and not self._stopped:
            self._exchange.timers.add(SOON, self.answer)

    def _watch(self) -> None:
        timers = self._exchange.timers
        timers.cancel(self._timer)
        self._timer = None if self._stopped else timers.add(self._clock.due, self._check)

    def _check(self, now: float) -> None:
        exchange, clock = self._exchange, self._clock
        was_sent = clock.awaiting is not None and exchange.sent >= clock.awaiting
        verdict = clock.check(now, sent=was_sent, moved_at=exchange.moved_at, reading=self._reads())
        if verdict is Verdict.GONE:
            exchange.cancel(now, NO_PONG)
            return
        if verdict is Verdict.PING:
            exchange.accept(ping_at(exchange.current), now)
            exchange.transport.wake()
            clock.pinged(exchange.current, now)
        self._watch()
