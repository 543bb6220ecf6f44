"""The life of an HTTP/2 connection by h2: its phases, its deadlines, and how it and its streams end."""

from enum import Enum, auto
from math import inf
from typing import Final

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hyperframe.exceptions import HyperframeError

from httpng_core.config.settings import Settings
from httpng_core.errors import RemoteError
from httpng_core.http.request import Request
from httpng_core.http2.reference.guard import BlockWatch
from httpng_core.http2.reference.intake import Intake
from httpng_core.http2.reference.stream import Stream
from httpng_core.http2.reference.wire import MAX_STREAMS, PREFACE, ServerH2
from httpng_core.sending.ends import STALLED, Cause, broke_protocol
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.holdings import Holding
from httpng_core.wire.endpoint import Endpoint
from httpng_core.wire.events import ExchangeEnded, RequestRefused

MAX_CONTROL: Final = 64 * 1024
"""How many bytes of answers to frames of the client's, PING and the like, wait for it to read."""


class Phase(Enum):
    """How far the end has come."""

    OPEN = auto()
    """Requests are taken."""
    GOING = auto()
    """A GOAWAY says which was the last; the streams that run go on."""
    FAILED = auto()
    """Nothing but a GOAWAY goes out."""
    OVER = auto()
    """Nothing more is read or sent."""


