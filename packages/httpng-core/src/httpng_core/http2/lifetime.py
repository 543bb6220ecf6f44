"""The life of an HTTP/2 connection: its phases, its deadlines, and how it and its streams end."""

from enum import Enum, auto
from math import inf
from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.http.response import ResponseHead
from httpng_core.http2.answers import Answers
from httpng_core.http2.bulk import Bulk
from httpng_core.http2.engine.errors import NO_ERROR
from httpng_core.http2.engine.session import Session
from httpng_core.http2.stream import Stream
from httpng_core.http2.uploads import Uploads
from httpng_core.sending.ends import Cause, broke_protocol
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.host import DirectSend, Host
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.states import ResponseState
from httpng_core.wire.endpoint import FIRST_REQUEST_GRACE, Endpoint
from httpng_core.wire.events import ExchangeEnded, RequestRefused

_CLOSED: Final = ResponseState.CLOSED
PING: Final = b"httpng\0\0"
"""Its answer says that the client has read the GOAWAY before it."""
ANSWER_TIMEOUT: Final = 1.0
"""How long to wait for that answer, where round trips take less by far."""


class Phase(Enum):
    """How far the end has come."""

    OPEN = auto()
    """Requests are taken."""
    LEAVING = auto()
    """A GOAWAY says that no more requests should come; those that were on their way are taken."""
    GOING = auto()
    """A GOAWAY says which was the last; the streams that run go on."""
    FAILED = auto()
    """Nothing but a GOAWAY goes out."""
    OVER = auto()
    """Nothing more is read or sent."""


_OPEN: Final = Phase.OPEN


