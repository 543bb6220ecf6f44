"""What a client says on HTTP/2, event by event: requests, bodies, resets; and what it says too late."""

from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.errors import RemoteError
from httpng_core.http.forwarded import apply_forwarded
from httpng_core.http.priority import FAIR, Priority, parse_priority
from httpng_core.http.request import Request
from httpng_core.http.trailers import received_trailers
from httpng_core.http2.blocks import CONTINUE, refusal_block
from httpng_core.http2.engine.errors import CANCEL, ENHANCE_YOUR_CALM, NO_ERROR, REFUSED_STREAM
from httpng_core.http2.engine.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    PeerLeft,
    PingAnswered,
    PriorityUpdated,
    RequestBegan,
    RequestEnded,
    StreamReset,
)
from httpng_core.http2.engine.events import RequestRefused as HeadRefused
from httpng_core.http2.engine.requests import RequestHead
from httpng_core.http2.engine.session import Session
from httpng_core.http2.lifetime import Lifetime, Phase
from httpng_core.http2.requests import Facts, FactsMemo
from httpng_core.http2.stream import Stream
from httpng_core.http2.tunnel import TunnelInflow
from httpng_core.sending.ends import STALLED, Cause, broke_protocol
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.incoming import Incoming
from httpng_core.wire.endpoint import Endpoint
from httpng_core.wire.events import RequestReceived, RequestRefused

_MOST_PRIORITIES: Final = 100


