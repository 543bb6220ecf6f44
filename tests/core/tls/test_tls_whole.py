"""A response that is given whole is sealed and sent in the call that gives it, over both protocols.

What the kernel leaves of it can't be taken back, and counts by whole records, as everything over TLS.
"""

from typing import Any

import pytest
from tests.core.conftest import Make
from tests.core.sealed import GET, SEAL, Sealed

from httpng_core import Readiness
from httpng_core.testing import Http2Client, decode
from httpng_core.tls import RECORD

BODY = b"hello"
PROTOCOLS = pytest.mark.parametrize("is_http2", [False, True], ids=["http/1.1", "http/2"])


class Asked:
    """A client that asks over TLS, one request at a time.

    Attributes:
        sealed: the connection.
        offered: what the kernel was given in the calls of `answer`.
    """

    def __init__(self, make: Make, is_http2: bool, **settings: Any) -> None:
        self.sealed: Sealed = make(**settings).shake()
        self.offered: list[bytes] = []
        self._http2 = Http2Client() if is_http2 else None
        self._read = 0
        # The tickets, and what HTTP/2 begins with, are out.
        self.ask()
        self.answer()
        self.settle()

    def ask(self) -> None:
        if self._http2 is None:
            self.sealed.send(GET)
        else:
            self._http2.request("/", "GET")
            self.sealed.send(self._http2.take())
        # A driver looks whether there is something to send.
        self.sealed.connection.prepare()

    def answer(self, room: int = 1 << 20, body: bytes = BODY) -> int:
        """The last exchange has its answer; how often the kernel was asked."""
        sealed, count = self.sealed, len(self.offered)

        def send(wire: bytes) -> int:
            self.offered.append(wire)
            if not room:
                raise BlockingIOError
            sealed.taken += len(wire[:room])
            sealed.client.receive(wire[:room])
            return len(wire[:room])

        sealed.exchange.answer(200, {"content-type": "text/plain"}, body, sealed.now, send)
        return len(self.offered) - count

    def settle(self) -> None:
        """All that waits goes out, and what the client says to that comes in."""
        sealed = self.sealed
        for _ in range(30):
            sealed.push()
            if self._http2 is not None:
                self.bodies()
                if data := self._http2.take():
                    sealed.send(data)
        assert sealed.connection.prepare() is Readiness.NOTHING

    def bodies(self) -> list[bytes]:
        """What the client has of the bodies."""
        sealed = self.sealed
        while (opened := sealed.client.read()) is not None:
            sealed.opened += opened
        if self._http2 is None:
            return [bytes(each.body) for each in decode(sealed.opened, ("GET",) * 9, closed=False)]
        self._http2.receive(sealed.opened[self._read :])
        self._read = len(sealed.opened)
        return [bytes(each.body) for _, each in sorted(self._http2.streams.items())]


@PROTOCOLS
def test_it_is_given_to_the_kernel_in_that_call(make: Make, is_http2: bool) -> None:
    asked = Asked(make, is_http2)
    for number in range(3):
        asked.ask()
        exchange = asked.sealed.exchange
        assert asked.answer() == 1
        assert asked.sealed.connection.is_at_rest
        assert exchange.is_over
        assert exchange.stats(asked.sealed.now).sent == len(BODY)
        assert asked.bodies() == [BODY] * (number + 2)
    assert asked.sealed.connection.accepted == asked.sealed.taken


@PROTOCOLS
@pytest.mark.parametrize("body", [BODY, b""])
def test_what_the_kernel_leaves_of_it_goes_out_and_counts_when_the_record_is_whole(
    make: Make, is_http2: bool, body: bytes
) -> None:
    whole = Asked(make, is_http2)
    whole.ask()
    whole.answer(body=body)
    size = len(whole.offered[-1])
    assert size > SEAL
    for room in range(size):
        asked = Asked(make, is_http2)
        sealed = asked.sealed
        asked.ask()
        exchange = sealed.exchange
        assert asked.answer(room, body) == 1
        stats = exchange.stats(sealed.now)
        assert (stats.current, stats.sent, exchange.committed) == (len(body), 0, len(body))
        assert not exchange.is_over
        assert sealed.connection.accepted == sealed.taken
        # The rest of the very same record comes first.
        assert sealed.offer() == asked.offered[-1][room:]
        asked.settle()
        assert exchange.is_over
        assert exchange.stats(sealed.now).sent == len(body)
        assert sealed.connection.accepted == sealed.taken
        assert asked.bodies() == [BODY, body]
        # And the connection goes on.
        asked.ask()
        asked.answer()
        asked.settle()
        assert asked.bodies() == [BODY, body, BODY]


@PROTOCOLS
def test_one_of_two_records_counts_by_each_of_them(make: Make, is_http2: bool) -> None:
    asked = Asked(make, is_http2)
    sealed = asked.sealed
    # A client that is fast may be given so much at once.
    asked.ask()
    asked.answer(body=bytes(400_000))
    asked.settle()
    body = bytes(16 * 1024)
    asked.ask()
    exchange, before = sealed.exchange, len(sealed.opened)
    room = RECORD + SEAL + 1
    if not asked.answer(room, body):
        sealed.push(room)
    while (opened := sealed.client.read()) is not None:
        sealed.opened += opened
    assert len(sealed.opened) - before == RECORD
    assert RECORD - 200 < exchange.stats(sealed.now).sent < RECORD
    asked.settle()
    assert exchange.is_over
    assert asked.bodies()[-1] == body


@PROTOCOLS
def test_the_socket_is_asked_first_once_the_client_has_refused(make: Make, is_http2: bool) -> None:
    asked = Asked(make, is_http2)
    asked.ask()
    asked.answer(10)
    asked.settle()
    asked.ask()
    assert asked.answer() == 0
    assert asked.sealed.connection.prepare() is Readiness.ASK
    asked.settle()
    assert asked.bodies() == [BODY] * 3


@PROTOCOLS
def test_without_that_call_a_whole_response_needs_no_question_either(make: Make, is_http2: bool) -> None:
    asked = Asked(make, is_http2)
    asked.ask()
    sealed = asked.sealed
    sealed.exchange.answer(200, {}, BODY, sealed.now)
    assert sealed.connection.prepare() is Readiness.OFFER
    asked.settle()
    assert asked.bodies() == [BODY] * 2


@PROTOCOLS
def test_a_piece_is_not_sealed_before_the_socket_was_asked(make: Make, is_http2: bool) -> None:
    """It may be taken back until then."""
    asked = Asked(make, is_http2)
    asked.ask()
    sealed = asked.sealed
    sealed.exchange.write(b"piece", sealed.now)
    assert sealed.connection.prepare() is Readiness.ASK
    assert sealed.exchange.committed == 0


@PROTOCOLS
def test_nothing_is_sealed_on_a_connection_that_has_failed(make: Make, is_http2: bool) -> None:
    asked = Asked(make, is_http2)
    asked.ask()
    exchange = asked.sealed.exchange
    asked.sealed.receive(b"\x17\x03\x03\x00\x05wrong")
    assert asked.answer() == 0
    assert exchange.is_over
