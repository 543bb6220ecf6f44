"""The send window "auto" on scripted paths: as much as is needed to fill them, and hardly more."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import pytest

from httpng_core import AckedUnknownError, Feed, GeneratorIO, Pending, Request, WindowSize
from httpng_core.sending import auto_window
from httpng_core.testing import Loopback, ScriptedPath

RATE = 250_000
TICK = 1024
TICKS_A_SECOND = 1000
_MARK = re.compile(rb"<(\d+\.\d+)\.*>")


def tick(now: float) -> bytes:
    return f"<{now:.4f}".encode().ljust(TICK - 1, b".") + b">"


class Ticker:
    """Offers the latest tick a thousand times a second: it is taken if there is room, else skipped."""

    def __init__(
        self, window: WindowSize, path: ScriptedPath, ticks_a_second: float = TICKS_A_SECOND
    ) -> None:
        self.loop = Loopback(self._handle)
        self.path = path
        self._window = window
        self.interval = 1 / ticks_a_second
        self.client = self.loop.connect(path=path)
        self.client.get()

    def _handle(self, req: Request, io: GeneratorIO) -> Iterator[Any]:
        io.send_window = self._window
        while True:
            yield io.write(tick(self.loop.clock()), 0)
            yield self._nap()

    def _nap(self) -> Pending:
        nap = Pending()
        due = self.loop.clock() + self.interval
        self.loop.runner.timers.add(due, lambda now: nap.settle(None))
        return nap

    def run(self, seconds: float, skipped: float = 0.0) -> "Seen":
        """What comes in `seconds`, after `skipped` first ones."""
        self.loop.advance(skipped)
        begins = self.loop.clock()
        self.loop.advance(seconds)
        return Seen.of(self.client.received, self.path, begins, seconds)


@dataclass(frozen=True)
class Seen:
    """What a client saw.

    Attributes:
        rate: body bytes a second.
        ages: how old each tick was when its last byte came.
    """

    rate: float
    ages: list[float]

    @classmethod
    def of(cls, received: bytearray, path: ScriptedPath, begins: float, seconds: float) -> "Seen":
        totals = [total for _, total in path.arrivals]
        ages = []
        for found in _MARK.finditer(bytes(received)):
            came = path.arrivals[bisect_left(totals, found.end())][0]
            if came >= begins:
                ages.append(came - float(found[1]))
        return cls(len(ages) * TICK / seconds, ages)


def payload_trip(delay: float, rate: float = RATE) -> float:
    """The round trip of one payload on the idle path."""
    return 2 * delay + (TICK + 7) / rate


@pytest.mark.parametrize("milliseconds", [1, 20, 100, 300])
def test_the_path_is_full_and_ticks_are_fresh(milliseconds: int) -> None:
    delay = milliseconds / 1000
    # The start takes about fifteen round trips, the cycle twenty-two.
    seen = Ticker("auto", ScriptedPath(delay, RATE)).run(1 + 8 * delay, skipped=30 * delay)
    floor, trip = payload_trip(delay) - delay, payload_trip(delay)
    # Ungated, the path is busy all the time: all but the chunk framing are body bytes.
    assert seen.rate >= 0.95 * RATE * TICK / (TICK + 7)
    assert median(seen.ages) <= floor + 0.6 * trip
    assert quantiles(seen.ages, n=100)[98] <= floor + 2 * trip


def test_ungated_the_path_is_as_full_and_the_ticks_are_seconds_old() -> None:
    seen = Ticker(1 << 20, ScriptedPath(0.1, RATE)).run(2, skipped=3)
    assert seen.rate == pytest.approx(RATE * TICK / (TICK + 7), rel=0.01)
    assert median(seen.ages) > 2


@pytest.mark.parametrize(
    ("milliseconds", "change"), [(1, 1 / 8), (1, 1 / 2), (20, 1 / 8), (20, 1 / 2), (20, 2), (50, 1 / 2)]
)
def test_a_change_of_the_rate_is_followed(milliseconds: int, change: float) -> None:
    delay = milliseconds / 1000
    before, after = RATE, RATE * change
    ticker = Ticker("auto", ScriptedPath(delay, before))
    ticker.run(20 * 2 * delay + 0.2)
    ticker.path.rate = after
    # A dozen of the round trips that the old window makes at the new rate.
    seen = ticker.run(2, skipped=12 * 2 * delay * max(before / after, 2))
    # At 1 ms the phase of the ticks counts.
    assert seen.rate >= 0.87 * after * TICK / (TICK + 7)
    floor = payload_trip(delay, after) - delay
    assert median(seen.ages) <= floor + payload_trip(delay, after)


def test_a_link_that_lets_the_first_bytes_pass_at_once_does_not_pass_for_a_fast_one() -> None:
    """As a token bucket does: what comes next passes at the link's own rate, after a longer round trip."""
    ticker = Ticker("auto", ScriptedPath(0.0005, 400_000), ticks_a_second=50)
    ticker.run(0.01)
    ticker.path.rate = 8000
    seen = ticker.run(20, skipped=20)
    assert median(seen.ages) <= 1.2 * (TICK + 7) / 8000
    assert seen.rate >= 0.9 * 8000