class Intake(Lifetime):
    """The half of the protocol that acts on what came."""

    __slots__ = ("_bodies", "_memo", "_priorities")

    def __init__(self, endpoint: Endpoint, session: Session, settings: Settings, now: float) -> None:
        super().__init__(endpoint, session, settings, now)
        self._memo = FactsMemo()
        # Priorities of requests that are yet to come, and what is known of those whose bodies come in.
        self._priorities: dict[int, Priority] = {}
        self._bodies: dict[int, Facts] = {}

    def begin_upgraded(self, request: Request, now: float) -> None:
        """Note that the request that asked for the upgrade is stream 1 (RFC 7540, 3.2)."""
        stream = Stream(self, self.session.streams.open[1], FAIR)
        self.streams[1], self._idle_since = stream, None
        self._begin_exchange(stream, request, now)

    def _act(self, events: list[Event], now: float) -> None:
        for event in events:
            if isinstance(event, RequestBegan):
                self._take_request(event, now)
            elif isinstance(event, DataReceived):
                self._take_data(event, now)
            elif isinstance(event, RequestEnded):
                self._take_end(event, now)
            else:
                self._take_other(event, now)
            if self._phase is Phase.OVER:
                return

    def _take_other(self, event: Event, now: float) -> None:
        if isinstance(event, StreamReset):
            self._take_reset(event, now)
        elif isinstance(event, HeadRefused):
            self._refuse(event.stream_id, event.status, event.reason, now)
        elif isinstance(event, PriorityUpdated):
            self._prioritise(event.stream_id, parse_priority(event.value))
        elif isinstance(event, ConnectionFailed):
            self._fail(event.reason, now, event.code)
        elif isinstance(event, PeerLeft):
            self._go_away(now)
        elif isinstance(event, PingAnswered) and self._phase is Phase.LEAVING:
            # The client has read the GOAWAY before the PING: nothing more is on its way.
            self._go_away(now)

    # Requests -----------------------------------------------------------------------------------------

    def _take_one(self, stream_id: int, head: RequestHead, path: str | None, now: float) -> None:
        """Take a request that came whole, in one go where it is as always; see `Session.take_requests`."""
        endpoint, settings, admission, like = self.endpoint, self.settings, self.host.admission, head.like
        if like is not None:
            # Then there is no path apart: that comes with a head that isn't like another one.
            path, head = head.path.decode("ascii"), like
        facts = self._memo.kept.get(head)
        if (
            facts is None
            or facts.protocol
            or admission.full is not None
            or self._priorities
            or settings.trusted_proxies is not None
            or endpoint.draining
        ):
            if path is not None:
                head = head.with_path(path.encode("ascii"))
            self._take_request(RequestBegan(stream_id, head, True), now)
            return
        stream = Stream(self, self.session.streams.open[stream_id], facts.priority)
        self.streams[stream_id], self._idle_since = stream, None
        if path is None:
            path = facts.path
        request = Request(
            facts.method, path, facts.host, facts, b"", 0, endpoint.https, endpoint.peer, endpoint.ouraddr
        )
        request.version_major = 2
        exchange = stream.exchange = Exchange(request, settings, endpoint.timers, stream, now)
        admission.under_way += 1
        if admission.open is not None:
            admission.open[exchange] = None
        endpoint.events.append(RequestReceived(exchange))

    def _take_request(self, event: RequestBegan, now: float) -> None:
        stream_id, facts = event.stream_id, None
        admission = self.host.admission
        try:
            facts = self._memo.kept.get(event.head)
            if facts is None:
                facts = self._memo.facts(event.head)
            if admission.full is not None and (cause := admission.full(False)) is not None:
                self._refuse(stream_id, 503, cause.text, now, facts, cause)
                return
            request = None if event.end or facts.protocol else self._streamed(facts)
        except RemoteError as error:
            self._refuse(stream_id, error.status, str(error), now, facts)
            return
        priority = facts.priority
        if self._priorities:
            priority = self._priorities.pop(stream_id, priority)
        stream = Stream(self, self.session.streams.open[stream_id], priority)
        self.streams[stream_id], self._idle_since = stream, None
        if facts.protocol:
            stream.inflow = TunnelInflow(event.end)
        if event.end or facts.protocol:
            self._begin_exchange(stream, self._request(facts, b""), now)
            return
        if request is not None:
            self._begin_upload(stream, request, now)
            stream.expects_continue = facts.expects_continue
            return
        self._bodies[stream_id] = facts
        self.uploads.add(stream, facts.length, now)
        self._arm(stream.due())
        if facts.expects_continue:
            self.session.push_head(stream_id, CONTINUE, False)

    def _streamed(self, facts: Facts) -> Request | None:
        """Return the request if its handler starts before its body is in; `None`: the body is gathered.

        Raises:
            RemoteError: The body is declared to be too long.
        """
        request, streams, limit = None, self.endpoint.streams, self.settings.max_body_len
        if streams is not None:
            request = self._request(facts, None)
            if not streams(request):
                request = None
            elif self.settings.max_stream_len is None:
                return request
            else:
                limit = self.settings.max_stream_len
        if facts.length > limit:
            raise RemoteError(f"request body is longer than {limit} bytes", 413)
        return request

    def _request(self, facts: Facts, body: bytes | None) -> Request:
        endpoint, settings = self.endpoint, self.settings
        ends = endpoint.https, endpoint.peer, endpoint.ouraddr
        request = Request(facts.method, facts.path, facts.host, facts, body, 0, *ends)
        request.version_major = 2
        if facts.protocol:
            request.protocol = facts.protocol
        if settings.trusted_proxies is not None:
            apply_forwarded(request, settings.trusted_proxies, settings.forwarded_header)
        return request

    def _begin_exchange(self, stream: Stream, request: Request, now: float) -> None:
        endpoint = self.endpoint
        exchange = stream.exchange = Exchange(request, self.settings, endpoint.timers, stream, now)
        admission = self.host.admission
        admission.under_way += 1
        if admission.open is not None:
            admission.open[exchange] = None
        if endpoint.draining:
            exchange.draining = True
        endpoint.events.append(RequestReceived(exchange))

    def _begin_upload(self, stream: Stream, request: Request, now: float) -> None:
        self._begin_exchange(stream, request, now)
        assert stream.exchange is not None
        settings, timers = self.settings, self.endpoint.timers
        stream.exchange.incoming = Incoming(stream, timers, settings, settings.max_stream_len)

    def _take_data(self, event: DataReceived, now: float) -> None:
        data = event.data
        self.session.consume_connection(event.stream_id, len(data))
        stream = self.streams.get(event.stream_id)
        if stream is None:
            return
        if stream.exchange is not None:
            if stream.inflow is not None:
                stream.inflow.take(stream.exchange, data, now)
                stream.tunnel_resumed(stream.exchange, now)
            if stream.exchange.incoming is not None:
                stream.exchange.incoming.take(data, now)
                self.uploads.earn(len(data), now)
                self._tell_others(stream, len(data), now)
            return
        limit = self.settings.max_body_len
        if stream.size + len(data) > limit:
            self._refuse(stream.order, 413, f"request body is longer than {limit} bytes", now)
            return
        self.uploads.take(stream, data, now)
        self.uploads.give(now)
        self._tell_others(stream, len(data), now)

    def _tell_others(self, stream: Stream, size: int, now: float) -> None:
        """Note for bodies that are streamed that the client is busy with another one."""
        if len(self.streams) == 1:
            return
        for other in self.streams.values():
            exchange = other.exchange
            if exchange is not None and exchange.incoming is not None and other is not stream:
                exchange.incoming.others_came(size, now)

    def _take_end(self, event: RequestEnded, now: float) -> None:
        stream_id = event.stream_id
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        if stream.exchange is not None:
            if stream.inflow is not None:
                stream.inflow.end(stream.exchange, now)
            stream.exchange.body_ended(received_trailers(event.trailers), now)
            return
        admission = self.host.admission
        if admission.full is not None and (cause := admission.full(True)) is not None:
            self.give_up(stream, now, cause)
            return
        body = b"".join(stream.body)
        facts = self._bodies.pop(stream_id)
        self.uploads.gone(stream, now)
        request = self._request(facts, body)
        if event.trailers:
            request.give_trailers(received_trailers(event.trailers))
        self._begin_exchange(stream, request, now)

    def give_up(self, stream: Stream, now: float, cause: Cause) -> None:
        """End the exchange of a stream, or refuse the request that comes in: one of the limits is reached."""
        if stream.exchange is not None:
            stream.code = ENHANCE_YOUR_CALM
            stream.exchange.reset(now, cause)
        elif stream.order in self.streams:
            self._refuse(stream.order, 503, cause.text, now, None, cause)

    def _refuse(
        self,
        stream_id: int,
        status: int,
        reason: str,
        now: float,
        facts: Facts | None = None,
        cause: Cause | None = None,
    ) -> None:
        """Answer a request that can't be served; the rest of it is of no use (RFC 9113, 8.1)."""
        endpoint, session = self.endpoint, self.session
        facts = self._bodies.pop(stream_id, None) if facts is None else facts
        method, path = ("", "") if facts is None else (facts.method, facts.path)
        endpoint.tell(
            RequestRefused(
                status, reason, endpoint.peer, method=method, target=path, version="2", cause=cause
            )
        )
        if session.is_open(stream_id):
            session.push_head(stream_id, refusal_block(status, endpoint.date()), True)
            session.reset(stream_id, NO_ERROR)
            self.note_control(now)
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._forget(stream, now)

    # Besides ------------------------------------------------------------------------------------------

    def _take_reset(self, event: StreamReset, now: float) -> None:
        endpoint = self.endpoint
        stream = self.streams.get(event.stream_id)
        exchange = None if stream is None else stream.exchange
        if event.is_local and exchange is None and event.code != REFUSED_STREAM:
            endpoint.tell(RequestRefused(400, event.reason, endpoint.peer))
        if stream is None:
            return
        if exchange is None:
            self._bodies.pop(event.stream_id, None)
            self._forget(stream, now)
        elif event.is_local:
            exchange.cancel(now, broke_protocol(event.reason, event.code))
        else:
            exchange.cancel(now)

    def _prioritise(self, stream_id: int, priority: Priority) -> None:
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.urgency, stream.incremental = priority
        elif stream_id > self.session.streams.highest and len(self._priorities) < _MOST_PRIORITIES:
            # It may come ahead of its request (RFC 9218, 7.1).
            self._priorities[stream_id] = priority

    # Time ---------------------------------------------------------------------------------------------

    def expired(self, now: float) -> None:
        """End what has taken too long."""
        if self._stuck_due() <= now:
            self.reset_all(now, STALLED)
            return
        for stream in list(self.streams.values()):
            if stream.due() <= now:
                self._stream_expired(stream, now)
        if self._idle_due() <= now or self._answer_due <= now:
            self._go_away(now)
        if self._block_due() <= now:
            self._fail("a header block took too long", now)
        self.note_control(now)
        self._arm_all()

    def _stream_expired(self, stream: Stream, now: float) -> None:
        if stream.exchange is None:
            slow = stream.touched + self.settings.body_timeout > now
            reason = "the request body came too slowly" if slow else "the request took too long"
            self._refuse(stream.order, 408, reason, now)
        else:
            stream.code = CANCEL
            stream.exchange.reset(now, STALLED)
