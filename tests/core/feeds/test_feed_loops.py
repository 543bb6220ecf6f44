"""A feed that several event loops follow, without one or a thread: the test says when each has its turn."""

from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from tests.core.driving import Driven, result, run_broadcasts

from httpng_core import Broadcast, Feed, FeedStats, FollowStats, Host, Keys, Pending
from httpng_core.feeds import Follower
from httpng_core.sending import Later
from httpng_core.testing import Clock


class Thread:
    """Which loop's thread it is that the test plays; `None`: one that has no loop."""

    now: "Loop | None" = None


class Loop:
    """A loop in a thread: what others want of it waits for its turn."""

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()

    def call(self, function: Callable[[], None]) -> None:
        if Thread.now is self:
            function()
        else:
            self.waiting.append(function)

    def turn(self) -> None:
        """Does what others want, in its thread."""
        with self:
            while self.waiting:
                self.waiting.popleft()()

    def __enter__(self) -> None:
        """What follows is done in its thread."""
        assert Thread.now is None
        Thread.now = self

    def __exit__(self, *_: object) -> None:
        Thread.now = None


class Following(Driven):
    """A connection of a loop, whose exchange may follow a feed."""

    def __init__(self, loop: Loop, broadcasts: list[Broadcast] | None = None) -> None:
        self.loop = loop
        self.broadcasts = broadcasts
        super().__init__()
        self.follower: Follower

    def _host(self) -> Host:
        if self.broadcasts is None:
            return Host(self._wake, call_in_loop=self.loop.call)
        return Host(
            self._wake, feed_ready=self.broadcasts.append, direct_send=len, call_in_loop=self.loop.call
        )

    def follow(self, feed: Feed, **options: Any) -> Pending:
        with self.loop:
            self.follower = feed.follower(**options)
            pending = self.exchange.follow(self.follower, self.now)
            self.push()
        return pending

    def leave(self, follow: Pending) -> None:
        with self.loop:
            self.exchange.withdraw(follow, self.now)

    def turn(self) -> None:
        """The loop has its turn, and the client takes all there is."""
        self.loop.turn()
        with self.loop:
            self.push()

    @property
    def told(self) -> FollowStats:
        return self.follower.stats


def follow_stats(delivered: int = 0, skipped: int = 0, expired: int = 0, pending: int = 0) -> FollowStats:
    return FollowStats(delivered=delivered, skipped=skipped, expired=expired, pending=pending)


def shared(**options: Any) -> Feed:
    return Feed(clock=Clock(), lock=nullcontext(), **options)


def every() -> Feed:
    return Feed(clock=Clock(), policy="every")


def test_each_loop_is_told_in_its_own_turn() -> None:
    feed, loops = every(), (Loop(), Loop())
    clients = [Following(loop) for loop in loops for _ in range(2)]
    for client in clients:
        client.follow(feed)
    feed.publish("one,")
    feed.publish("two,")
    assert [client.told for client in clients] == [follow_stats()] * 4
    for client in clients:
        client.turn()
        assert client.body == b"one,two,"
    assert feed.get_stats() == FeedStats(published=2, followers=4, delivered=8, skipped=0, expired=0)


def test_what_is_published_in_the_loop_itself_does_not_overtake() -> None:
    """Another thread published before: that is on its way when this loop's own thread publishes."""
    feed, loop = every(), Loop()
    client = Following(loop)
    client.follow(feed)
    feed.publish("one,")
    with loop:
        feed.publish("two,")
    client.turn()
    assert client.body == b"one,two,"
    assert client.told == follow_stats(delivered=2)


def test_the_end_does_not_overtake_what_was_published() -> None:
    feed, loop = every(), Loop()
    client = Following(loop)
    follow = client.follow(feed)
    feed.publish("last")
    with loop:
        feed.close()
    client.turn()
    assert client.body == b"last"
    assert follow.settled


