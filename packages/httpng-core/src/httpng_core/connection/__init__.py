"""One TCP connection without its socket: wire bytes and times in, wire bytes and events out.

The driver calls the verbs in any order; a spurious call does nothing. What a driver must do:

* hand over what it read (`receive_data`, `receive_eof`, `connection_lost`) while `wants_read`;
* while `wants_write` and the socket can take data: `data_to_send`, `send()`, and report its return
  value with `bytes_accepted`, 0 included (ask the socket first where `prepare` says so);
* call `handle_timeout` at `next_deadline`, take events with `next_event` after each verb, and close
  when `close_expected` says so.

Nothing here blocks or reads a clock. Of the driver only the hooks of `Host` are called, each of which only
notes something.
"""

from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.connection.negotiation import ProtocolName, speak
from httpng_core.connection.preamble import Preamble
from httpng_core.connection.statistics import ConnectionStatistics
from httpng_core.http.address import UNKNOWN_ADDRESS, Address
from httpng_core.http.dates import DateSource
from httpng_core.sending.body import Buffer
from httpng_core.sending.ends import CONNECTION_RESET, SHUT_DOWN, Cause
from httpng_core.sending.exchange import Exchange
from httpng_core.sending.holdings import Holding
from httpng_core.sending.host import NO_HOST, Host
from httpng_core.tls.certificates import Certificates
from httpng_core.tls.end import TlsEnd
from httpng_core.tls.handshake import TlsLayer
from httpng_core.tls.outbound import SealedOutbound
from httpng_core.wire.endpoint import CLOSED, LINGER_TIMEOUT, BodyRule, Closing, Ending, Endpoint
from httpng_core.wire.events import ConnectionDropped, Event
from httpng_core.wire.outbound import Outbound
from httpng_core.wire.protocol import Readiness

__all__ = ["LINGER_TIMEOUT", "Closing", "Connection", "ConnectionStatistics", "ProtocolName", "Readiness"]

_OPEN: Final = Ending.OPEN
_NOTHING: Final = Readiness.NOTHING
_OFFER: Final = Readiness.OFFER
_NOT_YET: Final = Closing.NOT_YET
_CLOSE: Final = Closing.CLOSE
_RESET: Final = Closing.RESET


def no_date() -> bytes | None:
    """Return no date: there is no clock."""
    return None


