"""What is done about a client that lags: steps by seconds of lag, up and down, and what is told of them."""

import re
from collections.abc import Iterable
from typing import Any

import pytest
from h11 import RemoteProtocolError
from tests.core.driving import run_broadcasts
from tests.core.feeds.following import Following

from httpng_core import Broadcast, Feed, FollowStats, Keys, LagStep, Resume, SendResult
from httpng_core.testing import Clock


class Client(Following):
    """One that is slow by how the test pushes."""

    def follow(self, *feeds: Feed, policy: Iterable[LagStep] = (), **options: Any) -> Any:
        followed: Any = list(feeds) if len(feeds) > 1 else feeds[0]
        follow = self.io.follow(followed, lag_policy=policy, **options)
        self.push()
        return follow

    @property
    def counts(self) -> FollowStats:
        stats = self.io.get_follow_stats()
        assert stats is not None
        return stats


@pytest.fixture
def client() -> Client:
    return Client()


def publish(feed: Feed, *names: str) -> None:
    for name in names:
        feed.publish(name + ",", name[0])


# Up and down ------------------------------------------------------------------------------------------


def test_a_step_is_taken_when_the_lag_has_come_to_it_and_told_before_all_else(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed, policy=[LagStep(2, "conflate", mark="[slow]", left="[fine]")])
    publish(feed, "a1", "b1")
    client.advance(1.999)
    assert client.counts.lag_step == 0
    client.advance(0.001)
    assert client.counts.lag_step == 1, "by a timer: the client takes nothing"
    client.push(11)
    assert client.body == b"[slow]"
    client.push()
    assert client.body == b"[slow]a1,b1,"
    client.advance(1.9)
    assert client.counts.lag_step == 1
    client.advance(0.1)
    assert client.counts.lag_step == 0
    client.push()
    assert client.body == b"[slow]a1,b1,[fine]"
    assert client.positions == (len(client.body),) * 2


def test_what_waits_later_counts_from_then(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed, policy=[LagStep(2, "conflate")])
    for _ in range(5):
        client.advance(1.5)
        publish(feed, "a1")
        client.advance(1.5)
        assert client.counts.lag_step == 0
        client.push()


def test_who_is_slow_for_good_does_not_go_up_and_down(client: Client) -> None:
    feed, steps = Feed(clock=client.clock), list[int]()
    client.follow(feed, policy=[LagStep(2, "conflate", until=1)])
    for number in range(20):
        # Between the two limits after the first, and beyond the lower once in less than 2 seconds.
        publish(feed, f"a{number}")
        client.advance(2 if number == 0 else 1.2)
        client.push()
        client.advance(0.5)
        steps.append(client.counts.lag_step)
    assert steps == [1] * 20


def test_several_steps_at_once_and_back_one_by_one(client: Client) -> None:
    feed = Feed(clock=client.clock)
    steps = [LagStep(after, "conflate", mark=f"[up {after}]", left=f"[down {after}]") for after in (1, 2, 4)]
    client.follow(feed, policy=steps)
    publish(feed, "a1")
    client.clock.now += 5
    client.advance(0)
    assert client.counts.lag_step == 3
    client.push()
    for step, seconds in ((2, 4), (1, 2), (0, 1)):
        client.advance(seconds - 0.1)
        assert client.counts.lag_step == step + 1
        client.advance(0.1)
        assert client.counts.lag_step == step
        client.push()
    assert client.body == b"[up 1][up 2][up 4]a1,[down 4][down 2][down 1]"


def test_of_a_step_that_is_left_before_it_was_told_nothing_is(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed, policy=[LagStep(2, "conflate", mark="[slow]", left="[fine]")])
    publish(feed, "a1")
    client.advance(2)
    # Nothing waits any more, though the client has taken nothing.
    feed.remove("a")
    client.advance(2)
    assert client.counts.lag_step == 0
    publish(feed, "a2")
    client.push()
    assert client.body == b"a2,"


def test_what_is_held_back_by_a_limit_is_no_lag(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed, policy=[LagStep(2, "close")], max_rate=0.1)
    for number in range(10):
        publish(feed, f"a{number}")
        client.push()
        client.advance(5)
    assert client.counts.lag_step == 0