@pytest.mark.parametrize("longer", [2, 5])
def test_a_longer_path_is_followed(longer: int) -> None:
    ticker = Ticker("auto", ScriptedPath(0.01, RATE))
    ticker.run(1)
    ticker.path.delay *= longer
    assert ticker.run(1, skipped=4).rate >= 0.93 * RATE


def test_a_handler_that_offers_little_does_not_shrink_the_window() -> None:
    ticker = Ticker("auto", ScriptedPath(0.1, RATE))
    ticker.run(3)
    ticker.interval = 1 / 20
    assert ticker.run(3, skipped=0.5).rate == pytest.approx(20 * TICK, rel=0.1)
    ticker.interval = 1 / TICKS_A_SECOND
    assert ticker.run(1, skipped=0.4).rate >= 0.9 * RATE


def test_on_a_slow_link_with_a_short_round_trip_one_payload_goes_at_a_time() -> None:
    seen = Ticker("auto", ScriptedPath(0.0005, 8000), ticks_a_second=200).run(20, skipped=2)
    serialized = (TICK + 7) / 8000
    assert median(seen.ages) <= 1.1 * serialized
    assert seen.rate >= 0.94 * 8000


def test_the_books_stay_small() -> None:
    ticker = Ticker("auto", ScriptedPath(0.3, 4 * RATE), ticks_a_second=900)
    most = 0
    for _ in range(12):
        ticker.loop.advance(0.5)
        path = ticker.loop.exchanges[0].path
        assert path is not None
        most = max(most, len(path))
    assert most == auto_window.MAX_RECORDS


# What the call means ------------------------------------------------------------------------------------


def handled(handler: Any, path: ScriptedPath | None, **settings: Any) -> Loopback:
    loop = Loopback(handler, **settings)
    loop.connect(path=path).get()
    return loop


def test_a_payload_is_accepted_whole_however_long_and_the_next_ones_wait() -> None:
    told: list[Any] = []

    def handler(req: Request, io: GeneratorIO) -> Iterator[Any]:
        for size in (300_000, 500_000, 1000):
            told.append((yield io.write(b"x" * size, 30)))
            told.append(io.get_send_stats())

    loop = handled(handler, ScriptedPath(0.02, RATE), default_send_window="auto")
    assert told[0] is None
    assert told[1].current == 300_000
    loop.advance(0.5)
    assert len(told) == 2
    loop.advance(20)
    assert told[2] is None
    assert told[3].current == 800_000
    # What was under way when it was accepted is a small part of it.
    assert 800_000 - told[3].acked <= 500_000 + 3 * 2 * 0.04 * RATE
    assert told[5].acked is not None


