"""Answers to requests that can't be served wait for the client as all does that it has to be told."""

from math import inf

import hpack
import pytest
from tests.core.driving import Driven
from tests.core.http2.engine.driving import GET, Fields, frame, read_all, settings

from httpng_core import Closing, Readiness

MOST = 64 * 1024
"""What waits of such answers, and of those to PING and the like, for a client that doesn't read."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, WHOLE, GOAWAY = 1, 5, 7
ENHANCE_YOUR_CALM = 11
TOGETHER = pytest.mark.parametrize("together", [1, 2, 20])


def block(fields: Fields) -> bytes:
    """A header block that leaves the table of header blocks as it is."""
    return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*field) for field in fields])


class Asking(Driven):
    """A client that has had an answer, and then asks for what no handler is for (501)."""

    def __init__(self) -> None:
        super().__init__(PREFACE + settings(), stall_timeout=5, keepalive_timeout=inf)
        self.stream_id = 1
        self.unserved = block(((b":method", b"CONNECT"), (b":authority", b"x")))
        self.ask(1, self.unserved)
        self.push()
        self.ask(1, block(GET))
        self.exchange.answer(200, None, b"hello", self.now)
        self.push()

    def ask(self, count: int, head: bytes) -> None:
        """So many requests come in one piece."""
        first, self.stream_id = self.stream_id, self.stream_id + 2 * count
        ids = range(first, self.stream_id, 2)
        self.receive(b"".join([frame(HEADERS, WHOLE, stream_id, head) for stream_id in ids]))

    @property
    def waiting(self) -> int:
        return sum(holding.size for holding in self.connection.holdings())


@TOGETHER
def test_a_client_that_does_not_read_them_is_cut_off(together: int) -> None:
    asking = Asking()
    for _ in range(4000 // together):
        asking.ask(together, asking.unserved)
        assert asking.connection.prepare() is Readiness.ASK
        assert asking.waiting < MOST + together * 1000
    assert asking.waiting > MOST / 2
    asking.push()
    told = [one.payload[7] for one in read_all(bytes(asking.wire)) if one.kind == GOAWAY]
    assert told == [ENHANCE_YOUR_CALM]


@TOGETHER
def test_a_client_that_takes_too_long_to_read_them_is_given_up(together: int) -> None:
    asking = Asking()
    assert asking.connection.is_at_rest
    wakes = asking.wakes
    asking.ask(together, asking.unserved)
    assert asking.wakes > wakes
    assert not asking.connection.is_at_rest
    asking.advance(5.1)
    assert asking.connection.close_expected() is Closing.RESET
