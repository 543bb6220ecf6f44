"""The request cycle of HTTP/1.1 (RFC 9112, 9.3): one request, one exchange, and the next."""

from typing import Final

from httpng_core.errors import RemoteError
from httpng_core.http.forwarded import apply_forwarded
from httpng_core.http.request import Request
from httpng_core.http1.framer import CONTINUE
from httpng_core.http1.parsed import MORE, ParsedHead, Reading
from httpng_core.http1.parser import RequestParser
from httpng_core.http1.phase import HANDLING, IDLE, OVER, READING, Phase
from httpng_core.http1.responses import Responses
from httpng_core.http1.upload import MAX_DROPPED, NO_LIMIT, Upload
from httpng_core.http2.start import begin_upgraded, preface_of, speak_http2
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.states import ResponseState
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.endpoint import LINGER_TIMEOUT
from httpng_core.wire.events import ExchangeEnded, RequestReceived

_CLOSED: Final = ResponseState.CLOSED


class Http1(Responses):
    """HTTP/1.1 on one connection, and the transport of its exchange. See `HttpProtocol` and `Transport`."""

    __slots__ = ()

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
        framing = block.framing
        request = Request(method.decode(), target.decode(), framing.host, block, b"", framing.minor, *ends)
        if self._settings.trusted_proxies is not None:
            apply_forwarded(request, self._settings.trusted_proxies, self._settings.forwarded_header)
        self._start(request, framing.keep_alive, now)

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

    # HTTP/2 -------------------------------------------------------------------------------------------

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

    # Requests -----------------------------------------------------------------------------------------

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
            self._upload, endpoint.at_rest = Upload(exchange, self._parser), False
            self._move(self._upload, now)

    def _start(self, request: Request, keep_alive: bool, now: float) -> Exchange:
        """Have the handler of a request started, which ends what the connection waits for."""
        endpoint, framer = self._endpoint, self.framer
        exchange = Exchange(request, self._settings, endpoint.timers, self, now)
        if endpoint.draining:
            exchange.draining, keep_alive = True, False
        self.exchange, self._phase = exchange, HANDLING
        admission = self.host.admission
        admission.under_way += 1
        if admission.open is not None:
            admission.open[exchange] = None
        framer.keep_alive, framer.chunked, framer.until_close = keep_alive, False, False
        # What is still to be sent, such as 100 Continue, hides what the handler may write soon.
        endpoint.deadline, endpoint.at_rest = None, endpoint.outbound.is_empty
        endpoint.events.append(RequestReceived(exchange))
        return exchange

    # What the exchange tells (`Transport`) ------------------------------------------------------------

    def body_awaited(self, now: float) -> None:
        """Ask for the body, if the client waits for that (RFC 9110, 10.1.1)."""
        if self._parser.wants_continue:
            self._parser.wants_continue = False
            if self.exchange is not None and self.exchange.head_stage < HeadStage.COMMITTED:
                self._endpoint.outbound.push(CONTINUE)
        self._endpoint.host.wake()

    def body_consumed(self, size: int, now: float) -> None:
        """Have the driver read on."""
        self._endpoint.host.wake()

    def body_failed(self, now: float) -> None:
        """Have the connection end after this exchange."""
        self.framer.keep_alive = False
        self._endpoint.host.wake()

    def exchange_over(self, exchange: Outgoing, now: float) -> None:
        """Go on after an exchange that is over."""
        endpoint, framer, state = self._endpoint, self.framer, exchange.state
        self.exchange = None
        admission = self.host.admission
        admission.under_way -= 1
        if admission.open is not None:
            admission.open.pop(exchange, None)
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

    # Bodies -------------------------------------------------------------------------------------------

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
