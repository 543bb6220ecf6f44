"""The specification's sections "End of the exchange", "cancelled" and "send_stats", a test a sentence."""

from typing import Any

import pytest
from tests.core.driving import GET, HEAD, Driven, result

from httpng_core import (
    Closing,
    ContentLengthError,
    Response,
    ResponseStateError,
    body_bytes_sent,
    cancelled,
    headers_were_sent,
)
from httpng_core.sending import ResponseState

SUBSTITUTE = b"Path handler execution error"


@pytest.fixture
def driven() -> Driven:
    return Driven(default_send_window=10)


def short_write(driven: Driven) -> None:
    """The last write falls short by some bytes."""
    driven.write(b"x" * 20_000, timeout=1)
    driven.push(1)
    driven.advance(1)


# When the handler returns -----------------------------------------------------------------------------


def test_writers_still_queued_settle_as_cancelled(driven: Driven) -> None:
    driven.write("1234567890")
    first, second = driven.write("abc"), driven.write(b"x" * 20)
    driven.exchange.finish(driven.now)
    assert cancelled(first.result)
    assert cancelled(second.result)
    assert body_bytes_sent(first.result) == 0


def test_accepted_bytes_are_flushed(driven: Driven) -> None:
    driven.write("1234567890")
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.body == b"1234567890"
    assert driven.outcomes == ["complete"]


def test_a_write_that_was_called_last_and_still_waits_fell_short(driven: Driven) -> None:
    driven.write("1234567890")
    driven.write("never")
    driven.exchange.finish(driven.now)
    ends_short(driven, b"1234567890")


def test_then_every_wait_settles(driven: Driven) -> None:
    driven.write("123")
    waits = [driven.wait(position) for position in (3, 0, 100)]
    driven.exchange.finish(driven.now)
    assert not any(wait.settled for wait in waits)
    driven.push()
    assert [result(wait).reached for wait in waits] == [True, True, False]
    assert [result(wait).cancelled for wait in waits] == [False, False, True]


def test_a_wait_may_begin_during_the_flush(driven: Driven) -> None:
    driven.write("123")
    driven.exchange.finish(driven.now)
    wait = driven.wait(0)
    driven.push()
    assert result(wait).reached


@pytest.mark.parametrize("flushed", [False, True])
def test_from_then_on_calls_behave_as_after_cancellation(driven: Driven, flushed: bool) -> None:
    driven.write("123")
    driven.exchange.finish(driven.now)
    if flushed:
        driven.push()
    late = driven.write("late")
    assert cancelled(late.result)
    assert body_bytes_sent(late.result) == 0
    assert driven.stats.current == 3
    driven.exchange.finish(driven.now)
    driven.exchange.close(driven.now)
    driven.exchange.respond(Response(body="more"), driven.now)
    driven.push()
    assert driven.body == b"123"
    assert cancelled(driven.wait(1000).result)


def test_after_a_clean_end_the_stats_do_not_say_cancelled(driven: Driven) -> None:
    driven.write("123")
    driven.exchange.finish(driven.now)
    driven.push()
    assert not driven.stats.cancelled
    assert driven.exchange.is_over
    assert driven.exchange.state is ResponseState.CLOSED


def test_an_exchange_whose_handler_sent_nothing_is_200_and_empty(driven: Driven) -> None:
    driven.exchange.finish(driven.now, {"x": "y"})
    driven.push()
    (response,) = driven.responses()
    assert (response.status, response.body, response.complete) == (200, b"", True)
    assert response.headers == {"x": "y", "content-length": "0"}


def test_a_pending_write_header_gets_its_nil_in_the_flush(driven: Driven) -> None:
    call = driven.header()
    driven.exchange.finish(driven.now)
    assert not call.settled
    driven.push()
    assert call.result is None


# The flush --------------------------------------------------------------------------------------------


def test_a_flush_in_which_no_byte_moves_for_stall_timeout_is_reset(driven: Driven) -> None:
    driven.write("1234567890")
    wait = driven.wait(0, timeout=1000)
    driven.exchange.finish(driven.now)
    driven.advance(29.9)
    assert driven.outcomes == []
    driven.advance(0.1)
    assert driven.outcomes == ["reset"]
    assert result(wait).cancelled
    assert driven.stats.cancelled
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is Closing.RESET


def test_every_byte_that_moves_gives_the_flush_new_time(driven: Driven) -> None:
    driven.write("1234567890")
    driven.exchange.finish(driven.now)
    while driven.connection.wants_write:
        driven.advance(29)
        assert driven.push(1) == 1
    assert driven.outcomes == ["complete"]
    assert driven.body == b"1234567890"


