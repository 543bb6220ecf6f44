"""`min_body_rate` on HTTP/2: bodies that trickle for ever are refused, also beside others that don't."""

from math import inf

import pytest
from tests.core.driving2 import Driven2

from httpng_core import Settings

GRACE = 5


def begun(driven: Driven2, count: int = 1) -> list[int]:
    """The ids of so many requests of which the bodies are to come."""
    return [driven.request(method="POST", body=None)[0] for _ in range(count)]


def send(driven: Driven2, stream_id: int, data: bytes, *, end: bool = False) -> None:
    while data:
        piece, data = data[:16384], data[16384:]
        driven.client.h2.send_data(stream_id, piece, end_stream=end and not data)
        driven.turn()


def trickled(driven: Driven2, streams: list[int], piece: bytes, every: float, seconds: float) -> float:
    """Send `piece` on each stream again and again; return when one was refused, else infinity."""
    began, count = driven.now, len(driven.refused)
    while driven.now < began + seconds:
        driven.advance(every)
        if len(driven.refused) > count:
            driven.turn()
            return driven.now - began
        for stream_id in streams:
            send(driven, stream_id, piece)
    return inf


def status_of(driven: Driven2, stream_id: int) -> int:
    return driven.client.streams[stream_id].status


def test_a_body_slower_than_the_rate_is_refused_after_the_grace_and_the_connection_goes_on() -> None:
    driven = Driven2()
    streams = begun(driven)
    assert trickled(driven, streams, b"x", 0.5, 60) == pytest.approx(GRACE, abs=1)
    assert driven.refused == [408]
    assert status_of(driven, streams[0]) == 408
    driven.begin()


def test_a_body_that_comes_at_the_rate_is_read_for_as_long_as_it_takes() -> None:
    driven = Driven2()
    streams = begun(driven)
    assert trickled(driven, streams, b"x" * 240, 1, 400) == inf
    send(driven, streams[0], b"x" * 4000, end=True)
    assert len(driven.exchange.request.body) == 100_000


def test_what_came_faster_pays_for_a_pause_of_body_timeout_and_no_more() -> None:
    driven = Driven2(body_timeout=20)
    streams = begun(driven)
    send(driven, streams[0], b"x" * 60_000)
    driven.advance(19)
    assert driven.refused == []
    assert trickled(driven, streams, b"x", 1, 300) < 5


def test_bodies_that_trickle_side_by_side_are_refused_together() -> None:
    driven = Driven2()
    streams = begun(driven, 50)
    assert trickled(driven, streams, b"x", 1, 60) <= 7
    assert driven.refused == [408] * 50
    assert {status_of(driven, stream_id) for stream_id in streams} == {408}


def test_a_client_may_send_one_body_after_the_other() -> None:
    driven = Driven2()
    first, *others = begun(driven, 5)
    assert trickled(driven, [first], b"x" * 300, 1, 25) == inf
    for stream_id in (first, *others):
        send(driven, stream_id, b"x", end=True)
    assert len(driven.exchanges) == 5


def test_new_bodies_do_not_give_the_grace_to_old_ones() -> None:
    driven = Driven2()
    begun(driven)
    driven.advance(4)
    begun(driven)
    driven.advance(1)
    assert driven.refused == [408]
    driven.advance(3)
    assert driven.refused == [408]
    driven.advance(1)
    assert driven.refused == [408, 408]


def test_requests_beside_it_do_not_pay_for_a_body() -> None:
    driven = Driven2()
    begun(driven)
    for _ in range(GRACE):
        exchange, _ = driven.begin()
        exchange.finish(driven.now)
        driven.turn()
        driven.advance(1)
    assert driven.refused == [408]


def test_a_body_that_waits_for_credit_has_its_grace_when_it_gets_it() -> None:
    driven = Driven2(max_body_len=1 << 20, body_timeout=inf)
    streams = begun(driven, 20)
    for stream_id in streams:
        send(driven, stream_id, b"x" * 65535)
    # All together are past what is kept: of some the client can't send more.
    driven.advance(10_000)
    driven.turn()
    held = [stream_id for stream_id in streams if not status_of(driven, stream_id)]
    assert 0 < len(held) < 20
    assert len(driven.refused) == 20 - len(held)
    assert trickled(driven, held[:1], b"x" * 240, 1, 20) == inf
    assert trickled(driven, held, b"x", 1, 20) <= GRACE + 2


def test_zero_is_off() -> None:
    driven = Driven2(min_body_rate=0)
    assert trickled(driven, begun(driven), b"x", 29, 3000) == inf


def test_it_may_change_while_a_body_comes() -> None:
    driven = Driven2(min_body_rate=0)
    streams = begun(driven)
    assert trickled(driven, streams, b"x", 1, 100) == inf
    driven.connection.reconfigure(Settings(), driven.now)
    assert trickled(driven, streams, b"x", 1, 100) < 8


def test_it_may_be_taken_away_while_a_body_comes() -> None:
    driven = Driven2()
    streams = begun(driven)
    driven.advance(4)
    driven.connection.reconfigure(Settings(min_body_rate=0), driven.now)
    assert trickled(driven, streams, b"x", 1, 100) == inf


def test_a_pause_is_still_bounded_by_body_timeout() -> None:
    driven = Driven2(body_timeout=2)
    begun(driven)
    driven.advance(2)
    assert driven.refused == [408]
