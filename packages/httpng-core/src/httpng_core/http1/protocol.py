"""The request cycle of HTTP/1.1 (RFC 9112, 9.3): one request, one exchange, and the next."""

from math import inf
from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.errors import RemoteError
from httpng_core.http.body_rate import first_body_due, next_body_due
from httpng_core.http.forwarded import apply_forwarded
from httpng_core.http.request import Request
from httpng_core.http.response import ResponseHead
from httpng_core.http1.framer import CONTINUE, Framer, refusal
from httpng_core.http1.parser import MORE, ParsedHead, Reading, RequestParser
from httpng_core.http1.phase import FLUSHING, HANDLING, IDLE, OVER, READING, Phase
from httpng_core.http1.reference import ReferenceParser
from httpng_core.http1.upload import MAX_DROPPED, NO_LIMIT, Upload
from httpng_core.http2.start import begin_upgraded, preface_of, speak_http2
from httpng_core.sending.ends import STALLED, Cause
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.holders import Holder
from httpng_core.sending.holdings import Holding, holding_of
from httpng_core.sending.host import Host
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.states import ResponseState
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.endpoint import FIRST_REQUEST_GRACE, LINGER_TIMEOUT, MAX_INTERIM, Endpoint
from httpng_core.wire.events import ExchangeEnded, RequestReceived, RequestRefused
from httpng_core.wire.protocol import Readiness

_BEGUN: Final = HeadStage.BEGUN
_CLOSED: Final = ResponseState.CLOSED
_NOTHING: Final = Readiness.NOTHING
_ASK: Final = Readiness.ASK
_OFFER: Final = Readiness.OFFER


