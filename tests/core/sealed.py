"""A driver of one connection over TLS for tests: a kernel that takes what it is told to, and a client."""

from math import inf
from typing import Any

from tests.certificates import trusting

from httpng_core import (
    Address,
    CertificateFiles,
    Certificates,
    Closing,
    Connection,
    Event,
    Exchange,
    ExchangeEnded,
    Host,
    Pending,
    Readiness,
    RequestReceived,
    TlsFailed,
    parse_settings,
)
from httpng_core.testing import Clock, ReceivedResponse, TlsEnd, decode

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
PEER = Address("192.0.2.1", 50000)
# What OpenSSL adds to a record of TLS 1.3.
SEAL = 22


class Sealed:
    """A TlsConnection, its handlers, its kernel and its client in the hands of the test.

    Attributes:
        taken: how many sealed bytes the kernel took.
        opened: the plaintext that the client could open of these.
    """

    def __init__(self, certificates: Certificates, pair: CertificateFiles, **settings: Any) -> None:
        self.clock = Clock()
        self.wakes = 0
        self.connection = Connection(
            parse_settings(settings),
            self.now,
            host=Host(self._wake),
            peer=PEER,
            tells_acknowledged=True,
            certificates=certificates,
        )
        self.client = TlsEnd(trusting(pair), server_side=False, server_hostname="localhost")
        self.taken = 0
        self.opened = b""
        self.said_all = False
        self.plain = bytearray()
        self.events: list[Event] = []
        self.shaken = False

    def _wake(self) -> None:
        self.wakes += 1

    @property
    def now(self) -> float:
        return self.clock.now

    def shake(self) -> "Sealed":
        """The handshake, and the tickets after it are taken."""
        while not self.shaken:
            self.shaken = self.client.shake()
            self.receive(self.client.take())
            self.push()
        return self

    def receive(self, data: bytes) -> None:
        """Sealed bytes reach the server."""
        self.connection.receive_data(data, self.now)
        self.take_events()

    def send(self, plaintext: bytes = GET) -> "Sealed":
        self.client.seal(plaintext)
        self.receive(self.client.take())
        return self

    def eof(self) -> None:
        self.connection.receive_eof(self.now)
        self.take_events()

    def offer(self, limit: int | None = None) -> bytes:
        data = b"".join(self.connection.data_to_send(self.now, limit))
        self.take_events()
        return data

    def accept(self, data: bytes) -> None:
        """The kernel takes `data`, and the client opens what it can."""
        self.taken += len(data)
        self.connection.bytes_accepted(len(data), self.now)
        self.take_events()
        if not self.client.begun and data[:1] == b"H":
            self.plain += data
            return
        self.client.receive(data)
        while self.shaken and not self.said_all and (opened := self.client.read()) is not None:
            self.said_all = not opened
            self.opened += opened

    def push(self, room: float = inf) -> None:
        """The kernel takes `room` bytes, then refuses."""
        while self.connection.wants_write and (room >= 1 or self.connection.prepare() is not Readiness.ASK):
            offer = self.offer()
            taken = int(min(len(offer), room))
            room -= taken
            self.accept(offer[:taken])
            if taken < len(offer):
                return

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.connection.handle_timeout(self.now)
        self.take_events()

    def take_events(self) -> None:
        while (event := self.connection.next_event()) is not None:
            self.events.append(event)

    @property
    def exchange(self) -> Exchange:
        return [event.exchange for event in self.events if isinstance(event, RequestReceived)][-1]

    @property
    def outcomes(self) -> list[str]:
        self.take_events()
        return [event.outcome for event in self.events if isinstance(event, ExchangeEnded)]

    @property
    def failures(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, TlsFailed)]

    def write(self, body: bytes, timeout: float | None = None, window: int | None = None) -> Pending:
        return self.exchange.write(body, self.now, timeout, window)

    @property
    def sent(self) -> int:
        return self.exchange.stats(self.now).sent

    @property
    def acked(self) -> int | None:
        return self.exchange.stats(self.now).acked

    @property
    def response(self) -> ReceivedResponse:
        [response] = decode(self.opened, ("GET",) * 9, closed=False)
        return response

    @property
    def ended(self) -> str:
        """How the socket is to be ended."""
        if self.connection.close_expected():
            return "reset" if self.connection.close_expected() is Closing.RESET else "close"
        return "half-close" if self.connection.half_close_expected() else ""
