"""The phases of a connection and their deadlines, draining, aborting, and calls that mean nothing."""

from math import inf

import pytest
from tests.core.driving import GET, GET_10, Driven

from httpng_core import Closing, Connection, ExchangeEnded, Readiness, RequestReceived, Settings

POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"


def done(received: bytes = GET) -> Driven:
    """A connection after one whole response."""
    driven = Driven(received)
    driven.exchange.finish(driven.now)
    driven.push()
    return driven


def timed_out(driven: Driven, seconds: float) -> None:
    """Nothing happens just before `seconds` have passed; then the deadline."""
    deadline = driven.connection.next_deadline()
    assert deadline == pytest.approx(driven.now + seconds)
    driven.advance(seconds - 0.01)
    assert driven.refused == []
    assert not driven.connection.close_expected()
    driven.advance(0.01)


# Waiting for requests ---------------------------------------------------------------------------------


def test_a_client_that_says_nothing_is_closed_after_header_timeout() -> None:
    driven = Driven(b"")
    timed_out(driven, 10)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET
    assert driven.wire == b""


def test_a_head_that_takes_longer_than_header_timeout_is_408() -> None:
    driven = Driven(GET[:5])
    driven.advance(6)
    driven.receive(GET[5:10])
    timed_out(driven, 4)
    driven.push()
    assert driven.refused == [408]
    assert [response.status for response in driven.responses()] == [408]
    assert driven.connection.half_close_expected()


def test_a_body_that_takes_longer_than_body_timeout_is_408() -> None:
    driven = Driven(POST + b"123", body_timeout=20, min_body_rate=0)
    timed_out(driven, 20)
    assert driven.refused == [408]


def test_the_head_of_the_next_request_has_header_timeout_of_its_own() -> None:
    driven = done()
    driven.advance(70)
    driven.receive(GET[:5])
    timed_out(driven, 10)
    assert driven.refused == [408]


def test_a_request_read_ahead_in_part_has_header_timeout_too() -> None:
    driven = done(GET + GET[:5])
    timed_out(driven, 10)
    assert driven.refused == [408]


def test_an_idle_connection_is_closed_after_keepalive_timeout() -> None:
    driven = done()
    timed_out(driven, 75)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET
    assert driven.refused == []


def test_an_empty_line_does_not_end_an_idle_connection_early() -> None:
    driven = done()
    driven.receive(b"\r\n")
    timed_out(driven, 75)
    assert driven.connection.close_expected()


def test_while_a_handler_runs_there_is_no_deadline() -> None:
    assert Driven().connection.next_deadline() is None


@pytest.mark.parametrize("received", [b"", GET[:5], POST])
def test_infinity_is_no_deadline(received: bytes) -> None:
    driven = Driven(
        received,
        header_timeout=inf,
        body_timeout=inf,
        keepalive_timeout=inf,
        stall_timeout=inf,
        min_body_rate=0,
    )
    assert driven.connection.next_deadline() is None
    driven.advance(1e9)
    assert not driven.connection.close_expected()


def test_the_next_deadline_is_the_earliest() -> None:
    driven = Driven(default_send_window=1)
    driven.write("ab", timeout=50)
    assert driven.connection.next_deadline() == driven.now + 50
    driven.wait(9, timeout=40)
    assert driven.connection.next_deadline() == driven.now + 40
    driven.exchange.close(driven.now)
    assert driven.connection.next_deadline() == driven.now + 30


# Timeouts of calls ------------------------------------------------------------------------------------


def test_the_timeout_of_a_call_is_its_argument_else_the_default() -> None:
    for timeout, expected in ((None, 7), (0, 0), (2.5, 2.5), (3, 3)):
        driven = Driven(default_send_timeout=7)
        wait = driven.wait(5, timeout)
        assert wait.deadline == driven.now + expected
        driven.advance(expected)
        assert wait.settled


@pytest.mark.parametrize("timeout", [inf, 10**400], ids=["infinity", "more than a float can hold"])
def test_infinity_waits_for_ever(timeout: float) -> None:
    driven = Driven()
    wait, header = driven.wait(5, timeout), driven.header(timeout=timeout)
    write = driven.write("x", timeout=timeout, window=0)
    assert driven.connection.next_deadline() is None
    driven.advance(1e12)
    assert not any(call.settled for call in (wait, header, write))


