"""Values that are merged in place of being skipped: who gets what of them, and how it counts."""

import itertools
import logging
import random
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from tests.core.driving import Driven
from tests.core.feeds.test_broadcast import Stage
from tests.core.feeds.test_feed import Following
from tests.core.feeds.test_feed_loops import Following as InLoop
from tests.core.feeds.test_feed_loops import Loop

from httpng_core import Feed, FeedStats, FollowStats, Keys, json_merge
from httpng_core.testing import Clock


def together(older: bytes, newer: bytes) -> bytes:
    """Payloads like `1+2,`: so each client shows what it was made of."""
    return older[:-1] + b"+" + newer


def stats(
    delivered: int = 0, skipped: int = 0, merged: int = 0, expired: int = 0, pending: int = 0
) -> FollowStats:
    return FollowStats(delivered=delivered, skipped=skipped, merged=merged, expired=expired, pending=pending)


def publish(feed: Feed, *payloads: str) -> None:
    for payload in payloads:
        feed.publish(payload)


# One follower -----------------------------------------------------------------------------------------


def test_what_was_not_sent_is_merged_with_what_takes_its_place() -> None:
    driven = Following(merge=together)
    driven.follow(on_gap=lambda lost: f"[{lost}]")
    publish(driven.feed, "1,", "2,", "3,")
    assert driven.told == stats(merged=2, pending=1)
    driven.push()
    publish(driven.feed, "4,")
    driven.push()
    assert driven.body == b"1+2+3,4,", "nothing was lost, so no gap is told"
    assert driven.told == stats(delivered=2, merged=2)
    told = driven.feed.get_stats()
    assert told == FeedStats(published=4, followers=1, delivered=2, skipped=0, expired=0, merged=2)


def test_keys_are_merged_each_for_itself_and_keep_their_places() -> None:
    driven = Following(merge=together)
    driven.follow()
    for payload, key in [("a1,", "a"), ("b1,", "b"), ("a2,", "a"), ("b2,", "b")]:
        driven.feed.publish(payload, key)
    driven.push()
    assert driven.body == b"a1+a2,b1+b2,"


def test_who_joins_gets_the_last_value_as_it_was_published() -> None:
    driven = Following(merge=together)
    driven.follow()
    publish(driven.feed, "1,", "2,")
    late = Driven()
    late.exchange.follow(driven.feed.follower(), 0)
    late.push()
    assert late.body == b"2,"


@pytest.mark.parametrize("is_taken", [False, True])
def test_what_is_offered_is_merged_only_if_it_is_refused(is_taken: bool) -> None:
    driven = Following(merge=together)
    driven.follow()
    driven.push()
    publish(driven.feed, "1,")
    offer = b"".join(driven.connection.data_to_send(driven.now))
    publish(driven.feed, "2,", "3,")
    assert driven.told == stats(merged=1, pending=2)
    size = len(offer) if is_taken else 0
    driven.wire += offer[:size]
    driven.connection.bytes_accepted(size, driven.now)
    assert driven.told == (
        stats(delivered=1, merged=1, pending=1) if is_taken else stats(merged=1, pending=2)
    )
    driven.push()
    assert driven.body == (b"1,2+3," if is_taken else b"1+2+3,")
    assert driven.told == (stats(delivered=2, merged=1) if is_taken else stats(delivered=1, merged=2))


def test_a_payload_in_transmission_is_not_merged() -> None:
    driven = Following(merge=together)
    driven.follow()
    driven.push()
    publish(driven.feed, "1,")
    driven.push(3)
    publish(driven.feed, "2,", "3,")
    driven.push()
    assert driven.body == b"1,2+3,"
    assert driven.told == stats(delivered=2, merged=1)


def test_a_removal_is_not_merged_nor_is_what_comes_after_it() -> None:
    driven = Following(merge=together, on_remove=lambda key: "gone,")
    driven.follow()
    publish(driven.feed, "1,", "2,")
    driven.feed.remove(None)
    assert driven.told == stats(skipped=1, merged=1, pending=1)
    publish(driven.feed, "3,", "4,")
    driven.push()
    assert driven.body == b"3+4,"
    assert driven.told == stats(delivered=1, skipped=2, merged=2)


def test_a_removal_that_nothing_tells_skips_what_was_merged() -> None:
    driven = Following(merge=together)
    driven.follow()
    driven.push()
    publish(driven.feed, "1,", "2,")
    driven.connection.data_to_send(driven.now)
    publish(driven.feed, "3,")
    driven.feed.remove(None)
    assert driven.told == stats(skipped=2, merged=1)
    driven.connection.bytes_accepted(0, driven.now)
    publish(driven.feed, "4,")
    driven.push()
    assert driven.body == b"4,"


