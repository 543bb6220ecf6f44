"""The request cycle of HTTP/1.1 (RFC 9112, 9.3): one request, one exchange, and the next."""

from dataclasses import replace
from enum import Enum, auto
from math import inf

from h2.exceptions import ProtocolError
from hyperframe.exceptions import HyperframeError

from httpng_core.config.settings import Settings
from httpng_core.errors import RemoteError
from httpng_core.feeds.broadcast import Lane
from httpng_core.http.dates import DateSource
from httpng_core.http.request import Address, Request
from httpng_core.http1.h11_parser import CONTINUE, Reading, RequestParser, ResponseFramer, refusal
from httpng_core.http1.upgrade import SWITCHING, upgrade_settings
from httpng_core.http2.protocol import Http2
from httpng_core.http2.wire import PREFACE
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.states import ResponseState
from httpng_core.wire.events import RequestReceived, RequestRefused, exchange_ended
from httpng_core.wire.frame import Frame
from httpng_core.wire.protocol import Link


class Phase(Enum):
    """What the protocol is doing; each phase has its deadline."""

    IDLE = auto()
    """Waiting for the next request on a kept-alive connection."""
    READING = auto()
    """A request is expected or coming in."""
    HANDLING = auto()
    """The handler has the exchange."""
    FLUSHING = auto()
    """The rest of a response goes out."""
    OVER = auto()
    """Nothing more is read or sent."""


