"""The specification's sections "wait" and "write_header", a test a sentence."""

from math import inf
from typing import Any

import pytest
from tests.core.driving import HEAD, Driven, result

from httpng_core import ResponseStateError, SendResult, headers_were_sent


@pytest.fixture
def driven() -> Driven:
    driven = Driven()
    driven.header(headers={"content-length": 1000})
    driven.push()
    return driven


# wait -------------------------------------------------------------------------------------------------


def test_a_position_above_0_waits_until_sent_is_there(driven: Driven) -> None:
    driven.write(b"x" * 20)
    wait = driven.wait(15)
    driven.push(14)
    assert not wait.settled
    driven.push(1)
    assert result(wait).reached


def test_position_0_waits_until_all_is_sent(driven: Driven) -> None:
    driven.write(b"x" * 20)
    wait = driven.wait(0)
    driven.push(19)
    assert not wait.settled
    driven.push(1)
    assert result(wait).reached


def test_position_0_waits_for_the_headers_as_well() -> None:
    driven = Driven()
    driven.header()
    wait = driven.wait(0)
    driven.push(5)
    assert not wait.settled
    driven.push()
    assert result(wait).reached
    assert result(wait).headers_were_sent


def test_position_0_before_anything_was_given_is_reached() -> None:
    assert result(Driven().wait(0)).reached


def test_a_position_below_0_waits_until_so_many_bytes_are_in_flight(driven: Driven) -> None:
    driven.write(b"x" * 20)
    wait = driven.wait(-5)
    driven.push(14)
    assert not wait.settled
    driven.push(1)
    assert result(wait).reached


def test_a_position_below_0_does_not_wait_for_the_headers() -> None:
    driven = Driven()
    driven.write("abc")
    assert result(driven.wait(-3)).reached
    assert not driven.wait(-2).settled


def test_current_is_read_live(driven: Driven) -> None:
    driven.write(b"x" * 20)
    wait = driven.wait(0)
    driven.push(10)
    driven.write(b"y" * 10)
    driven.push(10)
    assert not wait.settled
    driven.push(10)
    assert result(wait).reached


def test_it_always_returns_a_result_never_nil(driven: Driven) -> None:
    assert isinstance(driven.wait(0).result, SendResult)
    late = driven.wait(5, timeout=1)
    driven.advance(1)
    assert isinstance(late.result, SendResult)
    driven.lost()
    assert isinstance(driven.wait(0).result, SendResult)


def test_on_timeout_it_tells_that_it_was_not_reached(driven: Driven) -> None:
    wait = driven.wait(5, timeout=1)
    driven.advance(0.9)
    assert not wait.settled
    driven.advance(0.1)
    assert not result(wait).reached
    assert not result(wait).cancelled


def test_a_withdrawn_wait_ends_like_a_timeout(driven: Driven) -> None:
    wait, other = driven.wait(5), driven.wait(6)
    driven.exchange.withdraw(wait, driven.now)
    assert not result(wait).reached
    assert not other.settled


def test_on_cancellation_it_settles_at_once(driven: Driven) -> None:
    wait = driven.wait(5)
    driven.lost()
    assert result(wait).cancelled
    assert not result(wait).reached


def test_after_cancellation_it_tells_whether_the_position_was_reached(driven: Driven) -> None:
    driven.write("abc")
    driven.push()
    driven.lost()
    assert result(driven.wait(3)).reached
    assert not result(driven.wait(4)).reached
    assert result(driven.wait(0)).reached
    assert result(driven.wait(0)).cancelled


@pytest.mark.parametrize("position", [1.0, "1", None, True, inf])
@pytest.mark.parametrize("over", [False, True])
def test_a_position_that_is_no_integer_raises(driven: Driven, position: Any, over: bool) -> None:
    if over:
        driven.lost()
    with pytest.raises(TypeError):
        driven.wait(position)


