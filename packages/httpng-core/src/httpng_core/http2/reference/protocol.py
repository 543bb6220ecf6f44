"""HTTP/2 (RFC 9113) by h2: many exchanges on one connection, each frame made when it can go out.

h2 checks frames and keeps flow control and HPACK. Its single buffer, which forgets whose bytes are
whose, is emptied after each step: control frames wait in order here, frames of exchanges go to the tail
of the connection together with the spans that say what they pay for.
"""

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
from httpng_core.wire.endpoint import Endpoint
from httpng_core.wire.events import ExchangeEnded, RequestRefused
from httpng_core.wire.outbound import JOIN_BELOW
from httpng_core.wire.protocol import Readiness
from httpng_core.wire.scheduler import Scheduler

MAX_CONTROL = 64 * 1024
"""How many bytes of answers to frames of the client's, PING and the like, wait for it to read."""
MAX_SEALED: Final = 16 * 1024 - 512
"""How many bytes of frames are made at once over TLS, so that mostly they fit into a record."""


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


class Http2:
    """HTTP/2 on one connection.

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
        self._scheduler: Scheduler[Stream] = Scheduler()
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

    # What the connection tells ------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Note that the client sent `data`."""
        if self.has_failed:
            return
        self._watch.feed(data)
        if self._watch.oversized:
            self.fail(ErrorCodes.FRAME_SIZE_ERROR, "a frame is too long", now)
            return
        try:
            happened = self.h2.receive_data(data)
        except ProtocolError as error:
            self.fail(int(error.error_code), str(error), now)
            return
        self._intake.act(happened, now)
        self._time_block(now)
        self.take_control(now)

    def receive_eof(self, now: float) -> None:
        """Note that the client sends no more: half requests are gone, exchanges go by the setting."""
        for stream in list(self.streams.values()):
            if stream.exchange is None:
                self.forget(stream, now)
            else:
                stream.exchange.half_closed(now)
        if self._is_owed or self.streams:
            self.go_away(now)
        else:
            self._phase = Phase.OVER
            self.endpoint.close(now)

    def peer_shut(self, now: float) -> None:
        """Do nothing: what comes is always read, so the FIN is as well."""

    def moved(self, now: float) -> None:
        """Note that the kernel took wire bytes, or that the client acknowledged some."""
        self._end_if_done(now)

    def count_swept(self) -> None:
        """Nothing is swept: each stream has frames of its own."""

    def forget_acked(self, now: float) -> None:
        """Acknowledgements can't be told any more."""
        for exchange in self.exchanges():
            exchange.acknowledgements_lost(now)

    def expired(self, now: float) -> None:
        """Something may have taken too long."""
        if self._stuck_due() <= now:
            # What is committed can't be taken back stream by stream.
            self._phase = Phase.OVER
            self.endpoint.reset()
            self._end_all(now, STALLED, resets=True)
            return
        for stream in list(self.streams.values()):
            if stream.due() <= now:
                self._stream_expired(stream, now)
        if self._idle_due() <= now:
            self.go_away(now)
        if self._block_due() <= now:
            self.fail(ErrorCodes.PROTOCOL_ERROR, "a header block took too long", now)
        self.take_control(now)
        self._arm_all()

    def drain(self, now: float) -> None:
        """Take no more requests; the streams that run go on."""
        self.go_away(now)

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Other settings from now on; what would have taken too long by them ends soon."""
        if self.streams:
            self._kept_stall_timeout = self._stall_timeout
        self.settings = settings
        self._intake.uploads.limit(settings, now)
        self._arm_all()

    def lost(self, now: float, cause: Cause) -> None:
        """Cancel everything: the connection is gone."""
        self._phase = Phase.OVER
        self._end_all(now, cause)

    # What the connection asks -------------------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Always: window updates and resets must get through. What comes is bounded otherwise."""
        return True

    @property
    def has_frame(self) -> bool:
        """Whether there is a control frame, or one of an exchange that the windows have room for."""
        if self._control:
            return True
        for stream in self.streams.values():  # noqa: SIM110 - a generator costs more than the few turns.
            if stream.can_send:
                return True
        return False

    @property
    def is_flushing(self) -> bool:
        """Whether the rest of a response goes out."""
        return self._flushing > 0

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up, as things stand; infinity: never."""
        if self._phase in (Phase.FAILED, Phase.OVER) or self._stuck_due() < inf:
            return self._stall_timeout
        return inf

    def prepare(self) -> Readiness:
        """Return whether there is something to frame; no frame can be taken back, so ask the socket."""
        return Readiness.ASK if self.has_frame else Readiness.NOTHING

    def fill(self, limit: int | None, now: float) -> None:
        """Commit control frames, and frames of exchanges with about `limit` bytes, in one go."""
        size = self.outbound.size
        # What is made is committed, so no more than a frame may commit elsewhere.
        most = MAX_SEALED if self.outbound.is_sealed else size.frame
        limit = most if limit is None else max(min(limit, most), 1)
        made: list[bytes | memoryview] = []
        made += self._control
        self._control, self._control_size = [], 0
        self.outbound.ledger.push(sum(map(len, made)))
        if self.streams:
            self._deal(made, limit, now)
            if self._phase is Phase.OVER:
                # Code of a user's that ran meanwhile (`on_gap`) has ended the connection.
                return
        if made:
            self.outbound.moved_at = now
            # Below this, one copy costs less than a vectored send.
            self.outbound.queue([b"".join(made)] if limit <= JOIN_BELOW or len(made) > 64 else made)

    def _deal(self, made: list[bytes | memoryview], limit: int, now: float) -> None:
        scheduler = self._scheduler
        scheduler.begin(stream for stream in self.streams.values() if stream.can_send)
        while limit > 0 and (stream := scheduler.next()) is not None:
            frames = stream.send(limit, now)
            size = sum(map(len, frames))
            made += frames
            limit -= size
            scheduler.sent(stream, size, more=size > 0 and stream.can_send)
        # Nothing of a stream is kept until the next round.
        scheduler.begin(())

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
