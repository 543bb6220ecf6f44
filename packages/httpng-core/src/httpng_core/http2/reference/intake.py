"""What a client says on HTTP/2, event by event: requests, bodies, resets, and what costs us for nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import proxy

from h2 import events
from h2.errors import ErrorCodes
from hyperframe.frame import ExtensionFrame

from httpng_core.errors import RemoteError
from httpng_core.http.forwarded import apply_forwarded
from httpng_core.http.priority import FAIR, PRIORITY_UPDATE, Priority, parse_priority_update
from httpng_core.http.request import Request
from httpng_core.http.response import RETRY_AFTER
from httpng_core.http.trailers import Fields, received_trailers
from httpng_core.http2.reference.guard import Allowance
from httpng_core.http2.reference.request import (
    MalformedError,
    RequestHead,
    check_size,
    check_trailers,
    parse_head,
)
from httpng_core.http2.reference.stream import Stream
from httpng_core.http2.reference.uploads import Uploads
from httpng_core.http2.reference.wire import MAX_STREAMS
from httpng_core.sending.ends import Cause
from httpng_core.sending.exchange import Exchange
from httpng_core.wire.events import RequestReceived, RequestRefused

if TYPE_CHECKING:
    from httpng_core.http2.reference.lifetime import Lifetime

_CHATTER = (1000, 100.0)
_RESETS = (200, 20.0)


class Intake:
    """Acts on the events of h2.

    Attributes:
        last_stream: the last request that was taken.
        begun: whether the client's settings have come.
        uploads: the bodies that come in.
    """

    def __init__(self, owner: "Lifetime", now: float) -> None:
        self.last_stream = 0
        self.begun = False
        self.uploads = Uploads(owner.h2, owner.settings)
        # It owns this: a reference back would keep both until the cyclic collector comes.
        self._owner: Lifetime = proxy(owner)
        self._priorities: dict[int, Priority] = {}
        self._chatter = Allowance(*_CHATTER, now)
        self._resets = Allowance(*_RESETS, now)

    def act(self, happened: list[events.Event], now: float) -> None:
        """Acts on each, in order."""
        # A client that resets in the same breath gets no handler started.
        reset = {event.stream_id for event in happened if type(event) is events.StreamReset}
        for event in happened:
            action = _ACTIONS.get(type(event))
            if action is None or (type(event) is events.RequestReceived and event.stream_id in reset):
                continue
            if self._owner.has_failed:
                return
            action(self, event, now)

    def take_upgraded(self, request: Request, now: float) -> None:
        """Note that the request that asked for the upgrade is stream 1 (RFC 7540, 3.2)."""
        head = RequestHead(request.method, request.path, request.host, [], None, False, FAIR)
        stream = Stream(self._owner, self._owner.h2.streams[1], head, now)
        self.last_stream = 1
        self._owner.opened(stream)
        self._begin_exchange(stream, request, now)

    def refuse(self, stream_id: int, error: RemoteError, now: float, cause: Cause | None = None) -> None:
        """Answers a request that can't be served; one that is malformed is reset (RFC 9113, 8.1.1)."""
        owner = self._owner
        owner.endpoint.tell(RequestRefused(error.status, str(error), owner.endpoint.peer, cause=cause))
        if isinstance(error, MalformedError):
            owner.reset(stream_id, ErrorCodes.PROTOCOL_ERROR)
        elif owner.h2.is_open(stream_id):
            self._answer(stream_id, error.status)
            # The rest of the request is of no use (RFC 9113, 8.1).
            owner.reset(stream_id, ErrorCodes.NO_ERROR)
        if (stream := owner.streams.get(stream_id)) is not None:
            owner.forget(stream, now)

    def _answer(self, stream_id: int, status: int) -> None:
        fields = [(b":status", b"%d" % status), (b"content-length", b"0")]
        if status == 503:
            fields.append((b"retry-after", b"%d" % RETRY_AFTER))
        date = self._owner.endpoint.date()
        if date is not None:
            fields.append((b"date", date))
        self._owner.h2.send_headers(stream_id, fields, end_stream=True)

    # Requests -----------------------------------------------------------------------------------------

    def _take_request(self, event: events.RequestReceived, now: float) -> None:
        owner, stream_id, ended = self._owner, event.stream_id, event.stream_ended is not None
        if not owner.takes_requests:
            owner.reset(stream_id, ErrorCodes.REFUSED_STREAM)
            self._count_reset(now)
            return
        self.last_stream = stream_id
        try:
            check_size(event.headers, owner.settings.shuttle_size, owner.settings.max_fields)
            head = parse_head(event.headers)
            self._check_length(head, 0, ended=ended)
        except RemoteError as error:
            self.refuse(stream_id, error, now)
            return
        if (cause := self._full(False)) is not None:
            self.refuse(stream_id, RemoteError(cause.text, 503), now, cause)
            return
        stream = Stream(owner, owner.h2.streams[stream_id], head, now)
        stream.prioritise(self._priorities.pop(stream_id, head.priority))
        owner.opened(stream)
        if ended:
            self._request_whole(stream, now)
        else:
            self._expect_body(stream, now)

    def _expect_body(self, stream: Stream, now: float) -> None:
        self.uploads.add(stream, now)
        self._owner.arm(stream.due())
        if stream.head.expects_continue and not stream.flow.closed:
            self._owner.h2.send_headers(stream.order, [(b":status", b"100")])

    def _check_length(self, head: RequestHead, size: int, *, ended: bool) -> None:
        limit = self._owner.settings.max_body_len
        if max(head.length or 0, size) > limit:
            raise RemoteError(f"request body is longer than {limit} bytes", 413)
        if ended and head.length not in (None, size):
            raise MalformedError(f"content-length is {head.length}, the body has {size} bytes")

    def _take_data(self, event: events.DataReceived, now: float) -> None:
        data, ended = event.data or b"", event.stream_ended is not None
        flow_controlled = event.flow_controlled_length or 0
        self.uploads.count(flow_controlled)
        if not data and not ended:
            self._take_chatter(event, now)
        stream = self._receiving(event.stream_id)
        if stream is None:
            return
        try:
            self._check_length(stream.head, stream.size + len(data), ended=ended)
        except RemoteError as error:
            self.refuse(stream.order, error, now)
            return
        self.uploads.take(stream, bytes(data), flow_controlled, now)
        if ended:
            self._request_whole(stream, now)
        else:
            self.uploads.give(now)

    def _take_trailers(self, event: events.TrailersReceived, now: float) -> None:
        stream = self._receiving(event.stream_id)
        if stream is None:
            return
        try:
            check_trailers(event.headers)
            self._check_length(stream.head, stream.size, ended=True)
        except RemoteError as error:
            self.refuse(stream.order, error, now)
            return
        self._request_whole(stream, now, tuple(event.headers))

    def _receiving(self, stream_id: int) -> Stream | None:
        stream = self._owner.streams.get(stream_id)
        return stream if stream is not None and stream.exchange is None else None

    def _full(self, has_body: bool) -> Cause | None:
        full = self._owner.endpoint.host.admission.full
        return None if full is None else full(has_body)

    def _request_whole(self, stream: Stream, now: float, trailers: Fields = ()) -> None:
        if stream.body and (cause := self._full(True)) is not None:
            self._owner.give_up(stream, now, cause)
            return
        endpoint = self._owner.endpoint
        request = stream.head.request(
            b"".join(stream.body), endpoint.peer, endpoint.ouraddr, https=endpoint.https
        )
        settings = self._owner.settings
        if settings.trusted_proxies is not None:
            apply_forwarded(request, settings.trusted_proxies, settings.forwarded_header)
        request.give_trailers(received_trailers(trailers))
        self.uploads.gone(stream, now)
        self._begin_exchange(stream, request, now)

    def _begin_exchange(self, stream: Stream, request: Request, now: float) -> None:
        owner = self._owner
        exchange = stream.exchange = Exchange(request, owner.settings, owner.endpoint.timers, stream, now)
        admission = owner.endpoint.host.admission
        admission.under_way += 1
        if admission.open is not None:
            admission.open[exchange] = None
        if owner.endpoint.draining:
            exchange.draining = True
        owner.endpoint.tell(RequestReceived(exchange))

    # Besides ------------------------------------------------------------------------------------------

    def _take_reset(self, event: events.StreamReset, now: float) -> None:
        stream = self._owner.streams.get(event.stream_id)
        if stream is not None and stream.exchange is not None:
            stream.exchange.cancel(now)
        elif stream is not None:
            self._owner.forget(stream, now)
        self._count_reset(now)

    def _count_reset(self, now: float) -> None:
        if not self._resets.spend(now):
            self._owner.fail(ErrorCodes.ENHANCE_YOUR_CALM, "too many streams were reset", now)

    def _take_settings(self, event: events.RemoteSettingsChanged, now: float) -> None:
        self.begun = True
        self._owner.h2.bound_encoder()
        self._take_chatter(event, now)

    def _take_chatter(self, event: events.Event, now: float) -> None:
        if not self._chatter.spend(now):
            self._owner.fail(ErrorCodes.ENHANCE_YOUR_CALM, "too many frames that mean nothing", now)

    def _take_unknown(self, event: events.UnknownFrameReceived, now: float) -> None:
        self._take_chatter(event, now)
        frame = event.frame
        if not isinstance(frame, ExtensionFrame) or frame.type != PRIORITY_UPDATE or frame.stream_id:
            return
        update = parse_priority_update(bytes(frame.body))
        if update is not None:
            self._prioritise(*update)

    def _prioritise(self, stream_id: int, priority: Priority) -> None:
        if (stream := self._owner.streams.get(stream_id)) is not None:
            stream.prioritise(priority)
        elif stream_id > self._owner.h2.highest_inbound_stream_id and len(self._priorities) < MAX_STREAMS:
            # It may come ahead of its request (RFC 9218, 7.1).
            self._priorities[stream_id] = priority

    def _take_goaway(self, event: events.ConnectionTerminated, now: float) -> None:
        self._owner.go_away(now)


_ACTIONS: Final[dict[type[events.Event], Callable[[Intake, Any, float], None]]] = {
    events.RequestReceived: Intake._take_request,
    events.DataReceived: Intake._take_data,
    events.TrailersReceived: Intake._take_trailers,
    events.StreamReset: Intake._take_reset,
    events.RemoteSettingsChanged: Intake._take_settings,
    events.UnknownFrameReceived: Intake._take_unknown,
    events.ConnectionTerminated: Intake._take_goaway,
    events.PingReceived: Intake._take_chatter,
    events.PriorityUpdated: Intake._take_chatter,
}
