"""The two unclean ends on each transport: cut short (what was accepted arrives), and reset (it is lost)."""

from typing import Any

import pytest
from tests.core.conftest import Carry
from tests.core.driving import GET_10, Driven
from tests.core.transports import TRANSPORTS

from httpng_core import Cause, Closing, EndKind, ExchangeEnded, Feed, Response
from httpng_core.sending import ResponseState

LONG = bytes(range(256)) * 400


# Cut short --------------------------------------------------------------------------------------------


@TRANSPORTS
def test_what_was_accepted_arrives_and_then_the_response_ends_without_its_end(
    carry: Carry, kind: str
) -> None:
    one = carry(kind, default_send_window=1 << 20)
    one.write(LONG)
    one.push(30_000)
    one.fail()
    assert (one.outcomes, one.end) == ([], "")
    one.push()
    assert one.body == LONG
    assert one.positions == (len(LONG), len(LONG))
    assert (one.outcomes, one.end) == (["cut short"], "short")


@TRANSPORTS
def test_when_the_last_write_fell_short(carry: Carry, kind: str) -> None:
    one = carry(kind, default_send_window=10)
    one.write(b"1234567890")
    one.write(b"never", timeout=1)
    one.advance(1)
    one.finish()
    one.push()
    assert (one.body, one.outcomes, one.end) == (b"1234567890", ["cut short"], "short")


@TRANSPORTS
def test_not_when_the_last_write_was_accepted_whole_although_its_caller_went(carry: Carry, kind: str) -> None:
    one = carry(kind, default_send_window=10)
    one.write(b"longer than the window", timeout=1)
    one.advance(1)
    last = one.write(b"the whole of it")
    one.push(5)
    one.exchange.withdraw(last, one.now)
    assert last.result is not None
    assert last.result.body_bytes_sent == len(b"the whole of it")
    one.push()
    one.finish()
    one.push()
    assert (one.body, one.outcomes, one.end) == (b"the whole of it", ["complete"], "whole")


@TRANSPORTS
def test_when_fewer_bytes_than_declared_were_written(carry: Carry, kind: str) -> None:
    one = carry(kind)
    one.header(headers={"content-length": 10})
    one.write(b"123")
    one.finish()
    one.push()
    assert (one.body, one.outcomes, one.end) == (b"123", ["cut short"], "short")


@TRANSPORTS
def test_while_it_is_flushed_calls_behave_as_after_cancellation(carry: Carry, kind: str) -> None:
    one = carry(kind)
    one.write(b"123")
    one.push(1)
    one.push(1)
    one.write(b"456")
    one.fail() if kind == "http/1.1" else one.exchange.withdraw(one.write(b"x" * (1 << 21)), one.now)
    one.finish()
    late = one.write(b"late")
    assert late.settled
    assert late.result is not None
    assert late.result.cancelled
    wait = one.exchange.wait(0, one.now)
    assert not wait.settled
    one.push()
    assert wait.result is not None
    assert wait.result.reached
    assert one.end == "short"


@TRANSPORTS
def test_what_waits_is_told_while_it_is_flushed(carry: Carry, kind: str) -> None:
    one = carry(kind, default_send_window=100)
    head = one.header()
    one.write(b"x" * 99)
    one.write(b"in vain", timeout=1, window=0)
    one.advance(1)
    wait = one.exchange.wait(1, one.now)
    one.finish()
    connection = one.driven.connection
    while not one.exchange.stats(one.now).sent:
        assert connection.wants_write
        offer = b"".join(connection.data_to_send(one.now, 7))
        connection.bytes_accepted(len(offer), one.now)
    assert one.exchange.stats(one.now).sent < 99
    assert wait.result is not None
    assert wait.result.reached
    assert head.settled