def test_what_was_merged_is_as_old_as_the_newest() -> None:
    driven = Following(merge=together)
    driven.follow(max_age=1)
    publish(driven.feed, "1,")
    driven.advance(0.8)
    publish(driven.feed, "2,")
    driven.advance(0.8)
    driven.push()
    assert driven.body == b"1+2,"
    publish(driven.feed, "3,", "4,")
    driven.advance(1.1)
    driven.push()
    assert driven.told == stats(delivered=1, merged=2, expired=1)


def test_a_key_that_is_wanted_no_more_counts_as_never_published() -> None:
    driven, keys = Following(merge=together), Keys(["a"])
    driven.follow(keys=keys)
    driven.push()
    driven.feed.publish("1,", "a")
    driven.feed.publish("2,", "a")
    offer = driven.connection.data_to_send(driven.now)
    driven.feed.publish("3,", "a")
    keys.discard("a")
    assert driven.told == stats(merged=1)
    driven.wire += b"".join(offer)
    driven.connection.bytes_accepted(len(b"".join(offer)), driven.now)
    assert driven.body == b"1+2,"
    assert driven.told == stats(delivered=1, merged=1)


def test_who_is_gone_is_counted_as_it_was() -> None:
    driven = Following(merge=together)
    follow = driven.follow()
    publish(driven.feed, "1,", "2,")
    driven.exchange.withdraw(follow, driven.now)
    publish(driven.feed, "3,", "4,")
    assert driven.told == stats(skipped=1, merged=1)
    told = driven.feed.get_stats()
    assert told == FeedStats(published=4, followers=0, delivered=0, skipped=1, expired=0, merged=1)


# Several ----------------------------------------------------------------------------------------------


def counting(calls: list[bytes]) -> Callable[[bytes, bytes], bytes]:
    def merge(older: bytes, newer: bytes) -> bytes:
        calls.append(older + newer)
        return together(older, newer)

    return merge


def test_those_in_step_are_merged_for_once_and_stay_in_step() -> None:
    calls: list[bytes] = []
    stage = Stage(5, merge=counting(calls))
    told = stage.join(on_gap=lambda lost: f"[{lost}]")
    stage.publish("1,", "2,")
    assert calls == [b"1,2,"]
    assert not any(client.connection.wants_write for client in stage.clients), told
    stage.settle()
    assert stage.bodies == [b"1+2,"] * 6
    assert [client.follower.stats for client in stage.clients] == [stats(delivered=1, merged=1)] * 6


def test_those_behind_share_what_is_the_same_for_them() -> None:
    calls: list[bytes] = []
    feed, clients = Feed(clock=Clock(), merge=counting(calls)), [Driven() for _ in range(5)]
    for client in clients:
        client.exchange.follow(feed.follower(), 0)
    publish(feed, "1,")
    clients[0].push()
    publish(feed, "2,", "3,")
    assert sorted(calls) == [b"1+2,3,", b"1,2,", b"2,3,"]
    for client in clients:
        client.push()
    assert [client.body for client in clients] == [b"1,2+3,"] + [b"1+2+3,"] * 4


def test_a_newer_value_does_not_end_a_pass() -> None:
    stage = Stage(merge=together)
    stage.publish("1,")
    stage.broadcast(2)
    stage.publish("2,", "3,")
    assert [client.told for client in stage.clients] == [(1, 0, 0, 1), (1, 0, 0, 1), (0, 0, 0, 2)]
    stage.settle()
    assert stage.bodies == [b"1,2+3,"] * 3


@pytest.mark.parametrize("taken", [0, 4])
def test_who_steps_out_of_a_pass_merges_what_it_was_not_sent(taken: int) -> None:
    stage = Stage(merge=together)
    slow = stage.clients[2]
    slow.room = taken
    stage.publish("1,")
    stage.broadcast(2)
    stage.publish("2,")
    stage.broadcast(1)
    slow.room = 1 << 30
    stage.settle()
    assert slow.body == (b"1,2," if taken else b"1+2,")
    assert slow.follower.stats == (stats(delivered=2) if taken else stats(delivered=1, merged=1))


