"""The positions of a response, the size of commits, and the lag book."""

import random
from collections import deque

import pytest

from httpng_core.sending.positions import CommitSize, LagBook, SendWindow


def test_a_window_counts() -> None:
    window = SendWindow()
    window.accept(10)
    window.commit(7)
    window.pay(3)
    assert (window.current, window.committed, window.sent, window.in_flight) == (10, 7, 3, 7)
    assert window.fits(3, 10)
    assert not window.fits(4, 10)


def test_dropped_bytes_are_sent_at_once() -> None:
    window = SendWindow()
    window.accept_dropped(5)
    assert (window.current, window.committed, window.sent) == (5, 5, 5)


def test_no_byte_is_committed_that_was_not_accepted_nor_sent_that_was_not_committed() -> None:
    window = SendWindow()
    window.accept(3)
    with pytest.raises(AssertionError, match="committed 4 of 3"):
        window.commit(4)
    window = SendWindow()
    window.accept(3)
    window.commit(2)
    with pytest.raises(AssertionError, match="sent 3 of 2"):
        window.pay(3)


def test_no_byte_is_acknowledged_that_was_not_sent() -> None:
    window = SendWindow()
    window.accept(3)
    window.commit(3)
    window.pay(2)
    window.acknowledge(3)
    assert window.acked is None, "nobody asked for it"
    window.acked = 0
    window.acknowledge(2)
    assert (window.acked, window.reached("acked"), window.in_flight_until("acked")) == (2, 2, 1)
    with pytest.raises(AssertionError, match="3 acknowledged of 2"):
        window.acknowledge(1)


def test_commits_grow_after_four_full_frames_and_shrink_at_a_refusal() -> None:
    commits = CommitSize()
    sizes = []
    for taken in (16384, 16384, 16384, 16384, 65536, 65535, 16384):
        commits.taken(max(taken, commits.value), taken)
        sizes.append(commits.value)
    assert sizes == [16384] * 3 + [65536, 65536, 16384, 16384]


def test_small_frames_neither_grow_nor_shrink_a_commit() -> None:
    commits = CommitSize()
    for _ in range(3):
        commits.taken(20_000, 20_000)
    for _ in range(100):
        commits.taken(100, 100)
    assert commits.value == CommitSize.SMALL
    commits.taken(20_000, 20_000)
    assert commits.value == CommitSize.LARGE
    commits.taken(100, 99)
    assert commits.value == CommitSize.SMALL


def test_after_a_refusal_the_socket_is_asked_first_until_four_full_frames_were_taken() -> None:
    commits = CommitSize()
    assert not commits.is_cautious
    commits.taken(100, 50)
    asked = []
    for _ in range(4):
        asked.append(commits.is_cautious)
        commits.taken(16384, 16384)
    assert asked == [True] * 4
    assert not commits.is_cautious


def test_a_commit_size_that_does_not_grow_is_small_and_cautious_always() -> None:
    commits = CommitSize(grows=False)
    for taken in (20_000, 20_000, 0, 20_000, 20_000, 20_000, 20_000):
        assert (commits.value, commits.is_cautious) == (CommitSize.SMALL, True)
        commits.taken(20_000, taken)


# LagBook ----------------------------------------------------------------------------------------------


def test_an_empty_book_has_no_lag() -> None:
    book = LagBook()
    assert book.lag(5.0) == 0
    book.accept(1, 5.0)
    book.clear()
    assert book.lag(9.0) == 0
    assert len(book) == 0


def test_the_lag_is_that_of_the_oldest_byte_in_flight() -> None:
    book = LagBook()
    book.accept(10, 1.0)
    book.accept(20, 2.0)
    assert book.lag(2.5) == 1.5
    book.pay(9)
    assert book.lag(2.5) == 1.5
    book.pay(10)
    assert book.lag(2.5) == 0.5
    book.pay(20)
    assert book.lag(2.5) == 0


def test_the_lag_is_told_in_milliseconds_and_never_below_0() -> None:
    book = LagBook()
    book.accept(1, 1.0)
    assert book.lag(1.0123456) == 0.012
    assert book.lag(0.5) == 0


def test_bytes_of_the_same_millisecond_share_a_stamp() -> None:
    book = LagBook()
    for position in range(1, 101):
        book.accept(position, 1.0 + position * 0.00001)
    assert len(book) == 1


def drive(book: LagBook, bytes_written: int, every: float, behind: int) -> float:
    """One-byte writes to a client that stays `behind` bytes behind; tells how wrong the lag ever was."""
    now, worst, stamps = 0.0, 0.0, deque[float]()
    for position in range(1, bytes_written + 1):
        now += every
        book.accept(position, now)
        stamps.append(now)
        assert len(book) <= LagBook.MAX_STAMPS
        if position > behind:
            stamps.popleft()
            book.pay(position - behind)
        worst = max(worst, abs(book.lag(now) - (now - stamps[0])))
    return worst


def test_a_million_one_byte_writes_leave_the_book_small() -> None:
    book = LagBook()
    for position in range(1, 1_000_001):
        book.accept(position, position * 0.00005)
    assert len(book) <= LagBook.MAX_STAMPS
    assert book.lag(50.0) == 50.0
    for position in range(1, 1_000_001, 999):
        book.pay(position)
        assert 0 <= book.lag(50.0) - (50.0 - position * 0.00005) <= 50 / 50


def test_the_lag_is_true_to_the_millisecond_where_the_book_has_a_stamp_for_each() -> None:
    assert drive(LagBook(), 20_000, every=0.01, behind=LagBook.MAX_STAMPS - 1) <= 0.0011
    assert drive(LagBook(), 20_000, every=0.0001, behind=2_000) <= 0.0016


@pytest.mark.parametrize("behind", [1_000, 50_000])
def test_else_it_is_true_to_one_part_in_fifty(behind: int) -> None:
    assert drive(LagBook(), behind + 20_000, every=0.01, behind=behind) <= behind * 0.01 / 50


def test_after_a_long_stall_the_lag_is_true_to_the_millisecond_again() -> None:
    book, random_ = LagBook(), random.Random(1)
    now, position = 0.0, 0
    for _ in range(3_000):
        now += 0.5
        position += 1
        book.accept(position, now)
    # The client comes back and catches up, but never quite: the book is never empty.
    stamps = {position: now}
    for _ in range(2_000):
        now += 0.02
        position += random_.randrange(1, 5)
        book.accept(position, now)
        stamps[position] = now
        paid = max(one for one in stamps if one < position)
        book.pay(paid)
    assert abs(book.lag(now) - 0.0) <= 0.001
