"""HTTP/2 (RFC 9113) by h2: many exchanges on one connection, each frame made when it can go out.

h2 checks frames and keeps flow control and HPACK. Its single buffer, which forgets whose bytes are
whose, is emptied after each step: control frames wait in order here, frames of exchanges go to the tail
of the connection together with the spans that say what they pay for.
"""

from collections.abc import Callable
from enum import Enum, auto
from math import inf
from typing import Any

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hyperframe.frame import ExtensionFrame

from httpng_core.config import Settings
from httpng_core.date import DateSource
from httpng_core.errors import RemoteError
from httpng_core.events import RequestReceived, RequestRefused, exchange_ended
from httpng_core.exchange import Exchange
from httpng_core.protocols.http2_guard import Allowance, BlockWatch
from httpng_core.protocols.http2_request import (
    MalformedError,
    RequestHead,
    check_size,
    check_trailers,
    parse_head,
)
from httpng_core.protocols.http2_stream import Stream
from httpng_core.protocols.http2_wire import CONNECTION_WINDOW, FIRST_WINDOW, MAX_STREAMS, PREFACE, ServerH2
from httpng_core.protocols.priority import FAIR, PRIORITY_UPDATE, Priority, parse_priority_update
from httpng_core.protocols.seam import Link
from httpng_core.request import Address, Request
from httpng_core.scheduler import Scheduler