def test_what_was_published_before_it_came_is_no_lag(client: Client) -> None:
    feed = Feed(clock=client.clock, policy="every", resume=True)
    publish(feed, "a1")
    client.advance(100)
    assert feed.incarnation is not None
    client.follow(feed, policy=[LagStep(10, "close")], since=f"{feed.incarnation}.0")
    client.advance(1)
    client.push()
    assert client.body.endswith(b"a1,")
    assert client.counts.lag_step == 0


def test_who_has_come_to_no_step_is_in_step_with_others() -> None:
    clock, broadcasts = Clock(), list[Broadcast]()
    feed = Feed(clock=clock)
    clients = [Client(clock, broadcasts) for _ in range(3)]
    for client in clients:
        client.follow(feed, policy=[LagStep(2, "conflate", mark="[slow]")])
    publish(feed, "a1")
    assert not any(client.connection.wants_write for client in clients)
    run_broadcasts(broadcasts, 100, clock())
    clients[0].wait(1000, 100)
    publish(feed, "a2")
    run_broadcasts(broadcasts, 100, clock())
    clock.now += 2
    for client in clients:
        client.advance(0)
        client.push()
    assert [client.body for client in clients] == [b"a1,[slow]a2,", b"a1,a2,", b"a1,a2,"]
    for client in clients:
        client.advance(2)
        client.push()
    publish(feed, "a3")
    run_broadcasts(broadcasts, 100, clock())
    clients[0].push()
    assert all(client.body.endswith(b"a3,") for client in clients)


def test_a_follow_that_has_ended_is_not_looked_after(client: Client) -> None:
    feed = Feed(clock=client.clock)
    follow = client.follow(feed, policy=[LagStep(2, "close")], timeout=1)
    publish(feed, "a1")
    client.advance(1)
    assert follow.settled
    client.advance(5)
    assert not client.exchange.is_over


# Conflate ---------------------------------------------------------------------------------------------


def test_where_every_message_counts_the_newest_of_each_key_is_kept_for_as_long_as_it_lags(
    client: Client,
) -> None:
    feed = Feed(clock=client.clock, policy="every")
    client.follow(feed, policy=[LagStep(2, "conflate")], on_gap=lambda lost: f"[{lost}]")
    publish(feed, "a1", "b1", "a2", "c1")
    client.advance(2)
    publish(feed, "c2", "a3")
    stats = client.counts
    assert (stats.skipped, stats.pending) == (3, 3)
    client.push()
    assert client.body == b"[3]b1,c2,a3,"
    client.advance(2)
    publish(feed, "a4", "a5")
    client.push()
    assert client.body == b"[3]b1,c2,a3,a4,a5,"
    assert client.counts.delivered == 5


def test_what_was_replaced_takes_no_room(client: Client) -> None:
    feed = Feed(clock=client.clock, policy="every", max_queued=20)
    client.follow(feed, policy=[LagStep(2, "conflate")])
    publish(feed, "a1", "b1")
    client.advance(2)
    for number in range(10_000):
        publish(feed, f"b{number}")
    assert not client.exchange.is_over
    client.push()
    assert client.body == b"a1,b9999,"


def test_with_more_keys_than_may_wait_it_overflows_all_the_same(client: Client) -> None:
    feed = Feed(clock=client.clock, policy="every", max_queued=20)
    client.follow(feed, policy=[LagStep(2, "conflate")])
    publish(feed, "a1")
    client.advance(2)
    publish(feed, *(f"{key}1" for key in "bcdefgh"))
    assert client.exchange.is_over


# Slow -------------------------------------------------------------------------------------------------


def sent_in(client: Client, feed: Feed, seconds: int) -> int:
    """How many of one key are sent to a client that takes all, of ten published in a second."""
    before = client.counts.delivered
    for number in range(10 * seconds):
        publish(feed, f"a{number}")
        client.push()
        client.advance(0.1)
    return client.counts.delivered - before


def test_its_rate_is_lowered_and_told_and_then_as_before(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed, policy=[LagStep(2, "slow", max_rate=1)], max_rate=5)
    publish(feed, "a1")
    client.advance(2)
    assert client.counts.max_rate == 1
    assert sent_in(client, feed, 2) == 2, "while it is taken"
    assert client.counts.max_rate == 5
    assert sent_in(client, feed, 10) == pytest.approx(50, abs=1)


