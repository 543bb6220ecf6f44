"""Clients that come back to a feed with an id, a test a sentence: what each is sent then."""

import gc
import re
import tracemalloc
from contextlib import nullcontext
from typing import Any

import pytest
from tests.core.driving import Driven
from tests.core.feeds.test_broadcast import Stage
from tests.core.feeds.test_feed_loops import Following as InLoop
from tests.core.feeds.test_feed_loops import Loop, follow_stats
from tests.core.feeds.test_storms import Client as Turning
from tests.core.feeds.test_storms import TurningLoop

from httpng_core import Feed, Keys, Resume
from httpng_core.languages import follower_of
from httpng_core.testing import Clock

IDS = Resume(id_line="<{id}>", first="hello,", gap="gap {lost},", max_replay=9)


def new_feed(*payloads: str, **options: Any) -> Feed:
    """Each payload is the value of the key that is its first letter."""
    options.setdefault("resume", IDS)
    feed = Feed(clock=Clock(), **options)
    publish(feed, *payloads)
    return feed


def publish(feed: Feed, *payloads: str) -> None:
    for payload in payloads:
        feed.publish(payload + ",", payload[0])


def got(feeds: Feed | list[Feed], since: Any = None, **options: Any) -> str:
    """What a client gets that has had all up to number `since`, without the names in the ids."""
    if isinstance(since, int):
        assert isinstance(feeds, Feed)
        since = f"{feeds.incarnation}.{since}"
    driven = Driven()
    driven.exchange.follow(follower_of(feeds, since=since, **options), driven.now)
    driven.push()
    return re.sub(rb"[\w-]{8}\.", b"", driven.body).decode()


# What begins anew ---------------------------------------------------------------------------------------


def test_each_payload_has_an_id_that_says_what_the_client_has_by_then() -> None:
    assert got(new_feed("a1", "b1", "a2", "c1")) == "<1>hello,<2>b1,<3>a2,<4>c1,"


def test_as_server_sent_events_they_have_a_retry_at_random_between_two() -> None:
    texts = [got(Feed(clock=Clock(), resume=True)) for _ in range(30)]
    found = [re.fullmatch(r"id: 0\nretry: (\d+)\n\n", text) for text in texts]
    retries = {int(match[1]) for match in found if match is not None}
    assert len(retries) > 20
    assert 1000 <= min(retries) < max(retries) <= 3000
    assert got(Feed(clock=Clock(), resume=Resume(retry=2))) == "id: 0\nretry: 2000\n\n"


def test_an_empty_id_is_none_at_all() -> None:
    feed = new_feed("a1")
    assert got(feed, "") == got(feed) == "<0>hello,<1>a1,"


@pytest.mark.parametrize(
    "since", ["x", "x.1", "NAME.2", "NAME.-1", "NAME.1x", "NAME." + "9" * 5000, "NAME.²"]
)
def test_an_unknown_id_brings_a_mark_of_the_gap_and_all_values(since: str) -> None:
    feed = new_feed("a1")
    assert got(feed, since.replace("NAME", str(feed.incarnation))) == "<-1>hello,<0>gap null,<1>a1,"


def test_an_id_of_another_feed_or_of_a_feed_of_before_is_unknown() -> None:
    old, new = new_feed("a1"), new_feed("a1")
    id_ = f"{old.incarnation}.1"
    assert old.incarnation != new.incarnation
    assert got(new, id_) == "<-1>hello,<0>gap null,<1>a1,"
    assert old.knows(id_)
    assert not new.knows(id_)
    assert not old.knows("")
    assert not Feed(clock=Clock()).knows(id_)


# What comes back: latest --------------------------------------------------------------------------------


def test_exactly_the_keys_come_that_have_changed_since() -> None:
    feed = new_feed("a1", "b1", "c1", "b2", on_remove=lambda key: f"-{key},")
    assert got(feed, 4) == "<4>hello,"
    assert got(feed, 3) == "<3>hello,<4>b2,"
    feed.remove("a")
    assert got(feed, 3) == "<3>hello,<4>b2,<5>-a,"
    publish(feed, "a3")
    assert got(feed, 3) == "<3>hello,<5>b2,<6>a3,", "a removed key that is back is no removed key"
    assert got(feed, 3, keys={"a"}) == "<5>hello,<6>a3,"
    assert got(feed, 3, keys=lambda key: key == "b") == "<3>hello,<6>b2,"


def test_of_too_many_removed_keys_some_are_forgotten_and_then_an_id_is_too_old() -> None:
    feed = new_feed("a1", "b1", on_remove=lambda key: "-")
    for key in range(65_537):
        feed.publish("x", key)
        feed.remove(key)
    last = feed.published
    assert got(feed, last - 1) == f"<{last - 1}>hello,<{last}>-"
    follower = feed.follower(since=f"{feed.incarnation}.4")
    Driven().exchange.follow(follower, 0)
    assert follower.stats.pending == 1 + 65_536, "the first was removed at 4"
    assert got(feed, 3) == f"<-1>hello,<0>gap null,<1>a1,<{last}>b1,"