def test_auto_counts_until_acked_whatever_window_until_says() -> None:
    told: list[Any] = []

    def handler(req: Request, io: GeneratorIO) -> Iterator[Any]:
        io.send_window, io.window_until = "auto", "sent"
        for _ in range(3):
            told.append((yield io.write(b"x" * 1000, 0.01)))

    handled(handler, ScriptedPath(1.0, RATE)).advance(0.1)
    # All was sent at once, and nothing is acknowledged yet.
    assert told[0] is None
    assert [each.body_bytes_sent for each in told[1:]] == [0, 0]


@pytest.mark.parametrize("window", ["auto", None])
def test_where_acked_cannot_be_told_asking_is_an_error_at_the_call(window: WindowSize | None) -> None:
    told: list[Any] = []

    def handler(req: Request, io: GeneratorIO) -> Iterator[Any]:
        io.send_window = window
        try:
            yield io.write(b"x")
        except AckedUnknownError as error:
            told.append(error)
            told.append(io.get_send_stats().current)

    loop = Loopback(handler, default_send_window="auto")
    client = loop.connect()
    client.connection.bytes_acknowledged(None, loop.clock.now)
    client.get()
    assert isinstance(told[0], AckedUnknownError)
    assert told[1] == 0


def test_wrong_arguments_raise_before_anything_else() -> None:
    def handler(req: Request, io: Any) -> Iterator[Any]:
        io.send_window = "automatic"
        with pytest.raises(TypeError, match='send_window must be an integer or "auto", not str'):
            io.write(b"x")
        io.send_window, io.window_until = "auto", "done"
        with pytest.raises(ValueError, match='until must be "sent", "acked" or "confirmed"'):
            io.write(b"x")
        told.append("both")
        yield io.wait(0)

    told: list[str] = []
    handled(handler, ScriptedPath(0.01, RATE))
    assert told == ["both"]


def test_a_returned_body_needs_no_window_that_follows_the_path() -> None:
    client = Loopback(lambda req: b"x" * 100_000, default_send_window="auto").connect()
    client.get()
    assert client.responses()[0].body == b"x" * 100_000


def test_a_body_that_is_dropped_by_rule_is_never_in_flight() -> None:
    told: list[Any] = []

    def handler(req: Request, io: GeneratorIO) -> Iterator[Any]:
        io.send_window = "auto"
        for _ in range(9):
            told.append((yield io.write(b"x" * 1000, 0)))

    loop = Loopback(handler)
    loop.connect(path=ScriptedPath(1.0, RATE)).get(method="HEAD")
    assert told == [None] * 9


def test_if_acked_becomes_unknown_in_flight_counts_from_sent() -> None:
    told: list[Any] = []

    def handler(req: Request, io: GeneratorIO) -> Iterator[Any]:
        io.send_window = "auto"
        for _ in range(5):
            told.append((yield io.write(b"x" * 1000, 5)))

    loop = Loopback(handler)
    client = loop.connect(path=ScriptedPath(1.0, RATE))
    client.get()
    assert told == [None]
    client.connection.bytes_acknowledged(None, loop.clock.now)
    loop.settle()
    assert told == [None] * 2


def test_what_was_sent_before_is_no_measure_of_the_path() -> None:
    def handler(req: Request, io: GeneratorIO) -> Iterator[Any]:
        yield io.write(b"x" * 100_000)
        yield io.wait(0)
        io.send_window = "auto"
        yield io.write(b"y" * 1000)
        yield io.wait(0, 10, "acked")
        yield io.wait(1_000_000, 10)

    loop = handled(handler, ScriptedPath(0.1, RATE))
    loop.advance(2)
    path = loop.exchanges[0].path
    assert path is not None
    assert 0 < path.rate <= RATE


# Feeds ----------------------------------------------------------------------------------------------------