class Http1:
    """HTTP/1.1 on one connection, and the carrier of its exchange.

    Attributes:
        host: the driver's hooks.
        exchange: the exchange under way, if any.
        framer: what frames its response.
    """

    __slots__ = (
        "_began",
        "_body_due",
        "_endpoint",
        "_fin",
        "_goes_on",
        "_opening",
        "_parser",
        "_phase",
        "_settings",
        "_touched",
        "_upload",
        "exchange",
        "framer",
        "host",
    )

    def __init__(self, endpoint: Endpoint, settings: Settings, now: float) -> None:
        self.host: Host = endpoint.host
        self.exchange: Exchange | None = None
        self.framer = Framer(endpoint.date)
        self._endpoint = endpoint
        self._settings = settings
        limits = settings.shuttle_size, settings.max_body_len, settings.max_fields
        self._parser = (
            ReferenceParser(*limits) if settings.http1_engine == "reference" else RequestParser(*limits)
        )
        self._parser.stream = endpoint.streams is not None
        # The body of the request under way, while it comes in and is streamed.
        self._upload: Upload | None = None
        # What may yet turn out to be the preface of HTTP/2; `None` once it is known not to be.
        self._opening: bytes | None = b""
        self._fin = False
        # Whether more of a body is in than was read in one go: a timer has the next.
        self._goes_on = False
        # Until when what has come of a body pays for the time that it takes; `None` while none is read.
        self._body_due: float | None = None
        self._began = self._touched = now
        self._phase = Phase.READING
        self._enter(Phase.READING, now, settings.header_timeout)

    # What the connection tells ------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Take what the client sent."""
        self._touched = now
        if self._opening is not None and not self._is_http1(data, now):
            return
        if self._phase is not IDLE and self._phase is not READING:
            self._endpoint.at_rest = False
            if self.exchange is not None and self.exchange.tunnel is not None:
                self.exchange.tunnel.receive(data, now)
                return
            self._parser.feed(data)
            if self._upload is not None and not self._goes_on:
                self._move(self._upload, now)
            return
        parser = self._parser
        if self._goes_on:
            parser.feed(data)
            self._await_body(now, len(data))
            return
        whole = None if self.host.admission.full is not None else parser.receive_whole(data)
        if whole is None:
            parser.feed(data)
            self._read(now, len(data))
            return
        # The ordinary case in one go.
        endpoint = self._endpoint
        method, target, block = whole
        ends = endpoint.https, endpoint.peer, endpoint.ouraddr
        request = Request(method.decode(), target.decode(), block.host, block, b"", block.minor, *ends)
        if self._settings.trusted_proxies is not None:
            apply_forwarded(request, self._settings.trusted_proxies, self._settings.forwarded_header)
        self._start(request, block.keep_alive, now)

    def receive_eof(self, now: float) -> None:
        """Note the client's FIN; whether it cancels is `cancel_on_half_close`."""
        while self._goes_on:
            # Who heeds `wants_read` doesn't see the FIN that soon.
            self._go_on(now)
        if self._phase in (Phase.IDLE, Phase.READING):
            self._read_to_the_end(now)
        elif self._phase is Phase.DISCARDING:
            self._linger(now)
        else:
            if self._upload is not None:
                # What is missing will never come.
                self._upload, self.framer.keep_alive = None, False
            self.peer_shut(now)

    def peer_shut(self, now: float) -> None:
        """Note the client's FIN, behind bytes that may not be read yet. It counts once, when it comes.

        Behind a body that isn't read it counts when that has been.
        """
        if not self._fin and self._upload is None:
            self._fin = True
            if self.exchange is not None:
                self.exchange.half_closed(now)

    def moved(self, now: float) -> None:
        """Go on when a refusal, or a response that was cut short, has gone out whole."""
        outbound = self._endpoint.outbound
        if self._phase is Phase.AWAITING:
            if outbound.ledger.acknowledged >= outbound.ledger.accepted:
                self._reset()
        elif self._phase is Phase.FLUSHING and self.exchange is None and outbound.is_empty:
            self._linger(now)

    def exchanges(self) -> list[Exchange]:
        """Return the one that is under way, if any."""
        return [] if self.exchange is None else [self.exchange]

    def holdings(self) -> list[Holding]:
        """Return what is held for the exchange under way, or for the request that comes in."""
        kept, exchange = self._parser.held, self.exchange
        if exchange is None:
            return [Holding(kept, self._touched, self._turn_away)] if kept else []
        found = holding_of(exchange, kept, exchange.reset)
        return [] if found is None else [found]

    def count_swept(self) -> None:
        """Count what a sweep has sent."""
        if self.exchange is not None:
            self.exchange.count_swept()

    def forget_acked(self, now: float) -> None:
        """Note that acknowledgements can't be told any more."""
        if self.exchange is not None:
            self.exchange.acknowledgements_lost(now)
        if self._phase is Phase.AWAITING:
            self._reset()

    def expired(self, now: float) -> None:
        """End what has taken too long."""
        phase = self._phase
        if phase is Phase.FLUSHING or phase is Phase.AWAITING:
            due = max(self._began, self._endpoint.outbound.moved_at) + self._stall_timeout
            if self.exchange is not None:
                due = max(due, self.exchange.moved_at + self._stall_timeout)
            if due > now:
                self._endpoint.deadline = due
            elif self.exchange is not None:
                self.exchange.reset(now, STALLED)
            else:
                self._reset()
        elif phase is Phase.READING and self._goes_on:
            # What has come, and only waits to be read, isn't late.
            self._await_body(now, 0)
        elif phase is Phase.READING and self._parser.state is not Reading.NOTHING:
            slow = self._body_due is not None and self._body_due <= now
            self._refuse(
                408, "the request body came too slowly" if slow else "the request took too long", now
            )
        else:
            self._close(now)

    def drain(self, now: float) -> None:
        """Close when idle, else once the exchange under way is over.

        A connection that was just opened has a moment for its first request: the client, or a proxy that
        has another worker to turn to, can't tell an answer that never came from a request that was served.
        """
        self.framer.keep_alive = False
        if self._phase is Phase.IDLE:
            self._close(now)
        elif self._phase is Phase.READING:
            self._endpoint.timers.add(now + FIRST_REQUEST_GRACE, self._close_unused)
        elif self._phase is Phase.DISCARDING:
            self._linger(now)

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Take other settings from now on; a timeout that runs stays as it is."""
        self._settings, parser = settings, self._parser
        parser.max_body, parser.max_fields = settings.max_body_len, settings.max_fields

    def lost(self, now: float, cause: Cause) -> None:
        """Cancel everything: the connection is gone."""
        self._phase = Phase.OVER
        if self.exchange is not None:
            self.exchange.cancel(now, cause)

    # What the connection asks -------------------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""
        if self._phase is Phase.HANDLING or self._phase is Phase.FLUSHING:
            if self._upload is not None:
                return self._upload.wants_more and not self._goes_on
            if self.exchange is not None and self.exchange.tunnel is not None:
                return self.exchange.tunnel.wants_read
            return self._parser.buffered < self._settings.shuttle_size
        return not self._goes_on

    def prepare(self) -> Readiness:
        """Return whether there is something to frame, and if the socket must be asked before that."""
        exchange = self.exchange
        if exchange is None:
            return _NOTHING
        # The first two are enough for most, and spare a call.
        if not exchange.buffered and exchange.head_stage is not _BEGUN and not exchange.has_frame:
            return _NOTHING
        self._endpoint.at_rest = False
        if self._endpoint.outbound.size.asks_first:
            # An end without bytes takes no room: the kernel has the response, however slow the client is.
            return _OFFER if self.framer.ends_silently(exchange) else _ASK
        return _ASK if exchange.queue is not None and exchange.draws_from_writer else _OFFER

    @property
    def is_flushing(self) -> bool:
        """Whether the rest of a response goes out."""
        return self._phase is Phase.FLUSHING or self._phase is Phase.AWAITING

    @property
    def idle_since(self) -> float | None:
        """When the last response was out, if nothing of a next request has come; else `None`."""
        return self._endpoint.outbound.moved_at if self._phase is Phase.IDLE else None

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up, as things stand; infinity: never."""
        phase = self._phase
        if phase is Phase.IDLE or phase is Phase.READING:
            # Nothing is to be sent, and what ends these has deadlines of its own.
            return inf
        if phase is Phase.HANDLING and self.exchange is not None:
            return self.exchange.stall_limit
        return self._stall_timeout

    def fill(self, limit: int | None, now: float) -> None:
        """Offer frames of the response."""
        exchange, outbound = self.exchange, self._endpoint.outbound
        if exchange is None:
            return
        self._endpoint.at_rest = False
        if (
            exchange.is_whole
            and exchange.head_stage is _BEGUN
            and limit is None
            and self._upload is None
            and not outbound.is_sealed
        ):
            head, pieces = self.framer.head(exchange), exchange.pieces
            outbound.offer_whole(exchange, head if pieces is None else head + pieces[0], len(head))
            return
        if exchange.queue is not None:
            # Code of the user's may run in this; nothing is under way here that it could disturb.
            exchange.choose(now)
        if self.exchange is not exchange:
            return
        if self._upload is not None and self._parser.wants_continue:
            # Whether the body will come can't be told any more (RFC 9110, 10.1.1).
            self.framer.keep_alive = False
        if exchange.buffered or exchange.head_stage is _BEGUN or exchange.has_frame:
            self.framer.fill(exchange, outbound, limit, now)

    # What the exchange tells (`Carrier`) --------------------------------------------------------------

    def exchange_ended(self, exchange: Outgoing, now: float) -> None:
        """Note that the handler is done: from now on no progress for `stall_timeout` is the end."""
        if self._phase is not HANDLING:
            return
        self._began, self._phase = now, FLUSHING
        timeout = exchange.settings.stall_timeout
        self._endpoint.deadline = None if timeout == inf else now + timeout
        if exchange.state is ResponseState.CUTTING and self.framer.until_close:
            # Only a reset tells the client that something is missing, and that must not overtake the rest.
            self._endpoint.track_acknowledged(exchange)

    def exchange_over(self, exchange: Outgoing, now: float) -> None:
        """Go on after an exchange that is over."""
        endpoint, framer, state = self._endpoint, self.framer, exchange.state
        self.exchange = None
        self.host.admission.under_way -= 1
        if (note := endpoint.host.note_end) is not None:
            note(exchange, now)
        if (
            endpoint.tells_complete
            or state is not _CLOSED
            or exchange.substitute
            or exchange.settings.access_log
        ):
            endpoint.events.append(ExchangeEnded(exchange, now))
        if self._phase is OVER:
            # The connection was lost, and has seen to its end before.
            return
        if state is ResponseState.CUT:
            self._end_short(framer, now)
        elif state is not _CLOSED:
            # HTTP/1.1 has no other way to say that a response is not whole (RFC 9112, 8).
            self._reset()
        elif not framer.keep_alive:
            self._linger(now)
        elif self._upload is not None:
            self._discard(self._upload, now)
        elif self._parser.has_rest or endpoint.eof or endpoint.outbound.ledger.tracks:
            self._next_request(now)
        else:
            self._phase = IDLE
            endpoint.deadline, endpoint.at_rest = now + self._settings.keepalive_timeout, True

    def send_interim(self, head: ResponseHead, now: float) -> None:
        """Send an informational response, unless the client doesn't read."""
        outbound = self._endpoint.outbound
        if outbound.waiting <= MAX_INTERIM:
            self._endpoint.at_rest = False
            outbound.push(head.lines + b"\r\n")

    def track_acknowledged(self, exchange: Outgoing) -> bool:
        """Have acknowledgements told to the exchange."""
        return self._endpoint.track_acknowledged(exchange)

    shares: Final = False

    def closed_window(self) -> Holder | None:
        """Return none: HTTP/1.1 has no windows of its own."""
        return None

    def tunnel_opened(self, exchange: Outgoing, now: float) -> None:
        """Hand over what the client has sent behind the request."""
        rest = self._parser.take_rest()
        if rest and exchange.tunnel is not None:
            exchange.tunnel.receive(rest, now)

    def tunnel_resumed(self, exchange: Outgoing, now: float) -> None:
        """Have more read."""
        self._endpoint.at_rest = False
        self.host.wake()

    def can_sweep(self) -> bool:
        """Return whether a sweep may send chunks now: all followers in step get the same bytes."""
        outbound, framer = self._endpoint.outbound, self.framer
        return (
            self.exchange is not None
            and framer.chunked
            and outbound.is_empty
            and not outbound.size.asks_first
            and not outbound.is_sealed
        )

    def swept(self, size: int) -> None:
        """Count `size` wire bytes that a sweep has sent."""
        self._endpoint.outbound.ledger.pass_by(size)

    def fell_short(self, taken: int, now: float) -> None:
        """Frame the payload of which a sweep has sent the first `taken` wire bytes."""
        if taken:
            self.fill(None, now)
            self._endpoint.outbound.accepted(taken, now)
        else:
            self._endpoint.outbound.size.taken(1, 0)
        self.host.wake()

    # Inside: HTTP/2 -----------------------------------------------------------------------------------

    def _is_http1(self, data: bytes, now: float) -> bool:
        """Return whether the first bytes are HTTP/1.1; else they are kept, or HTTP/2 goes on with them."""
        assert self._opening is not None
        opening = self._opening + data
        is_preface = preface_of(opening)
        if is_preface is None:
            self._opening = opening
            return False
        before, self._opening = self._opening, None
        if is_preface:
            self._phase = Phase.OVER
            speak_http2(self._endpoint, self._settings, now)
            self._endpoint.protocol.receive(opening, now)
            return False
        if before:
            self._parser.feed(before)
        return True

    def _upgrade(self, head: ParsedHead, request: Request, now: float) -> bool:
        """Go on with HTTP/2 if the request asks for that and may (RFC 7540, 3.2); return whether it did."""
        endpoint = self._endpoint
        if endpoint.https or not head.block.upgrade:
            return False
        if not begin_upgraded(endpoint, self._settings, request, now):
            return False
        self._phase = Phase.OVER
        rest = self._parser.take_rest()
        if rest:
            endpoint.protocol.receive(rest, now)
        return True

    # Inside -------------------------------------------------------------------------------------------

    def _read(self, now: float, size: int = 0) -> None:
        """Read on, after `size` bytes have come."""
        parser, phase = self._parser, self._phase
        try:
            for _ in range(parser.steps_at_once):
                head = parser.next_request()
                if head is not MORE:
                    break
        except RemoteError as error:
            self._refuse(error.status, str(error), now)
            return
        if head is MORE:
            self._pause(now)
        elif head is not None:
            self._begin(head, now)
            return
        reading = parser.state
        if reading is Reading.BODY:
            self._endpoint.at_rest = False
            self._await_body(now, size)
            if parser.wants_continue:
                parser.wants_continue = False
                self._endpoint.outbound.push(CONTINUE)
                self.host.wake()
        elif phase is Phase.IDLE and reading is Reading.HEAD:
            self._endpoint.at_rest = False
            self._enter(Phase.READING, now, self._settings.header_timeout)

    def _pause(self, now: float) -> None:
        """Read on once others have had their turn; until then what comes waits in the kernel."""
        self._goes_on, self._endpoint.at_rest = True, False
        self._endpoint.timers.add(now, self._go_on)

    def _go_on(self, now: float) -> None:
        if not self._goes_on:
            return
        self._goes_on = False
        if self._upload is not None:
            self._move(self._upload, now)
        elif self._phase is Phase.READING:
            self._read(now)

    def _await_body(self, now: float, size: int) -> None:
        """Set the deadline of a body that goes on, after `size` bytes of it, in whatever coding."""
        settings, due = self._settings, self._body_due
        timeout = settings.body_timeout
        self._enter(Phase.READING, now, timeout)
        if not settings.min_body_rate:
            return
        due = first_body_due(settings, now) if due is None else next_body_due(due, size, settings, now)
        self._body_due = due
        if due < now + timeout:
            self._endpoint.deadline = due

    def _streams(self, head: ParsedHead, request: Request, now: float) -> bool:
        """Return whether a request's handler is to start before its body is in; else that is gathered."""
        parser, streams, limit = self._parser, self._endpoint.streams, self._settings.max_stream_len
        assert isinstance(parser, RequestParser)
        try:
            if streams is not None and streams(request):
                parser.stream_body(NO_LIMIT if limit is None else limit)
                return True
            head.request = request
            parser.gather()
        except RemoteError as error:
            self._refuse(error.status, str(error), now)
            return False
        self._read(now)
        return False

    def _move(self, upload: Upload, now: float) -> None:
        """Give what came of a body to who reads it, or drop it."""
        if upload.move(now):
            self._upload = None
            if self._phase is Phase.DISCARDING:
                self._next_request(now)
        elif self._phase is Phase.DISCARDING and (upload.is_broken or upload.dropped > MAX_DROPPED):
            self._linger(now)
        elif upload.has_more:
            self._pause(now)

    def _discard(self, upload: Upload, now: float) -> None:
        """Drop the rest of a body that nobody has read, if it is short, for the sake of the next request."""
        if self._endpoint.eof or not upload.is_short:
            self._linger(now)
            return
        self._enter(Phase.DISCARDING, now, LINGER_TIMEOUT)
        self._endpoint.at_rest = False

    def _begin(self, head: ParsedHead, now: float) -> None:
        settings, endpoint, admission = self._settings, self._endpoint, self.host.admission
        if admission.full is not None and (cause := admission.full(len(head.body) > 0)) is not None:
            self._turn_away(now, cause)
            return
        self._body_due = None
        request = head.request
        if request is not None:
            request.body = head.body
        else:
            ends = endpoint.https, endpoint.peer, endpoint.ouraddr
            body = None if head.body_follows else head.body
            request = Request(head.method, head.target, head.host, head.block, body, head.minor, *ends)
            if settings.trusted_proxies is not None:
                apply_forwarded(request, settings.trusted_proxies, settings.forwarded_header)
        if head.trailers:
            request.give_trailers(head.trailers)
        if head.body_follows:
            if not self._streams(head, request, now):
                return
        elif settings.h2c_upgrade and self._upgrade(head, request, now):
            return
        exchange = self._start(request, head.keep_alive, now)
        if head.body_follows:
            assert isinstance(self._parser, RequestParser)
            self._upload, endpoint.at_rest = Upload(exchange, self._parser, self.framer, endpoint), False
            self._move(self._upload, now)

    def _start(self, request: Request, keep_alive: bool, now: float) -> Exchange:
        """Have the handler of a request started, which ends what the connection waits for."""
        endpoint, framer = self._endpoint, self.framer
        exchange = Exchange(request, self._settings, endpoint.timers, self, now)
        if endpoint.draining:
            exchange.draining, keep_alive = True, False
        self.exchange, self._phase = exchange, HANDLING
        self.host.admission.under_way += 1
        framer.keep_alive, framer.chunked, framer.until_close = keep_alive, False, False
        # What is still to be sent, such as 100 Continue, hides what the handler may write soon.
        endpoint.deadline, endpoint.at_rest = None, endpoint.outbound.is_empty
        endpoint.events.append(RequestReceived(exchange))
        return exchange

    def _next_request(self, now: float) -> None:
        """Go on after a complete response, first with what was read ahead."""
        endpoint = self._endpoint
        if endpoint.outbound.ledger.tracks:
            # The next exchange may not ask for what costs something.
            endpoint.outbound.ledger.forget()
        self._phase = Phase.IDLE
        endpoint.deadline, endpoint.at_rest = now + self._settings.keepalive_timeout, True
        if self._parser.has_rest:
            self._read(now)
        if endpoint.eof and self._phase in (Phase.IDLE, Phase.READING):
            self._read_to_the_end(now)

    def _read_to_the_end(self, now: float) -> None:
        """Read to the end: a request that is not whole is a mistake, none at all is the end."""
        if self._parser.state is Reading.NOTHING and not self._opening:
            self._close(now)
        else:
            self._refuse(400, "the request ended before it was whole", now)

    def _turn_away(self, now: float, cause: Cause) -> None:
        """Refuse a request that isn't at fault: a limit of the server's is reached."""
        if self._phase is Phase.IDLE or self._phase is Phase.READING:
            self._refuse(503, cause.text, now, cause)
        else:
            self._reset()

    def _refuse(self, status: int, reason: str, now: float, cause: Cause | None = None) -> None:
        endpoint = self._endpoint
        method, target, version = self._parser.asked()
        refused = RequestRefused(
            status, reason, endpoint.peer, method=method, target=target, version=version, cause=cause
        )
        endpoint.tell(refused)
        self._parser.drop()
        self._began, endpoint.watches, endpoint.at_rest = now, True, False
        self._enter(Phase.FLUSHING, now, self._settings.stall_timeout)
        endpoint.outbound.push(refusal(status, reason, endpoint.date()))
        self.host.wake()

    @property
    def _stall_timeout(self) -> float:
        """That of the exchange under way, if any: it keeps the settings that it began with."""
        return (self._settings if self.exchange is None else self.exchange.settings).stall_timeout

    def _enter(self, phase: Phase, now: float, timeout: float) -> None:
        self._phase = phase
        self._endpoint.deadline = None if timeout == inf else now + timeout

    def _end_short(self, framer: Framer, now: float) -> None:
        """End the connection so that the client can tell that more was to come: what was accepted is sent."""
        endpoint, ledger = self._endpoint, self._endpoint.outbound.ledger
        if not framer.until_close:
            self._phase = Phase.OVER
            endpoint.linger(now, complete=False)
        elif endpoint.tells_acknowledged and ledger.acknowledged < ledger.accepted:
            self._began, endpoint.watches = now, True
            self._enter(Phase.AWAITING, now, self._settings.stall_timeout)
        else:
            self._reset()

    def _close_unused(self, now: float) -> None:
        """Close unless a request has begun, of which the first bytes may still be HTTP/2's."""
        if self._phase is Phase.READING and self._parser.state is Reading.NOTHING and not self._opening:
            self._close(now)

    def _linger(self, now: float) -> None:
        self._phase = Phase.OVER
        self._endpoint.linger(now)

    def _close(self, now: float) -> None:
        self._phase = Phase.OVER
        self._endpoint.close(now)

    def _reset(self) -> None:
        self._phase = Phase.OVER
        self._endpoint.reset()