@TRANSPORTS
def test_a_flush_that_is_to_be_cut_short_may_stall_as_any(carry: Carry, kind: str) -> None:
    one = carry(kind, default_send_window=1 << 20, stall_timeout=7)
    one.write(LONG)
    one.push(30_000)
    one.fail()
    one.advance(6.9)
    assert one.outcomes == []
    one.advance(0.2)
    assert (one.outcomes, one.end) == (["reset"], "reset")


@TRANSPORTS
def test_a_client_that_leaves_meanwhile_is_gone(carry: Carry, kind: str) -> None:
    one = carry(kind, default_send_window=1 << 20)
    one.write(LONG)
    one.push(30_000)
    one.fail()
    one.driven.connection.connection_lost(one.now)
    assert one.outcomes == ["cancelled"]


@TRANSPORTS
@pytest.mark.parametrize("how", ["short", "length", "raised"])
def test_its_event_tells_why(carry: Carry, kind: str, how: str) -> None:
    one = carry(kind, default_send_window=10)
    if how == "length":
        one.header(headers={"content-length": 99})
    one.write(b"1234567890")
    one.push()
    if how == "short":
        one.write(b"x" * 11, timeout=0)
        one.advance(0)
    if how == "raised":
        one.exchange.fail(one.now, Cause(EndKind.HANDLER_ERROR, "KeyError: 'x'"))
    else:
        one.finish()
    one.push()
    assert one.outcomes == ["cut short"]
    ended = [event for event in one.driven.events if isinstance(event, ExchangeEnded)]
    causes = {
        "short": "the last write fell short",
        "length": "content-length is 99, and 10 bytes were written",
        "raised": "KeyError: 'x'",
    }
    ends = {"short": "send_timeout", "length": "short_body", "raised": "handler_error"}
    assert [(e.outcome, e.cause, e.end) for e in ended] == [("cut short", causes[how], ends[how])]


def test_a_clean_end_has_no_cause() -> None:
    driven = Driven()
    driven.exchange.finish(driven.now)
    driven.push()
    assert [event.cause for event in driven.events if isinstance(event, ExchangeEnded)] == [""]


# Cut short: a body that only the close delimits ---------------------------------------------------------


def close_delimited(**options: Any) -> Driven:
    driven = Driven(GET_10, default_send_window=1 << 20, stall_timeout=7, **options)
    driven.write(LONG)
    driven.push(30_000)
    driven.exchange.fail(driven.now)
    return driven


def test_only_a_reset_tells_that_something_is_missing_where_the_close_ends_a_body() -> None:
    driven = close_delimited()
    assert driven.connection.close_expected() is not Closing.RESET
    driven.push()
    assert driven.outcomes == ["cut short"]
    assert driven.connection.close_expected() is Closing.RESET
    assert driven.body == LONG


def test_it_comes_once_all_is_acknowledged_so_that_it_overtakes_nothing() -> None:
    driven = close_delimited(tells_acknowledged=True)
    driven.push()
    assert driven.outcomes == ["cut short"]
    for total in (len(driven.wire) - 1, len(driven.wire)):
        assert not driven.connection.close_expected()
        assert driven.connection.wants_acknowledged
        driven.connection.bytes_acknowledged(total, driven.now)
    assert driven.connection.close_expected() is Closing.RESET


def test_or_when_no_byte_is_acknowledged_any_more() -> None:
    driven = close_delimited(tells_acknowledged=True)
    driven.push()
    driven.advance(6)
    driven.connection.bytes_acknowledged(1000, driven.now)
    driven.advance(6.9)
    assert not driven.connection.close_expected()
    driven.advance(0.2)
    assert driven.connection.close_expected() is Closing.RESET


def test_or_when_that_can_not_be_told_any_more() -> None:
    driven = close_delimited(tells_acknowledged=True)
    driven.push()
    driven.connection.bytes_acknowledged(None, driven.now)
    assert driven.connection.close_expected() is Closing.RESET