def test_what_the_handler_changes_meanwhile_counts_when_it_is_left(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed, policy=[LagStep(2, "slow", max_rate=1)])
    publish(feed, "a1")
    client.advance(2)
    client.io.set_follow_pace(max_rate=10)
    assert client.counts.max_rate == 1
    client.io.set_follow_pace(max_rate=0.5)
    assert client.counts.max_rate == 0.5
    client.push()
    client.advance(2)
    assert (client.counts.lag_step, client.counts.max_rate) == (0, 0.5)


def test_a_rate_is_not_for_messages_that_all_count(client: Client) -> None:
    feed = Feed(clock=client.clock, policy="every")
    with pytest.raises(ValueError, match="max_rate"):
        client.io.follow([feed, Feed(clock=client.clock)], lag_policy=[LagStep(2, "slow", max_rate=1)])
    assert feed.get_stats().followers == 0


# Drop -------------------------------------------------------------------------------------------------


def test_some_keys_are_sent_no_more_for_a_reason(client: Client) -> None:
    feed = Feed(clock=client.clock)
    step = LagStep(2, "drop", keys=["b", "c"], reason="too slow for details", mark="[only a]")
    client.follow(feed, policy=[step])
    publish(feed, "a1", "b1", "c1")
    client.advance(2)
    publish(feed, "b2", "a2", "d1")
    client.push()
    client.advance(10)
    publish(feed, "a3", "b3", "c3")
    client.push()
    assert client.body == b"[only a]a2,d1,a3,"
    stats = client.counts
    assert stats.dropped == ("too slow for details",)
    # They count as never published for this one.
    assert (stats.delivered, stats.skipped, stats.pending) == (3, 1, 0)
    assert stats.lag_step == 0, "the step is left, the keys stay dropped"
    publish(feed, "a4")
    client.advance(2)
    publish(feed, "b4")
    client.push()
    assert client.counts.dropped == ("too slow for details",), "once, though the step is taken again"
    assert client.body == b"[only a]a2,d1,a3,[only a]a4,"


def test_other_keys_of_keys_that_change_come_as_before(client: Client) -> None:
    feed, keys = Feed(clock=client.clock), Keys(["a", "b"])
    client.follow(feed, keys=keys, policy=[LagStep(2, "drop", keys=lambda key: key in "bc")])
    publish(feed, "a1", "b1", "c1", "d1")
    client.advance(2)
    keys.add("c")
    keys.add("d")
    client.push()
    assert client.body == b"a1,d1,"


def test_of_several_feeds_each_drops_its_own(client: Client) -> None:
    feeds = Feed(clock=client.clock), Feed(clock=client.clock)
    client.follow(*feeds, policy=[LagStep(2, "drop", keys=["b"], reason="no b")])
    for feed in feeds:
        publish(feed, "a1", "b1")
    client.advance(2)
    client.push()
    assert client.body == b"a1,a1,"
    assert (client.counts.dropped, client.counts.lag_step) == (("no b",), 1)


def test_a_dropped_key_is_in_step_with_nobody() -> None:
    clock, broadcasts = Clock(), list[Broadcast]()
    feed = Feed(clock=clock)
    clients = [Client(clock, broadcasts) for _ in range(2)]
    for client, policy in zip(clients, ([LagStep(2, "drop", keys=["b"])], []), strict=True):
        client.follow(feed, policy=policy)
    clients[0].wait(1000, 100)
    publish(feed, "a1", "b1")
    clock.now += 2
    for _ in range(5):
        for client in clients:
            client.advance(0)
            client.push()
        run_broadcasts(broadcasts, 100, clock())
        clock.now += 2
    publish(feed, "b2", "a2")
    for _ in range(3):
        for client in clients:
            client.push()
        run_broadcasts(broadcasts, 100, clock())
    assert [client.body for client in clients] == [b"a1,a2,", b"a1,b1,b2,a2,"]


def test_who_comes_back_with_an_id_gets_what_was_dropped() -> None:
    first = Client()
    feed = Feed(clock=first.clock, resume=True)
    first.follow(feed, policy=[LagStep(2, "drop", keys=["b"])])
    publish(feed, "a1", "b1")
    first.push()
    publish(feed, "b2")
    first.advance(2)
    for number in range(2, 5):
        publish(feed, f"a{number}", f"b{number}")
        first.push()
    ids = [line[4:].decode() for line in first.body.split(b"\n") if line.startswith(b"id: ")]
    assert first.body.endswith(b"a4,")
    second = Client(first.clock)
    second.follow(feed, since=ids[-1])
    second.push()
    assert b"b4," in second.body


def test_what_the_function_of_keys_raises_ends_the_follow(client: Client) -> None:
    feed = Feed(clock=client.clock)
    follow = client.follow(feed, policy=[LagStep(2, "drop", keys=lambda key: 1 // 0)])
    publish(feed, "a1")
    client.advance(2)
    assert follow.failed
    with pytest.raises(ZeroDivisionError):
        assert follow.result
    assert feed.get_stats().followers == 0


# Close ------------------------------------------------------------------------------------------------


def test_it_is_cut_short_with_what_is_under_way_and_the_mark(client: Client) -> None:
    feed = Feed(clock=client.clock)
    follow = client.follow(feed, policy=[LagStep(10, "close", reason="too slow", mark="[bye]")])
    publish(feed, "a1", "b1")
    client.push(5)
    client.advance(10)
    result = follow.result
    assert isinstance(result, SendResult)
    assert result.cancelled
    client.push()
    assert client.body == b"a1,[bye]"
    with pytest.raises(RemoteProtocolError, match="without sending complete"):
        client.responses(closed=True)
    assert (client.exchange.cause.label, str(client.exchange.cause)) == ("limit(lag_policy)", "too slow")
    assert feed.get_stats().followers == 0


def test_one_that_takes_nothing_is_reset_in_the_end(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.follow(feed, policy=[LagStep(10, "close", mark="[bye]")])
    publish(feed, "a1", "b1")
    client.push(5)
    client.advance(10)
    client.push(0)
    for _ in range(4):
        client.advance(10)
    assert client.exchange.is_over
    assert client.exchange.cause.label == "stalled"


def test_what_has_not_begun_is_an_error(client: Client) -> None:
    feed = Feed(clock=client.clock)
    client.io.follow(feed, lag_policy=[LagStep(10, "close", mark="[bye]")])
    publish(feed, "a1")
    client.advance(10)
    client.push()
    (response,) = client.responses(closed=True)
    assert response.status == 500


# Mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        ({"after": "2", "action": "close"}, TypeError, "after"),
        ({"after": 0, "action": "close"}, ValueError, "after"),
        ({"after": float("inf"), "action": "close"}, ValueError, "after"),
        ({"after": True, "action": "close"}, TypeError, "after"),
        ({"after": 2, "until": 2, "action": "conflate"}, ValueError, "until"),
        ({"after": 2, "until": "1", "action": "conflate"}, TypeError, "until"),
        ({"after": 2, "action": "clsoe"}, ValueError, "conflate, slow, drop, close"),
        ({"after": 2, "action": "slow"}, ValueError, "max_rate"),
        ({"after": 2, "action": "slow", "max_rate": 0}, ValueError, "max_rate"),
        ({"after": 2, "action": "close", "max_rate": 1}, ValueError, "max_rate"),
        ({"after": 2, "action": "drop"}, ValueError, "keys"),
        ({"after": 2, "action": "drop", "keys": 5}, TypeError, "keys"),
        ({"after": 2, "action": "slow", "max_rate": 1, "keys": ["a"]}, ValueError, "keys"),
        ({"after": 2, "action": "close", "reason": 5}, TypeError, "reason"),
        ({"after": 2, "action": "close", "mark": 5}, TypeError, "payload"),
        ({"after": 2, "action": "conflate", "left": ""}, ValueError, "payload"),
    ],
)
def test_a_step_that_can_not_be(wrong: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        LagStep(**wrong)


@pytest.mark.parametrize(
    ("policy", "error", "told"),
    [
        (5, TypeError, "lag_policy"),
        ("close", TypeError, "lag_policy"),
        ([5], TypeError, "LagStep"),
        ([LagStep(2, "conflate"), LagStep(2, "close")], ValueError, "order"),
        ([LagStep(2, "close"), LagStep(3, "conflate")], ValueError, "closes"),
    ],
)
def test_a_policy_that_can_not_be(client: Client, policy: Any, error: type[Exception], told: str) -> None:
    feed = Feed(clock=client.clock)
    with pytest.raises(error, match=told):
        client.io.follow(feed, lag_policy=policy)
    assert feed.get_stats().followers == 0


def test_of_several_feeds_all_are_slowed_and_conflated(client: Client) -> None:
    feeds = Feed(clock=client.clock), Feed(clock=client.clock)
    client.follow(*feeds, policy=[LagStep(1, "slow", max_rate=0.1), LagStep(2, "conflate")])
    for feed, name in zip(feeds, "ab", strict=True):
        publish(feed, name + "1")
    client.advance(2)
    assert (client.counts.lag_step, client.counts.max_rate) == (2, 0.1)
    client.push()
    for feed, name in zip(feeds, "ab", strict=True):
        publish(feed, name + "2")
    client.push()
    assert client.body == b"a1,b1,", "not before its time"


def test_of_several_feeds_every_message_counts_until_it_lags(client: Client) -> None:
    feeds = Feed(clock=client.clock, policy="every"), Feed(clock=client.clock, policy="every")
    client.follow(*feeds, policy=[LagStep(2, "conflate")])
    for feed, name in zip(feeds, "ab", strict=True):
        publish(feed, name + "1", name + "2")
    client.advance(2)
    client.push()
    assert client.body == b"a2,b2,"


def test_of_what_is_kept_newest_alone_a_key_that_is_wanted_no_more_goes(client: Client) -> None:
    feed, keys = Feed(clock=client.clock, policy="every"), Keys(["a", "b"])
    client.follow(feed, policy=[LagStep(2, "conflate")], keys=keys)
    publish(feed, "a1", "a2", "b1", "b2")
    client.advance(2)
    keys.discard("a")
    keys.add("a")
    publish(feed, "a3", "b3")
    client.push()
    assert client.body == b"a3,b3,"


def test_marks_are_no_values_of_which_one_would_be_the_newest(client: Client) -> None:
    resume = Resume(id_line="<{id}>", first="[first]")
    feeds = [Feed(clock=client.clock, policy="every", resume=resume) for _ in range(2)]
    client.io.follow(feeds, lag_policy=[LagStep(2, "conflate")])
    for feed, name in zip(feeds, "ab", strict=True):
        publish(feed, name + "1", name + "2")
    client.advance(2)
    client.push()
    assert re.sub(rb"<[^>]*>", b"", client.body) == b"[first]b2,a2,"


def test_what_is_meant_for_the_program_reaches_it(client: Client) -> None:
    def dropped(key: object) -> bool:
        raise KeyboardInterrupt

    feed = Feed(clock=client.clock)
    client.follow(feed, policy=[LagStep(2, "drop", keys=dropped)])
    publish(feed, "a1")
    with pytest.raises(KeyboardInterrupt):
        client.advance(2)


def test_keys_dropped_twice_leave_the_id_as_it_was_before(client: Client) -> None:
    feed = Feed(clock=client.clock, resume=Resume(id_line="<{id}>", first=None))
    client.follow(feed, policy=[LagStep(1, "drop", keys={"a"}), LagStep(2, "drop", keys={"b"})])
    publish(feed, "a1", "b1")
    client.advance(2)
    publish(feed, "c1")
    client.push()
    [(mark, body)] = re.findall(rb"<[^>.]*\.(\d+)>(.*),", client.body)
    assert (mark, body) == (b"0", b"c1"), "whoever comes back gets what was dropped"


def test_a_function_of_keys_that_ends_the_response_drops_nothing_more(client: Client) -> None:
    asked: list[object] = []

    def dropped(key: object) -> bool:
        asked.append(key)
        client.exchange.reset(client.now)
        return True

    feeds = Feed(clock=client.clock), Feed(clock=client.clock)
    client.follow(*feeds, policy=[LagStep(2, "drop", keys=dropped)])
    for feed in feeds:
        publish(feed, "a1")
    client.advance(2)
    assert client.exchange.is_over
    assert asked == ["a"]


def test_of_several_feeds_one_that_drops_is_in_step_with_nobody() -> None:
    clock, broadcasts = Clock(), list[Broadcast]()
    feeds, client = [Feed(clock=clock), Feed(clock=clock)], Following(clock, broadcasts)
    client.io.follow(feeds, lag_policy=[LagStep(2, "drop", keys={"a"})])
    client.push()
    publish(feeds[0], "a1", "b1")
    clock.now += 2
    client.advance(0)
    client.push()
    publish(feeds[1], "a2", "b2")
    client.push()
    assert client.body == b"b1,b2,"
    assert broadcasts == []