def test_a_body_that_the_handler_returned_waits_for_room_under_the_same_rule(driven: Driven) -> None:
    driven.exchange.respond(Response(body=b"x" * 100_000), driven.now)
    for _ in range(5):
        driven.advance(29)
        driven.push(1000)
    driven.advance(30)
    assert driven.outcomes == ["reset"]
    assert driven.stats.current - driven.stats.sent <= 16 * 1024


def test_a_returned_body_that_is_taken_is_complete(driven: Driven) -> None:
    driven.exchange.respond(Response(body=b"x" * 100_000), driven.now)
    driven.push()
    (response,) = driven.responses()
    assert response.headers["content-length"] == "100000"
    assert len(response.body) == 100_000
    assert driven.outcomes == ["complete"]


def test_a_returned_body_is_appended_to_the_response_that_was_begun(driven: Driven) -> None:
    driven.header(404)
    driven.write("1234567890")
    driven.exchange.respond(Response(body="tail", status=500, headers={"x": "y"}), driven.now)
    driven.push()
    (response,) = driven.responses()
    assert (response.status, response.body, response.complete) == (404, b"1234567890tail", True)


def test_before_the_handler_returned_nothing_moving_is_no_reason_to_reset(driven: Driven) -> None:
    driven.write("1234567890")
    driven.advance(10_000)
    assert driven.outcomes == []


# The last write fell short ----------------------------------------------------------------------------


def ends_short(driven: Driven, body: bytes) -> None:
    """What was accepted is flushed; then comes a FIN, and the client can tell that something is missing."""
    assert driven.outcomes == []
    driven.push()
    assert driven.outcomes == ["cut short"]
    (response,) = driven.responses()
    assert (response.body, response.complete) == (body, False)
    assert driven.connection.half_close_expected()
    assert driven.connection.close_expected() is not Closing.RESET


def test_if_the_last_write_fell_short_the_end_is_cut_short(driven: Driven) -> None:
    short_write(driven)
    driven.exchange.finish(driven.now)
    ends_short(driven, b"x" * 16 * 1024)


def test_a_write_of_which_nothing_was_accepted_fell_short_as_well(driven: Driven) -> None:
    driven.write("1234567890")
    driven.write("a", timeout=1)
    driven.advance(1)
    driven.exchange.finish(driven.now)
    ends_short(driven, b"1234567890")


@pytest.mark.parametrize("size", [5, 30])
def test_a_later_write_that_does_not_fall_short_makes_up_for_it(driven: Driven, size: int) -> None:
    short_write(driven)
    driven.push()
    driven.write(b"y" * size)
    driven.push()
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.outcomes == ["complete"]


def test_an_empty_write_does_not_make_up_for_it(driven: Driven) -> None:
    short_write(driven)
    driven.push()
    assert driven.write("").result is None
    driven.exchange.finish(driven.now)
    assert driven.outcomes == ["cut short"]


def test_nor_does_an_empty_write_that_had_to_wait(driven: Driven) -> None:
    driven.write("1234567890")
    driven.write("short", timeout=1)
    empty = driven.write("", timeout=9, window=0)
    driven.advance(1)
    assert not empty.settled
    driven.push()
    assert empty.result is None
    driven.exchange.finish(driven.now)
    assert driven.outcomes == ["cut short"]


def test_nor_does_an_empty_write_that_timed_out(driven: Driven) -> None:
    driven.write("1234567890")
    driven.write("short", timeout=1)
    driven.write("", timeout=2, window=0)
    driven.advance(2)
    driven.exchange.finish(driven.now)
    ends_short(driven, b"1234567890")


def test_an_empty_write_that_timed_out_does_not_fall_short(driven: Driven) -> None:
    driven.write("1234567890")
    driven.write("", timeout=1, window=0)
    driven.advance(1)
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.outcomes == ["complete"]


def test_nor_does_an_empty_body_that_is_returned(driven: Driven) -> None:
    short_write(driven)
    driven.push()
    driven.exchange.respond(Response(), driven.now)
    assert driven.outcomes == ["cut short"]


@pytest.mark.parametrize("size", [5, 30])
def test_a_body_that_is_returned_makes_up_for_it(driven: Driven, size: int) -> None:
    short_write(driven)
    driven.exchange.respond(Response(body=b"y" * size), driven.now)
    driven.push()
    assert driven.outcomes == ["complete"]
    assert driven.body == b"x" * 16 * 1024 + b"y" * size


