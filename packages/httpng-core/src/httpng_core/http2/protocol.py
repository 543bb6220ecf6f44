"""HTTP/2 (RFC 9113) on one connection: many exchanges, each frame made when it can go out.

The engine knows frames, flow control and HPACK (`engine`). Here are exchanges and time: control frames go
first, then frames of exchanges by their priorities, together with the spans that say what they pay for.
"""

from math import inf
from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.http2.dealing import Dealing
from httpng_core.http2.engine.errors import FatalError
from httpng_core.http2.engine.session import Session
from httpng_core.http2.engine.session_config import Config
from httpng_core.http2.lifetime import Phase
from httpng_core.http2.reference.session import ReferenceSession
from httpng_core.sending.body import Buffer
from httpng_core.sending.ends import Cause
from httpng_core.sending.holdings import Holding
from httpng_core.wire.endpoint import Endpoint
from httpng_core.wire.events import ConnectionDropped
from httpng_core.wire.offer_size import SMALL
from httpng_core.wire.protocol import Readiness

_SEALED_LESS: Final = 512
"""So many bytes less are made of frames, so that with what frames them they fit into whole records."""
_MAX_SEALED: Final = SMALL - _SEALED_LESS
"""How many bytes of answers are made at once over TLS, so that mostly they fit into a record."""
_NOTHING: Final = Readiness.NOTHING
_ASK: Final = Readiness.ASK
_OFFER: Final = Readiness.OFFER
_OPEN: Final = Phase.OPEN


def session_config(settings: Settings) -> Config:
    """Return what the engine allows a client."""
    return Config(
        max_header_list=settings.shuttle_size,
        max_fields=settings.max_fields,
        max_reset_rate=settings.max_reset_rate,
        max_control_rate=settings.max_control_rate,
        has_connect=settings.ws != "none",
    )


def _session(settings: Settings, now: float, upgrade: bytes | None) -> Session:
    """Return what reads a connection, by the setting `http2_engine`."""
    if settings.http2_engine == "fast":
        return Session(session_config(settings), now, upgrade)
    return ReferenceSession(session_config(settings), now, upgrade)