def test_a_wrong_timeout_raises(driven: Driven) -> None:
    with pytest.raises(ValueError, match="timeout"):
        driven.wait(0, -1)


# write_header -----------------------------------------------------------------------------------------


def test_write_header_returns_nil_when_the_tcp_ip_stack_has_the_block() -> None:
    driven = Driven()
    call = driven.header()
    driven.push(20)
    assert not call.settled
    assert not driven.stats.headers_were_sent
    driven.push()
    assert call.result is None
    assert headers_were_sent(call.result)
    assert driven.stats.headers_were_sent


def test_write_header_on_timeout_tells_that_the_headers_were_not_sent() -> None:
    driven = Driven()
    call = driven.header(timeout=1)
    driven.push(5)
    driven.advance(1)
    assert not headers_were_sent(call.result)
    assert not result(call).cancelled


def test_the_block_is_never_taken_back_after_a_timeout_it_stays_first_in_line() -> None:
    driven = Driven()
    driven.header(404, timeout=1)
    driven.advance(1)
    driven.write("abc")
    driven.push()
    (response,) = driven.responses()
    assert (response.status, response.body) == (404, b"abc")


def test_a_second_write_header_raises() -> None:
    driven = Driven()
    driven.header(404, timeout=1)
    driven.advance(1)
    with pytest.raises(ResponseStateError, match="Handler has already written header"):
        driven.header()


def test_write_header_after_a_write_raises() -> None:
    driven = Driven()
    driven.write("")
    with pytest.raises(ResponseStateError):
        driven.header()


def test_a_second_write_header_raises_after_cancellation_too() -> None:
    driven = Driven()
    driven.header()
    driven.lost()
    with pytest.raises(ResponseStateError):
        driven.header()


def test_writes_need_not_wait_for_write_header() -> None:
    driven = Driven()
    call = driven.header()
    assert driven.write("abc").result is None
    assert not call.settled
    driven.push()
    assert call.result is None
    assert driven.body == b"abc"


def test_write_header_of_a_cancelled_exchange_is_cancelled() -> None:
    driven = Driven()
    driven.lost()
    assert result(driven.header()).cancelled
    assert not headers_were_sent(driven.header().result)


def test_a_pending_write_header_settles_when_the_client_goes() -> None:
    driven = Driven()
    call = driven.header()
    driven.lost()
    assert result(call).cancelled
    assert not result(call).headers_were_sent


BAD_HEADERS: list[tuple[Any, Any, type[Exception]]] = [
    ("200", None, TypeError),
    (True, None, TypeError),
    (99, None, ValueError),
    (100, None, ValueError),
    (199, None, ValueError),
    (600, None, ValueError),
    (200, {"a": "b\r"}, ValueError),
    (200, {"a": "b\nc"}, ValueError),
    (200, {"a": "\0"}, ValueError),
    (200, {"a\n": "b"}, ValueError),
    (200, {"content-length": "-1"}, ValueError),
    (200, 5, TypeError),
]


@pytest.mark.parametrize(("code", "headers", "error"), BAD_HEADERS)
def test_wrong_arguments_raise_and_nothing_of_the_block_is_sent(
    code: Any, headers: Any, error: type[Exception]
) -> None:
    driven = Driven()
    with pytest.raises(error):
        driven.header(code, headers)
    assert driven.push() == 0
    driven.header(404)
    driven.push()
    assert driven.responses()[0].status == 404


def test_wrong_arguments_raise_before_a_second_write_header_does() -> None:
    driven = Driven()
    driven.header()
    with pytest.raises(TypeError):
        driven.header("200")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        driven.header(timeout=-1)


def test_headers_of_a_head_request_are_as_those_of_a_get() -> None:
    driven = Driven(HEAD)
    driven.header(headers={"content-length": 7, "x": "y"})
    driven.exchange.finish(driven.now)
    driven.push()
    (response,) = driven.responses("HEAD")
    assert response.headers == {"x": "y", "content-length": "7"}
    assert driven.outcomes == ["complete"]