class Http1:
    """HTTP/1.1 on one connection, and the carrier of its exchange.

    Attributes:
        exchange: the exchange under way, if any.
        framer: what frames its response.
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
    ) -> None:
        self.exchange: Exchange | None = None
        self.framer: ResponseFramer | None = None
        self._link = link
        self._settings = settings
        self._date = date
        self._https = https
        self._ends = peer, ouraddr
        self._parser = RequestParser(settings, peer, ouraddr, https=https)
        self._read_ahead = bytearray()
        self._opening: bytes | None = b""
        # What an exchange needs of its connection goes there straight.
        self.wake = link.wake
        self.push = link.push
        self.feed_hooks = link.feed_hooks
        self.swept = link.swept
        self.fell_short = link.fell_short
        self.track_acknowledged = link.track_acknowledged
        self._phase: Phase
        self._enter(Phase.READING, now, settings.header_timeout)

    # What the connection tells ------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """The client sent `data`."""
        if self._phase in (Phase.HANDLING, Phase.FLUSHING):
            self._read_ahead += data
        elif self._opening is None:
            self._feed(data, now)
        else:
            self._open(self._opening + data, now)

    def receive_eof(self, now: float) -> None:
        """The client sends no more; whether that cancels is `cancel_on_half_close`."""
        if self._phase in (Phase.IDLE, Phase.READING):
            self._read_to_the_end(now)
        elif self.exchange is not None:
            self.exchange.half_closed(now)

    def moved(self, now: float) -> None:
        """A flush goes on; a refusal that has gone out whole ends the connection."""
        if self._phase is not Phase.FLUSHING:
            return
        if self._link.all_out and self.exchange is None:
            self._linger(now)
        else:
            self._enter(Phase.FLUSHING, now, self._stall_timeout)

    def count_swept(self) -> None:
        """Has what a sweep has sent counted."""
        if self.exchange is not None:
            self.exchange.count_swept()

    def forget_acked(self, now: float) -> None:
        """Acknowledgements can't be told any more."""
        if self.exchange is not None:
            self.exchange.forget_acked(now)

    def expired(self, now: float) -> None:
        """The phase has taken too long."""
        if self._phase is Phase.FLUSHING and self.exchange is not None:
            self.exchange.abort(now)
        elif self._phase is Phase.FLUSHING:
            self._phase = Phase.OVER
            self._link.reset()
        elif self._phase is Phase.READING and self._parser.reading is not Reading.NOTHING:
            self._refuse(408, "the request took too long", now)
        else:
            self._close()

    def drain(self, now: float) -> None:
        """Closes when idle, else once the exchange under way is over."""
        if self.framer is not None:
            self.framer.keep_alive = False
        idle = self._phase is Phase.READING and self._parser.reading is Reading.NOTHING
        if self._phase is Phase.IDLE or idle:
            self._close()

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Other settings from now on; a timeout that runs stays as it is."""
        self._settings = settings
        self._parser.reconfigure(settings)

    def lost(self, now: float) -> None:
        """The connection is gone."""
        self._phase = Phase.OVER
        self._read_ahead.clear()
        if self.exchange is not None:
            self.exchange.cancel(now)

    # What the connection asks -------------------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""
        return len(self._read_ahead) < self._settings.shuttle_size

    @property
    def has_frame(self) -> bool:
        """Whether there is something to frame."""
        return self.exchange is not None and self.exchange.has_frame

    @property
    def is_flushing(self) -> bool:
        """Whether the rest of a response goes out."""
        return self._phase is Phase.FLUSHING

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up, as things stand; infinity: never."""
        phase = self._phase
        if phase is Phase.IDLE or phase is Phase.READING:
            # Nothing of ours is to be sent, and what ends these has deadlines of its own.
            return inf
        if phase is Phase.HANDLING and self.exchange is not None:
            return self.exchange.stall_limit
        return self._stall_timeout

    def asks_first(self, is_cautious: bool) -> bool:
        """Whether the next frame couldn't be taken back, or the client has shown to be slow."""
        exchange, framer = self.exchange, self.framer
        if exchange is None or framer is None:
            return False
        # An end without bytes takes no room: the kernel has the response, however slow the client is.
        return exchange.draws_from_writer or (is_cautious and not framer.ends_silently)

    def next_frame(self, limit: int, now: float) -> Frame | None:
        """A new frame of the response."""
        return None if self.framer is None else self.framer.frame(limit, now)

    # What the exchange tells (Carrier) ----------------------------------------------------------------

    def lane(self) -> Lane | None:
        """How a sweep may send to the client: in chunks, as all followers in step get the same bytes."""
        return self._link.lane() if self.framer is not None and self.framer.is_chunked else None

    def exchange_ended(self, exchange: Exchange, now: float) -> None:
        """The handler is done: from now on no progress for `stall_timeout` is the end."""
        if self._phase is Phase.HANDLING:
            self._enter(Phase.FLUSHING, now, self._stall_timeout)

    def exchange_over(self, exchange: Exchange, now: float) -> None:
        """The exchange is complete, cancelled or aborted."""
        self._link.tell(exchange_ended(exchange, now))
        self.exchange, framer, self.framer = None, self.framer, None
        if exchange.state is not ResponseState.CLOSED:
            # HTTP/1.1 has no other way to say that a response is not whole (RFC 9112, 8).
            self._phase = Phase.OVER
            self._link.reset()
        elif framer is not None and framer.keep_alive:
            self._next_request(now)
        else:
            self._linger(now)

    # Inside: HTTP/2 -----------------------------------------------------------------------------------

    def _open(self, data: bytes, now: float) -> None:
        """The first bytes tell whether this is HTTP/2 (RFC 9113, 3.3)."""
        if not PREFACE.startswith(data[: len(PREFACE)]):
            self._opening = None
            self._feed(data, now)
        elif len(data) < len(PREFACE):
            self._opening = data
        else:
            self._switch(self._http2(now), now)
            self._link.protocol.receive(data, now)

    def _http2(self, now: float, upgrade: bytes | None = None) -> Http2:
        return Http2(
            self._link, self._settings, now, self._date, *self._ends, https=self._https, upgrade=upgrade
        )

    def _switch(self, protocol: Http2, now: float) -> None:
        self._phase = Phase.OVER
        self._link.protocol = protocol
        if self._link.draining:
            protocol.drain(now)

    def _upgrade(self, request: Request, now: float) -> bool:
        """Goes on with HTTP/2 if the request asks for that and may (RFC 7540, 3.2); whether it did."""
        settings = None if self._https else upgrade_settings(request)
        if settings is None:
            return False
        try:
            protocol = self._http2(now, settings)
        except (ProtocolError, HyperframeError, ValueError):
            # It isn't what HTTP2-Settings must be: the request is served as it came.
            self._enter(Phase.READING, now, inf)
            return False
        self._link.send_raw(SWITCHING)
        rest = self._parser.rest()
        self._switch(protocol, now)
        protocol.begin_upgraded(replace(request, version_major=2, version_minor=0), now)
        self._link.protocol.receive(rest, now)
        return True

    # Inside -------------------------------------------------------------------------------------------

    def _feed(self, data: bytes, now: float) -> None:
        before = self._parser.reading
        self._parser.feed(data)
        if self._phase is Phase.IDLE and self._parser.reading is not Reading.NOTHING:
            self._enter(Phase.READING, now, self._settings.header_timeout)
        self._read_request(now)
        if self._phase is Phase.READING and self._parser.reading is Reading.BODY:
            self._enter(Phase.READING, now, self._settings.body_timeout)
            if before is not Reading.BODY and self._parser.expects_continue:
                self._link.send_raw(CONTINUE)

    def _read_request(self, now: float) -> None:
        try:
            request = self._parser.next_request()
        except RemoteError as error:
            self._refuse(error.status, str(error), now)
            return
        if request is None or (self._settings.h2c_upgrade and self._upgrade(request, now)):
            return
        exchange = Exchange(request, self._settings, self._link.timers, self, now)
        self.exchange = exchange
        keep_alive = self._parser.keep_alive and not self._link.draining
        self.framer = ResponseFramer(exchange, keep_alive, self._date)
        self._enter(Phase.HANDLING, now, inf)
        self._link.tell(RequestReceived(exchange))

    def _next_request(self, now: float) -> None:
        """Goes on after a complete response, first with what was read ahead."""
        # The next exchange may not ask for what costs something.
        self._link.wire.forget()
        self._parser.restart()
        rest = bytes(self._read_ahead)
        self._read_ahead.clear()
        self._enter(Phase.IDLE, now, self._settings.keepalive_timeout)
        if rest or self._parser.reading is not Reading.NOTHING:
            self._feed(rest, now)
        if self._link.eof and self._phase in (Phase.IDLE, Phase.READING):
            self._read_to_the_end(now)

    def _read_to_the_end(self, now: float) -> None:
        """No more bytes will come: a request that is not whole is a mistake, none at all is the end."""
        if self._parser.reading is Reading.NOTHING:
            self._close()
        else:
            self._refuse(400, "the request ended before it was whole", now)

    def _refuse(self, status: int, reason: str, now: float) -> None:
        self._link.tell(RequestRefused(status, reason))
        self._enter(Phase.FLUSHING, now, self._settings.stall_timeout)
        self._link.send_raw(refusal(status, reason, self._date()))

    @property
    def _stall_timeout(self) -> float:
        """That of the exchange under way, if any: it keeps the settings that it began with."""
        return (self._settings if self.exchange is None else self.exchange.settings).stall_timeout

    def _enter(self, phase: Phase, now: float, timeout: float) -> None:
        self._phase = phase
        self._link.deadline = None if timeout == inf else now + timeout

    def _linger(self, now: float) -> None:
        self._phase = Phase.OVER
        self._read_ahead.clear()
        self._link.linger(now)

    def _close(self) -> None:
        self._phase = Phase.OVER
        self._link.close()