def test_close_ends_cleanly_the_handler_says_that_it_knows(driven: Driven) -> None:
    short_write(driven)
    driven.exchange.close(driven.now)
    driven.push()
    assert driven.outcomes == ["complete"]
    assert driven.body == b"x" * 16 * 1024


def test_close_again_does_nothing(driven: Driven) -> None:
    driven.exchange.close(driven.now, {"x": "y"})
    driven.exchange.close(driven.now)
    driven.push()
    driven.exchange.close(driven.now)
    assert driven.outcomes == ["complete"]
    assert driven.responses()[0].headers["x"] == "y"


# Content-Length ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["finish", "close"])
def test_fewer_bytes_than_the_content_length_cut_it_short(driven: Driven, how: str) -> None:
    driven.header(headers={"content-length": 5})
    driven.write("1234")
    getattr(driven.exchange, how)(driven.now)
    ends_short(driven, b"1234")


@pytest.mark.parametrize("body", ["abc", "abcdef", ""])
def test_a_returned_body_that_disagrees_with_its_content_length_raises_and_is_not_sent(
    driven: Driven, body: str
) -> None:
    with pytest.raises(ContentLengthError):
        driven.exchange.respond(Response(body=body, headers={"content-length": 5}), driven.now)
    assert driven.positions == (0, 0)
    # What runs handlers lets it fail then.
    driven.exchange.fail(driven.now)
    driven.push()
    assert [response.status for response in driven.responses()] == [500]
    assert driven.outcomes == ["complete"]


def test_a_returned_body_that_waits_for_room_counts_towards_the_content_length(driven: Driven) -> None:
    driven.header(headers={"content-length": 105})
    driven.write("12345")
    driven.exchange.respond(Response(body=b"x" * 100), driven.now)
    driven.push()
    assert driven.outcomes == ["complete"]


def test_a_returned_body_longer_than_declared_raises_and_nothing_of_it_is_sent(driven: Driven) -> None:
    driven.header(headers={"content-length": 5})
    driven.write("123")
    with pytest.raises(ContentLengthError):
        driven.exchange.respond(Response(body="456"), driven.now)
    assert driven.stats.current == 3


@pytest.mark.parametrize(("request_bytes", "code"), [(HEAD, 200), (GET, 204), (GET, 205), (GET, 304)])
def test_for_head_204_205_and_304_content_length_is_not_enforced(request_bytes: bytes, code: int) -> None:
    for size in (0, 3, 7):
        driven = Driven(request_bytes)
        driven.header(code, {"content-length": 5})
        driven.write(b"x" * size)
        driven.exchange.finish(driven.now)
        driven.push()
        assert driven.outcomes == ["complete"]


@pytest.mark.parametrize("code", [204, 304])
def test_a_returned_204_or_304_declares_no_length_of_its_own(code: int) -> None:
    driven = Driven()
    driven.exchange.respond(Response(status=code, body="dropped"), driven.now)
    driven.push()
    (response,) = driven.responses()
    assert (response.status, response.headers, response.complete) == (code, {}, True)
    assert driven.positions == (7, 7)


# A handler that raises --------------------------------------------------------------------------------


def test_a_handler_that_raises_is_500_if_nothing_was_committed(driven: Driven) -> None:
    driven.header(200, {"x": "y", "content-length": 10})
    driven.write("1234567890")
    driven.exchange.fail(driven.now)
    driven.push()
    (response,) = driven.responses()
    assert (response.status, response.body, response.complete) == (500, SUBSTITUTE, True)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert "x" not in response.headers
    assert driven.outcomes == ["complete"]


def test_what_was_accepted_is_dropped_and_the_substitute_is_not_counted(driven: Driven) -> None:
    driven.write("12345")
    driven.exchange.fail(driven.now)
    driven.push()
    assert driven.positions == (5, 0)
    assert driven.stats.lag == 0
    assert not driven.stats.cancelled


def test_a_frame_that_was_refused_was_not_committed(driven: Driven) -> None:
    driven.write("12345")
    driven.push(0)
    driven.exchange.fail(driven.now)
    driven.push()
    assert [response.status for response in driven.responses()] == [500]


def test_the_500_for_a_head_request_has_no_body() -> None:
    driven = Driven(HEAD + GET)
    driven.header(204)
    driven.exchange.fail(driven.now)
    driven.push()
    driven.exchange.finish(driven.now)
    driven.push()
    first, second = driven.responses("HEAD", "GET")
    assert (first.status, first.headers["content-length"], first.body) == (500, str(len(SUBSTITUTE)), b"")
    assert second.status == 200