def test_a_head_that_was_given_and_not_framed_before_the_cut_is_no_different() -> None:
    driven = Driven(GET_10, default_send_window=10, tells_acknowledged=True)
    driven.write(b"1234567890")
    driven.write(b"never")
    driven.exchange.finish(driven.now)
    driven.push()
    assert not driven.connection.close_expected()
    driven.connection.bytes_acknowledged(len(driven.wire), driven.now)
    assert driven.connection.close_expected() is Closing.RESET


# Reset ------------------------------------------------------------------------------------------------


@TRANSPORTS
def test_a_reset_loses_what_is_in_flight(carry: Carry, kind: str) -> None:
    one = carry(kind, default_send_window=1 << 20)
    one.write(LONG)
    one.push(30_000)
    one.exchange.reset(one.now)
    assert one.outcomes == ["reset"]
    sent = one.positions[1]
    one.push()
    assert one.body == LONG[: len(one.body)]
    assert len(one.body) <= sent + 64 * 1024, "the rest of a frame of which the kernel has a part"
    assert one.end == ("short" if kind == "http/2" else "reset")


@TRANSPORTS
def test_close_ends_cleanly_though_a_write_fell_short(carry: Carry, kind: str) -> None:
    one = carry(kind, default_send_window=10)
    one.write(b"1234567890")
    one.write(b"never", timeout=1)
    one.advance(1)
    one.exchange.close(one.now)
    one.fail()
    one.push()
    assert (one.body, one.outcomes, one.end) == (b"1234567890", ["complete"], "whole")


# The last write is the one called last ------------------------------------------------------------------


@TRANSPORTS
def test_a_write_called_later_that_timed_out_is_the_last_though_an_earlier_one_ends_after_it(
    carry: Carry, kind: str
) -> None:
    one = carry(kind, default_send_window=10)
    earlier = one.write(LONG, timeout=9)
    later = one.write(b"later", timeout=1)
    one.advance(1)
    assert later.settled
    one.push()
    assert earlier.result is None
    one.finish()
    one.push()
    assert (one.body, one.outcomes, one.end) == (LONG, ["cut short"], "short")


@TRANSPORTS
def test_a_write_called_earlier_that_timed_out_is_made_up_for_by_one_called_later(
    carry: Carry, kind: str
) -> None:
    one = carry(kind, default_send_window=10)
    one.write(b"1234567890")
    earlier, later = one.write(b"earlier", timeout=1), one.write(b"later", timeout=9)
    one.advance(1)
    assert earlier.settled
    one.push()
    assert later.result is None
    one.finish()
    one.push()
    assert (one.body, one.outcomes, one.end) == (b"1234567890later", ["complete"], "whole")


@pytest.mark.parametrize("delivers", [True, False])
@TRANSPORTS
def test_a_follow_that_delivered_a_payload_counts_as_a_write_that_was_accepted_whole(
    carry: Carry, kind: str, delivers: bool
) -> None:
    one = carry(kind, default_send_window=10)
    one.write(b"1234567890")
    one.write(b"never", timeout=0)
    one.advance(0)
    feed = Feed(clock=one.driven.clock)
    follow = one.exchange.follow(feed.follower(), one.now)
    if delivers:
        feed.publish("tick")
    one.push()
    one.exchange.withdraw(follow, one.now)
    one.finish()
    one.push()
    assert one.outcomes == (["complete"] if delivers else ["cut short"])
    assert one.body == (b"1234567890tick" if delivers else b"1234567890")


@TRANSPORTS
def test_a_returned_body_that_is_too_long_for_what_was_begun_raises_and_cuts_it_short(
    carry: Carry, kind: str
) -> None:
    one = carry(kind)
    one.header(headers={"content-length": 5})
    one.write(b"123")
    one.push()
    with pytest.raises(ValueError, match="content-length is 5"):
        one.exchange.respond(Response(body=b"456"), one.now)
    assert one.exchange.state is ResponseState.STREAMING
    one.fail()
    one.push()
    assert (one.body, one.outcomes, one.end) == (b"123", ["cut short"], "short")