MAX_CONTROL = 64 * 1024
"""How many bytes of answers to frames of the client's, PING and the like, wait for it to read."""
BODY_WINDOW = 256 * 1024
"""How much of a body may be on its way once it gets more credit than the first."""
_JOIN_BELOW = 32 * 1024
_SETTINGS_FLOOD = (1000, 100.0)
_RESETS = (200, 20.0)


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
        self.date = date
        self.moved_at = now
        self._peer = peer
        self._ouraddr = ouraddr
        self._https = https
        self._phase = Phase.OPEN
        self._last_stream = 0
        self._streams: dict[int, Stream] = {}
        self._receiving: dict[int, Stream] = {}
        self._scheduler: Scheduler[Stream] = Scheduler()
        self._priorities: dict[int, Priority] = {}
        self._control: list[bytes] = []
        self._control_size = 0
        self._unfinished = 0
        self._credit = 0
        self._flushing = 0
        self._idle_since: float | None = now
        self._must_move_since = now
        self._begun = False
        self._watch = BlockWatch(len(PREFACE))
        self._block_since: float | None = None
        self._chatter = Allowance(*_SETTINGS_FLOOD, now)
        self._resets = Allowance(*_RESETS, now)
        self._actions: dict[type[events.Event], Callable[[Any, float], None]] = {
            events.RequestReceived: self._take_request,
            events.DataReceived: self._take_data,
            events.TrailersReceived: self._take_trailers,
            events.StreamReset: self._take_reset,
            events.RemoteSettingsChanged: self._take_settings,
            events.UnknownFrameReceived: self._take_unknown,
            events.ConnectionTerminated: self._take_goaway,
            events.PingReceived: self._take_chatter,
            events.PriorityUpdated: self._take_chatter,
        }
        self._arm(now + settings.header_timeout)
        self._take_control(now)

    def begin_upgraded(self, request: Request, now: float) -> None:
        """The request that asked for the upgrade is stream 1 (RFC 7540, 3.2)."""
        head = RequestHead(request.method, request.path, request.host, [], None, False, FAIR)
        stream = Stream(self, self.h2.streams[1], head, now)
        self._streams[1], self._idle_since = stream, None
        self._begin_exchange(stream, request, now)

    # What the connection tells ------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """The client sent `data`."""
        if self._phase in (Phase.FAILED, Phase.OVER):
            return
        self._watch.feed(data)
        if self._watch.oversized:
            self._fail(ErrorCodes.FRAME_SIZE_ERROR, "a frame is too long", now)
            return
        try:
            happened = self.h2.receive_data(data)
        except ProtocolError as error:
            self._fail(int(error.error_code), str(error), now)
            return
        self._act(happened, now)
        self._time_block(now)
        self._take_control(now)

    def receive_eof(self, now: float) -> None:
        """The client sends no more: requests that aren't whole are gone, exchanges go by the setting."""
        for stream in list(self._streams.values()):
            if stream.exchange is None:
                self._forget(stream, now)
            else:
                stream.exchange.half_closed(now)
        if self._is_owed or self._streams:
            self._go_away(now)
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
            self._cancel_all(now)
            return
        for stream in list(self._streams.values()):
            if stream.due() <= now:
                self._stream_expired(stream, now)
        if self._idle_due() <= now:
            self._go_away(now)
        if self._block_due() <= now:
            self._fail(ErrorCodes.PROTOCOL_ERROR, "a header block took too long", now)
        self._take_control(now)
        self._arm_all()

    def drain(self, now: float) -> None:
        """Takes no more requests; the streams that run go on."""
        self._go_away(now)

    def lost(self, now: float) -> None:
        """The connection is gone."""
        self._phase = Phase.OVER
        self._cancel_all(now)

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
        for stream in self._streams.values():  # noqa: SIM110 - a generator costs more than the few turns.
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
            return self.settings.stall_timeout
        return inf

    def asks_first(self, is_cautious: bool) -> bool:
        """Always: no frame can be taken back."""
        return True

    def next_frame(self, limit: int, now: float) -> None:
        """Commits control frames, and frames of exchanges with about `limit` bytes, in one go."""
        if not self._control:
            self.moved_at = now
        made, self._control, self._control_size = self._control, [], 0
        self.link.wire.push(sum(map(len, made)))
        if self._streams:
            self._deal(made, limit, now)
        if made:
            # Below this, one copy costs less than a vectored send.
            self.link.queue([b"".join(made)] if limit <= _JOIN_BELOW or len(made) > 8 else made)

    def _deal(self, made: list[bytes], limit: int, now: float) -> None:
        scheduler = self._scheduler
        scheduler.begin(stream for stream in self._streams.values() if stream.can_send)
        while limit > 0 and (stream := scheduler.next()) is not None:
            frames = stream.send(limit, now)
            size = sum(map(len, frames))
            made += frames
            limit -= size
            scheduler.sent(stream, size, more=size > 0 and stream.can_send)

    # What streams tell (StreamOwner) ------------------------------------------------------------------

    def stream_flushes(self, now: float) -> None:
        """The handler of an exchange is done."""
        if not self._flushing:
            self._must_move_since = now
        self._flushing += 1
        self._arm(now + self.settings.stall_timeout)

    def stream_over(self, stream: Stream, now: float) -> None:
        """The exchange of a stream is complete, cancelled or aborted."""
        exchange = stream.exchange
        assert exchange is not None
        self.link.tell(exchange_ended(exchange, now))
        if not stream.is_complete and self._phase is not Phase.OVER:
            self._reset(stream.order, stream.code)
        self._flushing -= stream.is_flushing
        self._forget(stream, now)
        if stream.closes:
            self._go_away(now)
        self._take_control(now)

    # Inside: requests ---------------------------------------------------------------------------------

    def _act(self, happened: list[events.Event], now: float) -> None:
        # A client that resets in the same breath gets no handler started.
        reset = {event.stream_id for event in happened if type(event) is events.StreamReset}
        for event in happened:
            action = self._actions.get(type(event))
            if action is None or (type(event) is events.RequestReceived and event.stream_id in reset):
                continue
            if self._phase is Phase.FAILED:
                return
            action(event, now)

    def _take_request(self, event: events.RequestReceived, now: float) -> None:
        stream_id, fields = event.stream_id, event.headers
        if self._refuses(stream_id):
            self._reset(stream_id, ErrorCodes.REFUSED_STREAM)
            self._count_reset(now)
            return
        self._last_stream = stream_id
        try:
            check_size(fields, self.settings.shuttle_size)
            head = parse_head(fields)
            self._check_length(head, 0, ended=event.stream_ended is not None)
        except RemoteError as error:
            self._refuse(stream_id, error, now)
            return
        stream = Stream(self, self.h2.streams[stream_id], head, now)
        self._streams[stream_id], self._idle_since = stream, None
        stream.prioritise(self._priorities.pop(stream_id, head.priority))
        if event.stream_ended is not None:
            self._request_whole(stream, now)
        else:
            self._expect_body(stream)

    def _refuses(self, stream_id: int) -> bool:
        return self._phase is not Phase.OPEN or len(self._streams) >= MAX_STREAMS

    def _expect_body(self, stream: Stream) -> None:
        self._receiving[stream.order] = stream
        stream.credit = FIRST_WINDOW
        self._arm(stream.due())
        if stream.head.expects_continue and not stream.flow.closed:
            self.h2.send_headers(stream.order, [(b":status", b"100")])

    def _check_length(self, head: RequestHead, size: int, *, ended: bool) -> None:
        limit = self.settings.max_body_len
        if max(head.length or 0, size) > limit:
            raise RemoteError(f"request body is longer than {limit} bytes", 413)
        if ended and head.length not in (None, size):
            raise MalformedError(f"content-length is {head.length}, the body has {size} bytes")

    def _take_data(self, event: events.DataReceived, now: float) -> None:
        self._give_connection_credit(event.flow_controlled_length or 0)
        stream = self._streams.get(event.stream_id)
        if not event.data and event.stream_ended is None and not self._chatter.spend(now):
            self._fail(ErrorCodes.ENHANCE_YOUR_CALM, "too many empty frames", now)
        if stream is None or stream.exchange is not None:
            return
        try:
            size = stream.size + len(event.data)
            self._check_length(stream.head, size, ended=event.stream_ended is not None)
        except RemoteError as error:
            self._refuse(stream.order, error, now)
            return
        stream.body.append(bytes(event.data))
        stream.size += len(event.data)
        # Padding is no body: it is given back at once.
        stream.credit -= event.flow_controlled_length or 0
        self._unfinished += len(event.data)
        stream.touched = now
        if event.stream_ended is not None:
            self._request_whole(stream, now)
        else:
            self._give_credit(now)

    def _take_trailers(self, event: events.TrailersReceived, now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None or stream.exchange is not None:
            return
        try:
            check_trailers(event.headers)
            self._check_length(stream.head, stream.size, ended=True)
        except RemoteError as error:
            self._refuse(stream.order, error, now)
            return
        self._request_whole(stream, now)

    def _request_whole(self, stream: Stream, now: float) -> None:
        request = stream.head.request(b"".join(stream.body), self._peer, self._ouraddr, https=self._https)
        self._body_gone(stream, now)
        self._begin_exchange(stream, request, now)

    def _begin_exchange(self, stream: Stream, request: Request, now: float) -> None:
        exchange = stream.exchange = Exchange(request, self.settings, self.link.timers, stream, now)
        self.link.tell(RequestReceived(exchange))

    def _refuse(self, stream_id: int, error: RemoteError, now: float) -> None:
        """Answers a request that can't be served; one that is malformed is reset (RFC 9113, 8.1.1)."""
        self.link.tell(RequestRefused(error.status, str(error)))
        if isinstance(error, MalformedError):
            self._reset(stream_id, ErrorCodes.PROTOCOL_ERROR)
        elif self.h2.is_open(stream_id):
            fields = [(b":status", b"%d" % error.status), (b"content-length", b"0")]
            date = self.date()
            if date is not None:
                fields.append((b"date", date))
            self.h2.send_headers(stream_id, fields, end_stream=True)
            # The rest of the request is of no use (RFC 9113, 8.1).
            self._reset(stream_id, ErrorCodes.NO_ERROR)
        if (stream := self._streams.get(stream_id)) is not None:
            self._forget(stream, now)

    # Inside: credit -----------------------------------------------------------------------------------

    def _give_connection_credit(self, size: int) -> None:
        """The connection's window is never what holds a client: bodies are bounded stream by stream."""
        self._credit += size
        if self._credit >= CONNECTION_WINDOW // 4:
            self.h2.increment_flow_control_window(self._credit)
            self._credit = 0

    def _give_credit(self, now: float) -> None:
        """Lets bodies go on that fit: the oldest always, so that one can end; others within a bound."""
        bound = max(self.settings.max_body_len, CONNECTION_WINDOW)
        oldest = True
        for stream in self._receiving.values():
            if stream.needs_credit:
                stream.held = not oldest and self._unfinished > bound
                if not stream.held:
                    self.h2.increment_flow_control_window(BODY_WINDOW - stream.credit, stream.order)
                    stream.credit, stream.touched = BODY_WINDOW, now
            oldest = False

    def _body_gone(self, stream: Stream, now: float) -> None:
        """The body is whole, or of no use any more: others may go on."""
        if self._receiving.pop(stream.order, None) is not None:
            self._unfinished -= stream.size
            stream.size, stream.body = 0, []
            self._give_credit(now)

    # Inside: what clients say besides -----------------------------------------------------------------

    def _take_reset(self, event: events.StreamReset, now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None and stream.exchange is not None:
            stream.exchange.cancel(now)
        elif stream is not None:
            self._forget(stream, now)
        self._count_reset(now)

    def _count_reset(self, now: float) -> None:
        if not self._resets.spend(now):
            self._fail(ErrorCodes.ENHANCE_YOUR_CALM, "too many streams were reset", now)

    def _take_settings(self, event: events.RemoteSettingsChanged, now: float) -> None:
        self._begun = True
        self.h2.bound_encoder()
        self._take_chatter(event, now)

    def _take_chatter(self, event: events.Event, now: float) -> None:
        if not self._chatter.spend(now):
            self._fail(ErrorCodes.ENHANCE_YOUR_CALM, "too many control frames", now)

    def _take_unknown(self, event: events.UnknownFrameReceived, now: float) -> None:
        self._take_chatter(event, now)
        frame = event.frame
        if not isinstance(frame, ExtensionFrame) or frame.type != PRIORITY_UPDATE or frame.stream_id:
            return
        update = parse_priority_update(bytes(frame.body))
        if update is None:
            return
        stream_id, priority = update
        if (stream := self._streams.get(stream_id)) is not None:
            stream.prioritise(priority)
        elif stream_id > self.h2.highest_inbound_stream_id and len(self._priorities) < MAX_STREAMS:
            self._priorities[stream_id] = priority

    def _take_goaway(self, event: events.ConnectionTerminated, now: float) -> None:
        self._go_away(now)

    # Inside: time -------------------------------------------------------------------------------------

    def _arm(self, due: float) -> None:
        """Has `expired` called by then; too early does no harm."""
        if due < inf and (self.link.deadline is None or due < self.link.deadline):
            self.link.deadline = due

    def _arm_all(self) -> None:
        if self._phase is Phase.OVER:
            return
        for stream in self._streams.values():
            self._arm(stream.due())
        for due in (self._idle_due(), self._block_due(), self._stuck_due()):
            self._arm(due)

    @property
    def _is_owed(self) -> bool:
        """Whether there is something that the client is to read first of all."""
        return bool(self._control) or not self.link.all_out

    def _stuck_due(self) -> float:
        """When a client that reads nothing at all is reset; a handler that still runs may wait for it."""
        if self._is_owed and (self._flushing or not self._streams):
            return max(self.moved_at, self._must_move_since) + self.settings.stall_timeout
        return inf

    def _block_due(self) -> float:
        return inf if self._block_since is None else self._block_since + self.settings.header_timeout

    def _idle_due(self) -> float:
        if self._idle_since is None or self._phase is not Phase.OPEN:
            return inf
        settings = self.settings
        return self._idle_since + (settings.keepalive_timeout if self._begun else settings.header_timeout)

    def _time_block(self, now: float) -> None:
        if not self._watch.begun:
            self._block_since = None
        elif self._block_since is None:
            self._block_since = now
            self._arm(now + self.settings.header_timeout)

    def _stream_expired(self, stream: Stream, now: float) -> None:
        if stream.exchange is None:
            self._refuse(stream.order, RemoteError("the request took too long", 408), now)
        else:
            stream.code = ErrorCodes.CANCEL
            stream.exchange.abort(now)

    # Inside: the end ----------------------------------------------------------------------------------

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        if self.h2.is_open(stream_id):
            self.h2.reset_stream(stream_id, code)

    def _forget(self, stream: Stream, now: float) -> None:
        """A stream is over: the next one may begin, the connection may be idle, or done."""
        self._streams.pop(stream.order, None)
        self._body_gone(stream, now)
        if not self._streams:
            # The next exchange may not ask for what costs something.
            self.link.wire.forget()
            self._idle_since = self._must_move_since = now
            self._arm(self._idle_due())
            self._arm(self._stuck_due())
        self._end_if_done(now)

    def _go_away(self, now: float) -> None:
        """Takes no more requests (RFC 9113, 6.8), and closes when those that run are over."""
        if self._phase is Phase.OPEN:
            self._phase = Phase.GOING
            self.h2.close_connection(ErrorCodes.NO_ERROR, last_stream_id=self._last_stream)
            self._take_control(now)
            self._arm(self._stuck_due())
        self._end_if_done(now)

    def _fail(self, code: int, reason: str, now: float) -> None:
        """A connection error (RFC 9113, 5.4.1): says so, and closes."""
        if self._phase in (Phase.FAILED, Phase.OVER):
            return
        self.link.tell(RequestRefused(400, reason))
        self._phase, self._block_since = Phase.OVER, None
        self._cancel_all(now)
        self._phase = Phase.FAILED
        self.h2.clear_outbound_data_buffer()
        self.h2.close_connection(code, last_stream_id=self._last_stream)
        self._control, self._control_size = [], 0
        self.link.deadline = None
        self._take_control(now)
        self._arm(self._stuck_due())

    def _cancel_all(self, now: float) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            if stream.exchange is not None:
                stream.exchange.cancel(now)

    def _exchanges(self) -> list[Exchange]:
        return [stream.exchange for stream in self._streams.values() if stream.exchange is not None]

    def _end_if_done(self, now: float) -> None:
        """Closes once all is out that is to go out."""
        if self._phase in (Phase.OPEN, Phase.OVER) or self._streams or self._control:
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
            self._fail(ErrorCodes.ENHANCE_YOUR_CALM, "too many answers wait to be read", now)
        self._arm(self._stuck_due())
        self.link.wake()
