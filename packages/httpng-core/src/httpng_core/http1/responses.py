"""The responses of an HTTP/1.1 connection: what is framed, and what its exchange tells."""

from math import inf
from typing import ClassVar, Final

from httpng_core.http.response import ResponseHead
from httpng_core.http1.lifetime import Lifetime
from httpng_core.http1.phase import FLUSHING, HANDLING, IDLE
from httpng_core.sending.host import DirectSend
from httpng_core.sending.outgoing import Outgoing
from httpng_core.sending.states import ResponseState
from httpng_core.sending.waits import HeadStage
from httpng_core.wire.at_once import AtOnce
from httpng_core.wire.endpoint import MAX_INTERIM
from httpng_core.wire.events import ExchangeEnded
from httpng_core.wire.protocol import Readiness

_BEGUN: Final = HeadStage.BEGUN
_NOTHING: Final = Readiness.NOTHING
_ASK: Final = Readiness.ASK
_OFFER: Final = Readiness.OFFER


class Responses(Lifetime):
    """Frames the response of the exchange under way. See `Http1`."""

    __slots__ = ()

    shares: ClassVar[bool] = False
    has_chunks: ClassVar[bool] = True

    # What the connection asks -------------------------------------------------------------------------

    def prepare(self) -> Readiness:
        """Return whether there is something to frame, and if the socket must be asked before that."""
        exchange = self.exchange
        if exchange is None:
            return _NOTHING
        # The first two are enough for most, and spare a call.
        if not exchange.buffered and exchange.head_stage is not _BEGUN and not exchange.has_frame:
            # Until the handler has more to send there is nothing to do but to read, unless somebody waits.
            self._endpoint.at_rest = (
                self._phase is HANDLING
                and exchange.queue is None
                and exchange.stalls is None
                and exchange.tunnel is None
                and self._upload is None
                and not self._fin
                and not self._parser.has_rest
                and not self._endpoint.outbound.ledger.tracks
            )
            return _NOTHING
        self._endpoint.at_rest = False
        size = self._endpoint.outbound.size
        if size.asks_first:
            # An end without bytes takes no room: the kernel has the response, however slow the client is.
            # And nothing of a whole response is taken back.
            is_whole = not size.is_slow and exchange.is_whole and exchange.head_stage is _BEGUN
            return _OFFER if is_whole or self.framer.ends_silently(exchange) else _ASK
        return _ASK if exchange.queue is not None and exchange.draws_from_writer else _OFFER

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

    # What the exchange tells (`Transport`) ------------------------------------------------------------

    def exchange_ended(self, exchange: Outgoing, now: float) -> None:
        """Note that the handler is done: from now on no progress for `stall_timeout` is the end."""
        self._began, self._phase, self._endpoint.at_rest = now, FLUSHING, False
        timeout = exchange.settings.stall_timeout
        self._endpoint.deadline = None if timeout == inf else now + timeout
        if exchange.state is ResponseState.CUTTING and self.framer.until_close:
            # Only a reset tells the client that something is missing, and that must not overtake the rest.
            self._endpoint.track_acknowledged(exchange)

    def send_whole(
        self, exchange: Outgoing, head: ResponseHead, data: bytes, now: float, send: DirectSend
    ) -> int:
        """Give a whole response to the kernel; return how many wire bytes that has left, -1: it wasn't asked.

        What `fill`, `Outbound.accepted` and `exchange_over` do of it is done here in one go, if the
        connection rests, and goes on resting.
        """
        whole, endpoint, framer = self.exchange, self._endpoint, self.framer
        outbound, body_size = endpoint.outbound, len(data)
        if (
            whole is None
            or not endpoint.at_rest
            or self._phase is not HANDLING
            or outbound.size.is_slow
            or not framer.keep_alive
            or head.close
            or self._parser.has_rest
            or endpoint.eof
            or outbound.ledger.tracks
            or not outbound.is_empty
        ):
            return -1
        lines = framer.whole_head(head, body_size, exchange.request.version_minor)
        wire = lines + data
        if len(wire) >= outbound.size.limit:
            return -1
        left = outbound.send_at_once(wire, now, send)
        if left:
            if left > 0:
                outbound.offer_whole(whole, wire, len(lines))
            return left
        whole.sent_whole(head, body_size, now)
        self.exchange, self._phase = None, IDLE
        endpoint.deadline = now + self._settings.keepalive_timeout
        admission, note = self.host.admission, self.host.note_end
        admission.under_way -= 1
        if admission.open is not None:
            admission.open.pop(exchange, None)
        if note is not None:
            note(exchange, now)
        if endpoint.tells_complete or exchange.settings.access_log:
            endpoint.events.append(ExchangeEnded(exchange, now))
            self.host.wake()
        return 0

    def send_piece(self, data: bytes, now: float, send: DirectSend) -> int:
        """Give a chunk to the kernel, of a response of which that has all else; see `send_whole`."""
        endpoint, outbound = self._endpoint, self._endpoint.outbound
        if (
            not endpoint.at_rest
            or self._phase is not HANDLING
            or not self.framer.chunked
            # A piece may be taken back, and what is sealed can't be.
            or outbound.size.asks_first
            or endpoint.eof
            or outbound.ledger.tracks
            or not outbound.is_empty
        ):
            return -1
        wire = b"%x\r\n%b\r\n" % (len(data), data)
        return -1 if len(wire) >= outbound.size.limit else outbound.send_at_once(wire, now, send)

    def was_cut(self, left: int, now: float) -> None:
        """Go on with what `send_whole` or `send_piece` has left, as if it had been offered as always."""
        outbound = self._endpoint.outbound
        if outbound.is_empty:
            self.fill(None, now)
        outbound.was_cut(left, now)

    def send_interim(self, head: ResponseHead, now: float) -> None:
        """Send an informational response, unless the client doesn't read."""
        outbound = self._endpoint.outbound
        if outbound.waiting <= MAX_INTERIM:
            self._endpoint.at_rest = False
            outbound.push(head.lines + b"\r\n")

    def track_acknowledged(self, exchange: Outgoing) -> bool:
        """Have acknowledgements told to the exchange."""
        return self._endpoint.track_acknowledged(exchange)

    def tunnel_opened(self, exchange: Outgoing, now: float) -> None:
        """Hand over what the client has sent behind the request."""
        rest = self._parser.take_rest()
        if rest and exchange.tunnel is not None:
            exchange.tunnel.receive(rest, now)

    def tunnel_resumed(self, exchange: Outgoing, now: float) -> None:
        """Have more read."""
        self._endpoint.at_rest = False
        self.host.wake()

    # What a broadcast of followers tells --------------------------------------------------------------

    def count_broadcast(self) -> None:
        """Count what a broadcast has sent."""
        if self.exchange is not None:
            self.exchange.count_broadcast()

    def broadcast_by(self) -> DirectSend | None:
        """Return what a broadcast may send chunks by: all followers in step get the same, sealed for each."""
        outbound = self._endpoint.outbound
        if self.exchange is None or not self.framer.chunked or not outbound.is_empty:
            return None
        send, can_take = self.host.direct_send, self.host.can_take
        if not outbound.is_sealed:
            return None if outbound.size.asks_first else send
        return None if send is None or can_take is None else AtOnce(outbound, send, can_take).send

    def broadcast_sent(self, size: int) -> None:
        """Count `size` wire bytes that a broadcast has sent; what is sealed was counted as it was sent."""
        outbound = self._endpoint.outbound
        if not outbound.is_sealed:
            outbound.ledger.pass_by(size)

    def fell_short(self, taken: int, now: float) -> None:
        """Frame the payload of which a broadcast has sent a part."""
        outbound = self._endpoint.outbound
        if taken:
            self.fill(None, now)
            assert not outbound.is_empty, "a part of a payload is out, and the rest is nowhere"
            outbound.accepted(taken if taken > 0 else ~taken, now)
        elif not outbound.is_sealed:
            outbound.size.taken(1, 0)
        self.host.wake()
