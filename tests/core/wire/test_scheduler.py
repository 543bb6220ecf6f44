"""Whose frame is next: urgency, fairness by bytes, one at a time of those that aren't incremental."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpng_core.http import Priority, parse_priority
from httpng_core.wire import Entry, Scheduler


class One(Entry):
    def __init__(self, order: int, urgency: int = 3, incremental: bool = True, served: int = 0) -> None:
        self.order = order
        self.urgency = urgency
        self.incremental = incremental
        self.served = served
        self.got: list[int] = []


def deal(scheduler: Scheduler[One], entries: list[One], frames: int, size: int = 100) -> list[int]:
    """Deals frames in one round to entries that can always send more; tells to whom."""
    scheduler.begin(entries)
    dealt = []
    for _ in range(frames):
        entry = scheduler.next()
        assert entry is not None
        dealt.append(entry.order)
        scheduler.sent(entry, size, more=True)
    return dealt


def test_nobody() -> None:
    scheduler: Scheduler[One] = Scheduler()
    assert scheduler.next() is None
    scheduler.begin([])
    assert scheduler.next() is None


def test_equals_take_turns() -> None:
    assert deal(Scheduler(), [One(1), One(3), One(5)], 7) == [1, 3, 5, 1, 3, 5, 1]


def test_a_lower_urgency_goes_first() -> None:
    assert deal(Scheduler(), [One(1), One(3, urgency=0)], 3) == [3, 3, 3]


def test_turns_are_counted_in_bytes_and_go_on_from_round_to_round() -> None:
    scheduler: Scheduler[One] = Scheduler()
    small, large = One(1), One(3)
    totals = {1: 0, 3: 0}
    for _ in range(100):
        scheduler.begin([small, large])
        entry = scheduler.next()
        assert entry is not None
        size = 10 if entry is small else 1000
        totals[entry.order] += size
        scheduler.sent(entry, size, more=True)
    assert abs(totals[1] - totals[3]) <= 1000


def test_who_had_nothing_to_send_gets_no_credit_for_it() -> None:
    scheduler: Scheduler[One] = Scheduler()
    busy, late = One(1), One(3)
    deal(scheduler, [busy], 100)
    assert deal(scheduler, [busy, late], 4).count(3) <= 3


def test_of_those_not_incremental_the_oldest_takes_part_until_it_is_done() -> None:
    scheduler: Scheduler[One] = Scheduler()
    entries = [One(5, incremental=False), One(1, incremental=False), One(3)]
    assert deal(scheduler, entries, 4) == [1, 3, 1, 3]
    scheduler.begin(entries)
    dealt = []
    while (entry := scheduler.next()) is not None:
        dealt.append(entry.order)
        scheduler.sent(entry, 100, more=False)
    assert sorted(dealt) == [1, 3, 5]
    assert dealt.index(1) < dealt.index(5)


@given(st.lists(st.integers(1, 16384), min_size=200, max_size=200), st.integers(2, 8))
def test_shares_differ_by_less_than_two_frames(sizes: list[int], count: int) -> None:
    scheduler: Scheduler[One] = Scheduler()
    entries = [One(number) for number in range(count)]
    totals = [0] * count
    for size in sizes:
        scheduler.begin(entries)
        entry = scheduler.next()
        assert entry is not None
        totals[entry.order] += size
        scheduler.sent(entry, size, more=True)
    assert max(totals) - min(totals) <= 2 * 16384


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        (b"", Priority(3, False)),
        (b"u=0", Priority(0, False)),
        (b"i", Priority(3, True)),
        (b"u=7, i", Priority(7, True)),
        (b"i=?1,u=1;x=y", Priority(1, True)),
        (b"i, i=?0", Priority(3, False)),
        (b"u=8", Priority(3, False)),
        (b"u=-1, u=12, u, i=1, x=2", Priority(3, False)),
    ],
)
def test_priorities(value: bytes, priority: Priority) -> None:
    assert parse_priority(value) == priority


def test_one_that_was_not_served_after_all_keeps_its_claim() -> None:
    scheduler: Scheduler[One] = Scheduler()
    first, second = One(1, served=100), One(3, served=300)
    scheduler.begin([first, second])
    assert scheduler.next() is first
    scheduler.sent(first, 50, more=False)
    assert scheduler.next() is second
    scheduler.taken_back(first)
    scheduler.taken_back(second)
    # Who joins has had as much as the one that has had least.
    late = One(5)
    scheduler.begin([late])
    assert late.served == 150
