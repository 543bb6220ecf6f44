"""`is_at_rest` promises that a driver need not ask anything else: so it must never be true too often."""

from collections.abc import Callable

from tests.core.driving import GET, Driven

from httpng_core import Readiness


def rests(driven: Driven) -> bool:
    """What the connection says; if it says yes, all that it promises holds."""
    connection = driven.connection
    if connection.prepare() is not Readiness.NOTHING:
        return False
    if connection.is_at_rest:
        assert connection.wants_read
        assert not connection.wants_write
        assert not connection.asks_first
        assert not connection.close_expected()
        assert not connection.half_close_expected()
        assert not connection.wants_acknowledged
        assert connection.stall_limit == float("inf")
    return connection.is_at_rest


def test_after_a_response_it_rests_until_the_next_request() -> None:
    driven = Driven()
    driven.exchange.finish(driven.now)
    assert not rests(driven)
    driven.push()
    assert rests(driven)
    driven.receive(GET)
    assert rests(driven), "the handler may take its time"


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
