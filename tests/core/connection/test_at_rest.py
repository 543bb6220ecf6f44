"""`is_at_rest` promises that a driver need not ask anything else: so it must never be true too often."""

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from tests.core.driving import GET, GET_10, Driven, promised_at_rest


def rests(driven: Driven) -> bool:
    """What the connection says; if it says yes, all that it promises holds."""
    return promised_at_rest(driven.connection)


def streaming(**given: Any) -> Driven:
    """One of whose response the kernel has all that was written so far."""
    driven = Driven(**given)
    driven.write(b"a piece")
    driven.push()
    return driven


def test_after_a_response_it_rests_until_the_next_request() -> None:
    driven = Driven()
    driven.exchange.finish(driven.now)
    assert not rests(driven)
    driven.push()
    assert rests(driven)
    driven.receive(GET)
    assert rests(driven), "the handler may take its time"


def test_a_response_that_is_streamed_rests_between_its_pieces() -> None:
    driven = streaming()
    assert rests(driven)
    driven.write(b"another")
    assert not rests(driven)
    driven.push()
    assert rests(driven)
    driven.exchange.finish(driven.now)
    assert not rests(driven)
    driven.push()
    assert rests(driven)
    assert driven.body == b"a pieceanother"


@pytest.mark.parametrize(
    "disturb",
    [
        lambda driven: driven.write(b"x" * 10, timeout=9, window=0),
        lambda driven: driven.exchange.wait(7, driven.now, inf, "acked"),
        lambda driven: driven.wait(1000),
        lambda driven: driven.receive(GET),
        lambda driven: driven.eof(),
        lambda driven: driven.lost(),
        lambda driven: driven.connection.abort(driven.now),
        lambda driven: driven.exchange.reset(driven.now),
        lambda driven: driven.exchange.fail(driven.now),
        lambda driven: driven.exchange.finish(driven.now),
    ],
)
def test_what_comes_between_pieces_ends_the_rest(disturb: Callable[[Driven], object]) -> None:
    driven = streaming(tells_acknowledged=True)
    assert rests(driven)
    disturb(driven)
    assert not rests(driven)


def test_a_fin_behind_what_is_not_read_ends_the_rest_for_good() -> None:
    driven = streaming(cancel_on_half_close="never")
    driven.connection.receive_eof(driven.now, unread=True)
    driven.write(b"x")
    driven.push()
    assert not rests(driven)


def test_a_response_that_only_the_end_of_the_connection_delimits_ends_the_rest() -> None:
    driven = streaming(received=GET_10, tells_acknowledged=True)
    assert rests(driven)
    driven.exchange.fail(driven.now)
    assert not rests(driven)
    assert driven.connection.wants_acknowledged


def test_who_watches_for_stalls_never_rests_between_pieces() -> None:
    driven = streaming()
    driven.exchange.stall_timeout = 3
    driven.write(b"x")
    driven.push()
    assert not rests(driven)


def test_a_handler_that_has_asked_for_something_ends_the_rest() -> None:
    driven = Driven()
    driven.write(b"x")
    assert not rests(driven)


def test_a_writer_for_whom_the_socket_has_no_room_ends_the_rest() -> None:
    driven = Driven(default_send_window=0)
    driven.write(b"x" * 100)
    assert driven.push(0) == 0
    assert not rests(driven)


def test_a_wait_ends_the_rest() -> None:
    driven = Driven()
    driven.wait(10)
    assert not rests(driven)


def test_a_request_that_comes_in_bit_by_bit_ends_the_rest() -> None:
    driven = Driven()
    driven.exchange.finish(driven.now)
    driven.push()
    driven.receive(GET[:5])
    assert not rests(driven)


def test_what_is_read_ahead_ends_the_rest() -> None:
    driven = Driven()
    driven.receive(GET)
    assert not rests(driven)


def test_a_fin_ends_the_rest() -> None:
    driven = Driven()
    driven.eof()
    assert not rests(driven)


def test_a_connection_that_closes_does_not_rest() -> None:
    driven = Driven()
    driven.connection.drain(driven.now)
    driven.exchange.finish(driven.now)
    driven.push()
    assert not rests(driven)


def test_what_is_to_be_sent_ends_the_rest_or_was_told_by_a_wake() -> None:
    def handlers(driven: Driven) -> dict[str, Callable[[], object]]:
        exchange, now = driven.exchange, driven.now
        return {
            "answer": lambda: exchange.answer(200, None, b"x", now),
            "a long answer": lambda: exchange.answer(200, None, b"x" * 100_000, now),
            "finish": lambda: exchange.finish(now),
            "fail": lambda: exchange.fail(now),
            "refuse": lambda: exchange.refuse(400, "no", now),
            "close": lambda: exchange.close(now),
            "reset": lambda: exchange.reset(now),
            "header": driven.header,
            "write": lambda: driven.write(b"x"),
            "a long write": lambda: exchange.write(b"x" * 100, now, None, 0),
            "early hints": lambda: exchange.write_informational(103, {"link": "</a>"}, now),
            "abort": lambda: driven.connection.abort(now),
        }

    for name in handlers(Driven()):
        driven = Driven()
        driven.wakes = 0
        handlers(driven)[name]()
        wanted = driven.connection.wants_write or driven.connection.close_expected()
        assert wanted, name
        assert driven.wakes, name
