"""What the core keeps account of: timers, calls that settle once, the Date."""

from math import inf

import pytest

from httpng_core import ContentLengthError, HttpDate, Pending, Timer, Timers
from httpng_core.sending import DONE, Call, Turn, Write, encode_result

# Timers -----------------------------------------------------------------------------------------------


def test_what_an_action_adds_waits_for_the_next_call() -> None:
    timers, ran = Timers(), list[str]()

    def again(now: float) -> None:
        ran.append("again")
        timers.add(now, again)

    timers.add(1.0, again)
    timers.handle(1.0)
    assert ran == ["again"]
    timers.handle(1.0)
    assert ran == ["again", "again"]


def test_an_action_may_cancel_one_that_is_due_as_well() -> None:
    timers, ran = Timers(), list[float]()
    late: list[Timer | None] = []
    timers.add(1.0, lambda now: timers.cancel(late[0]))
    late.append(timers.add(1.0, ran.append))
    timers.handle(5.0)
    assert ran == []
    assert len(timers) == 0


def test_actions_are_told_the_time_at_which_they_run() -> None:
    timers, ran = Timers(), list[float]()
    timers.add(1.0, ran.append)
    timers.handle(0.999)
    timers.handle(7.0)
    timers.handle(8.0)
    assert ran == [7.0]


def test_infinity_is_no_deadline_and_cancelling_nothing_does_nothing() -> None:
    timers = Timers()
    assert timers.add(inf, lambda now: None) is None
    timers.cancel(None)
    timer = timers.add(1.0, lambda now: None)
    timers.cancel(timer)
    timers.cancel(timer)
    assert timers.next_deadline() is None
    assert len(timers) == 0


def test_cancelled_timers_do_not_pile_up() -> None:
    timers = Timers()
    kept = timers.add(1e9, lambda now: None)
    for number in range(10_000):
        timers.cancel(timers.add(float(number), lambda now: None))
        assert len(timers.heap) <= 20
    assert len(timers) == 1
    assert kept is not None
    assert timers.next_deadline() == 1e9


# Pending ----------------------------------------------------------------------------------------------


def test_a_call_settles_once_and_tells_who_waits() -> None:
    pending, calls = Pending(), list[int]()
    pending.on_settle = lambda: calls.append(1)
    with pytest.raises(AssertionError, match="has not settled"):
        _ = pending.result
    given = encode_result(Call.WRITE, cancelled=False, headers_were_sent=False)
    pending.settle(given)
    assert pending.settled
    assert pending.result is given
    assert not pending.failed
    with pytest.raises(AssertionError, match="settled twice"):
        pending.settle(None)
    assert calls == [1]


def test_a_call_may_end_with_an_error() -> None:
    pending = Pending()
    pending.settle(None, ContentLengthError("too long"))
    assert pending.failed
    for _ in range(2):
        with pytest.raises(ContentLengthError):
            _ = pending.result


def test_the_shared_done_call() -> None:
    assert DONE.settled
    assert DONE.result is None
    with pytest.raises(AssertionError):
        DONE.settle(None)


def test_a_write_knows_what_is_left_of_it() -> None:
    write = Write(b"12345", 4, inf)
    write.accepted = 2
    assert (write.rest, write.is_long) == (3, True)
    assert not Write(b"1234", 4, inf).is_long
    assert not Turn().settled


# HttpDate ---------------------------------------------------------------------------------------------


def test_the_date_is_made_once_a_second() -> None:
    now = [784_111_777.0]
    date = HttpDate(lambda: now[0])
    first = date()
    assert first == b"Sun, 06 Nov 1994 08:49:37 GMT"
    now[0] += 0.9
    assert date() is first
    now[0] += 0.1
    assert date() == b"Sun, 06 Nov 1994 08:49:38 GMT"
