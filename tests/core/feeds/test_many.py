"""Several feeds followed by one response: how it begins, ends, and what stands between them."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.core.websocket.speaking import messages, request

from httpng_core import Feed, FollowStats, GeneratorIO, Pending
from httpng_core.languages import follower_of
from httpng_core.testing import Client, Clock, Loopback


def follow(*feeds: Feed, clock: Clock, **options: Any) -> tuple[Loopback, Client, list[Any]]:
    """A client whose handler follows these; its io, and what came of the call."""
    seen: list[Any] = []

    def handler(req: object, io: GeneratorIO) -> Iterator[Pending]:
        seen.append(io)
        try:
            seen.append((yield io.follow(feeds, **options)))
        except ZeroDivisionError as error:
            seen.append(error)

    loop = Loopback(handler, clock=clock)
    client = loop.connect()
    client.get()
    return loop, client, seen


def test_it_joins_all_or_none() -> None:
    clock = Clock()
    one, other = Feed(clock=clock), Feed(clock=clock)
    one.publish(b"a", 1)
    other.publish(b"b", 0)
    _, _, seen = follow(one, other, clock=clock, keys=lambda key: 1 / key > 0)
    assert isinstance(seen[1], ZeroDivisionError)
    assert one.get_stats().followers == other.get_stats().followers == 0


def test_a_drain_ends_it_with_what_is_pending() -> None:
    clock = Clock()
    one, other = Feed(clock=clock), Feed(clock=clock)
    loop, client, seen = follow(one, other, clock=clock, until_draining=True)
    client.room = 0
    one.publish(b"a")
    other.publish(b"b")
    loop.application.shutdown()
    loop.settle()
    one.publish(b"late")
    client.give_room()
    assert client.responses()[0].body == b"ab"
    assert seen[1] is None
    assert seen[0].get_follow_stats() == FollowStats(delivered=2, skipped=0, expired=0, pending=0)


def test_another_write_meanwhile_goes_behind_it() -> None:
    clock = Clock()
    one, other = Feed(clock=clock), Feed(clock=clock)
    loop, client, seen = follow(one, other, clock=clock)
    one.publish(b"a")
    loop.settle()
    seen[0].write(b"-")
    other.publish(b"b")
    loop.settle()
    one.close()
    other.close()
    loop.settle()
    assert client.responses()[0].body == b"ab-"


@pytest.mark.parametrize(
    ("feeds", "error", "message"),
    [
        (5, TypeError, "needs a Feed, or a list of them, not 5"),
        ("feed", TypeError, "needs a Feed, or a list of them"),
        ([], ValueError, "at least one Feed, not an empty list"),
        ([5], TypeError, "needs a list of Feeds, not 5 in it"),
    ],
)
def test_what_is_no_list_of_feeds(feeds: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        follower_of(feeds)


def test_a_feed_is_named_once() -> None:
    feed = Feed(clock=Clock())
    with pytest.raises(ValueError, match="needs each Feed once"):
        follower_of([feed, feed])


def test_limits_are_changed_for_all_together() -> None:
    clock = Clock()
    one, other = Feed(clock=clock), Feed(clock=clock)
    loop, client, seen = follow(one, other, clock=clock)
    io: GeneratorIO = seen[0]
    io.set_follow_pace(max_rate=1)
    stats = io.get_follow_stats()
    assert stats is not None
    assert stats.max_rate == 1
    for number in range(3):
        one.publish(b"a%d" % number, "key")
        other.publish(b"b%d" % number, "other key")
        loop.settle()
    # A value of each key in a second, and then the newest.
    assert client.responses()[0].body == b"a0b0"
    loop.advance(1)
    assert client.responses()[0].body == b"a0b0a2b2"
    with pytest.raises(ValueError, match="max_rate"):
        io.set_follow_pace(max_rate=-1)


def test_what_has_expired_in_all_of_them_is_not_sent() -> None:
    clock = Clock()
    feeds = [Feed(clock=clock) for _ in range(2)]
    loop, client, _ = follow(*feeds, clock=clock, max_age=1)
    client.room = 0
    for feed in feeds:
        feed.publish("old")
    loop.advance(2)
    client.give_room()
    assert client.responses()[0].body == b""
    feeds[1].publish("new")
    loop.settle()
    assert client.responses()[0].body == b"new"


def test_a_websocket_has_a_message_of_each_payload() -> None:
    feeds = [Feed(clock=Clock()) for _ in range(2)]

    def handler(req: object, io: GeneratorIO) -> Iterator[Pending]:
        yield io.accept_websocket().follow(feeds)

    loop = Loopback(handler)
    client = loop.connect()
    client.send(request())
    for number, feed in enumerate(feeds):
        feed.publish(f"{number}")
    loop.settle()
    assert messages(bytes(client.received).partition(b"\r\n\r\n")[2]) == ["0", "1"]