def test_0_takes_what_the_socket_takes_now_without_waiting() -> None:
    driven = Driven(default_send_window=10)
    long = driven.write(b"x" * 40_000, timeout=0)
    driven.push(20_000)
    driven.advance(0)
    assert long.settled
    assert driven.stats.current == 40_000, "a frame of 16 KiB, and one of the rest"
    driven = Driven(default_send_window=10)
    assert driven.write("fits", timeout=0).result is None


def test_the_window_is_read_once_when_the_call_starts() -> None:
    driven = Driven(default_send_window=10)
    driven.write("1234567890")
    small, large = driven.write("abc", window=3), driven.write("def", window=100)
    driven.push(0)
    assert not small.settled
    assert not large.settled, "it isn't its turn"
    driven.push()
    assert small.settled
    assert large.settled


def test_a_write_that_times_out_does_not_cancel_the_exchange() -> None:
    driven = Driven(default_send_window=10)
    driven.write(b"x" * 50, timeout=1)
    driven.advance(1)
    assert driven.outcomes == []
    assert not driven.stats.cancelled
    assert driven.write("more").result is None


def test_timeouts_run_while_nothing_can_be_sent() -> None:
    driven = Driven(default_send_window=1)
    driven.push(0)
    write = driven.write("ab", timeout=1)
    driven.push(0)
    driven.advance(1)
    assert write.settled
    assert driven.connection.next_deadline() is None


# The end of a connection ------------------------------------------------------------------------------


def test_after_the_last_response_our_side_is_shut_and_the_fin_of_the_client_awaited() -> None:
    driven = done(GET_10)
    assert driven.connection.half_close_expected()
    assert not driven.connection.close_expected()
    assert driven.connection.wants_read
    driven.receive(b"whatever" * 100_000)
    assert driven.connection.wants_read
    driven.eof()
    assert driven.connection.close_expected()
    assert not driven.connection.half_close_expected()
    assert driven.connection.close_expected() is not Closing.RESET


def test_the_fin_is_awaited_for_5_seconds_whatever_the_client_sends() -> None:
    driven = done(GET_10)
    driven.advance(4.9)
    driven.receive(b"x")
    driven.advance(0.1)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET


def test_a_fin_that_has_come_is_not_awaited() -> None:
    driven = Driven(GET_10)
    driven.eof()
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.connection.close_expected()


def test_a_fin_between_requests_closes() -> None:
    driven = done()
    driven.eof()
    assert driven.connection.close_expected()
    assert driven.refused == []
    assert driven.connection.next_deadline() is None


def test_a_fin_before_any_request_closes() -> None:
    driven = Driven(b"")
    driven.eof()
    assert driven.connection.close_expected()


@pytest.mark.parametrize("received", [GET[:-1], POST, POST + b"123"])
def test_a_fin_in_the_middle_of_a_request_is_400(received: bytes) -> None:
    driven = Driven(received)
    driven.eof()
    assert driven.refused == [400]
    driven.push()
    assert driven.responses()[0].status == 400
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET


def test_a_fin_behind_part_of_a_pipelined_request_is_400() -> None:
    driven = Driven(GET + GET[:5])
    driven.eof()
    driven.exchange.finish(driven.now)
    driven.push()
    assert [response.status for response in driven.responses()] == [200, 400]
    assert driven.connection.close_expected()


def test_a_refusal_that_the_client_does_not_take_is_reset_after_stall_timeout() -> None:
    driven = Driven(b"\0")
    driven.push(5)
    timed_out_after_refusal = driven.connection.next_deadline()
    assert timed_out_after_refusal == driven.now + 30
    driven.advance(20)
    driven.push(5)
    driven.advance(29)
    assert not driven.connection.close_expected()
    driven.advance(1)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is Closing.RESET


def test_a_fin_during_a_refusal_closes_after_it() -> None:
    driven = Driven(b"\0")
    driven.push(5)
    driven.eof()
    assert not driven.connection.close_expected()
    driven.push()
    assert driven.connection.close_expected()


# Drain ------------------------------------------------------------------------------------------------


def test_drain_closes_an_idle_connection() -> None:
    driven = done()
    driven.connection.drain(driven.now)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET


def test_drain_leaves_a_new_connection_a_moment_for_its_first_request() -> None:
    driven = Driven(b"")
    driven.connection.drain(driven.now)
    driven.advance(0.2)
    driven.receive(GET)
    driven.exchange.finish(driven.now)
    assert driven.exchange.draining
    driven.push()
    (response,) = driven.responses()
    assert (response.status, response.headers["connection"]) == (200, "close")
    assert driven.connection.half_close_expected()


def test_drain_closes_a_new_connection_that_asks_for_nothing() -> None:
    driven = Driven(b"")
    driven.connection.drain(driven.now)
    timed_out(driven, 0.25)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET
    assert driven.wire == b""


def test_drain_without_patience_closes_a_new_connection_at_once() -> None:
    driven = Driven(b"")
    driven.connection.drain(driven.now, patient=False)
    assert driven.connection.close_expected()


@pytest.mark.parametrize("begun", [GET[:1], b"PRI * HT"])
def test_a_first_request_that_has_begun_by_then_has_header_timeout(begun: bytes) -> None:
    driven = Driven(b"")
    driven.connection.drain(driven.now)
    driven.receive(begun)
    driven.advance(0.3)
    assert not driven.connection.close_expected()
    driven.advance(9.7)
    assert driven.connection.close_expected() or driven.refused == [408]


def test_drain_lets_the_exchange_under_way_end_and_says_close() -> None:
    driven = Driven(GET + GET)
    driven.connection.drain(driven.now)
    driven.write("abc")
    driven.exchange.finish(driven.now)
    driven.push()
    (response,) = driven.responses()
    assert (response.body, response.headers["connection"]) == (b"abc", "close")
    assert driven.connection.half_close_expected()
    assert len(driven.exchanges) == 1


def test_drain_in_the_middle_of_a_response_closes_after_it() -> None:
    driven = Driven()
    driven.write("abc")
    driven.push()
    driven.connection.drain(driven.now)
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.body == b"abc"
    assert driven.connection.half_close_expected()


def test_drain_lets_a_request_that_has_begun_come_in() -> None:
    driven = Driven(GET[:5])
    driven.connection.drain(driven.now)
    driven.receive(GET[5:])
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.responses()[0].headers["connection"] == "close"
    assert driven.connection.half_close_expected()


def test_drain_while_the_fin_is_awaited_changes_nothing() -> None:
    driven = done(GET_10)
    driven.connection.drain(driven.now)
    assert driven.connection.half_close_expected()


# Abort and loss ---------------------------------------------------------------------------------------


def test_abort_resets_and_cancels_what_runs() -> None:
    driven = Driven()
    driven.write("abc")
    driven.push(5)
    driven.connection.abort(driven.now)
    assert driven.outcomes == ["cancelled"]
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is Closing.RESET
    assert not driven.connection.wants_write
    assert not driven.connection.wants_read


def test_abort_while_the_fin_is_awaited_does_not_reset_a_reset_would_eat_the_answer() -> None:
    driven = done(GET_10)
    driven.connection.abort(driven.now)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET


def test_a_lost_connection_is_closed_without_a_reset_of_ours() -> None:
    driven = Driven()
    driven.lost()
    assert driven.outcomes == ["cancelled"]
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET


def test_the_socket_of_a_response_that_was_cancelled_or_reset_is_reset() -> None:
    for how in ("cancel", "reset"):
        driven = Driven()
        driven.write("abc")
        driven.push(5)
        getattr(driven.exchange, how)(driven.now)
        assert driven.connection.close_expected()
        assert driven.connection.close_expected() is Closing.RESET


def test_the_time_an_exchange_took_is_told() -> None:
    driven = Driven()
    driven.clock.now += 2.5
    driven.exchange.finish(driven.now)
    driven.push()
    ended = driven.events[-1]
    assert isinstance(ended, ExchangeEnded)
    assert ended.seconds == 2.5


# Calls that mean nothing ------------------------------------------------------------------------------


def test_without_an_exchange_nobody_needs_to_be_asked() -> None:
    assert Driven(b"").connection.prepare() is not Readiness.ASK


def test_spurious_calls_do_nothing() -> None:
    driven = Driven()
    connection = driven.connection
    for _ in range(2):
        connection.receive_data(b"", driven.now)
        connection.bytes_accepted(0, driven.now)
        connection.handle_timeout(driven.now)
        assert connection.data_to_send(driven.now) == []
        assert connection.next_event() is None
    assert not connection.wants_write
    assert connection.prepare() is not Readiness.ASK
    assert driven.positions == (0, 0)


