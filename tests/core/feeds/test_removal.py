"""Keys that are taken away, and the mark behind the values that a follower begins with."""

from contextlib import nullcontext
from typing import Any

import pytest
from tests.core.driving import Driven
from tests.core.feeds.test_broadcast import Stage
from tests.core.feeds.test_feed import Following
from tests.core.feeds.test_feed_loops import Following as InLoop
from tests.core.feeds.test_feed_loops import Loop, follow_stats

from httpng_core import Feed, FeedStats
from httpng_core.testing import Clock


def gone(key: object) -> str:
    return f"-{key},"


def joined(feed: Feed) -> bytes:
    """What a client that begins to follow now is sent."""
    driven = Driven()
    driven.exchange.follow(feed.follower(), driven.now)
    driven.push()
    return driven.body if driven.wire else b""


# What is removed --------------------------------------------------------------------------------------


def test_who_joins_gets_no_value_of_a_removed_key() -> None:
    feed = Feed(clock=Clock(), on_remove=gone)
    feed.publish("a1,", "a")
    feed.publish("b1,", "b")
    assert feed.remove("a")
    assert not feed.has("a")
    assert joined(feed) == b"b1,"
    assert feed.statistics().values == 1


def test_who_follows_is_told_by_what_on_remove_returns() -> None:
    driven = Following(on_remove=gone)
    driven.follow()
    driven.feed.publish("a1,", "a")
    driven.push()
    driven.feed.remove("a")
    driven.push()
    assert driven.body == b"a1,-a,"
    assert driven.told == follow_stats(delivered=2)
    assert driven.feed.published == 2


def test_a_payload_of_the_call_comes_first() -> None:
    asked: list[object] = []
    driven = Following(on_remove=asked.append)
    driven.follow()
    driven.feed.publish("a1,", "a")
    driven.feed.remove("a", "bye,")
    driven.push()
    assert driven.body == b"bye,"
    assert asked == []


def test_a_removal_takes_the_place_of_a_value_that_was_not_sent_and_is_replaced_likewise() -> None:
    driven = Following(on_remove=gone)
    driven.follow()
    for payload, key in [("a1,", "a"), ("b1,", "b"), ("c1,", "c")]:
        driven.feed.publish(payload, key)
    driven.feed.remove("a")
    driven.feed.remove("b")
    driven.feed.publish("b2,", "b")
    driven.push()
    assert driven.body == b"-a,b2,c1,"
    assert driven.told == follow_stats(delivered=3, skipped=3)
    assert joined(driven.feed) == b"c1,b2,"


def test_where_nothing_tells_it_a_value_that_was_not_sent_is_skipped() -> None:
    driven = Following()
    driven.follow(on_gap=lambda lost: f"[{lost}]")
    driven.feed.publish("a1,", "a")
    driven.feed.remove("a")
    assert driven.told == follow_stats(skipped=1)
    driven.feed.publish("b1,", "b")
    driven.push()
    assert driven.body == b"[1]b1,"
    assert driven.feed.get_stats() == FeedStats(published=2, followers=1, delivered=1, skipped=1, expired=0)


def test_a_removed_value_that_was_offered_counts_if_it_is_taken() -> None:
    driven = Following()
    driven.follow()
    driven.push()
    driven.feed.publish("a1,", "a")
    offer = b"".join(driven.connection.data_to_send(driven.now))
    driven.feed.remove("a")
    driven.wire += offer
    driven.connection.bytes_accepted(len(offer), driven.now)
    assert driven.body == b"a1,"
    assert driven.told == follow_stats(delivered=1)


def test_a_key_without_a_value_is_left_alone() -> None:
    asked: list[object] = []
    feed = Feed(clock=Clock(), on_remove=asked.append)
    assert not feed.remove("a")
    feed.publish("a1,", "a")
    assert feed.remove("a")
    assert not feed.remove("a")
    assert asked == ["a"]
    assert feed.published == 1


def test_clear_removes_all_oldest_first() -> None:
    driven = Following(on_remove=gone)
    driven.follow()
    for payload, key in [("a1,", "a"), ("b1,", "b"), ("a2,", "a")]:
        driven.feed.publish(payload, key)
    driven.push()
    driven.feed.clear()
    driven.push()
    assert driven.body == b"a2,b1,-b,-a,"
    assert driven.feed.statistics().values == 0
    driven.feed.clear()
    assert driven.feed.published == 5


@pytest.mark.parametrize("returned", [5, b"", ["x"]])
def test_what_is_no_payload_raises_and_the_value_stays(returned: Any) -> None:
    feed = Feed(clock=Clock(), on_remove=lambda key: returned)
    feed.publish("a1,", "a")
    with pytest.raises((TypeError, ValueError), match="payload"):
        feed.remove("a")
    assert feed.has("a")
    with pytest.raises((TypeError, ValueError), match="payload"):
        feed.remove("a", returned)
    assert feed.has("a")


def test_mistakes_raise() -> None:
    every = Feed(clock=Clock(), policy="every")
    for call in (lambda: every.remove("a"), every.clear):
        with pytest.raises(RuntimeError, match="keeps no values"):
            call()
    closed = Feed(clock=Clock(), on_remove=gone)
    closed.publish("a1,", "a")
    closed.close()
    for call in (lambda: closed.remove("a"), closed.clear):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    wrong: Any = []
    with pytest.raises(TypeError, match=r"a key must be what can be a key of a dict, not \[\]"):
        closed.remove(wrong)
    for wrong, error in [
        ({"on_remove": 5}, TypeError),
        ({"snapshot_end": 5}, TypeError),
        ({"snapshot_end": ""}, ValueError),
        ({"on_remove": gone, "policy": "every"}, ValueError),
        ({"snapshot_end": "end", "policy": "every"}, ValueError),
    ]:
        with pytest.raises(error):
            Feed(clock=Clock(), **wrong)


