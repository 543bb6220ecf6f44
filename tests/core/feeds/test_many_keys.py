"""A follower of a feed with many keys is given all of them, at a cost that grows with their number alone."""

import time

import pytest
from tests.core.driving import Driven

from httpng_core import Feed
from httpng_core.testing import Clock

FEW, MANY = 2_000, 32_000


def seconds_to_join(feed: Feed, keys: int) -> float:
    """Return the CPU time that a client costs which begins to follow."""
    driven, began = Driven(), time.thread_time()
    driven.exchange.follow(feed.follower(), driven.now)
    driven.push()
    spent = time.thread_time() - began
    assert driven.body.count(b",") == keys
    return spent


@pytest.mark.parametrize("resume", [False, True])
def test_a_new_follower_costs_so_much_a_key(resume: bool) -> None:
    spent = []
    for keys in (FEW, MANY):
        feed = Feed(resume=resume, clock=Clock())
        for key in range(keys):
            feed.publish(f"{key},", str(key))
        spent.append(min(seconds_to_join(feed, keys) for _ in range(3)))
    # 16 times, where it is linear; 256, where each key is looked for among all.
    assert spent[1] < spent[0] * 64