def test_acknowledgements_that_nobody_asked_for_do_nothing() -> None:
    for driven in (Driven(), done(GET_10), Driven(b"")):
        before = driven.connection.next_deadline()
        for total in (0, 1, 10**9, None, None, 0):
            driven.connection.bytes_acknowledged(total, driven.now)
        assert driven.connection.next_deadline() == before
        assert driven.connection.next_event() is None


def test_an_offer_stays_the_same_until_it_is_answered() -> None:
    driven = Driven()
    driven.write("abc")
    offer = driven.connection.data_to_send(driven.now)
    driven.write("def")
    driven.exchange.finish(driven.now)
    assert driven.connection.data_to_send(driven.now) == offer
    assert driven.connection.wants_write
    driven.connection.bytes_accepted(0, driven.now)
    driven.push()
    assert driven.body == b"abcdef"


def test_an_offer_of_bytes_of_a_waiting_writer_stays_accepted_when_it_is_refused() -> None:
    driven = Driven(default_send_window=10)
    write = driven.write(b"x" * 100)
    driven.connection.data_to_send(driven.now, 20)
    driven.connection.bytes_accepted(0, driven.now)
    assert driven.positions == (20, 0)
    driven.push()
    assert write.result is None
    assert driven.body == b"x" * 100


def test_an_end_without_bytes_does_not_wait_for_the_socket() -> None:
    """The kernel has all of it: a client that is slow to read it has not stalled our flush."""
    driven = Driven(GET_10)
    driven.write(b"x" * 30_000)
    driven.push(5)
    assert driven.push() > 0
    assert driven.positions == (30_000, 30_000)
    driven.exchange.finish(driven.now)
    assert driven.connection.wants_write
    assert driven.connection.prepare() is not Readiness.ASK
    assert driven.connection.data_to_send(driven.now) == []
    assert driven.outcomes == ["complete"]


def test_an_end_with_bytes_does() -> None:
    driven = Driven()
    driven.write(b"x" * 30_000)
    driven.push(5)
    driven.push()
    driven.exchange.finish(driven.now)
    assert driven.connection.prepare() is Readiness.ASK
    assert driven.connection.data_to_send(driven.now) == [b"0\r\n\r\n"]


def test_more_than_was_offered_raises() -> None:
    driven = Driven()
    driven.write("abc")
    offer = b"".join(driven.connection.data_to_send(driven.now))
    with pytest.raises(ValueError, match="1 more bytes accepted than were offered"):
        driven.connection.bytes_accepted(len(offer) + 1, driven.now)
    with pytest.raises(ValueError, match="more bytes accepted"):
        Driven().connection.bytes_accepted(1, 0.0)


def test_a_closed_connection_answers_nothing() -> None:
    driven = Driven()
    driven.lost()
    driven.lost()
    driven.receive(GET)
    driven.eof()
    assert Driven(b"").connection.data_to_send(driven.now) == []
    driven.connection.bytes_accepted(7, driven.now)
    driven.connection.drain(driven.now)
    driven.connection.abort(driven.now)
    driven.advance(1e6)
    assert driven.connection.data_to_send(driven.now) == []
    assert driven.connection.next_deadline() is None
    assert driven.outcomes == ["cancelled"]
    assert len(driven.exchanges) == 1


def test_whoever_drives_is_woken_when_there_is_something_to_do() -> None:
    driven = Driven()
    assert driven.wakes == 0
    driven.write("abc")
    woken = driven.wakes
    assert woken
    driven.push()
    driven.exchange.finish(driven.now)
    assert driven.wakes > woken
    woken = driven.wakes
    driven.push()
    driven.connection.drain(driven.now)
    assert driven.connection.close_expected()
    assert driven.wakes > woken


def test_a_connection_works_without_anyone_to_wake() -> None:
    connection = Connection(Settings(), 0.0)
    connection.receive_data(GET, 0.0)
    event = connection.next_event()
    assert isinstance(event, RequestReceived)
    event.exchange.finish(0.0)
    assert b"date" not in b"".join(connection.data_to_send(0.0))


def test_nothing_of_one_connection_gets_into_another() -> None:
    first, second = Driven(GET[:10]), Driven(GET)
    second.write("second")
    first.receive(GET[10:])
    first.exchange.finish(first.now)
    first.push()
    second.push()
    assert b"second" not in first.wire
    assert second.body == b"second"
