"""Storms of publications: what nobody has taken yet is coalesced at once, and a turn takes its share."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from tests.core.driving import Driven, run_broadcasts
from tests.core.feeds.test_feed_loops import Following, Loop, Thread, follow_stats

from httpng_core import COMPILED, Broadcast, Feed, FeedStats, FollowStats, Host
from httpng_core.feeds import EveryBacklog, LatestBacklog, Payload
from httpng_core.testing import Clock

MANY = 20_000


class TurningLoop(Loop):
    """A loop that can be asked for a turn to come, as those of drivers can."""

    turns = 0

    def turn(self) -> None:
        """Does what others wanted before it, in its thread; what is wanted meanwhile is for the next."""
        self.turns += 1
        for _ in range(len(self.waiting)):
            with self:
                self.waiting.popleft()()

    def call_soon(self, function: Any) -> None:
        self.waiting.append(function)


class Client(Following):
    """A connection of such a loop."""

    def _host(self) -> Host:
        assert isinstance(self.loop, TurningLoop)
        return Host(self._wake, call_in_loop=self.loop.call, call_soon=self.loop.call_soon)


@pytest.fixture(autouse=True)
def no_thread() -> Iterator[None]:
    yield
    Thread.now = None


def shared(**options: Any) -> Feed:
    return Feed(clock=Clock(), lock=nullcontext(), **options)


@pytest.mark.parametrize("verb", ["publish", "publish_threadsafe"])
def test_with_no_follower_one_value_of_each_key_is_kept(verb: str) -> None:
    feed = shared()
    for number in range(MANY):
        getattr(feed, verb)(f"{number},", number % 2)
    kept = feed.statistics()
    assert (kept.values, kept.waiting, kept.loops) == (2, 0, ())
    assert feed.published == MANY
    driven = Driven()
    driven.exchange.follow(feed.follower(), driven.now)
    driven.push()
    assert driven.body == f"{MANY - 2},{MANY - 1},".encode()


@pytest.mark.parametrize("verb", ["publish", "publish_threadsafe"])
def test_with_no_follower_the_policy_every_keeps_none(verb: str) -> None:
    feed = shared(policy="every")
    for _ in range(MANY):
        getattr(feed, verb)("x")
    kept = feed.statistics()
    assert (kept.values, kept.waiting, kept.loops) == (0, 0, ())


@pytest.mark.parametrize("verb", ["publish", "publish_threadsafe"])
def test_what_a_loop_has_not_taken_yet_is_conflated_and_counted(verb: str) -> None:
    feed, loop = shared(), TurningLoop()
    client = Client(loop)
    client.follow(feed, on_gap=lambda lost: f"[{lost}]")
    for number in range(MANY):
        getattr(feed, verb)(f"{number},", number % 2)
    assert feed.statistics().waiting == 2
    assert len(loop.waiting) == 1, "the loop is asked once"
    client.turn()
    assert client.body == f"[{MANY - 2}]{MANY - 2},{MANY - 1},".encode()
    assert client.told == follow_stats(delivered=2, skipped=MANY - 2)


def test_every_payload_is_bounded_on_its_way_too() -> None:
    feed, loop = shared(policy="every", max_queued=8, overflow="drop_oldest"), TurningLoop()
    client = Client(loop)
    client.follow(feed, on_gap=lambda lost: f"[{lost}]")
    for number in range(1000, 1000 + MANY):
        feed.publish_threadsafe(str(number)[-4:])
    assert feed.statistics().waiting == 2
    client.turn()
    assert client.body == f"[{MANY - 2}]".encode() + b"09980999"
    assert client.told == follow_stats(delivered=2, skipped=MANY - 2)


def test_too_much_on_its_way_holds_nothing_and_resets_whom_it_was_for() -> None:
    feed, loop = shared(policy="every", max_queued=8), TurningLoop()
    clients = [Client(loop) for _ in range(3)]
    for client in clients:
        client.follow(feed)
    for _ in range(MANY):
        feed.publish_threadsafe("1234")
    assert feed.statistics().waiting <= 2
    loop.turn()
    assert [client.outcomes for client in clients] == [["reset"]] * 3
    assert feed.statistics().loops == ()


def test_a_turn_takes_its_share_and_the_next_goes_on() -> None:
    feed, loop = shared(), TurningLoop()
    client = Client(loop)
    client.follow(feed)
    for number in range(MANY):
        feed.publish_threadsafe(f"{number},", number)
    left = MANY
    while feed.statistics().waiting:
        client.turn()
        taken, left = left - feed.statistics().waiting, feed.statistics().waiting
        assert 0 < taken <= 2048
    client.turn()
    assert loop.turns >= 10
    assert client.body == b"".join(b"%d," % number for number in range(MANY))
    assert not loop.waiting


def test_a_turn_takes_less_where_more_are_served_each_for_itself() -> None:
    feed, loop = shared(), TurningLoop()
    clients = [Client(loop) for _ in range(9)]
    for client in clients:
        client.follow(feed)
    for number in range(1000):
        feed.publish_threadsafe(f"{number},", number)
    loop.turn()
    assert feed.statistics().waiting >= 1000 - 2048 // 10 - 1


def test_the_end_comes_after_all_that_was_handed() -> None:
    feed, loop = shared(), TurningLoop()
    client = Client(loop)
    follow = client.follow(feed)
    for number in range(5000):
        feed.publish_threadsafe(f"{number},", number)
    feed.close()
    while not follow.settled:
        client.turn()
    assert client.body.count(b",") == 5000
    assert feed.get_stats() == FeedStats(published=5000, followers=0, delivered=5000, skipped=0, expired=0)


# Many keys ----------------------------------------------------------------------------------------------


class Costs:
    """Counts what goes through backlogs when they are listed whole."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listed = 0
        for backlog in (LatestBacklog, EveryBacklog):
            self._count(monkeypatch, backlog)

    def _count(self, monkeypatch: pytest.MonkeyPatch, kind: type[LatestBacklog] | type[EveryBacklog]) -> None:
        payloads: Any = kind.payloads

        def counted(backlog: Any) -> Any:
            listed = payloads(backlog)
            self.listed += len(listed)
            return listed

        monkeypatch.setattr(kind, "payloads", counted)


