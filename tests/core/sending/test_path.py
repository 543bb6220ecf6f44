"""What a path holds, rule by rule, on a path of which the test says when all arrives."""

import pytest

from httpng_core.sending import auto_window

SIZE = 1000


class Played:
    """A sender with a window of as many payloads as the test says, on a path of one round trip and rate."""

    def __init__(self, trip: float = 0.1, now: float = 100.0) -> None:
        self.path = auto_window.PathEstimate()
        self.trip = trip
        self.now = now
        self.sent = 0

    def round(self, payloads: int, *, refused: bool = True, trip: float | None = None) -> None:
        """Sends so many payloads at once, of which the last is acknowledged after one round trip."""
        for _ in range(payloads):
            self.sent += SIZE
            self.path.sent(self.sent, self.now)
        if refused:
            self.path.refused(self.now)
        self.now += self.trip if trip is None else trip
        self.path.acknowledged(self.sent, self.now)

    def full(self, payloads: int = 10) -> "Played":
        """Rounds of `payloads` until the start is over, and the drain."""
        for _ in range(6):
            self.round(payloads)
        return self

    @property
    def payloads(self) -> float:
        """The window, in payloads."""
        return self.path.window / SIZE


def test_at_first_nothing_is_known_and_one_payload_goes() -> None:
    path = auto_window.PathEstimate()
    assert (path.rate, path.round_trip, path.window, path.gain) == (0, 0, 0, 2)
    assert path.limit(700) == 700


def test_rate_and_round_trip_are_sampled() -> None:
    played = Played()
    played.round(5)
    assert played.path.rate == pytest.approx(50_000)
    assert played.path.round_trip == pytest.approx(0.1)


def test_what_is_acknowledged_in_part_or_again_gives_no_sample() -> None:
    path = auto_window.PathEstimate()
    path.sent(1000, 1.0)
    path.acknowledged(999, 1.1)
    assert path.rate == 0
    path.acknowledged(1000, 1.2)
    rate = path.rate
    path.acknowledged(1000, 5.0)
    path.acknowledged(500, 5.0)
    assert path.rate == rate == pytest.approx(5000)


def test_what_takes_no_time_gives_no_sample() -> None:
    path = auto_window.PathEstimate()
    path.sent(1000, 1.0)
    path.acknowledged(1000, 1.0)
    assert (path.rate, path.round_trip) == (0, 0)


def test_acknowledgements_that_come_in_a_bunch_are_no_rate() -> None:
    path = auto_window.PathEstimate()
    for number in range(10):
        path.sent((number + 1) * SIZE, 1 + number * 0.1)
    # Each was sent 0.1 s after the one before, and all are acknowledged at once.
    path.acknowledged(SIZE, 2.0)
    path.acknowledged(10 * SIZE, 2.001)
    assert path.rate <= 10 * SIZE / 0.9


def test_a_rate_over_less_than_a_round_trip_says_nothing() -> None:
    path = auto_window.PathEstimate()
    path.sent(SIZE, 1.0)
    path.acknowledged(SIZE, 1.1)
    path.sent(2 * SIZE, 1.2)
    path.sent(3 * SIZE, 1.25)
    path.acknowledged(2 * SIZE, 1.3)
    # The time of this was taken before that of the acknowledgement, which is told first.
    path.sent(90 * SIZE, 1.29)
    path.acknowledged(90 * SIZE, 1.39)
    assert path.round_trip == pytest.approx(0.1)
    assert path.rate == pytest.approx(10_000)


def test_an_app_limited_sample_counts_only_if_it_raises_the_rate() -> None:
    played = Played()
    played.round(5)
    for _ in range(3 * auto_window.ROUNDS):
        played.round(2, refused=False)
    assert played.path.rate == pytest.approx(50_000)
    played.round(6, refused=False)
    assert played.path.rate == pytest.approx(60_000)


def test_the_highest_rate_of_the_last_rounds_counts() -> None:
    played = Played()
    played.round(10)
    for _ in range(auto_window.ROUNDS - 1):
        played.round(5)
        assert played.path.rate == pytest.approx(100_000)
    played.round(5)
    assert played.path.rate == pytest.approx(50_000)


def test_long_rounds_count_for_as_many_as_they_took_but_at_most_four() -> None:
    played = Played()
    played.round(10)
    played.round(10)
    rates = []
    for _ in range(3):
        played.round(10, trip=0.9)
        rates.append(round(played.path.rate))
    assert rates == [100_000, 100_000, 11_111]


def test_the_shortest_round_trip_of_the_last_ten_seconds_counts() -> None:
    played = Played(now=100.0)
    played.round(1, trip=0.05)
    while played.now < 106.0:
        assert played.path.round_trip == pytest.approx(0.05)
        played.now += 1.0
        played.round(1, trip=0.07)
    played.now = 110.2
    played.round(1, trip=0.07)
    assert played.path.round_trip == pytest.approx(0.07)
    assert auto_window.TRIPS / auto_window.TRIPS_A_SECOND == 10


def test_the_shortest_round_trip_of_the_last_rounds_counts() -> None:
    played = Played()
    played.round(10, trip=0.001)
    rounds = 0
    while played.path.round_trip < 0.00119:
        played.round(10, trip=0.0012)
        rounds += 1
    assert rounds == auto_window.TRIPS