class Http2(Dealing):
    """HTTP/2 on one connection. See `HttpProtocol`."""

    __slots__ = ("_goes_together",)

    def __init__(
        self, endpoint: Endpoint, settings: Settings, now: float, upgrade: bytes | None = None
    ) -> None:
        """Announce our settings; `upgrade` is the payload of HTTP2-Settings.

        Raises:
            ValueError: It isn't one.
        """
        try:
            session = _session(settings, now, upgrade)
        except FatalError as error:
            raise ValueError(error.reason) from error
        super().__init__(endpoint, session, settings, now)
        # Whether nothing but whole answers was there to be sent, at the last look.
        self._goes_together = False

    # What the connection tells ------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Take what the client sent."""
        phase = self._phase
        if phase is Phase.FAILED or phase is Phase.OVER:
            return
        session, self._touched = self.session, now
        endpoint = self.endpoint
        if endpoint.at_rest and endpoint.outbound.is_empty and (one := session.take_one(data)) is not None:
            # The ordinary case: whether there is something else to do is as it was.
            self._take_one(session.last_stream, one[0], one[1], now)
            return
        # Windows and streams may change.
        if not endpoint.outbound.is_empty:
            endpoint.outbound.settle_batch()
        if self.bulk.round:
            self.bulk.end_round()
        if requests := session.take_requests(data):
            # Likewise.
            for stream_id, head, path in requests:
                self._take_one(stream_id, head, path, now)
            return
        self._receive_any(data, now)

    def _receive_any(self, data: bytes, now: float) -> None:
        session, endpoint = self.session, self.endpoint
        events = session.receive(data, now)
        endpoint.at_rest = False
        self._act(events, now)
        if session.has_more and not self._goes_on:
            # Others have their turn first; until then what comes waits in the kernel.
            self._goes_on = True
            endpoint.timers.add(now, self._go_on)
        if not session.is_partial:
            self._block_since = None
        elif self._block_since is None and not session.has_failed:
            self._block_since = now
            self._arm(now + self.settings.header_timeout)
        if session.control:
            self.note_control(now)

    def receive_eof(self, now: float) -> None:
        """Note that the client sends no more: half requests are gone, exchanges go by the setting."""
        while self._goes_on:
            # Who heeds `wants_read` doesn't see the FIN that soon.
            self._go_on(now)
        for stream in list(self.streams.values()):
            if stream.exchange is None:
                self._forget(stream, now)
            else:
                stream.exchange.half_closed(now)
        if self.streams or self.session.control or not self.endpoint.outbound.is_empty:
            self._go_away(now)
        else:
            self._phase = Phase.OVER
            self.endpoint.close(now)

    def peer_shut(self, now: float) -> None:
        """Do nothing: what comes is always read, so the FIN is as well."""

    def moved(self, now: float) -> None:
        """Note that the kernel took wire bytes, or that the client acknowledged some."""
        self._end_if_done(now)

    def count_broadcast(self) -> None:
        """Do nothing: what broadcasts send is counted as it is sent."""

    def forget_acked(self, now: float) -> None:
        """Note that acknowledgements can't be told any more."""
        for exchange in self.exchanges():
            exchange.acknowledgements_lost(now)

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Take other settings from now on; what would have taken too long by them ends soon."""
        if self.streams:
            self._kept_stall_timeout = self._stall_timeout
        self.settings = settings
        self.uploads.limit(settings, now)
        self.session.reconfigure(session_config(settings), now)
        self._arm_all()

    # What the connection asks -------------------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Whether all that came is read: window updates and resets must get through."""
        return not self._goes_on

    @property
    def is_flushing(self) -> bool:
        """Whether the rest of a response goes out."""
        return self._flushing > 0

    @property
    def idle_since(self) -> float | None:
        """Since when there have been no streams, once the client's settings are in; else `None`."""
        session = self.session
        if self._phase is not _OPEN or not session.has_settings or session.is_partial or session.control:
            return None
        if self._goes_on:
            return None
        return self._idle_since

    def holdings(self) -> list[Holding]:
        """Return what is held for each stream, and what the client has to be told and doesn't read."""
        found = []
        for stream in self.streams.values():
            if (holding := stream.holding()) is not None:
                found.append(holding)
        if held := self.session.held:
            found.append(Holding(held, self._touched, self._drop))
        return found

    def _drop(self, now: float, cause: Cause) -> None:
        if not self.exchanges():
            self.endpoint.tell(ConnectionDropped(self.endpoint.peer, cause))
        self.reset_all(now, cause)

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up, as things stand; infinity: never."""
        if self._phase is Phase.FAILED or self._phase is Phase.OVER or self._stuck_due() < inf:
            return self._stall_timeout
        return inf

    def prepare(self) -> Readiness:
        """Return whether there is something to frame; ask the socket before frames that can't be taken back.

        What is offered can be: whole answers, and bulk.
        """
        if self.session.control:
            return _ASK
        waiting, streams = self.answers.waiting, self.streams
        if not streams:
            return _NOTHING
        self._goes_together = False
        if self.active and self._has_more():
            # Something was written since it rested; what is framed next may not be all of it.
            self.endpoint.at_rest = False
            can_offer = self.bulk.round and not waiting and not self.endpoint.outbound.size.asks_first
            return _OFFER if can_offer else _ASK
        if waiting:
            self._goes_together = True
            return _ASK if self.endpoint.outbound.size.is_slow else _OFFER
        self.endpoint.at_rest = self._rests()
        return _NOTHING

    def fill(self, limit: int | None, now: float) -> None:
        """Commit control frames, and frames of exchanges with about `limit` bytes, in one go.

        Or offer whole answers, if there is nothing else; or what is buffered, to a client that is fast.
        """
        outbound, session, streams = self.endpoint.outbound, self.session, self.streams
        if self._goes_together and limit is None and not session.control:
            self.answers.offer(_MAX_SEALED if outbound.is_sealed else outbound.size.limit)
            if not outbound.is_empty:
                return
            # None can go whole.
        if self.active and self._is_bulk():
            # If nobody of the round can send, there are no frames: the socket may not have been asked.
            self.bulk.offer(streams, limit)
            return
        # What is made is committed, so no more than a frame may commit elsewhere.
        most = outbound.size.frame - _SEALED_LESS if outbound.is_sealed else outbound.size.frame
        limit = most if limit is None else max(min(limit, most), 1)
        made: list[Buffer] = []
        ready = self._ready(now) if streams else []
        if self._phase is Phase.OVER:
            # Code of a user's that ran meanwhile (`on_gap`) has ended the connection.
            return
        if session.control:
            made += session.control
            outbound.ledger.push(session.control_size)
            session.control, session.control_size = [], 0
            self._has_control = False
        if ready:
            self._deal(ready, made, limit, now)
        if self.answers.waiting:
            self.answers.leave_out_framed()
        if made:
            self._queue(made, limit, now)

    # Inside -------------------------------------------------------------------------------------------

    def _go_on(self, now: float) -> None:
        if self._goes_on:
            self._goes_on = False
            self.receive(b"", now)

    def expired(self, now: float) -> None:
        """End what has taken too long; what has come, and only waits to be read, isn't late."""
        if self._goes_on:
            self._arm(now)
        else:
            super().expired(now)
