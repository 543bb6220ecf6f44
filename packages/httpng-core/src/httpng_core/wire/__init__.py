"""What protocols share: the wire bytes of a connection, turns among exchanges, the events of a connection.

A protocol puts each `Frame` into an `Outbound`, which gives a driver buffers. Its `Ledger` knows which body
bytes the wire bytes pay for, its `OfferSize` how much is offered at once. An `Endpoint` is what a connection
has in common with the protocol that it speaks, a `Scheduler` gives exchanges their turns.
"""

from httpng_core.wire.at_once import TAKEN_AT_LEAST, AtOnce
from httpng_core.wire.endpoint import (
    CLOSED,
    FIRST_REQUEST_GRACE,
    LINGER_TIMEOUT,
    MAX_INTERIM,
    BodyRule,
    Closing,
    Ending,
    Endpoint,
)
from httpng_core.wire.events import (
    ConnectionDropped,
    Event,
    ExchangeEnded,
    RequestReceived,
    RequestRefused,
    TlsFailed,
)
from httpng_core.wire.frame import Frame
from httpng_core.wire.ledger import Ledger, Span
from httpng_core.wire.offer_size import HUGE, LARGE, SMALL, OfferSize
from httpng_core.wire.outbound import JOIN_BELOW, Outbound
from httpng_core.wire.protocol import SILENCE, Readiness, Silence
from httpng_core.wire.proxy_header import ProxyHeader, read_proxy_header
from httpng_core.wire.scheduler import Entry, Scheduler

__all__ = [
    "CLOSED",
    "FIRST_REQUEST_GRACE",
    "HUGE",
    "JOIN_BELOW",
    "LARGE",
    "LINGER_TIMEOUT",
    "MAX_INTERIM",
    "SILENCE",
    "SMALL",
    "TAKEN_AT_LEAST",
    "AtOnce",
    "BodyRule",
    "Closing",
    "ConnectionDropped",
    "Ending",
    "Endpoint",
    "Entry",
    "Event",
    "ExchangeEnded",
    "Frame",
    "Ledger",
    "OfferSize",
    "Outbound",
    "ProxyHeader",
    "Readiness",
    "RequestReceived",
    "RequestRefused",
    "Scheduler",
    "Silence",
    "Span",
    "TlsFailed",
    "read_proxy_header",
]
