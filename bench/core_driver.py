"""The least driver of the core: the one place of the benchmarks and budgets that knows its verbs.

The kernel takes everything at once, and the clock stands still. Each method does one thing for many
connections, so that neither its own time nor its own calls are in what is measured.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from httpng_core import Address, Application, HttpDate

PEER = Address("127.0.0.1", 1)
# What differs between versions of the core is read from `Any`: bench/core.py runs older ones as well.
Connection = Any
Exchange = Any


class CoreDriver:
    """An application, its runner, and as many connections as are asked for."""

    def __init__(self, handler: Any, **settings: Any) -> None:
        self.application = Application(handler, **settings)
        self.runner: Any = self.application.runner(time.monotonic)
        self.date = HttpDate(time.time)
        self.now = time.monotonic()

    def connect(self, count: int = 1) -> list[Connection]:
        """Open connections."""
        connection = self.application.connection
        return [connection(self.now, peer=PEER, date=self.date) for _ in range(count)]

    def receive(self, connections: Iterable[Connection], data: Iterable[bytes]) -> None:
        """Receive what each client sent; what begins is kept for `handle`."""
        now = self.now
        for connection, received in zip(connections, data, strict=True):
            connection.receive_data(received, now)

    def handle(self, connections: Iterable[Connection]) -> None:
        """Take what happened: run the handlers of requests, log those that have ended."""
        serve = self.runner.serve
        for connection in connections:
            serve(connection)

    def begin(self, connections: Iterable[Connection], data: bytes) -> list[Exchange]:
        """Receive a request on each, and return the exchanges, whose handler is the caller."""
        begun = []
        for connection in connections:
            exchange = connection.receive_data(data, self.now)
            begun.append(connection.next_event().exchange if exchange is None else exchange)
        return begun

    def write_header(self, exchanges: Iterable[Exchange]) -> None:
        """Give the head of a chunked response."""
        for exchange in exchanges:
            exchange.write_header(200, {"content-type": "text/plain"}, self.now, None)

    def write(self, exchanges: Iterable[Exchange], body: bytes) -> None:
        """Write the same to each."""
        now = self.now
        for exchange in exchanges:
            exchange.write(body, now, None)

    def offer(self, connections: Iterable[Connection]) -> list[int]:
        """Make the next offer of each, as after a look at what it wants; return the sizes."""
        now, sizes = self.now, []
        for connection in connections:
            if connection.wants_write:
                connection.prepare()  # A driver asks, and the answer doesn't matter here.
                sizes.append(sum(map(len, connection.data_to_send(now))))
        return sizes

    def accept(self, connections: Sequence[Connection], sizes: Sequence[int]) -> None:
        """Say that the kernel took what was offered."""
        now = self.now
        for connection, size in zip(connections, sizes, strict=True):
            connection.bytes_accepted(size, now)

    def push(self, connections: Iterable[Connection]) -> int:
        """Offer, and have the kernel take, until none has more; return how many wire bytes that was."""
        now, total = self.now, 0
        for connection in connections:
            while connection.wants_write:
                connection.prepare()
                size = sum(map(len, connection.data_to_send(now)))
                connection.bytes_accepted(size, now)
                total += size
        return total

    def wire(self, connection: Connection) -> bytes:
        """Have the kernel take everything, and return it."""
        taken = b""
        while connection.wants_write:
            offer = b"".join(connection.data_to_send(self.now))
            connection.bytes_accepted(len(offer), self.now)
            taken += offer
        return taken

    def ask(self, connections: Iterable[Connection]) -> None:
        """Ask what a driver asks when a connection has come to rest."""
        for connection in connections:
            connection.close_expected()
            connection.half_close_expected()
            connection.wants_read  # noqa: B018
            connection.next_deadline()
