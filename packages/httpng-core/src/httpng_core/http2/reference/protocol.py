"""HTTP/2 (RFC 9113) by h2: many exchanges on one connection, each frame made when it can go out.

h2 checks frames and keeps flow control and HPACK. Its single buffer, which forgets whose bytes are
whose, is emptied after each step: control frames wait in order here, frames of exchanges go to the tail
of the connection together with the spans that say what they pay for.
"""

from math import inf
from typing import Final

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from httpng_core.config.settings import Settings
from httpng_core.http2.reference.lifetime import Lifetime, Phase
from httpng_core.http2.reference.stream import Stream
from httpng_core.sending.ends import STALLED, Cause
from httpng_core.wire.endpoint import FIRST_REQUEST_GRACE, Endpoint
from httpng_core.wire.outbound import JOIN_BELOW
from httpng_core.wire.protocol import Readiness
from httpng_core.wire.scheduler import Scheduler

MAX_SEALED: Final = 16 * 1024 - 512
"""How many bytes of frames are made at once over TLS, so that mostly they fit into a record."""


class Http2(Lifetime):
    """HTTP/2 on one connection. See `HttpProtocol`."""

    def __init__(
        self, endpoint: Endpoint, settings: Settings, now: float, upgrade: bytes | None = None
    ) -> None:
        """Announce our settings; `upgrade` is the value of HTTP2-Settings.

        Raises:
            ValueError: It isn't what HTTP2-Settings must be.
        """
        super().__init__(endpoint, settings, now, upgrade)
        self._scheduler: Scheduler[Stream] = Scheduler()

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

    def count_broadcast(self) -> None:
        """Do nothing: there are no broadcasts, as each stream has frames of its own."""

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

    def drain(self, now: float, patient: bool) -> None:
        """Take no more requests; the streams that run go on.

        A connection that was just opened has a moment for its first ones.
        """
        if self._intake.last_stream or not patient:
            self.go_away(now)
        else:
            self.endpoint.timers.add(now + FIRST_REQUEST_GRACE, self.go_away)

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
    def idle_since(self) -> float | None:
        """Since when there have been no streams, once the client's settings are in; else `None`."""
        if self._phase is not Phase.OPEN or not self._intake.begun or self._watch.begun or self._control:
            return None
        return self._idle_since

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
