"""What clients may do for nothing, and how often: attacks end the connection, others never meet a limit."""

from collections.abc import Callable
from math import inf

import pytest

from httpng_core.http2.engine import (
    ENHANCE_YOUR_CALM,
    MAX_CONTROL_RATE,
    MAX_RESET_RATE,
    Bucket,
    FatalError,
    Limits,
)


def limits(resets: float = MAX_RESET_RATE, control: float = MAX_CONTROL_RATE) -> Limits:
    return Limits(resets, control, 0.0)


def runs(act: Callable[[Limits, float], None], per_second: float, seconds: float, bound: Limits) -> bool:
    """Whether a client that acts so often gets through."""
    try:
        for step in range(int(per_second * seconds)):
            act(bound, step / per_second)
    except FatalError as error:
        return error.code != ENHANCE_YOUR_CALM
    return True


def rapid_reset(bound: Limits, now: float) -> None:
    bound.count_reset(False, now)


def made_you_reset(bound: Limits, now: float) -> None:
    bound.count_stream_error(now)


def ping(bound: Limits, now: float) -> None:
    bound.count_control(now)


@pytest.mark.parametrize("attack", [rapid_reset, made_you_reset])
def test_streams_that_are_begun_to_be_reset(attack: Callable[[Limits, float], None]) -> None:
    assert not runs(attack, 1000, 1, limits())
    assert not runs(attack, 150, 60, limits())
    assert runs(attack, 90, 100, limits())


def test_frames_that_say_nothing() -> None:
    assert not runs(ping, 10000, 1, limits())
    assert not runs(ping, 200, 60, limits())
    assert runs(ping, 90, 200, limits())


def test_settings_cost_by_their_entries() -> None:
    def large(bound: Limits, now: float) -> None:
        bound.count_settings(2700, now)

    assert not runs(large, 10, 1, limits())
    assert runs(lambda bound, now: bound.count_settings(6, now), 50, 60, limits())


def test_a_client_that_cancels_a_fifth_of_what_it_asks_for_is_served_at_any_rate() -> None:
    def five_requests(bound: Limits, now: float) -> None:
        for _ in range(4):
            bound.earn_request()
        bound.count_reset(False, now)

    assert runs(five_requests, 20000, 1, limits())


def test_a_proxy_that_cancels_fifty_served_requests_a_second_is_served() -> None:
    assert runs(lambda bound, now: bound.count_reset(True, now), 50, 600, limits())


def test_a_browser_that_leaves_a_page_is_served() -> None:
    bound = limits()
    for _ in range(100):
        bound.count_reset(False, 1.0)
    bound.earn_request()


def test_a_download_pays_for_its_window_updates() -> None:
    def a_frame_and_updates(bound: Limits, now: float) -> None:
        bound.earn_data(16384)
        for _ in range(8):
            bound.count_control(now)

    assert runs(a_frame_and_updates, 20000, 1, limits())


def test_a_request_pays_for_its_priorities() -> None:
    def a_request(bound: Limits, now: float) -> None:
        bound.earn_request()
        bound.count_control(now, 4)

    assert runs(a_request, 20000, 1, limits())


def test_useful_work_is_not_saved_up_for_an_attack() -> None:
    bound = limits()
    for _ in range(20000):
        bound.earn_request()
    assert not runs(rapid_reset, 10000, 1, bound)


def test_infinity_is_no_limit() -> None:
    bound = limits(inf, inf)
    assert runs(rapid_reset, 20000, 1, bound)
    assert runs(ping, 20000, 1, bound)


def test_a_rate_is_what_it_says() -> None:
    bucket = Bucket(10.0, 5.0, 0.0)
    assert [bucket.spend(1.0, 0.0, 0.0) for _ in range(6)] == [True] * 5 + [False]
    bucket = Bucket(10.0, 5.0, 0.0)
    assert bucket.spend(5.0, 0.0, 0.0)
    assert [bucket.spend(1.0, 0.3, 0.0) for _ in range(4)] == [True] * 3 + [False]
    # A clock that stands still, or comes back, gives nothing.
    assert not bucket.spend(1.0, 0.2, 0.0)


def test_what_was_earned_is_given_once() -> None:
    bucket = Bucket(1.0, 5.0, 0.0)
    assert bucket.spend(5.0, 0.0, 0.0)
    assert [bucket.spend(1.0, 0.0, 2.0) for _ in range(3)] == [True, True, False]
    bucket = Bucket(1.0, 5.0, 0.0)
    assert [bucket.spend(1.0, 0.0, 100.0) for _ in range(6)] == [True] * 5 + [False]
