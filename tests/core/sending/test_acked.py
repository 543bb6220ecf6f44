"""What counts until acknowledged: positions, windows, waits, lag, stalls."""

from math import inf
from typing import Any

import pytest
from tests.core.driving import GET, Driven

from httpng_core import AckedUnknownError, Exchange, reached


class Telling(Driven):
    """A connection whose kernel also tells what was acknowledged."""

    def acknowledge(self, total: int | None = None) -> None:
        """The client's TCP has `total` wire bytes, or all that the kernel took."""
        self.connection.bytes_acknowledged(len(self.wire) if total is None else total, self.now)

    def acknowledge_unknown(self) -> None:
        """It can't be told any more."""
        self.connection.bytes_acknowledged(None, self.now)


def telling(**settings: Any) -> Telling:
    return Telling(tells_acknowledged=True, **settings)


def test_what_was_sent_before_tracking_counts_once_all_of_it_is_acknowledged() -> None:
    driven = telling()
    exchange = driven.exchange
    exchange.write(b"x" * 100, driven.now)
    driven.push()
    assert driven.stats.acked is None
    wait = exchange.wait(0, driven.now, 5, "acked")
    assert driven.stats.acked == 0
    driven.acknowledge(len(driven.wire) - 1)
    assert driven.stats.acked == 0
    assert not wait.settled
    driven.acknowledge()
    assert driven.stats.acked == 100
    assert reached(wait.result)


def test_a_window_until_acked_is_gated_on_acknowledged_bytes() -> None:
    driven = telling()
    exchange = driven.exchange
    first, second = (
        exchange.write(body, driven.now, 5, 100, None, "acked") for body in (b"a" * 100, b"b" * 60)
    )
    assert first.settled
    driven.push()
    assert driven.stats.sent == 100
    assert not second.settled
    driven.acknowledge(len(driven.wire) - 60)
    assert not second.settled
    driven.acknowledge()
    assert second.settled
    assert second.result is None
    driven.push()
    assert (driven.stats.sent, driven.stats.acked) == (160, 100)


def test_at_window_0_until_acked_none_means_acknowledged() -> None:
    driven = telling()
    write = driven.exchange.write(b"a" * 40_000, driven.now, 5, 0, None, "acked")
    frames = 0
    while not write.settled:
        assert frames < 10
        frames += driven.push() > 0
        assert driven.stats.current - (driven.stats.acked or 0) <= 32768
        driven.acknowledge()
    assert frames == 2
    assert write.result is None
    assert driven.stats.acked == 40_000


def test_lag_counts_to_acked() -> None:
    driven = telling()
    driven.exchange.write(b"x", driven.now, 5, 100, None, "acked")
    driven.push()
    driven.advance(0.25)
    assert driven.stats.lag == 0.25
    driven.acknowledge()
    assert driven.stats.lag == 0.0


def test_asking_for_acked_where_it_cannot_be_told_is_an_error_at_the_call() -> None:
    driven = Driven()
    with pytest.raises(AckedUnknownError):
        driven.exchange.wait(0, driven.now, 1, "acked")
    with pytest.raises(AckedUnknownError):
        driven.exchange.write(b"x", driven.now, 1, 100, None, "acked")
    assert driven.stats.current == 0
    with pytest.raises(ValueError, match='until must be "sent", "acked" or "confirmed"'):
        driven.exchange.wait(0, driven.now, 1, "done")  # type: ignore[arg-type]


def test_when_acked_becomes_unknown_waits_for_it_settle_and_in_flight_counts_from_sent() -> None:
    driven = telling()
    exchange = driven.exchange
    exchange.write(b"x" * 100, driven.now, 5, 100, None, "acked")
    wait = exchange.wait(0, driven.now, 5, "acked")
    queued = exchange.write(b"y" * 50, driven.now, 5, 100, None, "acked")
    driven.push()
    assert not queued.settled
    driven.acknowledge_unknown()
    assert driven.stats.acked is None
    assert wait.settled
    assert queued.result is None


