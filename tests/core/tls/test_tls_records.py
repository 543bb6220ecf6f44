"""The records that were sealed: sealed offsets to plaintext offsets, by whole records."""

import random

from httpng_core.tls import RecordBook


def test_plaintext_counts_with_the_last_byte_of_its_record() -> None:
    book = RecordBook()
    book.push(100, 78)
    assert [book.accept(99), book.accept(1)] == [0, 78]


def test_what_tls_says_by_itself_carries_nothing() -> None:
    book = RecordBook()
    book.push(500)
    book.push(100, 78)
    book.push(24)
    assert [book.accept(500), book.accept(100), book.accept(24)] == [0, 78, 0]
    assert book.accepted == book.pushed == 624


def test_several_records_at_once() -> None:
    book = RecordBook()
    for _ in range(3):
        book.push(32, 10)
    assert book.accept(70) == 20
    assert book.accept(26) == 10


def test_acknowledged_plaintext_counts_by_whole_records() -> None:
    book = RecordBook()
    book.push(50)
    for _ in range(3):
        book.push(32, 10)
    book.accept(146)
    assert [book.acknowledge(total) for total in (0, 50, 81, 82, 113, 146, 999)] == [0, 0, 0, 10, 10, 30, 30]


def test_a_record_that_was_not_accepted_is_not_acknowledged() -> None:
    book = RecordBook()
    book.push(32, 10)
    book.accept(31)
    assert book.acknowledge(32) == 0


def test_a_book_that_forgets_stays_small_and_knows_the_last() -> None:
    book = RecordBook()
    for _ in range(1000):
        book.push(32, 10)
        book.accept(32)
        book.forget()
    assert len(book) == 1
    assert book.acknowledge(31_999) == 0
    assert book.acknowledge(32_000) == 10_000
    assert len(book) == 0


def test_against_a_list_of_records() -> None:
    chance = random.Random(5)
    for _ in range(200):
        book, records, sealed, plain = RecordBook(), [], 0, 0
        for _ in range(chance.randrange(1, 20)):
            size, opened = chance.randrange(1, 50), chance.choice((0, chance.randrange(1, 40)))
            book.push(size, opened)
            sealed, plain = sealed + size, plain + opened
            records.append((sealed, plain))
        accepted = told = acknowledged = 0
        while accepted < sealed:
            step = chance.randrange(0, min(60, sealed - accepted) + 1)
            accepted += step
            told += book.accept(step)
            assert told == max((plain for end, plain in records if end <= accepted), default=0)
            acknowledged = chance.randrange(acknowledged, accepted + 1)
            expected = max((plain for end, plain in records if end <= acknowledged), default=0)
            assert book.acknowledge(acknowledged) == expected
