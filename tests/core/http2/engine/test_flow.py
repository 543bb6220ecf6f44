"""Flow control (RFC 9113, 5.2 and 6.9)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpng_core.http2.engine import FLOW_CONTROL_ERROR, MAX_WINDOW, Credit, FatalError, StreamError, grown


@pytest.mark.parametrize("window", [-MAX_WINDOW, -1, 0, 1, 65535, MAX_WINDOW - 1, MAX_WINDOW])
@pytest.mark.parametrize("step", [-65535, -1, 1, 65535, MAX_WINDOW])
@pytest.mark.parametrize("stream_id", [0, 1])
def test_a_window_grows_up_to_its_bound_and_may_be_negative(window: int, step: int, stream_id: int) -> None:
    if window + step <= MAX_WINDOW:
        assert grown(window, step, stream_id) == window + step
        return
    with pytest.raises((StreamError, FatalError)) as error:
        grown(window, step, stream_id)
    assert isinstance(error.value, StreamError if stream_id else FatalError)
    assert error.value.code == FLOW_CONTROL_ERROR


def test_credit_is_given_back_in_halves() -> None:
    credit = Credit(100)
    assert credit.receive(60)
    assert credit.consume(49) == 0
    assert credit.consume(1) == 50
    assert credit.window == 90
    assert credit.consume(10) == 0
    assert credit.give_all() == 10
    assert credit.give_all() == 0


def test_more_than_the_credit_is_refused_and_changes_nothing() -> None:
    credit = Credit(100)
    assert not credit.receive(101)
    assert credit.receive(100)
    assert not credit.receive(1)
    assert credit.receive(0)


def test_a_window_that_is_widened_and_narrowed() -> None:
    credit = Credit(100)
    assert credit.receive(100)
    assert credit.widen(300) == 200
    assert credit.window == 200
    assert credit.widen(50) == 0
    assert credit.receive(200)
    # What is taken back is paid for by what is consumed.
    assert credit.consume(300) == 50
    assert credit.window == 50


quick = settings(max_examples=100, deadline=None, derandomize=True)


@quick
@given(st.integers(1, 1000), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=50))
def test_what_may_come_and_what_is_kept_never_pass_the_target(
    target: int, steps: list[tuple[int, int]]
) -> None:
    credit, kept, window = Credit(target), 0, target
    for arriving, consumed in steps:
        assert credit.receive(arriving) == (arriving <= window)
        if arriving <= window:
            kept += arriving
            window -= arriving
        consumed = min(consumed, kept)
        kept -= consumed
        window += credit.consume(consumed)
        assert credit.window == window
        assert window + kept <= target
        # Nobody is held up for long by a reader that keeps nothing.
        assert kept or 2 * window > target