@pytest.mark.parametrize("policy", ["latest", "every"])
def test_who_joins_while_payloads_are_on_their_way_gets_each_once(policy: Any) -> None:
    feed, loop = Feed(clock=Clock(), policy=policy), Loop()
    first, second = Following(loop), Following(loop)
    first.follow(feed)
    feed.publish("one,", 1)
    second.follow(feed)
    feed.publish("two,", 2)
    first.turn()
    second.turn()
    assert first.body == second.body == b"one,two,"
    assert second.told == follow_stats(delivered=2)


@pytest.mark.parametrize(("policy", "wanted"), [("latest", b"one,two,"), ("every", b"two,")])
def test_who_joins_after_all_have_left_gets_each_once(policy: Any, wanted: bytes) -> None:
    feed, loop = Feed(clock=Clock(), policy=policy), Loop()
    first, second = Following(loop), Following(loop)
    follow = first.follow(feed)
    feed.publish("one,", 1)
    first.leave(follow)
    second.follow(feed)
    feed.publish("two,", 2)
    second.turn()
    assert second.body == wanted
    # Those that it begins with count from when it joined.
    assert second.told == follow_stats(delivered=wanted.count(b","))


def test_nobody_follows_where_payloads_arrive() -> None:
    feed, loop = Feed(clock=Clock()), Loop()
    client = Following(loop)
    follow = client.follow(feed)
    feed.publish("one")
    client.leave(follow)
    loop.turn()
    assert feed.get_stats() == FeedStats(published=1, followers=0, delivered=0, skipped=0, expired=0)


def test_closing_ends_the_followers_of_every_loop() -> None:
    feed, loops = Feed(clock=Clock()), (Loop(), Loop())
    clients = [Following(loop) for loop in loops]
    follows = [client.follow(feed) for client in clients]
    feed.publish("last")
    feed.close()
    late = Following(loops[0])
    late_follow = late.follow(feed)
    for client in clients:
        client.turn()
    late.turn()
    assert [client.body for client in (*clients, late)] == [b"last"] * 3
    assert all(follow.settled for follow in (*follows, late_follow))


def test_who_joins_a_closed_feed_where_the_end_is_on_its_way_gets_the_latest() -> None:
    feed, loop = Feed(clock=Clock()), Loop()
    first, second = Following(loop), Following(loop)
    follow = first.follow(feed)
    feed.publish("last")
    feed.close()
    first.leave(follow)
    ended = second.follow(feed)
    second.turn()
    assert second.body == b"last"
    assert ended.settled


def test_loops_that_take_turns_in_following_leave_nothing_behind() -> None:
    feed, loops = every(), (Loop(), Loop())
    for number in range(20):
        client = Following(loops[number % 2])
        follow = client.follow(feed)
        feed.publish("x")
        client.turn()
        client.leave(follow)
    kept = [value for value in vars(feed).values() if isinstance(value, (list, dict, deque))]
    assert sum(map(len, kept)) <= 2
    assert feed.get_stats() == FeedStats(published=20, followers=0, delivered=20, skipped=0, expired=0)


def test_a_loop_that_nobody_follows_from_is_forgotten() -> None:
    feed = Feed(clock=Clock())
    for number in range(20):
        client = Following(Loop())
        follow = client.follow(feed)
        feed.publish("big" * 1000)
        client.turn()
        feed.publish("on its way")
        assert len(feed.statistics().loops) == 1
        client.leave(follow)
        assert feed.statistics().loops == ()
        client.turn()
        assert feed.get_stats().delivered == 1 if number == 0 else 2 * number + 1
    assert feed.get_stats().published == 40


class Publishing:
    """A lock that lets another thread publish as soon as it is free."""

    def __init__(self) -> None:
        self.publish: Callable[[], None] | None = None
        self._depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth and self.publish is not None:
            publish, self.publish = self.publish, None
            thread, Thread.now = Thread.now, None
            publish()
            Thread.now = thread


def test_what_another_thread_publishes_while_one_joins_is_not_lost() -> None:
    lock = Publishing()
    feed, loop = Feed(clock=Clock(), policy="every", lock=lock), Loop()
    client = Following(loop)
    lock.publish = lambda: feed.publish("just then")
    client.follow(feed)
    client.turn()
    assert client.body == b"just then"
    assert client.told == follow_stats(delivered=1)