def test_a_longer_path_is_seen_soon_as_long_rounds_count_for_more() -> None:
    played = Played(trip=0.01).full()
    for _ in range(auto_window.TRIPS // 4 + 1):
        played.round(10, trip=0.05)
    assert played.path.round_trip == pytest.approx(0.05)
    # It may be a queue of ours: one payload goes by itself.
    assert (played.payloads, played.path.limit(SIZE)) == (0, SIZE)
    played.round(1, trip=0.04)
    assert (played.path.round_trip, played.path.rate) == pytest.approx((0.04, SIZE / 0.04))
    assert played.path.gain == 2


def test_at_the_start_the_window_doubles_each_round() -> None:
    played = Played()
    for payloads in (1, 2, 4, 8, 16):
        played.round(payloads)
        assert played.payloads == pytest.approx(2 * payloads)


def test_the_start_ends_after_three_rounds_without_growth_and_then_drains() -> None:
    played = Played()
    for payloads in (4, 8, 9, 9):
        played.round(payloads)
        assert played.path.gain == 2
    played.round(9)
    assert played.path.gain == 0.9


def test_a_record_is_app_limited_until_the_window_has_been_full_for_a_round() -> None:
    played = Played()
    played.round(10)
    for _ in range(3 * auto_window.ROUNDS):
        played.round(2, refused=False)
        played.now += 1.0
    # Refused for the first time in a while: what is under way was sent into a window with room.
    played.round(5)
    assert played.path.rate == pytest.approx(100_000)
    played.round(5)
    assert played.path.rate == pytest.approx(50_000)


def test_app_limited_rounds_do_not_end_the_start() -> None:
    played = Played()
    for _ in range(9):
        played.round(4, refused=False)
    assert played.path.gain == 2


def test_a_round_is_watched_once() -> None:
    played = Played()
    played.round(4)
    for _ in range(2):
        for _ in range(4):
            played.sent += SIZE
            played.path.sent(played.sent, played.now)
            played.path.refused(played.now)
        # Each payload is acknowledged by itself, all within the round.
        for left in (3, 2, 1, 0):
            played.now += 0.03
            played.path.acknowledged(played.sent - left * SIZE, played.now)
    assert played.path.gain == 2


def test_phases_probe_drain_and_keep_to_what_the_path_holds() -> None:
    played = Played().full()
    gains = []
    for _ in range(44):
        gains.append(played.path.gain)
        played.round(10)
    probe = gains.index(1.25)
    assert gains[probe : probe + 22] == [1.25, 0.9, *[1.2] * 20]
    assert played.path.limit(SIZE) == pytest.approx(played.path.gain * 10 * SIZE + SIZE * 0.78)


def test_a_drain_ends_before_its_time_when_the_queue_is_gone() -> None:
    played = Played()
    path = played.path
    while path.gain != 0.9:
        # Half of what is under way is acknowledged in the middle of a round trip.
        for number in range(1, 21):
            path.sent(played.sent + number * SIZE, played.now + (0.05 if number > 10 else 0))
            path.refused(played.now)
        path.acknowledged(played.sent + 10 * SIZE, played.now + 0.1)
        played.now += 0.15
        played.sent += 20 * SIZE
        if path.gain == 2:
            path.acknowledged(played.sent, played.now)
    path.acknowledged(played.sent - 9 * SIZE, played.now - 0.04)
    assert path.gain == 0.9
    path.acknowledged(played.sent - 2 * SIZE, played.now - 0.03)
    assert path.gain == 1.2


def test_a_rate_that_grew_is_probed_on_at_once() -> None:
    played = Played().full()
    while played.path.gain != 1.25:
        played.round(10)
    played.round(12)
    assert played.path.gain == 1.25
    played.round(14)
    assert played.path.gain == 1.25
    played.round(14)
    assert played.path.gain == 0.9


def test_never_less_than_one_payload() -> None:
    played = Played().full(1)
    while played.path.gain != 0.9:
        played.round(1)
    assert played.path.limit(50 * SIZE) == 50 * SIZE
    assert played.path.limit(2000 * SIZE) == 2000 * SIZE


def test_where_the_path_holds_hardly_more_than_a_payload_one_goes_at_a_time() -> None:
    played = Played().full(1)
    while played.path.gain != 1.2:
        played.round(1)
    assert SIZE < played.path.limit(SIZE) < 2 * SIZE


def test_when_the_books_are_full_sends_share_a_record() -> None:
    path = auto_window.PathEstimate()
    for number in range(1, 3 * auto_window.MAX_RECORDS):
        path.sent(number * SIZE, 1.0)
    assert len(path) == auto_window.MAX_RECORDS
    path.acknowledged((3 * auto_window.MAX_RECORDS - 1) * SIZE, 1.5)
    assert len(path) == 0
    assert path.rate == pytest.approx((3 * auto_window.MAX_RECORDS - 1) * SIZE / 0.5)


def test_a_refusal_with_nothing_under_way_marks_nothing() -> None:
    path = auto_window.PathEstimate()
    path.refused(1.0)
    assert len(path) == 0


def test_bytes_from_before_do_not_count() -> None:
    path = auto_window.PathEstimate(5000)
    path.acknowledged(5000, 1.0)
    path.sent(6000, 1.0)
    path.acknowledged(6000, 2.0)
    assert path.rate == pytest.approx(1000)