class Lifetime:
    """What a connection has, and how it ends. See `Http2`.

    Attributes:
        host: the driver's hooks.
        endpoint: our end of the connection.
        session: frames, flow control, HPACK.
        settings: limits and timeouts.
        streams: those that are open, by id.
        active: those of them that may have something to frame; `Stream.wake` adds to them. Whole answers
            that wait needn't be among them.
        uploads: the bodies that come in.
        answers: those that were given whole and wait.
        bulk: offers what streams have buffered.
    """

    __slots__ = (
        "_answer_due",
        "_block_since",
        "_flushing",
        "_goes_on",
        "_has_control",
        "_idle_since",
        "_kept_stall_timeout",
        "_must_move_since",
        "_phase",
        "_touched",
        "active",
        "answers",
        "bulk",
        "endpoint",
        "host",
        "session",
        "settings",
        "streams",
        "uploads",
    )

    def __init__(self, endpoint: Endpoint, session: Session, settings: Settings, now: float) -> None:
        endpoint.deadline = None
        self.host: Host = endpoint.host
        self.endpoint = endpoint
        self.session = session
        self.settings = settings
        self.streams: dict[int, Stream] = {}
        self.active: dict[int, Stream] = {}
        self.uploads = Uploads(session, settings)
        self.answers = Answers(endpoint, session)
        self._phase = Phase.OPEN
        self._kept_stall_timeout = 0.0
        self._flushing = 0
        # Whether more frames are in than were read in one go: a timer has the next.
        self._goes_on = False
        self.bulk = Bulk(endpoint, session)
        # Whether it is known that control frames wait.
        self._has_control = False
        self._idle_since: float | None = now
        self._must_move_since = self._touched = now
        self._block_since: float | None = None
        self._answer_due = inf
        self._arm(now + settings.header_timeout)
        self.note_control(now)

    # What streams tell --------------------------------------------------------------------------------

    def stream_flushes(self, stream: Stream, exchange: Outgoing, now: float) -> None:
        """Note that the handler of an exchange is done, and no progress for a while is its end."""
        if not self._flushing:
            self._must_move_since = now
        self._flushing += 1
        if exchange.is_whole:
            self.answers.waiting.append(stream)
        endpoint, timeout = self.endpoint, exchange.settings.stall_timeout
        if exchange.settings is not self.settings:
            timeout = min(timeout, self.settings.stall_timeout)
        due, deadline = now + timeout, endpoint.deadline
        if due < inf and (deadline is None or due < deadline):
            endpoint.deadline = due
        endpoint.at_rest = False

    def answers_taken(self, taken: list[Stream], now: float) -> None:
        """Note that the kernel took whole answers; for most that is what `stream_over` does, in one go."""
        endpoint, host, streams, active = self.endpoint, self.host, self.streams, self.active
        admission, note, closes, count = host.admission, host.note_end, False, 0
        for stream in taken:
            exchange = stream.exchange
            assert exchange is not None
            if not exchange.end_whole(now):
                continue
            count += 1
            if admission.open is not None:
                admission.open.pop(exchange, None)
            if note is not None:
                note(exchange, now)
            if endpoint.tells_complete or exchange.settings.access_log:
                endpoint.events.append(ExchangeEnded(exchange, now))
            if stream.flow.credit is not None:
                self.uploads.gone(stream, now)
            if stream.closes:
                closes = True
            del streams[stream.order]
            active.pop(stream.order, None)
        admission.under_way -= count
        self._flushing -= count
        # The rest is done for the last of them.
        self._forget(taken[-1], now)
        if closes:
            self._go_away(now)
        if self.session.control:
            self.note_control(now)
        host.wake()

    def stream_over(self, stream: Stream, now: float) -> None:
        """Note that the exchange of a stream is complete, cancelled or given up."""
        exchange, endpoint = stream.exchange, self.endpoint
        assert exchange is not None
        admission = self.host.admission
        admission.under_way -= 1
        if admission.open is not None:
            admission.open.pop(exchange, None)
        is_complete = exchange.state is _CLOSED
        if not is_complete:
            # It may be among those that are offered, of which the kernel may have some.
            endpoint.outbound.settle_batch()
            self.answers.forget(stream)
        if (note := endpoint.host.note_end) is not None:
            note(exchange, now)
        if endpoint.tells_complete or not is_complete or exchange.substitute or exchange.settings.access_log:
            endpoint.events.append(ExchangeEnded(exchange, now))
        if not is_complete and self._phase is not Phase.OVER:
            self.session.reset(stream.order, stream.code)
        elif (exchange.incoming is not None or stream.inflow is not None) and _has_rest(stream):
            # The rest of the request is of no use (RFC 9113, 8.1).
            self.session.reset(stream.order, NO_ERROR)
        if stream.flushes_since is not None:
            self._flushing -= 1
        self._forget(stream, now)
        if stream.closes:
            self._go_away(now)
        if self.session.control:
            self.note_control(now)

    def send_whole(
        self, stream: Stream, head: ResponseHead, data: bytes, now: float, send: DirectSend
    ) -> int:
        """Give a whole response to the kernel if it is the only one; see `Transport`."""
        if len(self.streams) != 1:
            return -1
        left = self.answers.send(stream, head, data, now, send)
        exchange = stream.exchange
        if left or exchange is None:
            return left
        # What is left of `stream_over` for one that is complete and the last.
        endpoint, admission = self.endpoint, self.host.admission
        admission.under_way -= 1
        if admission.open is not None:
            admission.open.pop(exchange, None)
        if (note := endpoint.host.note_end) is not None:
            note(exchange, now)
        if endpoint.tells_complete or exchange.settings.access_log:
            endpoint.events.append(ExchangeEnded(exchange, now))
            self.host.wake()
        if self._phase is not _OPEN or stream.flow.credit is not None:
            self._forget(stream, now)
            return 0
        # The ordinary case: it rests as before.
        self.streams.clear()
        self.active.clear()
        self._kept_stall_timeout = 0.0
        self._idle_since = self._must_move_since = now
        due, deadline = now + self.settings.keepalive_timeout, endpoint.deadline
        if due < inf and (deadline is None or due < deadline):
            endpoint.deadline = due
        return 0

    def whole_was_cut(self, stream: Stream, left: int, now: float) -> None:
        """Go on with what `send_whole` has left."""
        self.answers.was_cut(stream, left, now)

    def bodies_due(self) -> float:
        """Return when the bodies of all requests together have come too slowly."""
        return self.uploads.rate_due

    def exchanges(self) -> list[Exchange]:
        """Return those that are under way."""
        return [stream.exchange for stream in self.streams.values() if stream.exchange is not None]

    # Time ---------------------------------------------------------------------------------------------

    def _arm(self, due: float) -> None:
        """Have `expired` called by then; too early does no harm."""
        deadline = self.endpoint.deadline
        if due < inf and (deadline is None or due < deadline):
            self.endpoint.deadline = due

    def _arm_all(self) -> None:
        for stream in self.streams.values():
            self._arm(stream.due())
        for due in (self._idle_due(), self._block_due(), self._stuck_due(), self._answer_due):
            self._arm(due)

    def _stuck_due(self) -> float:
        """Return when a client that reads nothing is reset; a handler that still runs may wait for it."""
        outbound = self.endpoint.outbound
        if outbound.is_empty and not self.session.control:
            return inf
        if self._flushing or not self.streams:
            return max(outbound.moved_at, self._must_move_since) + self._stall_timeout
        return inf

    @property
    def _stall_timeout(self) -> float:
        """For all of the connection: while exchanges run that began with a longer one, that."""
        return max(self.settings.stall_timeout, self._kept_stall_timeout)

    def _block_due(self) -> float:
        return inf if self._block_since is None else self._block_since + self.settings.header_timeout

    def _idle_due(self) -> float:
        if self._idle_since is None or self._phase is not Phase.OPEN:
            return inf
        settings = self.settings
        return self._idle_since + (
            settings.keepalive_timeout if self.session.has_settings else settings.header_timeout
        )

    # The end ------------------------------------------------------------------------------------------

    def drain(self, now: float, patient: bool) -> None:
        """Take no more requests but those on their way; the streams that run go on (RFC 9113, 6.8).

        An idle connection may have one on its way as well, and one that was just opened has.
        """
        if not patient:
            self._go_away(now)
            return
        if self._phase is not Phase.OPEN:
            return
        self._phase, self.endpoint.watches = Phase.LEAVING, True
        self.session.announce_leaving()
        self.session.ping(PING)
        self._answer_due = now + (ANSWER_TIMEOUT if self.session.has_settings else FIRST_REQUEST_GRACE)
        self._arm(self._answer_due)
        self.note_control(now)

    def lost(self, now: float, cause: Cause) -> None:
        """Cancel everything: the connection is gone."""
        self._phase = Phase.OVER
        self._end_all(now, cause)

    def reset_all(self, now: float, cause: Cause) -> None:
        """Give the connection up: what is committed can't be taken back stream by stream."""
        self._phase = Phase.OVER
        self.endpoint.reset()
        self._end_all(now, cause, resets=True)

    def _forget(self, stream: Stream, now: float) -> None:
        """Note that a stream is over: the next one may begin, the connection may be idle, or done."""
        self.streams.pop(stream.order, None)
        self.active.pop(stream.order, None)
        if self.bulk.round:
            self.bulk.end_round()
        endpoint = self.endpoint
        if stream.flow.credit is not None:
            self.uploads.gone(stream, now)
        if not self.streams:
            if endpoint.outbound.ledger.tracks:
                # The next exchange may not ask for what costs something.
                endpoint.outbound.ledger.forget()
            self._kept_stall_timeout = 0.0
            self._idle_since = self._must_move_since = now
            due = now + self.settings.keepalive_timeout
            if endpoint.deadline is None or due < endpoint.deadline:
                self._arm(self._idle_due())
            if not endpoint.outbound.is_empty or self.session.control:
                self._arm(self._stuck_due())
            elif self._phase is _OPEN:
                endpoint.at_rest = not self._goes_on
                return
            if self._phase is Phase.LEAVING:
                self._go_away(now)
        if self._phase is not Phase.OPEN:
            self._end_if_done(now)

    def _go_away(self, now: float) -> None:
        """Take no more requests: they are as if they hadn't come."""
        if self._phase is Phase.OPEN or self._phase is Phase.LEAVING:
            self._phase, self._answer_due = Phase.GOING, inf
            self.endpoint.watches = True
            self.session.leave(NO_ERROR)
            self.note_control(now)
            self._arm(self._stuck_due())
        self._end_if_done(now)

    def _fail(self, reason: str, now: float, code: int = 1) -> None:
        """Note what the client has done that ends the connection (RFC 9113, 5.4.1), and close.

        A GOAWAY says why, which the engine has made if it was the one to find it.
        """
        endpoint, session = self.endpoint, self.session
        endpoint.tell(RequestRefused(400, reason, endpoint.peer))
        self._phase, self._block_since, self._answer_due = Phase.OVER, None, inf
        self._end_all(now, broke_protocol(reason, code))
        self._phase, endpoint.watches = Phase.FAILED, True
        if not session.has_failed:
            session.leave(code, reason.encode("ascii", "replace"))
        endpoint.deadline = None
        self.note_control(now)
        self._arm(self._stuck_due())

    def _end_all(self, now: float, cause: Cause, *, resets: bool = False) -> None:
        """Cancel every exchange; or, where the client is at fault, reset it if its handler is done."""
        streams, self.streams, self.active = self.streams, {}, {}
        for stream in streams.values():
            if stream.exchange is None:
                continue
            if resets and stream.flushes_since is not None:
                stream.exchange.reset(now, cause)
            else:
                stream.exchange.cancel(now, cause)

    def _end_if_done(self, now: float) -> None:
        """Close once all is out that is to go out."""
        phase = self._phase
        if phase is not Phase.GOING and phase is not Phase.FAILED:
            return
        if not self.streams and not self.session.control and self.endpoint.outbound.is_empty:
            self._phase = Phase.OVER
            self.endpoint.linger(now)

    def note_control(self, now: float) -> None:
        """Note that control frames wait, if they do: a client that doesn't read them is cut off."""
        if self._has_control or not self.session.control:
            return
        self._has_control = True
        endpoint = self.endpoint
        if endpoint.outbound.is_empty:
            endpoint.outbound.moved_at = now
        endpoint.at_rest = False
        self._arm(self._stuck_due())
        self.host.wake()


def _has_rest(stream: Stream) -> bool:
    """Return whether the client may still send more of its request, or into its tunnel."""
    if stream.inflow is not None:
        return not stream.inflow.ended
    incoming = None if stream.exchange is None else stream.exchange.incoming
    return incoming is not None and not incoming.is_complete