def test_a_client_that_breaks_off_while_newer_values_overtake_older_ones_misses_none() -> None:
    feed, driven = new_feed(), Driven()
    driven.exchange.follow(feed.follower(), driven.now)
    driven.push()
    publish(feed, "a1", "b1", "a2")
    driven.push(len("1b\r\n<12345678.1>a2,\r\n"))
    last = re.findall(rb"<(\S+)>a2,", driven.wire)[-1].decode()
    assert last.endswith(".1"), "b1 has not come yet"
    assert got(feed, last) == "<1>hello,<2>b1,<3>a2,"


def test_a_mark_behind_the_values_comes_again() -> None:
    feed = new_feed("a1", "b1", snapshot_end="all,")
    assert got(feed, 1) == "<1>hello,<2>b1,<2>all,"


def test_those_that_come_back_are_in_step_once_they_have_caught_up() -> None:
    stage = Stage(2, resume=IDS)
    publish(stage.feed, "a1")
    stage.settle()
    stage.join(since=f"{stage.feed.incarnation}.0")
    stage.settle()
    publish(stage.feed, "a2", "b1")
    stage.settle()
    assert stage.feed.statistics().loops[0].in_step == 3
    for body in stage.bodies:
        assert re.sub(rb"[\w-]{8}\.", b"", body) == b"<0>hello,<1>a1,<2>a2,<3>b1,"
    client = stage.clients[2]
    assert client.positions == (len(client.body), len(client.body))


def test_who_steps_out_in_a_payload_goes_on_with_the_id_that_it_began_with() -> None:
    stage = Stage(2, resume=IDS)
    publish(stage.feed, "a1")
    stage.settle()
    publish(stage.feed, "b1")
    stage.clients[1].room = 9
    stage.broadcast()
    publish(stage.feed, "c1")
    stage.clients[1].room = 1 << 30
    stage.settle()
    assert re.sub(rb"[\w-]{8}\.", b"", stage.bodies[1]) == b"<0>hello,<1>a1,<2>b1,<3>c1,"


def test_keys_that_are_wanted_later_are_owed_again() -> None:
    feed, keys, driven = new_feed("a1", "b1"), Keys(["b"]), Driven()
    driven.exchange.follow(feed.follower(keys=keys), driven.now)
    driven.push()
    keys.add("a")
    driven.push()
    publish(feed, "b2")
    driven.push()
    assert re.sub(rb"[\w-]{8}\.", b"", driven.body) == b"<1>hello,<2>b1,<2>a1,<3>b2,"


def without_names(body: bytes) -> bytes:
    return re.sub(rb"[\w-]{8}\.", b"", body)


@pytest.mark.parametrize("policy", ["latest", "every"])
def test_an_id_says_nothing_of_what_waits_on_its_way_to_a_loop(policy: Any) -> None:
    """Which takes in so much in a turn."""
    feed = new_feed(policy=policy, lock=nullcontext())
    client = Turning(TurningLoop())
    client.follow(feed)
    for number in range(5000):
        feed.publish("x,", number)
    client.turn()
    sent = client.body.count(b"x,")
    assert 0 < sent < 5000
    assert without_names(client.body).endswith(b"<%d>x," % sent)
    while client.loop.waiting:
        client.turn()
    assert without_names(client.body).endswith(b"<5000>x,")


@pytest.mark.parametrize("policy", ["latest", "every"])
def test_who_comes_back_to_another_loop_gets_what_waits_there_after_what_it_missed(policy: Any) -> None:
    feed = new_feed("a1", policy=policy, lock=nullcontext())
    loop = Loop()
    there = InLoop(loop)
    there.follow(feed)
    publish(feed, "b1", "c1")
    behind, ahead = InLoop(loop), InLoop(loop)
    behind.follow(feed, since=f"{feed.incarnation}.0")
    assert without_names(behind.body) == b"<0>hello,<1>a1,", "the others have not come to its loop"
    ahead.follow(feed, since=f"{feed.incarnation}.2")
    assert b"b1" not in ahead.body
    for client in (behind, ahead):
        client.turn()
    assert without_names(behind.body) == b"<0>hello,<1>a1,<2>b1,<3>c1,"
    assert without_names(ahead.body) == b"<2>hello,<3>c1,"


# What comes back: every ---------------------------------------------------------------------------------


def test_what_was_published_since_comes_again_out_of_so_many_bytes() -> None:
    feed = new_feed("a1", "b1", "a2", "c1", "a3", policy="every")
    assert got(feed) == "<5>hello,"
    assert got(feed, 3) == "<3>hello,<4>c1,<5>a3,"
    assert got(feed, 2) == "<2>hello,<3>a2,<4>c1,<5>a3,"
    assert got(feed, 1) == "<1>hello,<2>gap 1,<3>a2,<4>c1,<5>a3,"
    assert got(feed, "x.1") == "<-1>hello,<2>gap null,<3>a2,<4>c1,<5>a3,"
    assert got(feed, 0, keys={"a"}) == "<-1>hello,<2>gap null,<4>a2,<5>a3,"


