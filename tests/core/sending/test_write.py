"""The specification's section "write", a test a sentence."""

from typing import Any

import pytest
from tests.core.driving import GET, HEAD, Driven, result

from httpng_core import ContentLengthError, Readiness, body_bytes_sent, cancelled

FRAME = 16 * 1024


@pytest.fixture
def driven() -> Driven:
    return Driven(default_send_window=10)


# 1. It returns nil as soon as the body, or what is left of it, fits -----------------------------------


def test_1_it_returns_nil_at_once_if_the_body_fits(driven: Driven) -> None:
    assert driven.write("1234567890").result is None
    assert driven.positions == (10, 0)


def test_1_in_flight_counts_towards_the_window(driven: Driven) -> None:
    driven.write("12345")
    assert driven.write("67890").settled
    late = driven.write("x")
    assert not late.settled
    assert driven.positions == (10, 0)


def test_1_it_returns_nil_as_soon_as_the_kernel_has_taken_enough(driven: Driven) -> None:
    driven.write("1234567890")
    late = driven.write("xyz")
    driven.push(limit=2)
    driven.push(0)
    assert late.result is None
    driven.push()
    assert driven.body == b"1234567890xyz"


@pytest.mark.parametrize(("taken", "settles"), [(2, False), (3, True)])
def test_1_room_is_counted_to_the_byte(driven: Driven, taken: int, settles: bool) -> None:
    driven.header(headers={"content-length": 13})
    driven.push()
    driven.write("1234567890")
    late = driven.write("xyz")
    driven.push(taken)
    assert late.settled is settles
    assert driven.positions == (13 if settles else 10, taken)


def test_1_what_is_left_of_a_long_body_is_accepted_whole_when_it_fits(driven: Driven) -> None:
    write = driven.write(b"x" * 25)
    driven.push(0, limit=8)
    driven.connection.data_to_send(driven.now, 8)
    assert driven.positions == (8, 0)
    assert not write.settled
    driven.push(limit=8)
    assert write.result is None


# 2. A record is never torn ----------------------------------------------------------------------------


def test_2_nothing_of_a_body_that_fits_the_window_is_accepted_before_all_of_it_is(driven: Driven) -> None:
    driven.header(headers={"content-length": 20})
    driven.push()
    driven.write("1234567")
    late = driven.write("abcdefghij")
    for taken in range(1, 7):
        driven.push(1)
        assert driven.positions == (7, taken)
        assert not late.settled
    driven.push(1)
    assert late.result is None
    assert driven.positions == (17, 7)


# 3. A longer body goes frame by frame -----------------------------------------------------------------


def test_3_nothing_of_a_longer_body_is_accepted_before_the_socket_can_take_it(driven: Driven) -> None:
    write = driven.write(b"x" * 11)
    assert not write.settled
    assert driven.positions == (0, 0)
    assert driven.connection.wants_write
    assert driven.connection.prepare() is Readiness.ASK


def test_3_each_frame_is_accepted_and_committed_at_once(driven: Driven) -> None:
    driven.write(b"x" * 100_000)
    driven.push(1)
    assert driven.stats.current == FRAME
    driven.push(5_000)
    assert driven.stats.current == FRAME
    driven.push()
    assert driven.positions == (100_000, 100_000)


def test_3_in_flight_passes_a_small_window_by_at_most_one_frame(driven: Driven) -> None:
    write = driven.write(b"x" * 200_000)
    driven.push(1)
    while not write.settled:
        driven.push(700)
        assert driven.stats.current - driven.stats.sent <= FRAME + 10


def test_3_only_the_first_in_line_is_accepted_frame_by_frame(driven: Driven) -> None:
    driven.write("1234567890")
    first, second = driven.write(b"a" * 30), driven.write(b"b" * 30)
    assert driven.positions == (10, 0)
    driven.push()
    assert (first.result, second.result) == (None, None)
    assert driven.body == b"1234567890" + b"a" * 30 + b"b" * 30


def test_3_a_longer_body_waits_for_what_was_accepted_before_it(driven: Driven) -> None:
    driven.write("12345")
    driven.write(b"x" * 20)
    assert driven.connection.prepare() is not Readiness.ASK
    driven.connection.data_to_send(driven.now)
    assert driven.stats.current == 5


def test_3_at_window_0_nil_means_that_the_tcp_ip_stack_has_it_all(driven: Driven) -> None:
    driven.header(headers={"content-length": 5})
    driven.push()
    write = driven.write("abcde", window=0)
    for taken in range(1, 5):
        driven.push(1)
        assert not write.settled
        assert driven.positions == (5, taken)
    driven.push(1)
    assert write.result is None
    assert driven.positions == (5, 5)


def test_3_at_window_0_an_empty_body_has_room_when_nothing_is_in_flight(driven: Driven) -> None:
    assert driven.write("", window=0).settled
    driven.write("abc")
    late = driven.write("", window=0)
    assert not late.settled
    driven.push()
    assert late.result is None


# 4. Timeout and cancellation --------------------------------------------------------------------------