class Lifetime:
    """What a connection has, and how it ends. See `Http2`.

    Attributes:
        endpoint: our end of the connection.
        outbound: its wire bytes.
        host: the driver's hooks.
        h2: frames, flow control, HPACK.
        settings: limits and timeouts.
        streams: those that are open, by id.
    """

    def __init__(
        self, endpoint: Endpoint, settings: Settings, now: float, upgrade: bytes | None = None
    ) -> None:
        """Announces our settings.

        Raises:
            ValueError: `upgrade` isn't what HTTP2-Settings must be.
        """
        endpoint.deadline = None
        endpoint.watches = True
        self.endpoint = endpoint
        self.outbound = endpoint.outbound
        self.host = endpoint.host
        try:
            self.h2 = ServerH2(settings, upgrade)
        except (ProtocolError, HyperframeError) as error:
            raise ValueError(str(error)) from error
        self.settings = settings
        self._kept_stall_timeout = 0.0
        self.streams: dict[int, Stream] = {}
        self._intake = Intake(self, now)
        self._phase = Phase.OPEN
        self._control: list[bytes] = []
        self._control_size = 0
        self._flushing = 0
        self._idle_since: float | None = now
        self._must_move_since = now
        self._watch = BlockWatch(len(PREFACE))
        self._block_since: float | None = None
        self.arm(now + settings.header_timeout)
        self.take_control(now)

    def begin_upgraded(self, request: Request, now: float) -> None:
        """Note that the request that asked for the upgrade is stream 1 (RFC 7540, 3.2)."""
        self._intake.take_upgraded(request, now)

    # What streams and the intake need -----------------------------------------------------------------

    @property
    def takes_requests(self) -> bool:
        """Whether one more stream may be opened."""
        return self._phase is Phase.OPEN and len(self.streams) < MAX_STREAMS

    @property
    def has_failed(self) -> bool:
        """Whether nothing that the client says is of interest any more."""
        return self._phase in (Phase.FAILED, Phase.OVER)

    def opened(self, stream: Stream) -> None:
        """Note that a stream has begun."""
        self.streams[stream.order], self._idle_since = stream, None

    def stream_flushes(self, now: float, stall_timeout: float) -> None:
        """Note that the handler of an exchange is done, and no progress for so long is its end."""
        if not self._flushing:
            self._must_move_since = now
        self._flushing += 1
        self.arm(now + min(stall_timeout, self._stall_timeout))

    def stream_over(self, stream: Stream, now: float) -> None:
        """Note that the exchange of a stream is complete, cancelled or given up."""
        exchange = stream.exchange
        assert exchange is not None
        admission = self.host.admission
        admission.under_way -= 1
        if admission.open is not None:
            admission.open.pop(exchange, None)
        if (note := self.endpoint.host.note_end) is not None:
            note(exchange, now)
        self.endpoint.tell(ExchangeEnded(exchange, now))
        if not stream.is_complete and self._phase is not Phase.OVER:
            self.reset(stream.order, stream.code)
        self._flushing -= stream.is_flushing
        self.forget(stream, now)
        if stream.closes:
            self.go_away(now)
        self.take_control(now)

    def bodies_due(self) -> float:
        """Return when the bodies of all requests together have come too slowly."""
        return self._intake.uploads.rate_due

    def give_up(self, stream: Stream, now: float, cause: Cause) -> None:
        """End the exchange of a stream, or refuse the request that comes in: one of the limits is reached."""
        if stream.exchange is not None:
            stream.code = ErrorCodes.ENHANCE_YOUR_CALM
            stream.exchange.reset(now, cause)
        elif stream.order in self.streams:
            self._intake.refuse(stream.order, RemoteError(cause.text, 503), now, cause)
            self.take_control(now)

    def holdings(self) -> list[Holding]:
        """Return what is held for each stream."""
        holdings = [stream.holding() for stream in self.streams.values()]
        return [holding for holding in holdings if holding is not None]

    # Inside: time -------------------------------------------------------------------------------------

    def arm(self, due: float) -> None:
        """Has `expired` called by then; too early does no harm."""
        if due < inf and (self.endpoint.deadline is None or due < self.endpoint.deadline):
            self.endpoint.deadline = due

    def _arm_all(self) -> None:
        for stream in self.streams.values():
            self.arm(stream.due())
        for due in (self._idle_due(), self._block_due(), self._stuck_due()):
            self.arm(due)

    @property
    def _is_owed(self) -> bool:
        """Whether there is something that the client is to read first of all."""
        return bool(self._control) or not self.outbound.is_empty

    def _stuck_due(self) -> float:
        """When a client that reads nothing at all is reset; a handler that still runs may wait for it."""
        if self._is_owed and (self._flushing or not self.streams):
            return max(self.outbound.moved_at, self._must_move_since) + self._stall_timeout
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
            settings.keepalive_timeout if self._intake.begun else settings.header_timeout
        )

    def _time_block(self, now: float) -> None:
        if not self._watch.begun:
            self._block_since = None
        elif self._block_since is None:
            self._block_since = now
            self.arm(now + self.settings.header_timeout)

    def _stream_expired(self, stream: Stream, now: float) -> None:
        if stream.exchange is None:
            slow = stream.touched + self.settings.body_timeout > now
            reason = "the request body came too slowly" if slow else "the request took too long"
            self._intake.refuse(stream.order, RemoteError(reason, 408), now)
        else:
            stream.code = ErrorCodes.CANCEL
            stream.exchange.reset(now, STALLED)

    # Inside: the end ----------------------------------------------------------------------------------

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Give a stream up, if it is open."""
        if self.h2.is_open(stream_id):
            self.h2.reset_stream(stream_id, code)

    def forget(self, stream: Stream, now: float) -> None:
        """Note that a stream is over: the next one may begin, the connection may be idle, or done."""
        self.streams.pop(stream.order, None)
        self._intake.uploads.gone(stream, now)
        if not self.streams:
            # The next exchange may not ask for what costs something.
            self.outbound.ledger.forget()
            self._kept_stall_timeout = 0.0
            self._idle_since = self._must_move_since = now
            self.arm(self._idle_due())
            self.arm(self._stuck_due())
        self._end_if_done(now)

    def go_away(self, now: float) -> None:
        """Take no more requests (RFC 9113, 6.8), and close when those that run are over."""
        if self._phase is Phase.OPEN:
            self._phase = Phase.GOING
            self.h2.close_connection(ErrorCodes.NO_ERROR, last_stream_id=self._intake.last_stream)
            self.take_control(now)
            self.arm(self._stuck_due())
        self._end_if_done(now)

    def fail(self, code: int, reason: str, now: float) -> None:
        """Report a connection error (RFC 9113, 5.4.1), and close."""
        if self.has_failed:
            return
        self.endpoint.tell(RequestRefused(400, reason, self.endpoint.peer))
        self._phase, self._block_since = Phase.OVER, None
        self._end_all(now, broke_protocol(reason, code))
        self._phase = Phase.FAILED
        self.h2.clear_outbound_data_buffer()
        self.h2.close_connection(code, last_stream_id=self._intake.last_stream)
        self._control, self._control_size = [], 0
        self.endpoint.deadline = None
        self.take_control(now)
        self.arm(self._stuck_due())

    def _end_all(self, now: float, cause: Cause, *, resets: bool = False) -> None:
        """Cancel every exchange; or, where the client is at fault, reset it if its handler is done."""
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            if stream.exchange is None:
                continue
            if resets and stream.is_flushing:
                stream.exchange.reset(now, cause)
            else:
                stream.exchange.cancel(now, cause)

    def exchanges(self) -> list[Exchange]:
        """Return those that are under way."""
        return [stream.exchange for stream in self.streams.values() if stream.exchange is not None]

    def _end_if_done(self, now: float) -> None:
        """Close once all is out that is to go out."""
        if self._phase in (Phase.OPEN, Phase.OVER) or self.streams or self._control:
            return
        if self.outbound.is_empty:
            self._phase = Phase.OVER
            self.endpoint.linger(now)

    def take_control(self, now: float) -> None:
        """Take the control frames that h2 has made, in order; a client that doesn't read them is cut off."""
        data = self.h2.data_to_send()
        if not data:
            return
        if not self._is_owed:
            self.outbound.moved_at = now
        self._control.append(data)
        self._control_size += len(data)
        if self._control_size > MAX_CONTROL:
            self.fail(ErrorCodes.ENHANCE_YOUR_CALM, "too many answers wait to be read", now)
        self.arm(self._stuck_due())
        self.host.wake()