# In step ----------------------------------------------------------------------------------------------


def test_followers_in_step_get_a_removal_in_one_pass() -> None:
    stage = Stage(on_remove=gone)
    stage.publish("a1,", key="a")
    stage.settle()
    stage.feed.remove("a")
    assert not any(client.connection.wants_write for client in stage.clients)
    stage.settle()
    assert stage.bodies == [b"a1,-a,"] * 3


@pytest.mark.parametrize("reached", [0, 1, 3])
def test_those_that_a_pass_has_not_reached_get_nothing_of_a_removed_key(reached: int) -> None:
    stage = Stage()
    told = stage.join(on_gap=lambda lost: f"[{lost}]")
    stage.publish("a1,", key="a")
    if reached:
        stage.broadcast(reached)
    stage.feed.remove("a")
    stage.publish("b1,", key="b")
    stage.settle()
    bodies = [b"a1,b1,"] * reached + [b"b1,"] * (3 - reached)
    assert stage.bodies == [*bodies, b"[1]b1,"]
    assert [client.told for client in stage.clients[:3]] == [
        (2, 0, 0, 0) if client < reached else (1, 1, 0, 0) for client in range(3)
    ]
    assert told.told == (1, 1, 0, 0)


@pytest.mark.parametrize("limit", [1, 100])
def test_a_pass_whose_only_payload_was_removed_sends_nothing_and_all_stay_in_step(limit: int) -> None:
    stage = Stage()
    stage.publish("a1,", key="a")
    stage.feed.remove("a")
    stage.broadcast(limit)
    assert stage.bodies == [b""] * 3
    assert stage.broadcasts == []
    assert [client.told for client in stage.clients] == [(0, 1, 0, 0)] * 3
    stage.publish("b1,", key="b")
    assert not any(client.connection.wants_write for client in stage.clients)
    stage.settle()
    assert stage.bodies == [b"b1,"] * 3


# In other loops ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tells", [False, True])
def test_what_was_removed_on_its_way_to_a_loop_never_comes_there(tells: bool) -> None:
    feed = Feed(clock=Clock(), lock=nullcontext(), on_remove=gone if tells else None)
    client = InLoop(Loop())
    client.follow(feed, on_gap=lambda lost: f"[{lost}]")
    feed.publish("a1,", "a")
    feed.publish("a2,", "a")
    feed.publish("b1,", "b")
    feed.remove("a")
    feed.remove("b")
    feed.publish("b2,", "b")
    assert feed.statistics().waiting == 2
    client.turn()
    if tells:
        # The two that the first payload has replaced come before it, the others with the second.
        assert client.body == b"[4]-a,b2,"
        assert client.told == follow_stats(delivered=2, skipped=4)
    else:
        assert client.body == b"[3]b2,"
        assert client.told == follow_stats(delivered=1, skipped=3)
    late = InLoop(client.loop)
    late.follow(feed)
    late.turn()
    assert late.body == b"b2,"


# The mark ---------------------------------------------------------------------------------------------


def test_a_mark_follows_the_values_that_a_client_begins_with() -> None:
    driven = Following(snapshot_end="end,", on_remove=gone)
    for payload, key in [("a1,", "a"), ("b1,", "b")]:
        driven.feed.publish(payload, key)
    driven.follow(max_age=5)
    driven.feed.publish("c1,", "c")
    driven.feed.publish("b2,", "b")
    driven.feed.remove("a")
    driven.push()
    assert driven.body == b"-a,b2,end,c1,"
    assert driven.told == follow_stats(delivered=4, skipped=2)


def test_a_mark_comes_at_once_where_there_are_no_values_and_never_expires() -> None:
    driven = Following(snapshot_end=b"end,")
    driven.feed.publish("old,", "a")
    driven.follow(max_age=1, on_gap=lambda lost: f"[{lost}]")
    driven.clock.now += 5
    driven.push()
    assert driven.body == b"[1]end,"
    assert driven.told == follow_stats(delivered=1, expired=1)
    assert joined(Feed(clock=Clock(), snapshot_end="end,")) == b"end,"


def test_a_mark_is_no_value() -> None:
    feed = Feed(clock=Clock(), snapshot_end="end,")
    feed.publish("a1,", "a")
    assert joined(feed) == b"a1,end,"
    assert feed.published == feed.statistics().values == 1
    feed.clear()
    assert joined(feed) == b"end,"
    feed.close()
    assert joined(feed) == b"end,"


def test_who_has_had_the_mark_is_in_step_with_the_others() -> None:
    stage = Stage(snapshot_end="end,")
    stage.publish("a1,", key="a")
    stage.join()
    stage.settle()
    assert stage.bodies == [b"end,a1,"] * 3 + [b"a1,end,"]
    stage.publish("b1,", key="b")
    stage.settle()
    stage.publish("c1,", key="c")
    assert not any(client.connection.wants_write for client in stage.clients)
    stage.settle()
    assert [body[-6:] for body in stage.bodies] == [b"b1,c1,"] * 4


def test_a_feed_that_on_remove_closes_removes_nothing_more() -> None:
    feed = Feed(clock=Clock(), on_remove=lambda key: feed.close())
    feed.publish("a1", "a")
    with pytest.raises(RuntimeError, match="the feed is closed"):
        feed.remove("a")
    assert feed.has("a")