@pytest.mark.parametrize("taken", [1, 60, 1000])
def test_a_handler_that_raises_later_is_cut_short(driven: Driven, taken: int) -> None:
    driven.write("12345")
    driven.push(taken)
    driven.exchange.fail(driven.now)
    driven.push()
    assert driven.outcomes == ["cut short"]
    (response,) = driven.responses()
    assert (response.body, response.complete) == (b"12345", False)


@pytest.mark.parametrize("taken", [0, 10, 1000])
def test_a_handler_that_raises_while_a_frame_is_offered_is_cut_short(driven: Driven, taken: int) -> None:
    driven.write("12345")
    driven.wire += b"".join(driven.connection.data_to_send(driven.now))[:taken]
    driven.exchange.fail(driven.now)
    driven.connection.bytes_accepted(len(driven.wire), driven.now)
    driven.push()
    assert driven.outcomes == ["cut short"]
    assert driven.body == b"12345"
    assert not driven.responses()[0].complete


@pytest.mark.parametrize("taken", [0, 10, 1000])
@pytest.mark.parametrize("end", ["close", "finish"])
def test_an_error_after_the_end_changes_nothing(driven: Driven, end: str, taken: int) -> None:
    driven.write("12345")
    getattr(driven.exchange, end)(driven.now)
    driven.push(taken)
    driven.exchange.fail(driven.now)
    driven.push()
    assert driven.outcomes == ["complete"]
    assert [(each.status, each.body, each.complete) for each in driven.responses()] == [(200, b"12345", True)]


def test_what_waits_when_a_handler_raises_is_told_that_it_is_over(driven: Driven) -> None:
    header = driven.header()
    driven.write("1234567890")
    write, wait = driven.write("abc"), driven.wait(5)
    driven.exchange.fail(driven.now)
    driven.push()
    assert result(write).cancelled
    assert result(header).cancelled, "the block that went out wasn't this one"
    assert not headers_were_sent(header.result)
    assert not result(wait).reached


def test_a_500_keeps_the_connection(driven: Driven) -> None:
    driven.exchange.fail(driven.now)
    driven.push()
    driven.receive(GET)
    assert len(driven.exchanges) == 2


# cancelled --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reset", "fin", "abort", "exchange"])
def test_everything_pending_settles_at_once(driven: Driven, how: str) -> None:
    driven.write("1234567890")
    pending = [driven.write("abc"), driven.write(b"x" * 30), driven.wait(0), driven.wait(99)]
    causes: dict[str, Any] = {
        "reset": driven.lost,
        "fin": driven.eof,
        "abort": lambda: driven.connection.abort(driven.now),
        "exchange": lambda: driven.exchange.cancel(driven.now),
    }
    causes[how]()
    assert all(result(one).cancelled for one in pending)
    assert driven.outcomes == ["cancelled"]
    assert driven.connection.next_deadline() is None


def test_queues_are_dropped_current_stays_and_lag_is_0(driven: Driven) -> None:
    driven.write("12345")
    driven.push(1)
    driven.clock.now += 1
    assert driven.stats.lag == 1
    driven.lost()
    assert driven.stats.current == 5
    assert driven.stats.lag == 0
    assert driven.stats.cancelled
    assert driven.push() == 0


def test_cancelled_is_sticky_later_writes_return_at_once_cancelled_0_bytes(driven: Driven) -> None:
    driven.write("12345")
    driven.lost()
    for body in ("", "abc", "x" * 50):
        late = driven.write(body)
        assert result(late).cancelled
        assert body_bytes_sent(late.result) == 0
    driven.exchange.finish(driven.now)
    driven.exchange.fail(driven.now)
    driven.exchange.reset(driven.now)
    driven.exchange.cancel(driven.now)
    assert driven.outcomes == ["cancelled"]
    assert driven.stats.cancelled
    assert driven.stats.current == 5


def test_what_was_sent_stays_sent(driven: Driven) -> None:
    driven.header(headers={"content-length": 10})
    driven.push()
    driven.write("12345")
    driven.push(3)
    driven.lost()
    driven.connection.bytes_accepted(2, driven.now)
    assert driven.positions == (5, 3)


