"""`min_body_rate`: a body that trickles for ever is refused, one that is only slow or pauses isn't."""

from math import inf

import pytest
from tests.core.driving import Driven

from httpng_core import Settings

POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
GRACE = 5


def trickled(driven: Driven, piece: bytes, every: float, seconds: float) -> float:
    """Send `piece` again and again for `seconds`; return when it was refused, else infinity."""
    began = driven.now
    while driven.now < began + seconds:
        driven.advance(every)
        if driven.refused:
            return driven.now - began
        driven.receive(piece)
    return inf


def test_a_body_slower_than_the_rate_is_refused_after_the_grace() -> None:
    driven = Driven(POST)
    assert trickled(driven, b"x", 0.5, 60) == pytest.approx(GRACE, abs=1)
    driven.push()
    assert driven.refused == [408]
    (response,) = driven.responses()
    assert (response.status, response.body) == (408, b"the request body came too slowly")


def test_chunks_of_a_byte_count_as_what_they_take_on_the_wire() -> None:
    assert trickled(Driven(CHUNKED), b"1\r\nx\r\n", 1, 60) < 7
    assert trickled(Driven(CHUNKED), b"1\r\nx\r\n" * 41, 1, 60) == inf


def test_a_body_that_comes_at_the_rate_is_read_for_as_long_as_it_takes() -> None:
    driven = Driven(POST)
    assert trickled(driven, b"x" * 240, 1, 400) == inf
    driven.receive(b"x" * 4000)
    assert len(driven.exchange.request.body) == 100_000


def test_what_came_faster_pays_for_a_pause_of_body_timeout_and_no_more() -> None:
    driven = Driven(POST, body_timeout=20)
    driven.receive(b"x" * 90_000)
    driven.advance(19)
    assert driven.refused == []
    assert trickled(driven, b"x", 1, 300) < 5


def test_a_grace_is_given_to_each_body() -> None:
    driven = Driven(POST)
    driven.receive(b"x" * 100_000)
    driven.advance(100)
    driven.exchange.finish(driven.now)
    driven.push()
    driven.receive(POST)
    driven.advance(GRACE - 1)
    assert driven.refused == []
    driven.advance(1)
    assert driven.refused == [408]


def test_zero_is_off() -> None:
    assert trickled(Driven(POST, min_body_rate=0), b"x", 29, 3000) == inf


def test_it_may_change_while_a_body_comes() -> None:
    driven = Driven(POST, min_body_rate=0)
    assert trickled(driven, b"x", 1, 100) == inf
    driven.connection.reconfigure(Settings(), driven.now)
    assert trickled(driven, b"x", 1, 100) < 8


def test_a_pause_is_still_bounded_by_body_timeout() -> None:
    driven = Driven(POST, body_timeout=2)
    driven.advance(2)
    assert driven.refused == [408]