def test_a_feed_that_is_closed_gives_the_rest_and_ends() -> None:
    feed, driven = new_feed("a1", "a2", policy="every"), Driven()
    feed.close()
    follow = driven.exchange.follow(feed.follower(since=f"{feed.incarnation}.1"), driven.now)
    driven.push()
    assert b"a2," in driven.body
    assert follow.settled


def test_what_is_sent_again_counts_as_published_for_that_follower() -> None:
    feed, driven = new_feed("a1", "a2", policy="every"), Driven()
    follower = feed.follower(since=f"{feed.incarnation}.1")
    driven.exchange.follow(follower, driven.now)
    driven.push()
    assert follower.stats == follow_stats(delivered=2)


# Several feeds ------------------------------------------------------------------------------------------


def test_one_id_stands_for_all_feeds_of_a_response() -> None:
    feeds = [Feed(clock=Clock()), new_feed("b1"), new_feed("c1", "d1")]
    publish(feeds[0], "a1")
    first = got(feeds)
    assert first == "<0,0>a1,<0,0>hello,<0,1>c1,<1,1>b1,<1,2>d1,".replace("<0,0>a1", "a1")
    publish(feeds[1], "b2")
    since = f"{feeds[1].incarnation}.1,{feeds[2].incarnation}.2"
    assert got(feeds, since) == "a1,<1,2>hello,<2,2>b2,"
    assert got(feeds, since.split(",")[0]) == "a1,<1,-1>hello,<1,0>gap null,<2,0>b2,<2,1>c1,<2,2>d1,"


def test_when_they_are_not_followed_any_more_nothing_keeps_them_but_who_asks() -> None:
    feeds, driven = [new_feed("b1"), new_feed("c1")], Driven()
    source = follower_of(feeds)
    follow = driven.exchange.follow(source, driven.now)
    driven.push()
    driven.exchange.withdraw(follow, driven.now)
    gc.collect()
    kept = count_many()
    gc.disable()
    try:
        del source, follow, driven
        assert count_many() == kept - 1, "there is no cycle"
    finally:
        gc.enable()


def count_many() -> int:
    return sum(type(each).__name__ == "ManyFollower" for each in gc.get_objects())


# Mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"id_line": "no"}, "id_line must have {id} in it, once, not 'no'"),
        ({"id_line": None}, "id_line must be a str, not None"),
        ({"first": b"x"}, "first must be a str, not b'x'"),
        ({"gap": ""}, "gap needs at least one character"),
        ({"retry": (3, 1)}, "retry must be seconds, or the least and the most of them, not (3, 1)"),
        ({"retry": "1"}, "retry must be seconds, or two numbers of them, not '1'"),
        ({"retry": (1, 2, 3)}, "retry must be one number of seconds, or two, not (1, 2, 3)"),
        ({"max_replay": -1}, "max_replay must be 0 or more bytes, not -1"),
        ({"max_replay": 1.5}, "max_replay must be an integer, not 1.5"),
    ],
)
def test_a_mistake_is_told(options: Any, error: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        Resume(**options)
    assert str(raised.value) == error


def test_mistakes_at_the_feed_are_told() -> None:
    with pytest.raises(ValueError, match=r"since is for a feed whose payloads have ids: Feed\(resume=True\)"):
        Feed(clock=Clock()).follower(since="x")
    with pytest.raises(ValueError, match=r"since is for feeds whose payloads have ids"):
        follower_of([Feed(clock=Clock()), Feed(clock=Clock())], since="x")
    with pytest.raises(TypeError, match="since must be an id as the feed has given it, or None, not 5"):
        new_feed().follower(since=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="resume must be true, false or a Resume, not 'yes'"):
        new_feed(resume="yes")
    with pytest.raises(ValueError, match="a feed has merge or resume, not both"):
        new_feed(merge=lambda older, newer: newer)
    with pytest.raises(ValueError, match=r"max_replay must be at most half of max_queued \(17\), not 9"):
        new_feed(policy="every", max_queued=17)


def test_numbers_that_are_owed_no_more_take_no_room() -> None:
    feed, driven = new_feed(), Driven()
    driven.exchange.follow(feed.follower(), driven.now)
    publish(feed, "a1")
    tracemalloc.start()
    try:
        for _ in range(20_000):
            publish(feed, "b1")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 50_000
    driven.push()
    assert re.sub(rb"[\w-]{8}\.", b"", driven.body) == b"<0>hello,<20000>a1,<20001>b1,"


@pytest.mark.parametrize("since", [1, "x.1"])
def test_one_that_breaks_off_before_it_has_the_gap_is_told_of_it_again(since: int | str) -> None:
    feed = new_feed("a1", "b1", "a2", "c1", "a3", policy="every")
    whole = got(feed, since)
    hello = whole.split(",")[0]
    had = f"{feed.incarnation}.{hello[1 : hello.index('>')]}"
    assert got(feed, had) == whole
