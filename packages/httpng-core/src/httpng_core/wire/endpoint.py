"""Our end of one connection: what the connection and the protocol that it speaks share."""

from collections import deque
from collections.abc import Callable
from enum import IntEnum, auto
from math import inf
from typing import Final

from httpng_core.http.address import Address
from httpng_core.http.dates import DateSource
from httpng_core.http.request import Request
from httpng_core.sending.host import Host
from httpng_core.sending.outgoing import Outgoing
from httpng_core.timers import Timers
from httpng_core.wire.events import Event
from httpng_core.wire.outbound import Outbound
from httpng_core.wire.protocol import SILENCE, HttpProtocol

BodyRule = Callable[[Request], bool]
"""Tells by the head of a request whether its exchange begins before its body is in."""
MAX_INTERIM: Final = 16 * 1024
"""So many bytes may wait for the client when an informational response is sent; beyond, it is left out."""
LINGER_TIMEOUT: Final = 5.0
"""Seconds to wait for the client's FIN after ours, so that a reset doesn't eat the last answer."""
FIRST_REQUEST_GRACE: Final = 0.25
"""Seconds that a drain leaves a connection that was just opened to send the request it was opened for."""


class Ending(IntEnum):
    """How far the end of the connection has come. Each leads only to one further down."""

    OPEN = auto()
    """The protocol has it."""
    LINGERING = auto()
    """Our side is shut once all is sent; the client's FIN is awaited."""
    CLOSING = auto()
    """The socket is to be closed once all is sent."""
    CLOSED = auto()
    """The socket is to be closed."""
    RESET = auto()
    """The socket is to be closed with a reset: what the client has must not pass for complete."""


class Closing(IntEnum):
    """What a driver is to do with the socket. Only the first is false."""

    NOT_YET = 0
    """Leave it open."""
    CLOSE = 1
    """Close it."""
    RESET = 2
    """Close it with a reset: what the client has must not pass for complete."""


CLOSED: Final = Ending.CLOSED
"""From here on the socket is to be closed at once."""


class Endpoint:
    """What a connection and its protocol share.

    Attributes:
        host: the driver's hooks.
        outbound: wire bytes that are not the kernel's yet.
        timers: deadlines of calls.
        peer, ouraddr: the two ends.
        https: whether the bytes are sealed.
        date: the value of the Date header, or `None` without a clock.
        tells_acknowledged: whether the driver can tell what was acknowledged.
        tells_complete: whether the driver wants to be told of clean ends.
        streams: tells by the head of a request whether its exchange begins before its body is in; `None`:
            never.
        protocol: what is spoken; it may put another in its place (`speak`).
        deadline: when `HttpProtocol.expired` is due, or the end has taken too long; `None`: never.
        ending: how far the end has come.
        eof: whether the client's FIN has come.
        draining: whether no more requests are to be taken.
        stall_limit: that of the protocol that was spoken last, once none is.
        at_rest: whether the driver has nothing to do but to read, as far as the protocol knows.
        watches: whether the protocol wants to be told when bytes have moved.
        events: what the driver has not been told yet.
    """

    __slots__ = (
        "at_rest",
        "date",
        "deadline",
        "draining",
        "ending",
        "eof",
        "events",
        "host",
        "https",
        "ouraddr",
        "outbound",
        "peer",
        "protocol",
        "stall_limit",
        "streams",
        "tells_acknowledged",
        "tells_complete",
        "timers",
        "watches",
    )

    def __init__(
        self,
        outbound: Outbound,
        host: Host,
        date: DateSource,
        peer: Address,
        ouraddr: Address,
        *,
        https: bool,
        tells_acknowledged: bool,
        tells_complete: bool = True,
        streams: BodyRule | None = None,
    ) -> None:
        self.outbound = outbound
        self.streams = streams
        self.host = host
        self.date = date
        self.peer = peer
        self.ouraddr = ouraddr
        self.https = https
        self.tells_acknowledged = tells_acknowledged
        self.tells_complete = tells_complete
        self.timers = Timers()
        self.protocol: HttpProtocol = SILENCE
        self.deadline: float | None = None
        self.ending = Ending.OPEN
        self.eof = False
        self.watches = False
        self.at_rest = False
        self.draining = False
        self.stall_limit = inf
        self.events: deque[Event] = deque()

    @property
    def is_over(self) -> bool:
        """Whether the socket is to be closed now."""
        ending = self.ending
        if ending is Ending.CLOSING or (ending is Ending.LINGERING and self.eof):
            return self.outbound.is_empty
        return ending >= CLOSED

    def speak(self, protocol: HttpProtocol, now: float) -> None:
        """Go on with another protocol."""
        self.protocol = protocol
        if self.draining:
            protocol.drain(now, True)

    def tell(self, event: Event) -> None:
        """Note something that the driver is to know."""
        self.events.append(event)

    def track_acknowledged(self, exchange: Outgoing) -> bool:
        """Have acknowledgements told to `exchange` from now on; return whether they can be."""
        if self.tells_acknowledged:
            self.outbound.ledger.track(exchange)
            self.host.wake()
        return self.tells_acknowledged

    def linger(self, now: float, *, complete: bool = True) -> None:
        """Shut our side once all is sent, and wait a while for the client's FIN.

        TLS says goodbye if what the client has is `complete`.
        """
        if complete:
            self.outbound.say_goodbye()
        self._end(Ending.LINGERING, now)

    def close(self, now: float) -> None:
        """Close the socket, once TLS has said goodbye."""
        self.outbound.say_goodbye()
        self._end(Ending.CLOSING, now)

    def lose(self) -> None:
        """Close the socket at once: it is of no more use."""
        self._finish(Ending.CLOSED)

    def reset(self) -> None:
        """Close the socket at once, with a reset unless it is closed already."""
        self._finish(Ending.RESET)

    def abort(self) -> None:
        """Close the socket at once, with a reset unless that would eat the last answer on its way."""
        self._finish(Ending.RESET if self.ending is Ending.OPEN else Ending.CLOSED)

    def note_eof(self) -> None:
        """Note that the client's FIN has come: what lingers has nothing to wait for any more."""
        self.eof = True
        if self.ending is Ending.LINGERING and self.outbound.is_empty:
            self._finish(Ending.CLOSED)

    def _end(self, ending: Ending, now: float) -> None:
        if self.ending is not Ending.OPEN:
            return
        self.ending, self.deadline, self.at_rest = ending, now + LINGER_TIMEOUT, False
        self._fall_silent()
        if self.is_over:
            self._finish(Ending.CLOSED)
        self.host.wake()

    def _finish(self, ending: Ending) -> None:
        if self.ending >= CLOSED:
            return
        self.ending, self.deadline, self.at_rest = ending, None, False
        self._fall_silent()
        self.outbound.clear()
        self.host.wake()

    def _fall_silent(self) -> None:
        if self.protocol is not SILENCE:
            # What the kernel still has of the last answer may not stay there for ever.
            self.stall_limit, self.protocol = self.protocol.stall_limit, SILENCE