def test_what_waits_for_a_loop_is_merged_on_its_way() -> None:
    calls: list[bytes] = []
    feed = Feed(clock=Clock(), lock=nullcontext(), merge=counting(calls))
    loop = Loop()
    client, other = InLoop(loop), InLoop(loop)
    client.follow(feed, on_gap=lambda lost: f"[{lost}]")
    publish(feed, *(f"{number}," for number in range(5)))
    assert feed.statistics().waiting == 1
    assert len(calls) == 4
    client.turn()
    assert client.body == b"0+1+2+3+4,"
    assert client.told == stats(delivered=1, merged=4)
    other.follow(feed)
    other.turn()
    assert other.body == b"4,", "who joins gets the last value as it was published"


def test_another_thread_that_publishes_meanwhile_loses_nothing() -> None:
    feed: Feed
    others = iter(["x,", "y,"])

    def merge(older: bytes, newer: bytes) -> bytes:
        # As if another thread came in between.
        if (other := next(others, None)) is not None:
            feed.publish_threadsafe(other)
        return together(older, newer)

    feed = Feed(clock=Clock(), lock=nullcontext(), merge=merge)
    client = InLoop(Loop())
    client.follow(feed)
    publish(feed, "1,", "2,")
    client.turn()
    assert client.body == b"1+y+x+2,"
    assert client.told == stats(delivered=1, merged=3)
    assert feed.get_stats().published == 4


# What goes wrong --------------------------------------------------------------------------------------


class Odd(BaseException):
    """Neither an Exception nor meant for the program."""


def failing(raised: BaseException | None, returned: Any = None) -> Callable[[bytes, bytes], Any]:
    def merge(older: bytes, newer: bytes) -> Any:
        if raised is not None:
            raise raised
        return returned

    return merge


FAILING = [
    failing(ZeroDivisionError("no")),
    failing(Odd()),
    failing(BaseExceptionGroup("several", [Odd()])),
    failing(None),
    failing(None, b""),
    failing(None, 5),
]


@pytest.mark.parametrize("merge", FAILING, ids=["error", "odd", "group", "nothing", "empty", "no bytes"])
def test_a_merge_that_fails_is_logged_once_and_the_newer_value_replaces(
    merge: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(merge=merge)
    told = stage.join(on_gap=lambda lost: f"[{lost}]")
    stage.clients[0].wait(100, 100)
    stage.publish("1,", "2,", "3,")
    stage.settle()
    assert stage.bodies == [b"3,"] * 3 + [b"[2]3,"]
    assert [client.follower.stats for client in stage.clients] == [stats(delivered=1, skipped=2)] * 4
    assert not told.follow.settled
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "merge of a feed failed" in record.message


def test_what_is_meant_for_the_program_goes_on() -> None:
    driven = Following(merge=failing(KeyboardInterrupt()))
    driven.follow()
    publish(driven.feed, "1,")
    with pytest.raises(KeyboardInterrupt):
        publish(driven.feed, "2,")


def test_a_merge_that_ends_follows_touches_no_others() -> None:
    feed, clients = Feed(clock=Clock()), [Driven() for _ in range(3)]

    def merge(older: bytes, newer: bytes) -> bytes:
        clients[0].exchange.reset(0)
        return together(older, newer)

    feed = Feed(clock=Clock(), merge=merge)
    for client in clients:
        client.exchange.follow(feed.follower(), 0)
    publish(feed, "1,", "2,", "3,")
    for client in clients[1:]:
        client.push()
    assert [client.body for client in clients[1:]] == [b"1+2+3,"] * 2
    assert clients[0].outcomes == ["reset"]
    told = feed.get_stats()
    assert (told.published, told.followers, told.delivered) == (3, 2, 2)


def test_mistakes_raise() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="merge must be a function that gets two payloads, or None, not 5"):
        Feed(clock=Clock(), merge=wrong)
    with pytest.raises(ValueError, match='merge is for the policy "latest"'):
        Feed(clock=Clock(), merge=together, policy="every")


# Sums come out right ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_each_client_ends_with_the_sum(seed: int) -> None:
    """Random kernels and passes: what clients were sent adds up to what was published since they joined."""
    rng = random.Random(seed)
    add = json_merge("sum")
    stage = Stage(4, merge=add)
    joined = [dict.fromkeys("ab", 0) for _ in stage.clients]
    total, last = dict.fromkeys("ab", 0), dict.fromkeys("ab", 0)
    for _ in range(120):
        what = rng.random()
        if what < 0.5:
            key, amount = rng.choice("ab"), rng.randrange(1, 100)
            stage.feed.publish(f"{amount}\n", f"{key}")
            total[key] += amount
            last[key] = amount
        elif what < 0.7:
            for client in stage.clients:
                client.room = rng.choice([0, 1, 4, 1 << 30])
            stage.broadcast(rng.randrange(1, 5))
        elif what < 0.95:
            rng.choice(stage.clients).push(rng.choice([0, 1, 3, 5, 20, 1000]))
        elif len(stage.clients) < 8:
            # It begins with the last value of each key; from there on its sums are its own.
            stage.join()
            joined.append({key: total[key] - last[key] for key in total})
    for client in stage.clients:
        client.room = 1 << 30
    stage.settle()
    for client, before in zip(stage.clients, joined, strict=True):
        sent = sum(map(int, client.body.split()))
        assert sent == sum(total.values()) - sum(before.values())
        told = client.follower.stats
        assert (told.skipped, told.pending) == (0, 0)
    assert stage.feed.get_stats().skipped == 0


