"""Keep-alive comments: when one is sent, and that none is ever queued."""

from typing import Any

import pytest
from tests.core.driving import Driven, run_broadcasts
from tests.core.feeds.following import Following

from httpng_core import Broadcast, Feed, GeneratorIO
from httpng_core.testing import Clock


@pytest.fixture
def client() -> Following:
    return Following()


def test_a_comment_is_sent_after_so_long_without_a_byte(client: Following) -> None:
    feed = Feed(clock=client.clock)
    client.io.follow(feed, keep_alive=15)
    client.push()
    for seconds, expected in [(14, b""), (1, b":\n\n"), (14, b":\n\n"), (1, b":\n\n:\n\n")]:
        client.advance(seconds)
        client.push()
        assert client.body == expected
    assert client.positions == (6, 6)
    stats = client.io.get_follow_stats()
    assert stats is not None
    assert stats.delivered == 0
    assert feed.get_stats().published == 0


def test_what_is_sent_puts_it_off(client: Following) -> None:
    feed = Feed(clock=client.clock)
    client.io.follow(feed, keep_alive=10)
    client.push()
    for number in range(5):
        client.advance(6)
        feed.publish(f"{number},")
        client.push()
    client.advance(9.5)
    assert client.push() == 0
    client.advance(0.5)
    client.push()
    assert client.body == b"0,1,2,3,4,:\n\n"


def refused_for_long(client: Following) -> Feed:
    """Follow a feed, while the client takes nothing in the time of five comments."""
    feed = Feed(clock=client.clock)
    client.io.follow(feed, keep_alive=10)
    client.push()
    for _ in range(5):
        client.advance(10)
        client.push(0)
    return feed


def test_to_a_client_that_takes_nothing_none_is_sent_and_a_payload_takes_its_place(client: Following) -> None:
    feed = refused_for_long(client)
    feed.publish("tick,")
    client.push()
    assert client.body == b"tick,"
    assert not client.connection.wants_write


def test_one_that_was_refused_is_sent_once_when_there_is_room(client: Following) -> None:
    refused_for_long(client)
    client.push()
    assert client.body == b":\n\n"
    client.advance(9)
    assert client.push() == 0


def test_none_is_sent_while_something_is_under_way(client: Following) -> None:
    feed = Feed(clock=client.clock)
    client.io.follow(feed, keep_alive=10)
    client.push()
    feed.publish("tick,")
    client.push(4)
    for _ in range(3):
        client.advance(10)
    client.push()
    assert client.body == b"tick,"


def test_one_behind_a_write_that_went_meanwhile_is_not_due_any_more(client: Following) -> None:
    feed = Feed(clock=client.clock)
    client.io.write("x" * 100)
    client.io.send_window = 10
    client.io.write("y" * 20, 1000)
    client.io.follow(feed, keep_alive=10)
    client.push(150)
    client.advance(30)
    client.push()
    client.push()
    assert client.body == b"x" * 100 + b"y" * 20


def test_where_limits_hold_payloads_back_it_keeps_the_stream_alive(client: Following) -> None:
    feed = Feed(clock=client.clock)
    client.io.follow(feed, keep_alive=10, max_rate=0.04)
    feed.publish("1,")
    client.push()
    feed.publish("2,")
    for _ in range(5):
        client.advance(5)
        client.push()
    assert client.body == b"1,:\n\n:\n\n2,"


@pytest.mark.parametrize("feeds", [1, 2])
def test_those_in_step_are_kept_alive_each_and_stay_in_step(feeds: int) -> None:
    clock, broadcasts = Clock(), list[Broadcast]()
    followed = [Feed(clock=clock) for _ in range(feeds)]
    clients = [Following(clock, broadcasts) for _ in range(3)]
    for client in clients:
        client.io.follow(followed if feeds > 1 else followed[0], keep_alive=10)
        client.push()

    def settle() -> None:
        for client in clients:
            client.advance(0)
            client.push()
        run_broadcasts(broadcasts, 100, clock())
        for client in clients:
            client.push()

    followed[0].publish("1,")
    settle()
    clock.now += 6
    followed[0].publish("2,")
    settle()
    clock.now += 6
    settle()
    assert [client.body for client in clients] == [b"1,2,"] * 3
    clock.now += 4
    settle()
    assert [client.body for client in clients] == [b"1,2,:\n\n"] * 3
    followed[0].publish("3,")
    assert len(broadcasts) == (feeds == 1), "they are in step again"
    settle()
    assert [client.body for client in clients] == [b"1,2,:\n\n3,"] * 3
    assert [client.stats.sent for client in clients] == [9] * 3


def test_another_comment_and_the_end(client: Following) -> None:
    feed = Feed(clock=client.clock)
    follow = client.io.follow(feed, keep_alive=1, keep_alive_comment="\n")
    client.push()
    client.advance(1)
    client.push()
    feed.close()
    client.push()
    assert follow.settled
    assert client.body == b"\n"
    assert client.exchange.timers.next_deadline() is None
    client.advance(5)
    assert client.push() == 0


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"keep_alive": 0}, ValueError),
        ({"keep_alive": float("inf")}, ValueError),
        ({"keep_alive": float("nan")}, ValueError),
        ({"keep_alive": "15"}, TypeError),
        ({"keep_alive": True}, TypeError),
        ({"keep_alive": 5, "keep_alive_comment": ""}, ValueError),
        ({"keep_alive": 5, "keep_alive_comment": 5}, TypeError),
    ],
)
def test_mistakes_raise(client: Following, wrong: dict[str, Any], error: type[Exception]) -> None:
    feed = Feed(clock=client.clock)
    with pytest.raises(error, match=r"keep_alive|payload"):
        client.io.follow(feed, **wrong)
    assert feed.get_stats().followers == 0


def test_one_that_is_due_while_bytes_are_acknowledged_can_wait() -> None:
    client = Driven(tells_acknowledged=True)
    io, feed = GeneratorIO(client.exchange, client.clock), Feed(clock=client.clock)
    client.exchange.track_acknowledged()
    io.follow(feed, keep_alive=10)
    feed.publish("1,")
    client.push()
    client.advance(10)
    client.push(0)
    client.advance(1)
    client.connection.bytes_acknowledged(len(client.wire), client.now)
    client.push()
    assert client.body == b"1,", "the client is there"
    client.advance(9)
    client.push()
    assert client.body == b"1,"
    client.advance(1)
    client.push()
    assert client.body == b"1,:\n\n"


def test_a_drain_ends_it_with_what_is_pending(client: Following) -> None:
    feed = Feed(clock=client.clock)
    follow = client.io.follow(feed, keep_alive=10, until_draining=True)
    client.push()
    feed.publish("last,")
    client.connection.drain(client.now)
    assert not follow.settled
    client.push()
    assert follow.settled
    assert client.body == b"last,"


def test_who_waits_for_a_position_is_not_in_step_meanwhile() -> None:
    clock, broadcasts = Clock(), list[Broadcast]()
    feed, clients = Feed(clock=clock), [Following(clock, broadcasts) for _ in range(2)]
    for client in clients:
        client.io.follow(feed, keep_alive=10)
        client.push()
    feed.publish("1,")
    run_broadcasts(broadcasts, 100, clock())
    clients[0].io.wait(4, 100)
    feed.publish("2,")
    assert [client.connection.wants_write for client in clients] == [True, False]
    clients[0].push()
    run_broadcasts(broadcasts, 100, clock())
    assert [client.body for client in clients] == [b"1,2,"] * 2
