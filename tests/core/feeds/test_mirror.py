"""A feed that mirrors what was published elsewhere, a test a sentence: numbers, ids, and what never came."""

from typing import Any

import pytest
from tests.core.driving import Driven

from httpng_core import Feed, Keys, Resume
from httpng_core.languages import follower_of
from httpng_core.testing import Clock

IDS = Resume(name="q", id_line="<{id}>", first=None, gap="gap {lost},")


def new_feed(**options: Any) -> Feed:
    options.setdefault("resume", IDS)
    return Feed(clock=Clock(), **options)


def mirror(feed: Feed, *payloads: str, first: int) -> None:
    """Each payload is the value of the key that is its first letter."""
    for number, payload in enumerate(payloads, first):
        feed.mirror(payload + ",", payload[0], number)


def following(feed: Feed, since: str | None = None, **options: Any) -> Driven:
    driven = Driven()
    driven.exchange.follow(follower_of(feed, since=since, **options), driven.now)
    driven.push()
    return driven


def got(feed: Feed, since: str | None = None, **options: Any) -> str:
    return following(feed, since, **options).body.decode()


def more_of(driven: Driven) -> str:
    before = len(driven.body)
    driven.push()
    return driven.body[before:].decode()


def lost(count: int) -> str:
    return f"lost {count},"


# Numbers ------------------------------------------------------------------------------------------------


def test_ids_have_the_numbers_of_elsewhere() -> None:
    feed = new_feed()
    mirror(feed, "a1", "b1", first=1000)
    assert got(feed) == "<q.1000>a1,<q.1001>b1,"


def test_an_id_of_one_process_is_understood_by_another() -> None:
    one, other = new_feed(), new_feed()
    for feed in (one, other):
        mirror(feed, "a1", "b1", "c1", first=1000)
    assert one.incarnation == other.incarnation == "q"
    assert got(other, "q.1001") == "<q.1002>c1,"


def test_a_feed_that_was_published_on_goes_on_behind_the_last_number() -> None:
    feed = new_feed()
    mirror(feed, "a1", first=1000)
    feed.publish("b1,", "b")
    assert got(feed, "q.1000") == "<q.1001>b1,"


def test_of_before_nothing_is_known() -> None:
    feed = new_feed()
    feed.mirror_from(1000)
    mirror(feed, "a1", first=1001)
    assert got(feed, "q.999") == "<q.1000>gap null,<q.1001>a1,"
    assert got(feed, "q.1000") == "<q.1001>a1,"


def test_those_who_follow_meanwhile_are_told_so_as_well() -> None:
    feed = new_feed()
    stays = following(feed)
    mirror(feed, "a1", first=1000)
    stays.push()
    feed.mirror_from(2000)
    assert "gap null," in got(feed, "q.1000")


@pytest.mark.parametrize("name", ["", "a b", "a,b", "é"])
def test_a_name_must_fit_into_an_id(name: str) -> None:
    with pytest.raises(ValueError, match="name must be"):
        Resume(name=name)
    with pytest.raises(TypeError, match="name must be a str"):
        Resume(name=3)  # type: ignore[arg-type]


# What never came ----------------------------------------------------------------------------------------


def test_what_never_came_is_a_gap_ahead_of_the_next() -> None:
    feed = new_feed(resume=None)
    client = following(feed, on_gap=lost)
    feed.lose(3)
    feed.lose(2)
    mirror(feed, "a1", first=6)
    assert more_of(client) == "lost 5,a1,"
    stats = feed.get_stats()
    assert (stats.published, stats.delivered, stats.skipped) == (6, 1, 5)


def test_it_is_told_to_those_who_want_its_key() -> None:
    feed = new_feed(resume=None)
    wants_a = following(feed, on_gap=lost, keys={"a"})
    wants_b = following(feed, on_gap=lost, keys=lambda key: key == "b")
    wants_c = following(feed, on_gap=lost, keys=Keys(["c"]))
    feed.lose(3, "a")
    feed.lose(2, "b")
    feed.lose(1)
    mirror(feed, "a1", "b1", "c1", first=7)
    assert [more_of(each) for each in (wants_a, wants_b, wants_c)] == [
        "lost 4,a1,",
        "lost 3,b1,",
        "lost 1,c1,",
    ]


def test_nobody_is_told_who_came_later_or_when_the_feed_is_closed() -> None:
    feed = new_feed(resume=None)
    feed.lose(3)
    client = following(feed, on_gap=lost)
    mirror(feed, "a1", first=4)
    assert more_of(client) == "a1,"
    feed.close()
    feed.lose(1)
    assert feed.get_stats().published == 4


def test_of_messages_it_is_told_to_those_who_come_back_how_many_were_lost() -> None:
    feed = new_feed(policy="every")
    mirror(feed, "a1", "a2", first=1001)
    mirror(feed, "a5", "a6", first=1005)
    # The second is not sent either: it would be behind a gap that has no end.
    assert got(feed, "q.1001") == "<q.1004>gap 3,<q.1005>a5,<q.1006>a6,"
    assert got(feed, "q.1005") == "<q.1006>a6,"


def test_of_messages_before_the_first_nobody_knows_how_many_there_were() -> None:
    feed = new_feed(policy="every")
    feed.mirror_from(1000)
    mirror(feed, "a1", first=1001)
    assert got(feed, "q.999") == "<q.1000>gap null,<q.1001>a1,"


# Removal ------------------------------------------------------------------------------------------------


def test_a_removal_is_told_also_of_a_key_that_has_no_value_here() -> None:
    feed = new_feed(on_remove=lambda key: f"-{key},")
    mirror(feed, "a1", first=1000)
    feed.mirror_removal("a", 1001)
    feed.mirror_removal("b", 1002)
    assert got(feed, "q.1000") == "<q.1001>-a,<q.1002>-b,"
    assert got(feed) == ""


def test_one_that_nothing_tells_is_only_taken_away() -> None:
    feed = new_feed()
    mirror(feed, "a1", "b1", first=1000)
    feed.mirror_removal("a", 1002)
    assert got(feed) == "<q.1002>b1,"


def test_a_value_is_gone_also_if_on_remove_raises() -> None:
    def fails(key: object) -> str:
        raise LookupError(key)

    feed = new_feed(on_remove=fails)
    mirror(feed, "a1", first=1000)
    with pytest.raises(LookupError):
        feed.mirror_removal("a", 1001)
    assert not feed.has("a")
    feed.close()
    with pytest.raises(LookupError):
        feed.mirror_removal("a", 1002)


def test_a_feed_without_ids_goes_on_from_there_as_well() -> None:
    feed = Feed(clock=Clock())
    driven = following(feed)
    feed.mirror_from(10)
    feed.mirror("a1,", "a", 11)
    driven.push()
    assert driven.body == b"a1,"