class Connection:
    """A connection of a server: the verbs that a driver calls, and the questions that it asks.

    Attributes:
        events: what happened, oldest first; whoever acts on one takes it off.
    """

    __slots__ = ("_endpoint", "_preamble", "_tls", "events")

    def __init__(
        self,
        settings: Settings,
        now: float,
        *,
        host: Host = NO_HOST,
        peer: Address = UNKNOWN_ADDRESS,
        ouraddr: Address = UNKNOWN_ADDRESS,
        date: DateSource = no_date,
        tells_acknowledged: bool = False,
        tells_complete: bool = True,
        certificates: Certificates | None = None,
        https: bool = False,
        protocol: ProtocolName | None = None,
        streams: BodyRule | None = None,
        proxy_protocol: bool = False,
    ) -> None:
        """Start with nothing received at `now`.

        Args:
            settings: limits and timeouts.
            now: the time, in seconds of any monotonic clock; every later time is of the same.
            host: the driver's hooks.
            peer: the client's end.
            ouraddr: our end.
            date: the value for the Date header (RFC 9110, 6.6.1), or `None` without a clock.
            tells_acknowledged: whether the driver can call `bytes_acknowledged`.
            tells_complete: whether the clean end of an exchange is an event; with `access_log` it always is.
            certificates: with them the connection speaks TLS (RFC 8446): wire bytes are sealed bytes.
            https: without certificates, whether another program unseals the bytes: requests say https.
            protocol: what was agreed on elsewhere. `None`: over TLS it is agreed on by ALPN (RFC 7301), in
                clear text the first bytes of a client tell.
            streams: tells by the head of a request whether its exchange begins before its body is in, which
                the handler then reads (`Exchange.read`). `None`: never. It must not raise.
            proxy_protocol: whether a proxy says first who the client is, by the PROXY protocol.
        """
        self._tls: TlsLayer | None = None
        if certificates is None:
            outbound = Outbound(now)
        else:
            end = TlsEnd(certificates.context, server_side=True)
            outbound = SealedOutbound(now, end)
        endpoint = self._endpoint = Endpoint(
            outbound,
            host,
            date,
            peer,
            ouraddr,
            https=https or certificates is not None,
            tells_acknowledged=tells_acknowledged,
            tells_complete=tells_complete,
            streams=streams,
        )
        self._preamble = Preamble(endpoint, sealed=certificates is not None) if proxy_protocol else None
        self.events = endpoint.events
        if certificates is None:
            speak(endpoint, settings, now, protocol)
        else:
            assert isinstance(outbound, SealedOutbound)
            self._tls = TlsLayer(endpoint, outbound, end, settings, now, speak, certificates.alpn)

    # In -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what the client sent: at most as much as one event may cost (64 KiB, say)."""
        endpoint = self._endpoint
        if endpoint.ending >= CLOSED or not data:
            return
        if self._preamble is not None:
            data = self._preamble.receive(data, now)
            if self._preamble.is_over:
                self._preamble = None
            if not data:
                return
        if self._tls is None:
            endpoint.protocol.receive(data, now)
        else:
            self._tls.receive_sealed(data, now)

    def receive_eof(self, now: float, *, unread: bool = False) -> None:
        """Note the client's FIN: it sends no more, and may or may not go on reading.

        Args:
            now: the time.
            unread: whether bytes came before it that were not read, as there is no place for them. A response
                that has begun is cancelled, as `cancel_on_half_close` says; else it changes nothing. Read on
                while `wants_read`, and tell the FIN again when it is read.
        """
        endpoint = self._endpoint
        if unread:
            endpoint.protocol.peer_shut(now)
        elif not endpoint.eof:
            protocol = endpoint.protocol
            endpoint.note_eof()
            protocol.receive_eof(now)
            endpoint.host.wake()

    def connection_lost(self, now: float, cause: Cause = CONNECTION_RESET) -> None:
        """Note that the socket is of no use any more: a reset, a send error; or you have closed it.

        Everything that is pending settles as cancelled. The driver's hooks are let go of.
        """
        endpoint = self._endpoint
        protocol = endpoint.protocol
        endpoint.lose()
        protocol.lost(now, cause)
        endpoint.host = NO_HOST

    def bytes_accepted(self, size: int, now: float) -> bool:
        """Note that the kernel took the first `size` bytes of what `data_to_send` gave last.

        Returns:
            Whether there may be more to send. False is no news for a driver that asks anyway.

        Raises:
            ValueError: that is more than was offered.
        """
        endpoint = self._endpoint
        if endpoint.ending >= CLOSED:
            return False
        endpoint.outbound.accepted(size, now)
        if size and endpoint.watches:
            endpoint.protocol.moved(now)
        return not endpoint.at_rest

    def bytes_acknowledged(self, total: int | None, now: float) -> None:
        """Note that the client's TCP has the first `total` wire bytes; `None`: that can't be told any more.

        More than was accepted counts as all of it: a FIN is acknowledged as well.
        """
        endpoint = self._endpoint
        if total is None:
            endpoint.tells_acknowledged = False
            endpoint.outbound.ledger.forget()
            endpoint.protocol.forget_acked(now)
        elif endpoint.outbound.acknowledged(total, now) and endpoint.watches:
            endpoint.protocol.moved(now)

    def handle_timeout(self, now: float) -> None:
        """Do what was due at `now`."""
        endpoint = self._endpoint
        if endpoint.deadline is not None and endpoint.deadline <= now:
            endpoint.deadline = None
            if endpoint.ending is _OPEN:
                endpoint.protocol.expired(now)
            else:
                endpoint.lose()
        endpoint.timers.handle(now)

    def drain(self, now: float, *, patient: bool = True) -> None:
        """Take no more requests: close when idle, else once what is under way is over.

        Handlers are told: `io.draining` is true from now on. Again: nothing, unless patience is at its end.

        Args:
            now: the time.
            patient: whether a request that may be on its way is waited for, for a moment: the first one of a
                connection, or any one of HTTP/2.
        """
        endpoint = self._endpoint
        if endpoint.draining:
            if not patient:
                endpoint.protocol.drain(now, patient)
            return
        endpoint.draining = True
        exchanges = endpoint.protocol.exchanges()
        endpoint.protocol.drain(now, patient)
        for exchange in exchanges:
            exchange.drain(now)

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Take other settings from now on: for requests that are not whole yet, and all that come later.

        An exchange keeps those that it began with, and a deadline of the connection's that is set stays set
        if it is the earlier one. What can't be changed while a server runs must be the same.
        """
        self._endpoint.protocol.reconfigure(settings, now)

    def abort(self, now: float, cause: Cause = SHUT_DOWN) -> None:
        """Give the connection up: what runs is cancelled and the socket reset."""
        endpoint = self._endpoint
        protocol = endpoint.protocol
        endpoint.abort()
        protocol.lost(now, cause)

    # Out ----------------------------------------------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Whether received bytes have a place to go."""
        endpoint = self._endpoint
        if endpoint.eof or endpoint.ending >= CLOSED:
            return False
        return endpoint.protocol.wants_read and not (endpoint.https and endpoint.outbound.is_clogged)

    def prepare(self) -> Readiness:
        """Return whether there is something to send, and if the socket must be asked before `data_to_send`.

        `ASK`: the next frame would be accepted from a writer that still waits, and what is accepted stays
        so; or the client has shown to be slow; or the next frame can't be taken back (TLS, and HTTP/2 but for
        whole answers and bulk). `OFFER`: `send()` itself may be the question, a refused frame is taken back.
        Else `NOTHING`.
        """
        endpoint = self._endpoint
        return endpoint.protocol.prepare() if endpoint.outbound.is_empty else _OFFER

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to do but to read, and to heed `next_deadline`.

        To be asked when `prepare` has found nothing to send. If it is true, so is `wants_read`, all else that
        a driver asks is false, and `stall_limit` is infinite. It may be false though that is so.
        """
        endpoint = self._endpoint
        return (
            endpoint.at_rest and endpoint.outbound.is_empty and not endpoint.eof and not endpoint.timers.heap
        )

    @property
    def wants_write(self) -> bool:
        """Whether `data_to_send` would give something, or has something to finish."""
        endpoint = self._endpoint
        return not endpoint.outbound.is_empty or endpoint.protocol.prepare() is not _NOTHING

    @property
    def accepted(self) -> int:
        """How many wire bytes the kernel took."""
        endpoint = self._endpoint
        endpoint.protocol.count_broadcast()
        return endpoint.outbound.accepted_total

    @property
    def tracks_acknowledged(self) -> bool:
        """Whether `bytes_acknowledged` is wanted as soon as there is something to tell."""
        ledger = self._endpoint.outbound.ledger
        return ledger.tracks and ledger.acknowledged < ledger.accepted

    @property
    def wants_acknowledged(self) -> bool:
        """Whether `bytes_acknowledged` is wanted before the next `handle_timeout`.

        A flush is not stalled while the client acknowledges, even if the socket takes nothing.
        """
        endpoint = self._endpoint
        return endpoint.tells_acknowledged and (endpoint.protocol.is_flushing or self.tracks_acknowledged)

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up, as things stand; infinity: never.

        Deadlines of the connection hold it. It is for a backstop in the kernel, which must come later than
        they do.
        """
        endpoint = self._endpoint
        return endpoint.protocol.stall_limit if endpoint.ending is _OPEN else endpoint.stall_limit

    def data_to_send(self, now: float, limit: int | None = None) -> list[Buffer]:
        """Return wire bytes for the socket: what is committed, or a new offer. The list may be empty.

        Of an offer the kernel commits what it begins to take; the rest is taken back, all of it if it takes
        nothing (`bytes_accepted(0)`). Before a payload of a feed is framed, code of the user's may be called
        (`on_gap`).

        Args:
            now: the time.
            limit: at most this many body bytes in a new frame; the sizes that suit the client bound it as
                well.
        """
        endpoint = self._endpoint
        outbound = endpoint.outbound
        if outbound.is_empty:
            endpoint.protocol.fill(limit, now)
        return outbound.buffers

    def next_event(self) -> Event | None:
        """Take the oldest of the events; `None` when all has been told."""
        events = self.events
        return events.popleft() if events else None

    def next_deadline(self) -> float | None:
        """Return when to call `handle_timeout`, or `None`."""
        endpoint = self._endpoint
        deadline = endpoint.deadline
        if not endpoint.timers.heap or endpoint.ending >= CLOSED:
            return deadline
        pending = endpoint.timers.next_deadline()
        if pending is None or deadline is None:
            return deadline if pending is None else pending
        return min(pending, deadline)

    def half_close_expected(self) -> bool:
        """Return whether the sending side is to be shut down, while reading goes on."""
        endpoint = self._endpoint
        return endpoint.ending is Ending.LINGERING and endpoint.outbound.is_empty and not endpoint.eof

    def close_expected(self) -> Closing:
        """Return whether the socket is to be closed, and how; what is false says that it isn't yet."""
        endpoint = self._endpoint
        ending = endpoint.ending
        if ending is _OPEN or not endpoint.is_over:
            return _NOT_YET
        return _RESET if ending is Ending.RESET else _CLOSE

    def exchanges(self) -> list[Exchange]:
        """Return those that are under way."""
        return self._endpoint.protocol.exchanges()

    def holdings(self) -> list[Holding]:
        """Return the bytes that are held: for each exchange, for requests that come in, and those committed.

        What is told is what is kept from now on: pieces of which most is sent are let go.
        """
        endpoint = self._endpoint
        found, outbound = endpoint.protocol.holdings(), endpoint.outbound
        if not outbound.is_empty and (size := outbound.detached()):
            found.append(Holding(size, outbound.moved_at, self._drop))
        return found

    def statistics(self) -> ConnectionStatistics:
        """Return what is going on."""
        return ConnectionStatistics(self._endpoint, self._tls)

    def _drop(self, now: float, cause: Cause) -> None:
        endpoint = self._endpoint
        if endpoint.ending < CLOSED and not endpoint.protocol.exchanges():
            endpoint.tell(ConnectionDropped(endpoint.peer, cause))
        self.abort(now, cause)
