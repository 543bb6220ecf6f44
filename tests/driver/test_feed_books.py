"""The books of all feeds of a process: those that are gone stay in them, each counted once."""

import gc

from httpng_core import Feed
from httpng_core.testing import Clock
from httpng_driver.handlers.feed_books import FeedBooks


class Kept(Feed):
    """A feed that leaves to books of its own what became of its payloads."""

    def __init__(self, books: FeedBooks) -> None:
        super().__init__(clock=Clock())
        self._books = books
        books.begin(self)

    def __del__(self) -> None:
        self._books.end(self)


def test_those_that_are_there_and_those_that_are_gone_are_counted_once() -> None:
    books = FeedBooks()
    one, other = Kept(books), Kept(books)
    for _ in range(3):
        one.publish("payload")
    other.publish("payload")
    assert books.stats().published == 4
    del one
    gc.collect()
    for _ in range(2):
        assert books.stats().published == 4
    other.publish("more")
    del other
    gc.collect()
    assert books.stats().published == 5
    assert books.stats().followers == 0