def test_a_follower_that_joins_while_another_loop_does_is_not_lost() -> None:
    lock = Publishing()
    feed, loops = Feed(clock=Clock(), policy="every", lock=lock), (Loop(), Loop())
    one, other = (Following(loop) for loop in loops)
    one.leave(one.follow(feed))
    follows: list[Pending] = []
    lock.publish = lambda: follows.append(other.follow(feed))
    one.follow(feed)
    feed.publish("x")
    for client in (one, other):
        client.turn()
        assert client.body == b"x"


def test_what_threads_publish_is_sent_in_the_thread_of_the_loop() -> None:
    feed, loop = shared(policy="every"), Loop()
    client = Following(loop)
    client.follow(feed)
    feed.publish_threadsafe("from a thread")
    assert not client.connection.wants_write
    client.turn()
    assert client.body == b"from a thread"


def test_asking_for_the_stats_of_a_feed_changes_nothing_in_other_loops() -> None:
    """They are asked for in any thread: the counts of a follower in step are for its own."""
    feed, loop, broadcasts = every(), Loop(), list[Broadcast]()
    client = Following(loop, broadcasts)
    client.follow(feed)
    for _ in range(3):
        feed.publish("x")
        client.turn()
        with loop:
            run_broadcasts(broadcasts, 10, client.now)
    follower = client.follower
    assert [each.in_step for each in feed.statistics().loops] == [1]
    before = follower.base
    assert feed.get_stats().delivered == 3
    assert follower.base == before
    assert client.told == follow_stats(delivered=3)


# Notices that come later -----------------------------------------------------------------------------


class Noticed(Following):
    """A client that skips payloads, and notices of gaps that are answered when the test says so."""

    def __init__(self, max_age: float | None = None, keys: Keys | None = None) -> None:
        super().__init__(Loop())
        self.feed = Feed(clock=Clock())
        self.asked: list[tuple[int, Later]] = []
        self.pending = self.follow(self.feed, on_gap=self.on_gap, max_age=max_age, keys=keys)

    def on_gap(self, lost: int) -> Later:
        later = Later()
        self.asked.append((lost, later))
        return later

    def publish(self, *payloads: str) -> None:
        for payload in payloads:
            self.feed.publish(payload)
        self.loop.turn()

    def answer(self, notice: str | None, error: Exception | None = None) -> None:
        self.asked[-1][1].answer(notice, error)


def test_nothing_goes_out_until_the_notice_is_there() -> None:
    client = Noticed()
    client.publish("1", "2", "3")
    assert client.push() == 0
    assert [lost for lost, _ in client.asked] == [2]
    assert not client.connection.wants_write
    client.answer("[2]")
    client.push()
    assert client.body == b"[2]3"


def test_a_notice_is_asked_for_again_if_more_was_lost_meanwhile() -> None:
    client = Noticed()
    client.publish("1", "2")
    client.push()
    client.publish("3")
    client.answer("[1]")
    client.push()
    assert [lost for lost, _ in client.asked] == [1, 2]
    client.answer("[2]")
    client.push()
    assert client.body == b"[2]3"


def outpaced(client: Noticed) -> None:
    """Something more is lost each time that a notice is there, eight times."""
    client.publish("0", "1")
    for number in range(2, 9):
        client.push()
        client.publish(str(number))
        client.answer(f"[{number - 1}]")
    client.push()
    assert [lost for lost, _ in client.asked] == [1, 2, 3, 4, 5, 6, 7, 8]
    client.publish("9")


def test_a_notice_is_asked_for_eight_times_and_then_goes_out_with_the_payload_of_then() -> None:
    client = Noticed()
    outpaced(client)
    client.feed.close()
    client.answer("[8]")
    client.push()
    client.push()
    assert client.body == b"[8]89"
    stats = client.feed.get_stats()
    assert (stats.published, stats.delivered, stats.skipped) == (10, 2, 8)