class InStep(Driven):
    """A client that takes all at once, alone or in step."""

    def __init__(self, broadcasts: list[Broadcast], clock: Clock) -> None:
        self.broadcasts = broadcasts
        super().__init__()
        self.clock = clock

    def _host(self) -> Host:
        return Host(feed_ready=self.broadcasts.append, direct_send=len)


LOST_ON_ITS_WAY: dict[str, tuple[Any, list[tuple[str, str]], int]] = {
    "conflated": ({}, [("a", "key"), ("b", "key"), ("c", "key")], 2),
    "removed": ({}, [("a", "key"), ("b", "key"), ("", "key"), ("c", "next")], 2),
    "too much": (
        {"policy": "every", "max_queued": 2, "overflow": "drop_oldest"},
        [("a", "key"), ("b", "key"), ("c", "key")],
        1,
    ),
}


@pytest.mark.parametrize(("options", "published", "lost"), LOST_ON_ITS_WAY.values(), ids=LOST_ON_ITS_WAY)
def test_those_in_step_are_told_what_was_lost_on_its_way(
    options: Any, published: list[tuple[str, str]], lost: int
) -> None:
    feed, loop, broadcasts, gaps = shared(**options), Loop(), list[Broadcast](), list[int]()
    client = Following(loop, broadcasts)
    client.follow(feed, on_gap=gaps.append)
    feed.publish("begun", "first")
    client.turn()
    with loop:
        run_broadcasts(broadcasts, 1, client.now)
    assert client.told == follow_stats(delivered=1)
    assert feed.statistics().loops[0].in_step == 1
    for value, key in published:
        if value:
            feed.publish(value, key)
        else:
            feed.remove(key)
    client.turn()
    while broadcasts:
        with loop:
            run_broadcasts(broadcasts, 10, client.now)
    client.turn()
    assert gaps == [lost]
    assert client.told.skipped == lost


@pytest.mark.skipif(COMPILED, reason="a compiled backlog can't be watched")
@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("policy", ["latest", "every"])
def test_a_follower_that_begins_with_many_keys_costs_so_many_steps(
    policy: Any, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: dict[int, int] = {}
    for keys in (500, 2000):
        clock, broadcasts = Clock(), list[Broadcast]()
        feed = Feed(clock=clock, policy=policy)
        clients = [InStep(broadcasts, clock) for _ in range(others + 1)]
        followers = [feed.follower() for _ in clients]
        for client, follower in zip(clients[1:], followers[1:], strict=True):
            client.exchange.follow(follower, clock.now)
            client.push()
        if policy == "every":
            clients[0].exchange.follow(followers[0], clock.now)
        for number in range(keys):
            feed.publish(f"{number},", number)
        if policy == "latest":
            clients[0].exchange.follow(followers[0], clock.now)
        with monkeypatch.context() as patch:
            counted = Costs(patch)
            run_broadcasts(broadcasts, 1, clock.now)
            clients[0].push()
            while broadcasts:
                run_broadcasts(broadcasts, 10, clock.now)
        assert [follower.stats for follower in followers] == [
            FollowStats(delivered=keys, skipped=0, expired=0, pending=0)
        ] * (others + 1)
        costs[keys] = counted.listed
    assert costs[2000] <= 4 * costs[500] + 200
    assert costs[2000] <= 100 * 2000


def test_the_first_of_a_backlog_is_found_at_once_however_many_were_before_it() -> None:
    """A dict walks past the places of all that were deleted: that was half a minute."""
    backlog = LatestBacklog()
    for number in range(60_000):
        backlog.add(Payload(b"x", number, 0.0))
    for number in range(60_000):
        first = backlog.first()
        assert first is not None
        assert first.key == number
        backlog.drop(first)
    assert backlog.first() is None
