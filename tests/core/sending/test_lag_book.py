"""The lag book: since when the oldest byte in flight waits."""

import random
from collections import deque

import pytest

from httpng_core.sending import LagBook

# LagBook ----------------------------------------------------------------------------------------------


def test_an_empty_book_has_no_lag() -> None:
    book = LagBook()
    assert book.lag(5.0) == 0
    book.accept(1, 5.0)
    book.pay(1)
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