def test_what_is_lost_after_that_is_told_by_the_next() -> None:
    client = Noticed()
    outpaced(client)
    client.publish("10", "11")
    client.answer("[8]")
    client.push()
    assert client.body == b"[8]8"
    assert client.asked[-1][0] == 2
    client.feed.close()
    client.answer("[2]")
    client.push()
    assert client.body == b"[8]8[2]11"
    stats = client.feed.get_stats()
    assert (stats.published, stats.delivered, stats.skipped) == (12, 2, 10)


def test_the_payload_of_then_does_not_go_out_when_it_is_too_old() -> None:
    client = Noticed(max_age=5)
    outpaced(client)
    clock = client.feed.clock
    assert isinstance(clock, Clock)
    clock.now += 6
    client.publish("10")
    client.answer("[8]")
    client.push()
    assert (client.body, client.asked[-1][0]) == (b"", 10)
    client.answer("[10]")
    client.push()
    assert client.body == b"[10]10"


def test_an_empty_notice_that_comes_later_is_none() -> None:
    client = Noticed()
    client.publish("1", "2")
    client.push()
    client.answer(None)
    client.push()
    assert client.body == b"2"


def test_a_notice_that_fails_later_ends_the_follow() -> None:
    client = Noticed()
    client.publish("1", "2")
    client.push()
    client.answer(None, ValueError("on_gap"))
    client.push()
    with pytest.raises(ValueError, match="on_gap"):
        _ = client.pending.result


def test_a_notice_that_comes_after_the_follower_has_left_is_for_nobody() -> None:
    client = Noticed()
    client.publish("1", "2")
    client.push()
    client.leave(client.pending)
    client.answer("[1]")
    client.push()
    assert client.body == b""


def test_a_notice_that_is_on_its_way_is_not_asked_for_twice() -> None:
    client = Noticed()
    client.publish("1", "2")
    client.push()
    assert client.follower.offer() == b""
    assert len(client.asked) == 1


# Odd ends ----------------------------------------------------------------------------------------------


def test_what_threads_have_published_may_be_too_much_before_the_loop_sees_it() -> None:
    feed = shared(policy="every", max_queued=4)
    loop = Loop()
    before, after = Following(loop), Following(loop)
    follow = before.follow(feed)
    feed.publish_threadsafe("123")
    feed.publish_threadsafe("456")
    feed.publish_threadsafe("7")
    after.follow(feed)
    before.turn()
    assert result(follow).cancelled
    assert before.outcomes == ["reset"]
    after.turn()
    assert after.body == b"7"
    assert before.told == follow_stats(skipped=2)
    assert after.told == follow_stats(delivered=1, skipped=2), "they were on their way when it joined"


def test_a_follower_that_has_left_has_nothing_to_give_up() -> None:
    feed, client = every(), Following(Loop())
    client.leave(client.follow(feed))
    client.follower.give_up(client.now)
    assert client.outcomes == []


def test_too_much_on_its_way_may_end_others_meanwhile() -> None:
    feed, loop = shared(policy="every", max_queued=4), Loop()
    clients = [Following(loop) for _ in range(2)]
    follows = [client.follow(feed) for client in clients]
    for client, other in (clients, clients[::-1]):
        follow = follows[clients.index(client)]
        follow.on_settle = partial(other.exchange.reset, other.now)
    for payload in ("123", "456", "7"):
        feed.publish_threadsafe(payload)
    loop.turn()
    assert [result(follow).cancelled for follow in follows] == [True, True]
    assert feed.get_stats().followers == 0


def test_the_payload_of_then_does_not_go_out_when_its_key_is_wanted_no_more() -> None:
    keys = Keys([None, "b"])
    client = Noticed(keys=keys)
    outpaced(client)
    client.feed.publish("b", "b")
    client.turn()
    with client.loop:
        keys.discard(None)
    client.answer("[8]")
    client.push()
    assert (client.body, client.asked[-1][0]) == (b"", 9)
    client.answer("[9]")
    client.push()
    assert client.body == b"[9]b"
