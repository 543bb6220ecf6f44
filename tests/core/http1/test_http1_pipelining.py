"""Several requests on one connection: served in order, read ahead within bounds, nothing leaks."""

import pytest
from tests.core.driving import GET, HEAD, Driven

from httpng_core import Closing

POST = b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"


@pytest.mark.parametrize("cut", range(1, len(POST)))
def test_a_request_that_came_partly_with_the_one_before_is_completed_later(cut: int) -> None:
    driven = Driven(GET + POST[:cut])
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.refused == []
    driven.receive(POST[cut:])
    assert [exchange.request.body for exchange in driven.exchanges] == [b"", b"hello"]


def test_the_next_handler_starts_when_the_response_before_it_has_ended() -> None:
    driven = Driven(GET + HEAD + POST)
    first = driven.exchange
    driven.write("abc")
    driven.push()
    first.finish(driven.now)
    assert len(driven.exchanges) == 1
    driven.push(4)
    assert len(driven.exchanges) == 1
    driven.push()
    assert len(driven.exchanges) == 2
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.exchange.request.method == "POST"
    driven.exchange.finish(driven.now)
    driven.push()
    bodies = [response.body for response in driven.responses("GET", "HEAD", "POST")]
    assert bodies == [b"abc", b"", b""]


def test_reading_ahead_is_bounded_and_goes_on_afterwards() -> None:
    driven = Driven(GET, shuttle_size=1024)
    while driven.connection.wants_read:
        driven.receive(GET)
    assert len(driven.exchanges) == 1
    ahead = 1024 // len(GET) + 1
    for _ in range(ahead):
        driven.exchange.finish(driven.now)
        driven.push()
    assert driven.connection.wants_read
    assert len(driven.exchanges) == 1 + ahead


def test_bytes_after_a_request_with_connection_close_do_not_cost_it_its_answer() -> None:
    driven = Driven(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n\0\1garbage" + GET)
    driven.receive(b"more\xff")
    driven.write("abc")
    driven.exchange.finish(driven.now)
    driven.push()
    (response,) = driven.responses()
    assert (response.body, response.headers["connection"], response.complete) == (b"abc", "close", True)
    assert driven.refused == []
    assert len(driven.exchanges) == 1
    assert driven.connection.half_close_expected()
    driven.receive(GET)
    assert len(driven.exchanges) == 1


def test_a_bad_request_behind_a_good_one_is_refused_after_its_answer() -> None:
    driven = Driven(GET + b"\0\r\n\r\n")
    assert driven.refused == []
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.refused == [400]
    assert [response.status for response in driven.responses()] == [200, 400]


def test_requests_that_came_with_a_fin_are_all_answered() -> None:
    driven = Driven(GET + GET)
    driven.eof()
    for _ in range(2):
        driven.exchange.finish(driven.now)
        driven.push()
    assert driven.outcomes == ["complete", "complete"]
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET
