"""Marks of lag: when a client is told that it is thinned, and that it is current again."""

from typing import Any

import pytest
from tests.core.driving import run_broadcasts
from tests.core.feeds.following import Following

from httpng_core import Broadcast, Feed, LagStep
from httpng_core.languages import LagWatched, checked_lag, follower_of
from httpng_core.testing import Clock


class Client(Following):
    """Whose exchange tells of its lag."""

    def __init__(self, clock: Clock | None = None, broadcasts: list[Broadcast] | None = None) -> None:
        self.told: list[tuple[float, bool]] = []
        super().__init__(clock, broadcasts)

    def on_lag(self, lag: float, thinned: bool) -> str:
        self.told.append((lag, thinned))
        return "[thinned]" if thinned else "[current]"

    def follow(self, *feeds: Feed, **options: Any) -> Any:
        followed: Any = list(feeds) if len(feeds) > 1 else feeds[0]
        return self.io.follow(followed, on_lag=self.on_lag, **options)


@pytest.fixture
def client() -> Client:
    return Client()


def publish(feed: Feed, *names: str) -> None:
    for name in names:
        feed.publish(name + ",", name[0])


def test_a_client_is_told_once_that_it_is_thinned_and_once_that_it_is_current(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed)
    client.push()
    publish(feed, "a1", "b1", "c1")
    client.advance(1.5)
    publish(feed, "a2")
    client.advance(0.5)
    client.push(16)
    assert client.body == b"[thinned]"
    client.push(8)
    client.advance(1)
    client.push(8)
    client.push()
    assert client.body == b"[thinned]a2,b1,c1,[current]"
    assert client.told == [(2.0, True), (0.0, False)]
    publish(feed, "a3")
    client.push()
    assert client.body.endswith(b"[current]a3,")
    stats = client.io.get_follow_stats()
    assert stats is not None
    assert (stats.delivered, stats.skipped) == (4, 1), "marks are no payloads"
    assert client.positions == (len(client.body),) * 2


def test_a_little_lag_is_not_told(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed)
    client.push()
    for number in range(10):
        publish(feed, f"a{number}")
        client.advance(1.9)
        client.push()
    assert client.told == []


def test_between_the_limits_nothing_changes(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed, lag_limits=(4, 1))
    client.push()
    publish(feed, "a1", "b1")
    client.advance(4)
    client.push(16)
    for number in range(2, 8):
        # What waits has waited for 2 s, then for 1.
        publish(feed, f"a{number}", f"b{number}")
        client.advance(2)
        client.push(8)
        client.push(8)
        if client.told[-1][1] is False:
            break
    assert client.told[0] == (4.0, True)
    assert client.body.startswith(b"[thinned]")


def test_a_mark_that_is_refused_is_made_once_and_sent_first(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed)
    client.push()
    publish(feed, "a1")
    client.advance(3)
    for _ in range(3):
        client.connection.data_to_send(client.now)
        client.connection.bytes_accepted(0, client.now)
    assert client.told == [(3.0, True)]
    publish(feed, "a2")
    client.push()
    assert client.body == b"[thinned]a2,[current]"


def test_a_function_that_returns_nothing_is_still_told(client: Client) -> None:
    feed, told = Feed(clock=client.clock), list[bool]()
    client.io.follow(feed, on_lag=lambda lag, thinned: told.append(thinned))
    client.push()
    publish(feed, "a1")
    client.advance(3)
    client.push()
    assert told == [True, False]
    assert client.body == b"a1,"


def test_what_it_raises_ends_the_follow(client: Client) -> None:
    feed = Feed(clock=client.clock)
    follow = client.io.follow(feed, on_lag=lambda lag, thinned: str(1 // 0))
    client.push()
    publish(feed, "a1")
    client.advance(3)
    client.push()
    assert follow.failed
    with pytest.raises(ZeroDivisionError):
        assert follow.result
    assert feed.get_stats().followers == 0


def test_where_every_payload_counts_and_with_limits(client: Client) -> None:
    every, limited = Feed(clock=client.clock, policy="every"), Feed(clock=client.clock)
    client.follow(every, limited, max_bandwidth=1000)
    client.push()
    publish(every, "a1", "a2")
    publish(limited, "b1")
    client.advance(5)
    for _ in range(20):
        client.push()
        client.advance(0.1)
    assert sorted(client.body.replace(b"]", b"],").split(b",")) == [
        b"",
        b"[current]",
        b"[thinned]",
        b"a1",
        b"a2",
        b"b1",
    ]
    assert [thinned for _, thinned in client.told] == [True, False]


def test_what_a_limit_holds_back_is_no_lag(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed, max_rate=0.1)
    for number in range(10):
        publish(feed, f"a{number}")
        client.push()
        client.advance(5)
    client.push()
    assert client.told == []


def test_who_is_current_is_in_step_and_who_is_thinned_is_not() -> None:
    clock, broadcasts = Clock(), list[Broadcast]()
    feed = Feed(clock=clock)
    clients = [Client(clock, broadcasts) for _ in range(3)]
    for client in clients:
        client.follow(feed)
        client.push()
    publish(feed, "a1")
    assert not any(client.connection.wants_write for client in clients)
    run_broadcasts(broadcasts, 100, clock())
    clients[0].wait(1000, 100)
    publish(feed, "a2")
    run_broadcasts(broadcasts, 100, clock())
    clock.now += 3
    for client in clients:
        client.push()
    assert [client.body for client in clients] == [b"a1,[thinned]a2,[current]", b"a1,a2,", b"a1,a2,"]


def test_when_the_feed_closes_the_follow_ends(client: Client) -> None:
    feed = Feed(clock=client.clock)
    follow = client.follow(feed)
    client.push()
    publish(feed, "a1")
    feed.close()
    client.advance(5)
    client.push()
    assert follow.settled
    assert client.body == b"[thinned]a1,"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"on_lag": 5}, TypeError),
        ({"on_lag": print, "lag_limits": 5}, TypeError),
        ({"on_lag": print, "lag_limits": (1,)}, TypeError),
        ({"on_lag": print, "lag_limits": ("2", 1)}, TypeError),
        ({"on_lag": print, "lag_limits": (1, 2)}, ValueError),
        ({"on_lag": print, "lag_limits": (1, -1)}, ValueError),
        ({"on_lag": print, "lag_limits": (1, 1)}, ValueError),
    ],
)
def test_mistakes_raise(client: Client, wrong: dict[str, Any], error: type[Exception]) -> None:
    feed = Feed(clock=client.clock)
    with pytest.raises(error, match="lag"):
        client.io.follow(feed, **wrong)
    assert feed.get_stats().followers == 0


def test_a_drain_ends_it_with_what_is_pending(client: Client) -> None:
    feed = Feed(clock=client.clock)
    follow = client.follow(feed, until_draining=True)
    client.push()
    publish(feed, "a1")
    client.connection.drain(client.now)
    assert not follow.settled
    client.push()
    assert follow.settled
    assert client.body == b"a1,"


def test_what_frames_payloads_frames_marks_too() -> None:
    clock = Clock()
    lag = checked_lag(lambda lag, thinned: None, (2.0, 0.5))
    assert lag is not None
    for feeds in ([Feed(clock=clock)], [Feed(clock=clock), Feed(clock=clock)]):
        followed = follower_of(feeds)
        watched = LagWatched(followed, lag, clock)
        assert watched.framed is None
        watched.framed = bytes.upper
        assert watched.framed is followed.framed is bytes.upper


@pytest.mark.parametrize("option", ["on_lag", "lag_policy"])
def test_who_lags_does_not_step_in_before_that_is_over(option: str) -> None:
    clock, broadcasts = Clock(), list[Broadcast]()
    feed, clients = Feed(clock=clock), [Following(clock, broadcasts) for _ in range(2)]
    lags: Any = {
        "on_lag": lambda lag, thinned: None,
        "lag_policy": [LagStep(2, "conflate")],
    }
    for client, given in zip(clients, ({}, {option: lags[option]}), strict=True):
        client.io.follow(feed, **given)
        client.push()
    late = clients[1]
    late.io.wait(3, 1000)
    publish(feed, "a1", "b1")
    while broadcasts:
        run_broadcasts(broadcasts, 100, clock())
    clock.now += 2
    late.advance(0)
    late.push(8)
    assert late.body == b"a1,"
    late.push()
    publish(feed, "c1")
    assert late.connection.wants_write, "it is served for itself"
    while broadcasts:
        run_broadcasts(broadcasts, 100, clock())
    late.push()
    assert [client.body for client in clients] == [b"a1,b1,c1,"] * 2
