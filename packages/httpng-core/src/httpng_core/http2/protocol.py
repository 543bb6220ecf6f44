"""HTTP/2 (RFC 9113) by h2: many exchanges on one connection, each frame made when it can go out.

h2 checks frames and keeps flow control and HPACK. Its single buffer, which forgets whose bytes are
whose, is emptied after each step: control frames wait in order here, frames of exchanges go to the tail
of the connection together with the spans that say what they pay for.
"""

from enum import Enum, auto
from math import inf

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from httpng_core.config.settings import Settings
from httpng_core.errors import RemoteError
from httpng_core.http.dates import DateSource
from httpng_core.http.request import Address, Request
from httpng_core.http2.guard import BlockWatch
from httpng_core.http2.intake import Intake
from httpng_core.http2.stream import Stream
from httpng_core.http2.wire import MAX_STREAMS, PREFACE, ServerH2
from httpng_core.sending.exchange import Exchange
from httpng_core.wire.events import RequestRefused, exchange_ended
from httpng_core.wire.protocol import Link
from httpng_core.wire.scheduler import Scheduler

MAX_CONTROL = 64 * 1024
"""How many bytes of answers to frames of the client's, PING and the like, wait for it to read."""
_JOIN_BELOW = 32 * 1024


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
        link: the connection.
        h2: frames, flow control, HPACK.
        settings: limits and timeouts.
        date: the value for the Date header.
        moved_at: when the kernel last took anything, or the client acknowledged it.
        streams: those that are open, by id.
    """

    def __init__(
        self,
        link: Link,
        settings: Settings,
        now: float,
        date: DateSource,
        peer: Address,
        ouraddr: Address,
        *,
        https: bool = False,
        upgrade: bytes | None = None,
    ) -> None:
        """Announces our settings.

        Raises:
            ProtocolError, ValueError: `upgrade` isn't what HTTP2-Settings must be.
        """
        link.deadline = None
        self.link = link
        self.h2 = ServerH2(settings, upgrade)
        self.settings = settings
        self._kept_stall_timeout = 0.0
        self.date = date
        self.moved_at = now
        self.streams: dict[int, Stream] = {}
        self._intake = Intake(self, now, peer, ouraddr, https=https)
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
        self._take_control(now)

    def begin_upgraded(self, request: Request, now: float) -> None:
        """The request that asked for the upgrade is stream 1 (RFC 7540, 3.2)."""
        self._intake.take_upgraded(request, now)

    # What the connection tells ------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """The client sent `data`."""
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
        self._take_control(now)

    def receive_eof(self, now: float) -> None:
        """The client sends no more: requests that aren't whole are gone, exchanges go by the setting."""
        for stream in list(self.streams.values()):
            if stream.exchange is None:
                self.forget(stream, now)
            else:
                stream.exchange.half_closed(now)
        if self._is_owed or self.streams:
            self.go_away(now)
        else:
            self._phase = Phase.OVER
            self.link.close()

    def moved(self, now: float) -> None:
        """The kernel took wire bytes, or the client acknowledged some."""
        self.moved_at = now
        self._end_if_done(now)

    def count_swept(self) -> None:
        """Nothing is swept: each stream has frames of its own."""

    def forget_acked(self, now: float) -> None:
        """Acknowledgements can't be told any more."""
        for exchange in self._exchanges():
            exchange.forget_acked(now)

    def expired(self, now: float) -> None:
        """Something may have taken too long."""
        if self._stuck_due() <= now:
            # What is committed can't be taken back stream by stream.
            self._phase = Phase.OVER
            self.link.reset()
            self._end_all(now, aborts=True)
            return
        for stream in list(self.streams.values()):
            if stream.due() <= now:
                self._stream_expired(stream, now)
        if self._idle_due() <= now:
            self.go_away(now)
        if self._block_due() <= now:
            self.fail(ErrorCodes.PROTOCOL_ERROR, "a header block took too long", now)
        self._take_control(now)
        self._arm_all()

    def drain(self, now: float) -> None:
        """Takes no more requests; the streams that run go on."""
        self.go_away(now)

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Other settings from now on; what would have taken too long by them ends soon."""
        if self.streams:
            self._kept_stall_timeout = self._stall_timeout
        self.settings = settings
        self._intake.uploads.limit(settings.max_body_len)
        self._arm_all()

    def lost(self, now: float) -> None:
        """The connection is gone."""
        self._phase = Phase.OVER
        self._end_all(now)

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

    def asks_first(self, is_cautious: bool) -> bool:
        """Always: no frame can be taken back."""
        return True

    def next_frame(self, limit: int, now: float) -> None:
        """Commits control frames, and frames of exchanges with about `limit` bytes, in one go."""
        made: list[bytes | memoryview] = []
        made += self._control
        self._control, self._control_size = [], 0
        self.link.wire.push(sum(map(len, made)))
        if self.streams:
            self._deal(made, limit, now)
        if made:
            self.moved_at = now
            # Below this, one copy costs less than a vectored send.
            self.link.queue([b"".join(made)] if limit <= _JOIN_BELOW or len(made) > 8 else made)

    def _deal(self, made: list[bytes | memoryview], limit: int, now: float) -> None:
        scheduler = self._scheduler
        scheduler.begin(stream for stream in self.streams.values() if stream.can_send)
        while limit > 0 and (stream := scheduler.next()) is not None:
            frames = stream.send(limit, now)
            size = sum(map(len, frames))
            made += frames
            limit -= size
            scheduler.sent(stream, size, more=size > 0 and stream.can_send)

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
        """A stream has begun."""
        self.streams[stream.order], self._idle_since = stream, None

    def stream_flushes(self, now: float, stall_timeout: float) -> None:
        """The handler of an exchange is done, and no progress for so long is its end."""
        if not self._flushing:
            self._must_move_since = now
        self._flushing += 1
        self.arm(now + min(stall_timeout, self._stall_timeout))

    def stream_over(self, stream: Stream, now: float) -> None:
        """The exchange of a stream is complete, cancelled or aborted."""
        exchange = stream.exchange
        assert exchange is not None
        self.link.tell(exchange_ended(exchange, now))
        if not stream.is_complete and self._phase is not Phase.OVER:
            self.reset(stream.order, stream.code)
        self._flushing -= stream.is_flushing
        self.forget(stream, now)
        if stream.closes:
            self.go_away(now)
        self._take_control(now)

    # Inside: time -------------------------------------------------------------------------------------

    def arm(self, due: float) -> None:
        """Has `expired` called by then; too early does no harm."""
        if due < inf and (self.link.deadline is None or due < self.link.deadline):
            self.link.deadline = due

    def _arm_all(self) -> None:
        for stream in self.streams.values():
            self.arm(stream.due())
        for due in (self._idle_due(), self._block_due(), self._stuck_due()):
            self.arm(due)

    @property
    def _is_owed(self) -> bool:
        """Whether there is something that the client is to read first of all."""
        return bool(self._control) or not self.link.all_out

    def _stuck_due(self) -> float:
        """When a client that reads nothing at all is reset; a handler that still runs may wait for it."""
        if self._is_owed and (self._flushing or not self.streams):
            return max(self.moved_at, self._must_move_since) + self._stall_timeout
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
            self._intake.refuse(stream.order, RemoteError("the request took too long", 408), now)
        else:
            stream.code = ErrorCodes.CANCEL
            stream.exchange.abort(now)

    # Inside: the end ----------------------------------------------------------------------------------

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Gives a stream up, if it is open."""
        if self.h2.is_open(stream_id):
            self.h2.reset_stream(stream_id, code)

    def forget(self, stream: Stream, now: float) -> None:
        """A stream is over: the next one may begin, the connection may be idle, or done."""
        self.streams.pop(stream.order, None)
        self._intake.uploads.gone(stream, now)
        if not self.streams:
            # The next exchange may not ask for what costs something.
            self.link.wire.forget()
            self._kept_stall_timeout = 0.0
            self._idle_since = self._must_move_since = now
            self.arm(self._idle_due())
            self.arm(self._stuck_due())
        self._end_if_done(now)

    def go_away(self, now: float) -> None:
        """Takes no more requests (RFC 9113, 6.8), and closes when those that run are over."""
        if self._phase is Phase.OPEN:
            self._phase = Phase.GOING
            self.h2.close_connection(ErrorCodes.NO_ERROR, last_stream_id=self._intake.last_stream)
            self._take_control(now)
            self.arm(self._stuck_due())
        self._end_if_done(now)

    def fail(self, code: int, reason: str, now: float) -> None:
        """A connection error (RFC 9113, 5.4.1): says so, and closes."""
        if self.has_failed:
            return
        self.link.tell(RequestRefused(400, reason))
        self._phase, self._block_since = Phase.OVER, None
        self._end_all(now)
        self._phase = Phase.FAILED
        self.h2.clear_outbound_data_buffer()
        self.h2.close_connection(code, last_stream_id=self._intake.last_stream)
        self._control, self._control_size = [], 0
        self.link.deadline = None
        self._take_control(now)
        self.arm(self._stuck_due())

    def _end_all(self, now: float, *, aborts: bool = False) -> None:
        """Every exchange is cancelled; or, where the client is at fault, aborted if its handler is done."""
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            if stream.exchange is None:
                continue
            if aborts and stream.is_flushing:
                stream.exchange.abort(now)
            else:
                stream.exchange.cancel(now)

    def _exchanges(self) -> list[Exchange]:
        return [stream.exchange for stream in self.streams.values() if stream.exchange is not None]

    def _end_if_done(self, now: float) -> None:
        """Closes once all is out that is to go out."""
        if self._phase in (Phase.OPEN, Phase.OVER) or self.streams or self._control:
            return
        if self.link.all_out:
            self._phase = Phase.OVER
            self.link.linger(now)

    def _take_control(self, now: float) -> None:
        """Takes the control frames that h2 has made, in order; a client that doesn't read them is cut off."""
        data = self.h2.data_to_send()
        if not data:
            return
        if not self._is_owed:
            self.moved_at = now
        self._control.append(data)
        self._control_size += len(data)
        if self._control_size > MAX_CONTROL:
            self.fail(ErrorCodes.ENHANCE_YOUR_CALM, "too many answers wait to be read", now)
        self.arm(self._stuck_due())
        self.link.wake()
