"""Limits of a follow: how fast it goes, which keys go first, and that none waits for ever."""

import random
import re
from collections import defaultdict
from typing import Any

import pytest
from tests.core.driving import Driven
from tests.core.feeds.test_broadcast import Stage
from tests.core.feeds.test_feed_loops import follow_stats

from httpng_core import Feed, GeneratorIO, Keys, LagStep
from httpng_core.testing import Clock

STEP = 1 / 1024
"""Exact in binary, so that steps add up."""


class Client(Driven):
    """Whose exchange follows a feed, or several, and who takes all that it is sent at once."""

    def __init__(self, clock: Clock | None = None, **limits: Any) -> None:
        super().__init__()
        self.clock = clock or self.clock
        self.limits = limits
        self.seen: list[tuple[float, bytes]] = []
        self._read = 0
        self.io = GeneratorIO(self.exchange, self.clock)

    def follow(self, *feeds: Feed, **options: Any) -> Any:
        followed: Any = feeds if len(feeds) > 1 else feeds[0]
        return self.io.follow(followed, **self.limits, **options)

    def step(self, seconds: float = STEP) -> None:
        """Time passes, and what is sent by that is read: each payload ends with a comma."""
        self.advance(seconds)
        self.take()

    def take(self) -> None:
        if self.push():
            # Each payload is a chunk by itself.
            payloads = re.findall(rb"\r\n([^\r\n]*),\r\n", bytes(self.wire[self._read :]))
            self._read = len(self.wire)
            self.seen += [(self.now, payload) for payload in payloads]

    @property
    def stats(self) -> Any:
        return self.io.get_follow_stats()


# max_rate ---------------------------------------------------------------------------------------------


def test_of_each_key_so_many_are_sent_in_a_second_and_always_the_newest() -> None:
    client = Client(max_rate=4)
    feed = Feed(clock=client.clock)
    client.follow(feed)
    for number in range(10 * 128):
        feed.publish(f"a{number},", "a")
        if number % 32 == 0:
            feed.publish(f"b{number},", "b")
        client.take()
        for _ in range(8):
            client.step()
    times = defaultdict(list)
    for at, payload in client.seen:
        times[payload[:1]].append((at, int(payload[1:])))
    begun = times[b"a"][0][0]
    assert [at - begun for at, _ in times[b"a"]] == [number / 4 for number in range(41)]
    assert all(number >= (at - begun) * 128 - 1 for at, number in times[b"a"]), "each is the newest"
    assert len(times[b"b"]) in (40, 41), "a key that is as slow as that loses none"
    assert client.stats.max_rate == 4
    assert client.stats.delivered + client.stats.skipped + client.stats.pending == feed.published


def test_a_send_that_is_a_little_late_does_not_make_the_next_one_late() -> None:
    client = Client(max_rate=8)
    feed = Feed(clock=client.clock)
    client.follow(feed)
    for number in range(100):
        feed.publish(f"{number},")
        # 0.12 to 0.14 s: the loop is late, again and again.
        client.step(0.07)
    rate = (len(client.seen) - 1) / (client.seen[-1][0] - client.seen[0][0])
    assert 7.1 < rate <= 8 * 1.01 or rate == pytest.approx(7.14, abs=0.1)


def test_a_key_that_rested_is_sent_at_once_and_then_has_to_wait_its_time() -> None:
    client = Client(max_rate=1)
    feed = Feed(clock=client.clock)
    client.follow(feed)
    for seconds in (0.0, 1.75, 0.5, 0.5, 0.5):
        client.step(seconds)
        feed.publish(f"{client.now},")
        client.take()
    begun = client.seen[0][0]
    assert [at - begun for at, _ in client.seen] == [0.0, 1.75, 2.75]


def test_a_follow_ends_when_what_had_to_wait_is_sent() -> None:
    client = Client(max_rate=1)
    feed = Feed(clock=client.clock)
    follow = client.follow(feed)
    feed.publish("1,")
    client.take()
    feed.publish("2,")
    feed.close()
    client.step(0.5)
    assert not follow.settled
    client.step(0.5)
    assert follow.settled
    assert client.body == b"1,2,"