class FeedTicker(Ticker):
    """The same with a feed of one key, which the handler follows."""

    def __init__(
        self, window: WindowSize, path: ScriptedPath, ticks_a_second: float = TICKS_A_SECOND, **options: Any
    ) -> None:
        self._options = options
        super().__init__(window, path, ticks_a_second)

    def _handle(self, req: Request, io: GeneratorIO) -> Iterator[Any]:
        io.send_window = self._window
        self.feed = Feed(clock=self.loop.clock)
        self._publish(self.loop.clock())
        yield io.follow(self.feed, **self._options)

    def _publish(self, now: float) -> None:
        self.feed.publish(tick(now))
        self.loop.runner.timers.add(now + self.interval, self._publish)


@pytest.mark.parametrize("milliseconds", [1, 20, 100, 300])
def test_a_followed_feed_fills_the_path_and_is_fresh(milliseconds: int) -> None:
    delay = milliseconds / 2000
    seen = FeedTicker("auto", ScriptedPath(delay, RATE)).run(1 + 8 * delay, skipped=0.2 + 30 * delay)
    floor, trip = payload_trip(delay) - delay, payload_trip(delay)
    assert seen.rate >= 0.95 * RATE * TICK / (TICK + 7)
    assert quantiles(seen.ages, n=100)[98] <= floor + 2 * trip


def test_a_feed_that_says_little_does_not_shrink_the_window() -> None:
    ticker = FeedTicker("auto", ScriptedPath(0.1, RATE))
    ticker.run(3)
    ticker.interval = 1 / 20
    assert ticker.run(3, skipped=0.5).rate == pytest.approx(20 * TICK, rel=0.1)
    ticker.interval = 1 / TICKS_A_SECOND
    assert ticker.run(1, skipped=0.4).rate >= 0.9 * RATE


def test_a_followed_feed_follows_a_rate_that_rises() -> None:
    ticker = FeedTicker("auto", ScriptedPath(0.02, RATE / 2))
    ticker.run(1)
    ticker.path.rate = RATE
    assert ticker.run(1, skipped=1).rate >= 0.9 * RATE * TICK / (TICK + 7)


def test_on_a_slow_link_one_payload_of_a_feed_goes_at_a_time() -> None:
    seen = FeedTicker("auto", ScriptedPath(0.0005, 8000), ticks_a_second=200).run(20, skipped=2)
    assert median(seen.ages) <= 1.1 * (TICK + 7) / 8000
    assert seen.rate >= 0.94 * 8000


def test_a_notice_of_a_gap_waits_for_room_as_well() -> None:
    notices: list[int] = []

    def on_gap(lost: int) -> bytes:
        notices.append(lost)
        return b"!" * TICK

    ticker = FeedTicker("auto", ScriptedPath(0.05, RATE), on_gap=on_gap)
    seen = ticker.run(1, skipped=2)
    # Each tick that comes brings a notice of those that were skipped.
    assert seen.rate == pytest.approx(RATE / 2, rel=0.06)
    # It is made once for each that goes out, and once more where there was no room for both.
    assert len(notices) <= 3 * seen.rate / TICK * 3


def test_an_async_handler_follows_along_the_path() -> None:
    async def handler(req: Request, io: Any) -> None:
        io.send_window = "auto"
        assert await io.follow(feed) is None

    loop = Loopback(handler)
    feed = Feed(clock=loop.clock)
    client = loop.connect(path=ScriptedPath(0.1, RATE))
    client.get()
    feed.publish(b"first,")
    loop.settle()
    feed.publish(b"skipped,")
    feed.publish(b"last")
    feed.close()
    loop.advance(1)
    assert client.responses()[0].body == b"first,last"
    assert loop.exchanges[0].stats(loop.clock.now).acked is not None


def test_a_feed_is_not_followed_along_a_path_that_tells_nothing() -> None:
    told: list[Any] = []

    def handler(req: Request, io: GeneratorIO) -> Iterator[Any]:
        io.send_window = "auto"
        try:
            yield io.follow(Feed(clock=loop.clock))
        except AckedUnknownError as error:
            told.append(error)

    loop = Loopback(handler)
    client = loop.connect()
    client.connection.bytes_acknowledged(None, loop.clock.now)
    client.get()
    assert len(told) == 1
