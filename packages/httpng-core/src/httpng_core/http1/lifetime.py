"""The life of an HTTP/1.1 connection: its phases, their deadlines, and how it ends."""

from math import inf

from httpng_core.config.settings import Settings
from httpng_core.http.body_rate import first_body_due, next_body_due
from httpng_core.http1.framer import Framer, refusal
from httpng_core.http1.parsed import Reading
from httpng_core.http1.parser import RequestParser
from httpng_core.http1.phase import Phase
from httpng_core.http1.reference import ReferenceParser
from httpng_core.http1.upload import Upload
from httpng_core.sending.ends import STALLED, Cause
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.holdings import Holding, holding_of
from httpng_core.sending.transport import Transport
from httpng_core.wire.endpoint import FIRST_REQUEST_GRACE, Endpoint
from httpng_core.wire.events import RequestRefused


class Lifetime(Transport):
    """What a connection has, and how it ends. See `Http1`.

    Attributes:
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
    )

    def __init__(self, endpoint: Endpoint, settings: Settings, now: float) -> None:
        self.host = endpoint.host
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

    def drain(self, now: float, patient: bool) -> None:
        """Close when idle, else once the exchange under way is over.

        A connection that was just opened has a moment for its first request: the client, or a proxy that
        has another worker to turn to, can't tell an answer that never came from a request that was served.
        """
        self.framer.keep_alive = False
        if self._phase is Phase.IDLE:
            self._close(now)
        elif self._phase is Phase.READING:
            if patient:
                self._endpoint.timers.add(now + FIRST_REQUEST_GRACE, self._close_unused)
            else:
                self._close_unused(now)
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

    # Deadlines ----------------------------------------------------------------------------------------

    @property
    def _stall_timeout(self) -> float:
        """That of the exchange under way, if any: it keeps the settings that it began with."""
        return (self._settings if self.exchange is None else self.exchange.settings).stall_timeout

    def _enter(self, phase: Phase, now: float, timeout: float) -> None:
        self._phase = phase
        self._endpoint.deadline = None if timeout == inf else now + timeout

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

    # How it ends --------------------------------------------------------------------------------------

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

    def _turn_away(self, now: float, cause: Cause) -> None:
        """Refuse a request that isn't at fault: a limit of the server's is reached."""
        if self._phase is Phase.IDLE or self._phase is Phase.READING:
            self._refuse(503, cause.text, now, cause)
        else:
            self._reset()

    def _read_to_the_end(self, now: float) -> None:
        """Read to the end: a request that is not whole is a mistake, none at all is the end."""
        if self._parser.state is Reading.NOTHING and not self._opening:
            self._close(now)
        else:
            self._refuse(400, "the request ended before it was whole", now)

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