def test_4_on_timeout_what_is_not_accepted_is_never_sent(driven: Driven) -> None:
    driven.write("1234567890")
    late = driven.write("never", timeout=1)
    driven.advance(1)
    assert body_bytes_sent(late.result) == 0
    driven.push()
    assert driven.body == b"1234567890"


def test_4_body_bytes_sent_is_what_was_accepted_of_this_body(driven: Driven) -> None:
    body = bytes(range(256)) * 200
    write = driven.write(body, timeout=1)
    driven.push(20_000)
    driven.advance(1)
    accepted = body_bytes_sent(write.result)
    assert accepted == driven.stats.current == 3 * FRAME, "one of 16 KiB, and as that was taken one of 32"
    driven.push()
    assert driven.body == body[:accepted]


def test_4_the_caller_may_go_on_with_the_rest(driven: Driven) -> None:
    body = bytes(range(256)) * 200
    write = driven.write(body, timeout=1)
    driven.push(20_000)
    driven.advance(1)
    driven.write(body[body_bytes_sent(write.result) :])
    driven.push()
    assert driven.body == body


def test_4_or_with_something_newer(driven: Driven) -> None:
    write = driven.write(b"old" * 10_000, timeout=1)
    driven.push(100)
    driven.advance(1)
    driven.write("new")
    driven.push()
    assert driven.body == (b"old" * 10_000)[: body_bytes_sent(write.result)] + b"new"


def test_4_accepted_bytes_are_never_taken_back(driven: Driven) -> None:
    driven.write("1234567890")
    driven.advance(1000)
    driven.push()
    assert driven.body == b"1234567890"


def test_4_a_result_may_report_the_whole_body(driven: Driven) -> None:
    write = driven.write("abcde", timeout=1, window=0)
    driven.push(1)
    driven.advance(1)
    assert body_bytes_sent(write.result) == 5
    driven.push()
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.body == b"abcde"
    assert driven.outcomes == ["complete"]


def test_4_a_cancelled_task_ends_like_a_timeout(driven: Driven) -> None:
    write = driven.write(b"x" * 50_000)
    driven.push(100)
    driven.exchange.withdraw(write, driven.now)
    assert cancelled(write.result) is False
    assert body_bytes_sent(write.result) == driven.stats.current == FRAME
    driven.exchange.withdraw(write, driven.now)
    driven.push()
    assert driven.body == b"x" * FRAME


def test_4_a_frame_that_is_offered_when_the_call_ends_is_reported(driven: Driven) -> None:
    write = driven.write(b"x" * 50, timeout=1)
    offer = b"".join(driven.connection.data_to_send(driven.now, 20))
    driven.advance(1)
    assert body_bytes_sent(write.result) == 20
    driven.wire += offer
    driven.connection.bytes_accepted(len(offer), driven.now)
    driven.push()
    assert driven.body == b"x" * 20


# 5. Concurrent writers --------------------------------------------------------------------------------


def test_5_concurrent_writers_queue_up_in_order(driven: Driven) -> None:
    driven.write("0123456789")
    writes = [driven.write(text) for text in ("aa", "b" * 30, "", "cc")]
    assert not any(write.settled for write in writes)
    driven.push()
    assert all(write.result is None for write in writes)
    assert driven.body == b"0123456789aa" + b"b" * 30 + b"cc"


def test_5_a_small_body_does_not_overtake_a_waiting_one(driven: Driven) -> None:
    driven.write("12345")
    big, small = driven.write("123456"), driven.write("1")
    assert not big.settled
    assert not small.settled


def test_5_queueing_counts_towards_the_timeout(driven: Driven) -> None:
    driven.write("1234567890")
    driven.write("first", timeout=9)
    second = driven.write("second", timeout=1)
    driven.advance(1)
    assert body_bytes_sent(second.result) == 0


def test_5_the_next_in_line_gets_its_turn_when_the_first_gives_up(driven: Driven) -> None:
    driven.write("12345")
    driven.write("too much", timeout=1)
    second = driven.write("67890")
    driven.advance(1)
    assert second.result is None


def test_5_each_call_adds_to_current_exactly_what_it_reports(driven: Driven) -> None:
    writes = [driven.write(b"x" * size, timeout=1) for size in (10, 9, 40_000, 8, 30_000)]
    driven.push(20_000)
    driven.advance(1)
    reports = [
        size if write.result is None else body_bytes_sent(write.result)
        for size, write in zip((10, 9, 40_000, 8, 30_000), writes, strict=True)
    ]
    assert sum(reports) == driven.stats.current
    driven.push()
    assert len(driven.body) == driven.stats.current


# 6. The implicit header block -------------------------------------------------------------------------


def test_6_the_first_write_sends_status_200_with_io_headers() -> None:
    driven = Driven()
    driven.exchange.write(b"abc", driven.now, headers={"x-one": "1"})
    driven.push()
    (response,) = driven.responses()
    assert (response.status, response.headers["x-one"], response.body) == (200, "1", b"abc")