def test_what_has_expired_while_it_waited_is_dropped() -> None:
    client = Client(max_rate=0.5, max_age=1)
    feed = Feed(clock=client.clock)
    client.follow(feed)
    feed.publish("1,", "a")
    client.take()
    feed.publish("2,", "a")
    feed.publish("b,", "b")
    client.take()
    client.step(2)
    assert client.body == b"1,b,"
    feed.publish("3,", "a")
    client.take()
    assert client.body == b"1,b,3,"
    assert client.stats == follow_stats(delivered=3, expired=1).__class__(
        delivered=3, skipped=0, expired=1, pending=0, max_rate=0.5
    )


def test_keys_that_come_and_go_wait_as_others_do() -> None:
    client, keys = Client(max_rate=1), Keys(["a"])
    feed = Feed(clock=client.clock)
    client.follow(feed, keys=keys)
    feed.publish("a1,", "a")
    feed.publish("b1,", "b")
    client.take()
    feed.publish("a2,", "a")
    client.take()
    keys.discard("a")
    keys.add("b")
    client.step(2)
    keys.add("a")
    client.take()
    feed.remove("a")
    feed.publish("a3,", "a")
    client.step(1)
    assert client.body == b"a1,b1,a2,a3,"


# max_bandwidth ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["latest", "every"])
@pytest.mark.parametrize("late", [0.0, 0.02])
def test_so_many_bytes_are_sent_in_a_second(policy: Any, late: float) -> None:
    """Within 2 %, whatever the sizes, though the loop is late."""
    rng = random.Random(5)
    client = Client(max_bandwidth=10_000)
    feed = Feed(clock=client.clock, policy=policy, overflow="drop_oldest", max_queued=50_000)
    client.follow(feed)
    begun = client.now
    for _ in range(30 * 128):
        feed.publish("x" * rng.randrange(20, 600) + ",", rng.randrange(50))
        client.step(1 / 128 + rng.random() * late)
    sent = len(client.body)
    assert sent == pytest.approx(10_000 * (client.now - begun), rel=0.02)
    assert client.stats.max_bandwidth == 10_000


def test_who_was_idle_may_not_make_up_for_it() -> None:
    client = Client(max_bandwidth=100)
    feed = Feed(clock=client.clock)
    client.follow(feed)
    client.step(60)
    for number in range(8):
        feed.publish("x" * 49 + ",", number)
    client.step(0)
    for _ in range(8):
        client.step(0.25)
    begun = client.seen[0][0]
    assert [at - begun for at, _ in client.seen] == [0, 0.5, 1, 1.5, 2]


def test_several_feeds_share_it() -> None:
    clock = Clock()
    client = Client(clock, max_bandwidth=1000)
    feeds = [Feed(clock=clock) for _ in range(3)]
    client.follow(*feeds)
    for _ in range(10 * 128):
        for number, feed in enumerate(feeds):
            feed.publish(f"{number}" + "x" * 48 + ",")
        client.step(8 * STEP)
    assert len(client.body) == pytest.approx(10_000, rel=0.02)
    counts = [sum(payload.startswith(b"%d" % number) for _, payload in client.seen) for number in range(3)]
    assert max(counts) - min(counts) <= 1, "each in turn"
    assert client.stats.max_bandwidth == 1000


# Which goes first -------------------------------------------------------------------------------------


def gaps_of(client: Client) -> dict[bytes, list[float]]:
    """How long each key had to wait for its next payload."""
    last: dict[bytes, float] = {}
    gaps = defaultdict(list)
    for at, payload in client.seen:
        if payload in last:
            gaps[payload].append(at - last[payload])
        last[payload] = at
    return gaps


@pytest.mark.parametrize("limited", [False, True])
def test_of_1000_keys_on_a_link_that_carries_100_a_second_each_comes_every_10_seconds(limited: bool) -> None:
    limits: dict[str, Any] = {"max_bandwidth": 100 * 8} if limited else {}
    client = Client(**limits)
    feed = Feed(clock=client.clock)
    names = [f"key{number:04}" for number in range(1000)]
    for name in names:
        feed.publish(name + ",", name)
    client.follow(feed)
    for number in range(24 * 100):
        # Each twice in a second, and some always: far more than the link carries.
        for name in names[20 * number % 1000 :][:20] + names[:3]:
            feed.publish(name + ",", name)
        if limited:
            client.step(0.01)
        else:
            client.advance(0.01)
            offer = client.connection.data_to_send(client.now)
            taken = sum(map(len, offer))
            client.connection.bytes_accepted(taken, client.now)
            client.seen += [(client.now, bytes(offer[-1][-10:-3]))]
    gaps = gaps_of(client)
    assert len(gaps) == 1000
    worst = [max(each) for each in gaps.values()]
    assert min(worst) >= 9
    assert max(worst) <= 11