def test_the_rest_of_a_frame_that_goes_out_afterwards_counts_as_sent_and_ends_nothing(driven: Driven) -> None:
    """HTTP/1.1 resets, so it never comes to that; other protocols can't take such a frame back."""
    exchange = driven.exchange
    driven.write("12345")
    exchange.commit_frames(head=True, size=5, end=True)
    exchange.cancel(driven.now)
    exchange.paid(head=True, size=0, end=False, now=driven.now)
    exchange.paid(head=False, size=5, end=False, now=driven.now)
    exchange.paid(head=False, size=0, end=True, now=driven.now)
    assert driven.positions == (5, 5)
    assert driven.stats.cancelled
    assert driven.outcomes == ["cancelled"]


def test_whoever_waits_for_the_end_is_told_once(driven: Driven) -> None:
    calls: list[int] = []
    driven.exchange.on_over = lambda: calls.append(1)
    driven.lost()
    driven.exchange.reset(driven.now)
    assert calls == [1]


def test_a_write_header_after_the_end_that_none_was_given_before_is_cancelled(driven: Driven) -> None:
    driven.exchange.finish(driven.now)
    assert result(driven.header()).cancelled
    with pytest.raises(TypeError):
        driven.header("200")  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["write", "header"])
def test_a_second_write_header_after_the_end_raises(driven: Driven, how: str) -> None:
    driven.write("") if how == "write" else driven.header()
    driven.exchange.finish(driven.now)
    with pytest.raises(ResponseStateError):
        driven.header()


# Half-close -------------------------------------------------------------------------------------------

RULES = ["streaming", "always", "never"]


@pytest.mark.parametrize(("rule", "cancels"), [("streaming", False), ("always", True), ("never", False)])
def test_a_fin_before_the_response_has_begun(rule: str, cancels: bool) -> None:
    driven = Driven(cancel_on_half_close=rule)
    driven.eof()
    assert driven.outcomes == (["cancelled"] if cancels else [])
    driven.write("whole answer")
    driven.eof()
    driven.exchange.finish(driven.now)
    driven.push()
    if not cancels:
        assert driven.body == b"whole answer"
        assert driven.outcomes == ["complete"]
        assert driven.connection.close_expected()
        assert driven.connection.close_expected() is not Closing.RESET


@pytest.mark.parametrize(("rule", "cancels"), [("streaming", True), ("always", True), ("never", False)])
def test_a_fin_after_the_response_has_begun(rule: str, cancels: bool) -> None:
    driven = Driven(cancel_on_half_close=rule)
    driven.write("abc")
    driven.push()
    driven.eof()
    assert driven.outcomes == (["cancelled"] if cancels else [])
    assert driven.stats.cancelled is cancels


@pytest.mark.parametrize("rule", RULES)
def test_a_response_that_is_complete_is_flushed_whatever_the_client_half_closes(rule: str) -> None:
    driven = Driven(cancel_on_half_close=rule)
    driven.write("abc")
    driven.exchange.finish(driven.now)
    driven.eof()
    assert not driven.connection.wants_read
    driven.push()
    assert driven.body == b"abc"
    assert driven.outcomes == ["complete"]


# send_stats -------------------------------------------------------------------------------------------


def test_stats_are_a_snapshot(driven: Driven) -> None:
    before = driven.stats
    driven.write("abc")
    assert (before.current, driven.stats.current) == (0, 3)
    assert driven.stats.acked is None
    with pytest.raises(AttributeError):
        before.current = 1  # type: ignore[misc]


def test_lag_is_the_age_of_the_oldest_byte_in_flight(driven: Driven) -> None:
    driven.header(headers={"content-length": 10})
    driven.push()
    assert driven.stats.lag == 0
    driven.write("ab")
    driven.clock.now += 1.5
    driven.write("cd")
    assert driven.stats.lag == 1.5
    driven.push(2)
    assert driven.stats.lag == 0
    driven.clock.now += 0.25
    assert driven.stats.lag == 0.25
    driven.push(2)
    assert driven.stats.lag == 0


def test_a_write_of_another_task_that_is_cut_in_its_middle_cuts_the_end_short() -> None:
    for end in ("finish", "respond", "close"):
        driven = Driven(default_send_window=10)
        write = driven.exchange.write(b"x" * 50_000, driven.now)
        driven.push(20_000)
        assert not write.settled
        if end == "respond":
            driven.exchange.respond(Response(body=b"and more"), driven.now)
        else:
            getattr(driven.exchange, end)(driven.now)
        assert write.result is not None
        assert write.result.cancelled
        driven.push()
        # Closing says that the handler knows.
        assert driven.outcomes == (["complete"] if end == "close" else ["cut short"])
