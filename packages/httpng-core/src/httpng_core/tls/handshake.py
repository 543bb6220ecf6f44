"""TLS as a protocol: it shakes hands and hands over; from then on it only opens what comes in."""

from collections.abc import Callable
from typing import Final

from httpng_core.config.settings import Settings
from httpng_core.http1.framer import refusal
from httpng_core.sending.ends import Cause, EndKind
from httpng_core.tls.client_hello import LONGEST, NO_APPLICATION_PROTOCOL, offered_protocols
from httpng_core.tls.end import TlsEnd, TlsError
from httpng_core.tls.outbound import SealedOutbound
from httpng_core.wire.endpoint import CLOSED, FIRST_REQUEST_GRACE, Ending, Endpoint
from httpng_core.wire.events import TlsFailed
from httpng_core.wire.protocol import Silence

Speak = Callable[[Endpoint, Settings, float, str | None], None]

_PLAIN_HTTP: Final = "this is an HTTPS port: the request came without TLS"
_OPEN: Final = Ending.OPEN


class TlsLayer(Silence):
    """The handshake, within `handshake_timeout`, as what is spoken first; and the opening of records.

    See `HttpProtocol` for what a connection asks of it while hands are shaken.
    """

    __slots__ = ("_alpn", "_end", "_endpoint", "_hello", "_outbound", "_settings", "_shaking", "_speak")

    def __init__(
        self,
        endpoint: Endpoint,
        outbound: SealedOutbound,
        end: TlsEnd,
        settings: Settings,
        now: float,
        speak: Speak,
        alpn: tuple[str, ...],
    ) -> None:
        """Wait for a handshake; `speak` is called after it, with what ALPN agreed on: one of `alpn`."""
        self._endpoint = endpoint
        self._outbound = outbound
        self._end = end
        self._settings = settings
        self._speak = speak
        self._alpn = alpn
        # What has come of the ClientHello; `None` once it was looked at.
        self._hello: bytes | None = b""
        self._shaking = True
        endpoint.deadline = now + settings.handshake_timeout
        endpoint.speak(self, now)

    @property
    def facts(self) -> tuple[int, int, str | None]:
        """The numbers and the certificate of `TlsEnd`."""
        return (*self._end.numbers, self._end.certificate)

    def receive_sealed(self, data: bytes, now: float) -> None:
        """Take sealed bytes: go on with the handshake, or give what they say to what is spoken."""
        if not self._end.begun and data[:1].isalpha():
            # No record of TLS begins with a letter, every request of HTTP/1.1 does.
            if self._endpoint.ending is _OPEN:
                self._answer_plainly(now)
            return
        if self._hello is not None and not self._may_agree(data, now):
            return
        self._end.receive(data)
        try:
            if not self._shaking or self._shake(now):
                self._read(now)
        except TlsError as error:
            self._fail(str(error), now)
        self._outbound.take_sealed()
        if not self._outbound.is_empty:
            # Tickets come with the first request: they hide what its handler may write soon.
            self._endpoint.at_rest = False

    # While hands are shaken ---------------------------------------------------------------------------

    def receive_eof(self, now: float) -> None:
        """Close: the client has left."""
        # Who only looks whether the port is open has nothing to be told of.
        if self._end.begun:
            self._tell("the client closed during the handshake")
        self._endpoint.lose()

    def expired(self, now: float) -> None:
        """Give the client up."""
        if not self._endpoint.draining:
            self._tell("the handshake took too long")
        self._endpoint.lose()

    def drain(self, now: float, patient: bool) -> None:
        """Leave the client a moment to finish the handshake, behind which its first request comes."""
        endpoint, due = self._endpoint, now + FIRST_REQUEST_GRACE
        if not patient:
            endpoint.lose()
        elif endpoint.deadline is None or due < endpoint.deadline:
            endpoint.deadline = due

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Take other settings; the handshake under way keeps its deadline."""
        self._settings = settings

    @property
    def stall_limit(self) -> float:
        """Seconds without progress after which the client is given up."""
        return self._settings.stall_timeout

    # Inside -------------------------------------------------------------------------------------------

    def _may_agree(self, data: bytes, now: float) -> bool:
        """Return whether there may be a protocol that both ends speak; else say so (RFC 7301, 3.2)."""
        assert self._hello is not None
        hello = self._hello + data
        offered = offered_protocols(hello) if len(hello) <= LONGEST else ()
        self._hello = hello if offered is None else None
        if not offered or any(name in self._alpn for name in offered):
            return True
        if self._endpoint.ending is _OPEN:
            told = ", ".join(repr(name[:20])[1:-1] for name in offered[:5])
            self._fail(f"the client speaks none of {', '.join(self._alpn)}, but {told}", now)
            self._outbound.push_plainly(NO_APPLICATION_PROTOCOL)
        return False

    def _shake(self, now: float) -> bool:
        if not self._end.shake():
            return False
        self._shaking = False
        self._endpoint.deadline = None
        self._speak(self._endpoint, self._settings, now, self._end.protocol)
        return True

    def _read(self, now: float) -> None:
        """Open all that has come, so that nothing is left when the client's FIN comes.

        While that is awaited nothing else is of interest, but the client may say by TLS that it has come.
        """
        endpoint = self._endpoint
        while endpoint.ending < CLOSED and (data := self._end.read()) is not None:
            if not data:
                if not endpoint.eof:
                    protocol = endpoint.protocol
                    endpoint.note_eof()
                    protocol.receive_eof(now)
                return
            endpoint.protocol.receive(data, now)

    def _fail(self, reason: str, now: float) -> None:
        endpoint = self._endpoint
        if endpoint.ending is not _OPEN:
            return
        self._tell(reason)
        protocol = endpoint.protocol
        endpoint.outbound.clear()
        endpoint.linger(now, complete=False)
        protocol.lost(now, Cause(EndKind.TLS_FAILED, f"TLS: {reason}"))

    def _answer_plainly(self, now: float) -> None:
        answer = refusal(400, _PLAIN_HTTP, self._endpoint.date())
        self._fail("plain HTTP on an HTTPS port", now)
        self._outbound.push_plainly(answer)

    def _tell(self, reason: str) -> None:
        self._endpoint.tell(TlsFailed(reason, self._endpoint.peer))