def test_priority_tells_how_often_a_key_comes_and_none_waits_for_ever() -> None:
    client = Client(max_bandwidth=50 * 4, priority={"k00": 10, "k01": 3})
    feed = Feed(clock=client.clock)
    client.follow(feed)
    names = [f"k{number:02}" for number in range(30)]
    for _ in range(40 * 25):
        for name in names:
            feed.publish(name + ",", name)
        client.step(0.04)
    counts = {name: sum(payload == name.encode() for _, payload in client.seen) for name in names}
    others = [counts[name] for name in names[2:]]
    assert max(others) - min(others) <= 5
    assert counts["k00"] == pytest.approx(10 * others[0], rel=0.2)
    assert counts["k01"] == pytest.approx(3 * others[0], rel=0.2)
    assert max(max(each) for each in gaps_of(client).values()) < 2


def test_what_became_pending_at_once_goes_by_priority() -> None:
    client = Client(priority={"b": 2, "c": 100})
    feed = Feed(clock=client.clock)
    client.follow(feed)
    for key in "abcd":
        feed.publish(f"{key},", key)
    client.take()
    assert client.body == b"c,b,a,d,"


# Changes ----------------------------------------------------------------------------------------------


def test_limits_are_changed_while_it_runs_and_told_back() -> None:
    client = Client()
    feed = Feed(clock=client.clock)
    client.follow(feed)
    assert (client.stats.max_rate, client.stats.max_bandwidth) == (None, None)
    feed.publish("1,")
    client.take()
    client.io.set_follow_pace(max_rate=2)
    for number in range(4):
        feed.publish(f"{number},")
        client.step(0.25)
    assert [payload for _, payload in client.seen] == [b"1", b"0", b"2"]
    client.io.set_follow_pace(max_bandwidth=100)
    assert (client.stats.max_rate, client.stats.max_bandwidth) == (2, 100)
    client.io.set_follow_pace(max_rate=None)
    assert (client.stats.max_rate, client.stats.max_bandwidth) == (None, 100)
    client.take()
    assert client.stats.pending == 0
    client.io.set_follow_pace(max_bandwidth=None, priority={"a": 5})
    assert client.stats.max_bandwidth is None


def test_a_bandwidth_that_changes_counts_for_what_was_sent_before() -> None:
    client = Client(max_bandwidth=10)
    feed = Feed(clock=client.clock)
    client.follow(feed)
    for number in range(3):
        feed.publish("x" * 99 + ",", number)
    client.take()
    client.io.set_follow_pace(max_bandwidth=100)
    client.step(0.75)
    assert len(client.seen) == 1
    client.step(0.25)
    assert len(client.seen) == 2
    client.io.set_follow_pace(max_bandwidth=None)
    client.take()
    assert len(client.seen) == 3


def test_who_has_limits_is_not_in_step_and_who_loses_them_is() -> None:
    stage = Stage(2)
    limited = stage.clients[0]
    stage.publish("1,")
    stage.settle()
    limited.follower.set_pace(4, ..., ...)
    stage.publish("2,")
    assert limited.connection.wants_write
    stage.broadcast()
    assert stage.bodies == [b"1,", b"1,2,"]
    stage.settle()
    stage.publish("3,")
    stage.settle()
    assert stage.bodies == [b"1,2,", b"1,2,3,"]
    limited.follower.set_pace(None, ..., ...)
    stage.settle()
    stage.publish("4,")
    assert not limited.connection.wants_write
    stage.settle()
    assert stage.bodies == [b"1,2,3,4,"] * 2


def test_what_waits_is_kept_when_limits_change() -> None:
    client = Client(max_rate=1)
    feed = Feed(clock=client.clock)
    client.follow(feed, on_gap=lambda lost: f"[{lost}],")
    for number in range(3):
        feed.publish(f"{number},", "a")
        client.take()
    client.io.set_follow_pace(max_rate=8, priority={"b": 4})
    assert client.stats.pending == 1
    client.step(0.25)
    assert client.body == b"0,[1],2,"
    assert client.stats.delivered == 2