def test_dropped_bytes_count_as_acked() -> None:
    driven = telling()
    exchange: Exchange = driven.exchange
    exchange.write_header(204, None, driven.now)
    exchange.write(b"x" * 50, driven.now, 5, 10, None, "acked")
    assert (driven.stats.sent, driven.stats.acked) == (50, 50)


def test_the_flush_is_not_stalled_while_the_client_acknowledges() -> None:
    driven = telling(stall_timeout=10)
    driven.exchange.write(b"x" * 50_000, driven.now)
    driven.exchange.finish(driven.now)
    driven.push(20_000)
    assert driven.connection.wants_acknowledged
    for total in (5_000, 10_000, 15_000):
        driven.advance(9)
        driven.acknowledge(total)
    driven.advance(9.9)
    assert driven.outcomes == []
    driven.advance(0.2)
    assert driven.outcomes == ["reset"]


def test_a_handler_can_have_the_stall_rule_for_its_whole_exchange() -> None:
    driven = telling()
    exchange = driven.exchange
    exchange.stall_timeout = 3.0
    exchange.write(b"x" * 1000, driven.now, 60, 5000, None, "acked")
    driven.push()
    driven.advance(2)
    driven.acknowledge(200)
    driven.advance(2)
    assert driven.outcomes == []
    driven.advance(1.1)
    assert driven.outcomes == ["reset"]


def test_the_stall_limit_of_a_handler_holds_while_its_bytes_have_to_move() -> None:
    driven = telling()
    connection, exchange = driven.connection, driven.exchange
    exchange.write(b"x", driven.now)
    assert connection.stall_limit == inf
    driven.push()
    exchange.stall_timeout = 3.0
    assert connection.stall_limit == inf
    exchange.write(b"y", driven.now)
    assert connection.stall_limit == 3.0
    driven.push()
    assert connection.stall_limit == inf
    exchange.write(b"z", driven.now, until="acked")
    driven.push()
    driven.acknowledge(len(driven.wire))
    assert connection.stall_limit == 3.0


def test_the_stall_limit_of_the_setting_holds_from_the_flush_on() -> None:
    driven = telling(stall_timeout=10)
    limits = [driven.connection.stall_limit]
    driven.exchange.finish(driven.now)
    limits.append(driven.connection.stall_limit)
    driven.push()
    limits.append(driven.connection.stall_limit)
    driven.eof()
    limits.append(driven.connection.stall_limit)
    assert limits == [inf, 10, inf, 10]


def test_nothing_in_flight_is_no_stall() -> None:
    driven = telling()
    driven.exchange.stall_timeout = 3.0
    driven.exchange.write(b"x", driven.now)
    driven.push()
    driven.advance(100)
    assert driven.outcomes == []
    driven.exchange.write(b"y", driven.now)
    driven.advance(2.9)
    assert driven.outcomes == []
    driven.advance(0.2)
    assert driven.outcomes == ["reset"]


def test_a_stall_timeout_is_a_positive_number_of_seconds() -> None:
    exchange = Driven().exchange
    assert exchange.stall_timeout is None
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="stall_timeout"):
            exchange.stall_timeout = wrong
    exchange.stall_timeout = 5
    assert exchange.stall_timeout == 5


def test_the_next_exchange_does_not_pay_for_what_the_last_one_asked() -> None:
    driven = telling()
    driven.exchange.wait(5, driven.now, 1, "acked")
    driven.exchange.finish(driven.now)
    driven.push()
    assert not driven.connection.tracks_acknowledged
    driven.receive(GET)
    assert driven.stats.acked is None


def test_what_was_sent_at_several_times_has_no_lag_once_nothing_is_acknowledged_any_more() -> None:
    driven = telling()
    driven.exchange.wait(10_000, driven.now, 1000, "acked")
    for _ in range(3):
        driven.exchange.write(b"x" * 10, driven.now, 5, 1000, None, "acked")
        driven.push()
        driven.advance(1)
    assert driven.stats.lag == 3
    driven.acknowledge_unknown()
    assert (driven.stats.acked, driven.stats.lag) == (None, 0)