# JSON -------------------------------------------------------------------------------------------------

BAR = json_merge({"volume": "sum", "high": "max", "low": "min", "open": "first"})


def test_bars_of_json_objects() -> None:
    older = b'{"open":5,"high":7,"low":4,"close":6,"volume":10,"note":"x"}'
    newer = b'{"open":6,"high":9,"low":5,"close":8,"volume":1.5}\n'
    assert BAR(older, newer) == b'{"open":5,"high":9,"low":4,"close":8,"volume":11.5,"note":"x"}\n'


@pytest.mark.parametrize(
    ("how", "expected"), [("sum", b"7"), ("max", b"5"), ("min", b"2"), ("first", b"5"), ("last", b"2")]
)
def test_numbers(how: Any, expected: bytes) -> None:
    assert json_merge(how)(b"5", b"2") == expected


def test_the_data_of_events_is_merged_and_the_fields_are_those_of_the_newer() -> None:
    older = b"event: bar\nid: 1\ndata: 5\n\n"
    newer = b": c\nevent: bar\nid: 2\ndata: 2\n\n"
    assert json_merge("sum")(older, newer) == b": c\nevent: bar\nid: 2\ndata: 7\n\n"


@pytest.mark.parametrize(
    ("older", "newer"),
    list(itertools.product([b'"a"', b"true", b"{", b"[1]", b'{"volume":"1"}'], [b"1", b'{"volume":1}'])),
)
def test_what_cant_be_combined_raises(older: bytes, newer: bytes) -> None:
    with pytest.raises((TypeError, ValueError)):
        json_merge("sum")(older, newer)
    with pytest.raises((TypeError, ValueError)):
        BAR(older, newer)


def test_wrong_words_raise() -> None:
    wrong: Any
    for wrong in ("add", {"volume": "add"}, {"volume": 5}):
        with pytest.raises(ValueError, match='json_merge combines values by one of "sum", "max"'):
            json_merge(wrong)
    for wrong in (5, None, {5: "sum"}):
        with pytest.raises(TypeError, match="json_merge needs"):
            json_merge(wrong)


def test_a_closed_feed_takes_nothing() -> None:
    feed = Feed(clock=Clock(), merge=together)
    publish(feed, "a1")
    feed.close()
    with pytest.raises(RuntimeError, match="the feed is closed"):
        publish(feed, "a2")
    feed.mirror("a3", "a", 7)
    assert feed.get_stats().published == 1


def test_what_only_one_of_two_objects_has_is_kept_as_it_is() -> None:
    assert BAR(b'{"volume":1,"x":1}', b'{"high":5,"y":2}') == b'{"volume":1,"x":1,"high":5,"y":2}'


def test_what_was_refused_and_cannot_be_merged_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    driven = Following(merge=failing(ZeroDivisionError()))
    driven.follow()
    driven.push()
    publish(driven.feed, "a1")
    driven.connection.data_to_send(driven.now)
    publish(driven.feed, "a2")
    driven.connection.bytes_accepted(0, driven.now)
    driven.push()
    assert driven.body == b"a2"
    assert driven.told == stats(delivered=1, skipped=1)
    assert "ZeroDivisionError" in caplog.text


def test_of_a_key_that_is_wanted_no_more_what_a_pass_was_sending_is_not_merged() -> None:
    stage, keys = Stage(0, merge=together), Keys(["a", "b"])
    for _ in range(2):
        stage.join(keys=keys)
    stage.publish("1,", key="a")
    stage.broadcast(1)
    stage.publish("2,", key="a")
    late = stage.clients[1]
    late.exchange.wait(1000, late.now, 1000)
    keys.discard("a")
    stage.publish("3,", key="b")
    stage.settle()
    assert stage.bodies == [b"1,3,", b"3,"]
    assert late.follower.stats == stats(delivered=1)
