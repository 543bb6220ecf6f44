"""A driver of one connection for tests: a kernel that takes what it is told to, a clock turned by hand."""

from math import inf
from typing import Any

from httpng_core import (
    Application,
    Broadcast,
    Connection,
    DateSource,
    Event,
    Exchange,
    ExchangeEnded,
    Host,
    Pending,
    Readiness,
    RequestReceived,
    RequestRefused,
    SendResult,
    SendStats,
)
from httpng_core.testing import Clock, ReceivedResponse, decode

ENGINE = "fast"
"""`http1_engine` where a test doesn't say; `conftest` sets it."""

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"
GET_10 = b"GET / HTTP/1.0\r\n\r\n"


def promised_at_rest(connection: Connection) -> bool:
    """Whether a connection says that it rests; if it does, all that it promises holds."""
    if connection.prepare() is not Readiness.NOTHING or not connection.is_at_rest:
        return False
    assert connection.wants_read
    assert not connection.wants_write
    assert connection.prepare() is not Readiness.ASK
    assert not connection.close_expected()
    assert not connection.half_close_expected()
    assert not connection.wants_acknowledged
    assert connection.stall_limit == inf
    return True


def no_handler(request: object) -> None:
    """Never called: these tests are the handler."""


class Driven:
    """A connection, and its handlers and client in the hands of the test.

    Attributes:
        wire: what the kernel took.
        events: every event so far.
        wakes: how often `Host.wake` was called.
    """

    def __init__(
        self,
        received: bytes = GET,
        *,
        tells_acknowledged: bool = False,
        tells_complete: bool = True,
        date: DateSource = lambda: None,
        host: Host | None = None,
        **settings: Any,
    ) -> None:
        self.clock = Clock()
        self.wire = bytearray()
        self.events: list[Event] = []
        self.wakes = 0
        settings.setdefault("http1_engine", ENGINE)
        self.connection: Connection = self.application(**settings).connection(
            self.clock(),
            host=host or self._host(),
            tells_acknowledged=tells_acknowledged,
            tells_complete=tells_complete,
            date=date,
        )
        self.receive(received)

    def application(self, **settings: Any) -> Application:
        """What is served."""
        return Application(no_handler, **settings)

    def _host(self) -> Host:
        """The hooks of a driver without feeds of its own."""
        return Host(self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    @property
    def now(self) -> float:
        return self.clock.now

    # The client ---------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        self.connection.receive_data(data, self.now)
        self.take_events()

    def eof(self) -> None:
        self.connection.receive_eof(self.now)
        self.take_events()

    def lost(self) -> None:
        self.connection.connection_lost(self.now)
        self.take_events()

    def responses(self, *methods: str, closed: bool = False) -> list[ReceivedResponse]:
        return decode(bytes(self.wire), methods or ("GET",) * 100, closed=closed)

    @property
    def body(self) -> bytes:
        """The body of the only response, as far as it has come."""
        (response,) = self.responses()
        return response.body

    # The kernel and time ------------------------------------------------------------------------------

    def push(self, room: float = inf, limit: int | None = None) -> int:
        """The kernel takes `room` bytes, then refuses; tells how many it took."""
        before = len(self.wire)
        while self.connection.wants_write:
            if room < 1 and self.connection.prepare() is Readiness.ASK:
                break
            offer = b"".join(self.connection.data_to_send(self.now, limit))
            self.take_events()
            taken = int(min(len(offer), room))
            room -= taken
            self.wire += offer[:taken]
            self.connection.bytes_accepted(taken, self.now)
            self.take_events()
            if taken < len(offer):
                break
        return len(self.wire) - before

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.connection.handle_timeout(self.now)
        self.take_events()

    # What happened ------------------------------------------------------------------------------------

    def take_events(self) -> None:
        while (event := self.connection.next_event()) is not None:
            self.events.append(event)

    @property
    def exchanges(self) -> list[Exchange]:
        return [event.exchange for event in self.events if isinstance(event, RequestReceived)]

    @property
    def exchange(self) -> Exchange:
        """The last exchange that began."""
        return self.exchanges[-1]

    @property
    def outcomes(self) -> list[str]:
        self.take_events()
        return [event.outcome for event in self.events if isinstance(event, ExchangeEnded)]

    @property
    def refused(self) -> list[int]:
        return [event.status for event in self.events if isinstance(event, RequestRefused)]

    @property
    def stats(self) -> SendStats:
        return self.exchange.stats(self.now)

    @property
    def positions(self) -> tuple[int, int]:
        """`current` and `sent`."""
        return self.stats.current, self.stats.sent

    # Shorthands for calls of the handler --------------------------------------------------------------

    def write(
        self,
        body: bytes | str | bytearray | memoryview,
        timeout: float | None = None,
        window: int | None = None,
    ) -> Pending:
        return self.exchange.write(body, self.now, timeout, window)

    def wait(self, position: int, timeout: float | None = None) -> Pending:
        return self.exchange.wait(position, self.now, timeout)

    def header(self, code: int = 200, headers: Any = None, timeout: float | None = None) -> Pending:
        return self.exchange.write_header(code, headers, self.now, timeout)


def result(pending: Pending) -> SendResult:
    """What a call that has ended told, where that isn't `None`."""
    told = pending.result
    assert told is not None
    return told


def run_broadcasts(broadcasts: list[Broadcast], limit: int, now: float) -> None:
    """One pass of each, as a driver makes it."""
    for _ in range(len(broadcasts)):
        broadcast = broadcasts.pop(0)
        wire, sends, todo = broadcast.next_sends(limit)
        for index in todo:
            try:
                taken = sends[index](wire)
            except BlockingIOError:
                taken = 0
            if taken < len(wire):
                broadcast.fell_short(index, taken, now)
        if broadcast.passed(todo, now):
            broadcasts.append(broadcast)
