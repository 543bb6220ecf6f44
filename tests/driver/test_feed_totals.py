"""The counts of all feeds of a process: those that are gone stay in them, each counted once."""

import gc

from httpng_core import Feed
from httpng_core.testing import Clock
from httpng_driver.handlers import FeedTotals


class Kept(Feed):
    """A feed that leaves to counts of its own what became of its payloads."""

    def __init__(self, counts: FeedTotals) -> None:
        super().__init__(clock=Clock())
        self._counts = counts
        counts.begin(self)

    def __del__(self) -> None:
        self._counts.end(self)


def test_those_that_are_there_and_those_that_are_gone_are_counted_once() -> None:
    counts = FeedTotals()
    one, other = Kept(counts), Kept(counts)
    for _ in range(3):
        one.publish("payload")
    other.publish("payload")
    assert counts.stats().published == 4
    del one
    gc.collect()
    for _ in range(2):
        assert counts.stats().published == 4
    other.publish("more")
    del other
    gc.collect()
    assert counts.stats().published == 5
    assert counts.stats().followers == 0