def test_6_an_empty_body_sends_the_headers_only(driven: Driven) -> None:
    assert driven.write("").result is None
    driven.push()
    assert driven.stats.headers_were_sent
    assert driven.body == b""
    assert b"\r\n\r\n0\r\n" not in driven.wire


# 7. Results and mistakes ------------------------------------------------------------------------------


def test_7_it_never_raises_for_a_vanished_client(driven: Driven) -> None:
    late = driven.write(b"x" * 50)
    driven.lost()
    assert cancelled(late.result)
    assert cancelled(driven.write("more").result)


BAD_CALLS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"body": 5}, TypeError),
    ({"body": None}, TypeError),
    ({"body": True}, TypeError),
    ({"body": [b"x"]}, TypeError),
    ({"body": b"", "window": -1}, ValueError),
    ({"body": b"", "window": 1.0}, TypeError),
    ({"body": b"", "window": True}, TypeError),
    ({"body": b"", "timeout": -0.1}, ValueError),
    ({"body": b"", "timeout": float("-inf")}, ValueError),
    ({"body": b"", "timeout": float("nan")}, ValueError),
    ({"body": b"", "timeout": "1"}, TypeError),
    ({"body": b"", "timeout": True}, TypeError),
]


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize(("arguments", "error"), BAD_CALLS)
def test_7_wrong_arguments_always_raise_before_anything_else(
    arguments: dict[str, Any], error: type[Exception], over: bool
) -> None:
    driven = Driven()
    if over:
        driven.lost()
    with pytest.raises(error):
        driven.exchange.write(now=driven.now, **arguments)
    assert driven.exchange.head is None


def test_7_a_bad_header_for_the_first_write_raises_and_nothing_is_sent() -> None:
    driven = Driven()
    with pytest.raises(ValueError, match="a control character"):
        driven.exchange.write(b"abc", driven.now, headers={"x": "a\r\nb"})
    assert driven.push() == 0
    assert driven.positions == (0, 0)


@pytest.mark.parametrize("body", [bytearray(b"abc"), memoryview(b"abc"), "abc", b"abc"])
def test_a_body_may_be_text_or_any_buffer(body: Any) -> None:
    driven = Driven()
    driven.write(body)
    driven.push()
    assert driven.body == b"abc"


def test_text_is_sent_as_utf_8_and_counted_in_bytes() -> None:
    driven = Driven()
    driven.write("é€")
    driven.push()
    assert driven.body == "é€".encode()
    assert driven.stats.sent == 5


def test_a_buffer_may_be_changed_after_the_call() -> None:
    driven, body = Driven(), bytearray(b"abc")
    driven.write(memoryview(body))
    body[:] = b"xyz"
    driven.push()
    assert driven.body == b"abc"


# More than the declared Content-Length ----------------------------------------------------------------


def test_more_than_the_content_length_raises_and_nothing_of_it_is_sent(driven: Driven) -> None:
    driven.header(headers={"content-length": 5})
    driven.write("abc")
    with pytest.raises(ContentLengthError, match="3 more would exceed"):
        driven.write("def")
    driven.write("de")
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.body == b"abcde"
    assert driven.outcomes == ["complete"]


def test_the_content_length_is_checked_when_the_turn_of_a_write_comes(driven: Driven) -> None:
    driven.header(headers={"content-length": 20})
    driven.push()
    driven.write("1234567890")
    first, second, third = driven.write("abcdefgh"), driven.write("ijk"), driven.write("ij")
    assert not second.settled
    driven.push()
    assert first.result is None
    assert second.failed
    with pytest.raises(ContentLengthError):
        _ = second.result
    assert third.result is None
    assert not third.failed
    assert driven.positions == (20, 20)


def test_a_write_that_gives_up_leaves_its_content_length_to_the_next(driven: Driven) -> None:
    driven.header(headers={"content-length": 15})
    driven.push()
    driven.write("1234567890")
    driven.write("abcde", timeout=1)
    second = driven.write("fghij", timeout=2)
    driven.advance(1)
    driven.push()
    assert second.result is None


# Bodies that are dropped by rule ----------------------------------------------------------------------


def test_head_204_and_304_drop_body_bytes_and_count_them_as_sent() -> None:
    for request, code in ((HEAD, 200), (GET, 204), (GET, 304)):
        driven = Driven(request, default_send_window=10)
        driven.header(code, {"content-length": 3})
        assert driven.write(b"x" * 1000).result is None
        assert driven.write(b"y", window=0).result is None
        assert driven.positions == (1001, 1001)
        assert driven.stats.lag == 0
        driven.exchange.finish(driven.now)
        driven.push()
        assert driven.outcomes == ["complete"]
        (response,) = driven.responses(request.split()[0].decode())
        assert (response.status, response.body, response.complete) == (code, b"", True)


def test_a_wait_of_another_task_settles_when_dropped_bytes_count_as_sent() -> None:
    driven = Driven(HEAD)
    wait = driven.wait(900)
    driven.write(b"x" * 899)
    assert not wait.settled
    driven.write(b"x")
    assert result(wait).reached
    assert not result(wait).cancelled