def test_without_a_follow_nothing_is_changed() -> None:
    client = Client()
    client.io.set_follow_pace(max_rate=5)
    feed = Feed(clock=client.clock)
    follow = client.follow(feed)
    feed.close()
    client.take() if client.wire else client.push()
    assert follow.settled
    client.io.set_follow_pace(max_rate=5)
    assert client.stats.max_rate is None


def test_no_timer_is_left() -> None:
    client = Client(max_rate=1)
    feed = Feed(clock=client.clock)
    client.follow(feed, timeout=0.5)
    feed.publish("1,")
    client.take()
    feed.publish("2,")
    client.take()
    client.advance(0.5)
    assert client.stats.skipped == 1
    assert client.exchange.timers.next_deadline() is None


WRONG: list[dict[str, Any]] = [
    {"max_rate": 0},
    {"max_rate": -1},
    {"max_rate": float("nan")},
    {"max_bandwidth": 0},
    {"priority": {"a": 0}},
    {"priority": {"a": 101}},
]
WRONG_TYPES: list[dict[str, Any]] = [
    {"max_rate": "5"},
    {"max_rate": True},
    {"max_bandwidth": "5"},
    {"priority": 5},
    {"priority": ["a"]},
    {"priority": {"a": 1.5}},
    {"priority": {"a": True}},
]


@pytest.mark.parametrize("wrong", WRONG + WRONG_TYPES, ids=str)
def test_mistakes_raise_and_change_nothing(wrong: Any) -> None:
    client = Client()
    feed = Feed(clock=client.clock)
    error = TypeError if wrong in WRONG_TYPES else ValueError
    with pytest.raises(error, match=r"max_rate|max_bandwidth|priority"):
        client.io.follow(feed, **wrong)
    client.io.follow(feed, max_rate=3)
    with pytest.raises(error, match=r"max_rate|max_bandwidth|priority"):
        client.io.set_follow_pace(**wrong)
    assert client.stats.max_rate == 3


@pytest.mark.parametrize("limit", [{"max_rate": 5}, {"priority": {"a": 2}}], ids=str)
def test_keys_have_no_limits_where_every_payload_counts(limit: Any) -> None:
    client = Client()
    feed, other = Feed(clock=client.clock, policy="every"), Feed(clock=client.clock)
    with pytest.raises(ValueError, match='max_rate and priority are for feeds with the policy "latest"'):
        client.io.follow(feed, **limit)
    client.io.follow([other, feed])
    with pytest.raises(ValueError, match='max_rate and priority are for feeds with the policy "latest"'):
        client.io.set_follow_pace(**limit)
    assert client.stats.max_rate is None


def test_what_is_discarded_has_waited_for_nobody() -> None:
    client, keys = Client(), Keys(["a", "b", "c"])
    feed = Feed(clock=client.clock)
    client.follow(feed, keys=keys, lag_policy=[LagStep(2, "conflate")], priority={"c": 2})
    client.take()
    feed.publish("a1,", "a")
    feed.publish("c1,", "c")
    client.advance(1)
    feed.publish("b1,", "b")
    keys.discard("a")
    keys.discard("c")
    client.advance(1.5)
    assert client.stats.lag_step == 0, "`b` has waited for 1.5 seconds"
    client.advance(0.5)
    assert client.stats.lag_step == 1
    client.take()
    assert [payload for _, payload in client.seen] == [b"b1"]


def test_keys_that_come_once_are_forgotten_when_their_time_is_over() -> None:
    client = Client(max_rate=10)
    feed = Feed(clock=client.clock)
    client.follow(feed)
    for number in range(300):
        feed.publish(f"{number},", number)
        client.step(0.01)
    feed.publish("again,", 299)
    client.take()
    assert len(client.seen) == 300, "not before its time"
    client.step(0.1)
    assert client.seen[-1][1] == b"again"


def test_what_is_replaced_as_it_goes_out_waits_its_time() -> None:
    client = Client(max_rate=1)
    feed = Feed(clock=client.clock)
    client.follow(feed)
    client.take()
    feed.publish("a1,", "a")
    offer = b"".join(client.connection.data_to_send(client.now))
    feed.publish("a2,", "a")
    client.wire += offer
    client.connection.bytes_accepted(len(offer), client.now)
    client.take()
    assert client.body == b"a1,"
    client.step(1)
    assert client.body == b"a1,a2,"
