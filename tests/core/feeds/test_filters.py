"""Followers of some keys, and of several feeds: what each gets, how it counts, what publishing costs."""

import random
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from tests.core.driving import Driven, result, run_broadcasts
from tests.core.feeds.test_broadcast import Stage
from tests.core.feeds.test_feed import Following
from tests.core.feeds.test_feed_loops import Following as InLoop
from tests.core.feeds.test_feed_loops import Loop, follow_stats

from httpng_core import Broadcast, Feed, FeedStats, GeneratorIO, Host, KeyFilter, Keys, Pending
from httpng_core.languages import follower_of
from httpng_core.testing import Clock, Loopback


def publish(feed: Feed, *payloads: str) -> None:
    """Each is the value of the key that is its first letter."""
    for payload in payloads:
        feed.publish(payload + ",", payload[0])


WANTED: list[Callable[[], KeyFilter]] = [
    lambda: {"a", "c"},
    lambda: ["a", "c"],
    lambda: lambda key: key in "ac",
    lambda: Keys(["a", "c"]),
]


@pytest.mark.parametrize("wanted", WANTED, ids=["set", "list", "function", "Keys"])
@pytest.mark.parametrize("policy", ["latest", "every"])
def test_a_follower_gets_the_keys_that_it_wants(wanted: Callable[[], KeyFilter], policy: Any) -> None:
    driven = Following(policy=policy)
    publish(driven.feed, "c0", "b0", "a0")
    driven.follow(keys=wanted())
    publish(driven.feed, "b1", "a1", "d1")
    driven.push()
    publish(driven.feed, "c1", "b2")
    driven.push()
    assert driven.body == (b"c0,a1,c1," if policy == "latest" else b"a1,c1,")
    assert driven.told == follow_stats(
        delivered=driven.body.count(b","), skipped=1 if policy == "latest" else 0
    )


@pytest.mark.parametrize("wanted", WANTED, ids=["set", "list", "function", "Keys"])
def test_gaps_and_books_are_about_what_is_wanted(wanted: Callable[[], KeyFilter]) -> None:
    driven = Following()
    driven.follow(keys=wanted(), on_gap=lambda lost: f"[{lost}]")
    publish(driven.feed, "a1", "b1", "b2", "b3", "a2", "c1", "a3", "b4")
    driven.push()
    assert driven.body == b"[2]a3,c1,"
    assert driven.told == follow_stats(delivered=2, skipped=2)
    stats = driven.feed.get_stats()
    assert stats == FeedStats(published=8, followers=1, delivered=2, skipped=2, expired=0)


def test_where_every_payload_counts_those_of_a_key_that_is_wanted_no_more_are_taken_back() -> None:
    driven, keys = Following(policy="every"), Keys(["a", "b"])
    driven.follow(keys=keys)
    publish(driven.feed, "a1", "b1", "a2")
    keys.discard("a")
    publish(driven.feed, "a3")
    driven.push()
    assert driven.body == b"b1,"
    assert driven.told == follow_stats(delivered=1)


def test_a_key_is_still_wanted_by_others_when_some_have_left() -> None:
    stage = Stage(0)
    leaver, other = stage.join(keys={"a"}), stage.join(keys={"a", "b"})
    leaver.exchange.withdraw(leaver.follow, leaver.now)
    publish(stage.feed, "a1")
    stage.settle()
    assert other.body == b"a1,"


def test_those_who_want_the_same_are_in_step_and_share_the_frames() -> None:
    stage = Stage(0)
    for wanted in ({"a"}, {"a"}, {"b"}, None):
        stage.join(keys=wanted)
    publish(stage.feed, "a1")
    assert [client.told[3] for client in stage.clients] == [1, 1, 0, 1]
    assert not any(client.connection.wants_write for client in stage.clients)
    assert len(stage.broadcasts) == 2
    frames = {id(broadcast.next_sends(9)[0]) for broadcast in stage.broadcasts}
    assert len(frames) == 1, "framed once for both"
    stage.settle()
    assert stage.bodies == [b"a1,", b"a1,", b"", b"a1,"]
    assert stage.feed.statistics().loops[0].groups == 3


def test_a_removed_key_is_told_to_those_who_want_it() -> None:
    stage = Stage(0, on_remove=lambda key: f"-{key},")
    for wanted in ({"a"}, {"b"}):
        stage.join(keys=wanted)
    publish(stage.feed, "a1", "b1")
    stage.settle()
    stage.feed.remove("a")
    stage.settle()
    assert stage.bodies == [b"a1,-a,", b"b1,"]


def test_a_function_is_asked_once_for_each_key() -> None:
    asked: list[Hashable] = []

    def wanted(key: Hashable) -> bool:
        asked.append(key)
        return key == "a"

    driven = Following()
    publish(driven.feed, "b0")
    driven.follow(keys=wanted)
    asked.clear()
    publish(driven.feed, *["a1", "b1", "c1"] * 5)
    assert sorted(map(str, asked)) == ["a", "b", "c"]


class PanicError(BaseException):
    """What extensions written in Rust raise for a panic is no Exception either."""


ERRORS = [
    ZeroDivisionError,
    PanicError,
    GeneratorExit,
    lambda: BaseExceptionGroup("several", [PanicError(), ValueError()]),
]


def feed_of_x() -> Feed:
    """Has a value of x."""
    feed = Feed(clock=Clock())
    publish(feed, "x0")
    return feed


def raising(error: Callable[[], BaseException]) -> Callable[[str], bool]:
    """Wants all keys, but raises for x."""

    def wanted(key: str) -> bool:
        if key == "x":
            raise error()
        return True

    return wanted


@pytest.mark.parametrize("error", ERRORS, ids=["Exception", "BaseException", "GeneratorExit", "group"])
@pytest.mark.parametrize("policy", ["latest", "every"])
def test_what_a_function_raises_ends_the_follow_alone_that_it_is_for(
    policy: Any, error: Callable[[], BaseException]
) -> None:
    """Not the one who publishes, nor those who follow as well."""
    feed, clients, wanted = Feed(clock=Clock(), policy=policy), [Driven() for _ in range(3)], raising(error)
    follows = [
        client.exchange.follow(feed.follower(keys=keys), 0)
        for client, keys in zip(clients, (wanted, None, wanted), strict=True)
    ]
    publish(feed, "w1", "x1", "y1")
    feed.close()
    for client in clients:
        client.push()
    assert clients[1].body == b"w1,x1,y1,"
    assert clients[0].body in (b"w1,", b"")
    assert follows[1].result is None
    for failed in follows[::2]:
        with pytest.raises((ZeroDivisionError, RuntimeError)) as raised:
            assert failed.result
        told = raised.value if isinstance(raised.value, ZeroDivisionError) else raised.value.__cause__
        assert type(told) is type(error())
    assert feed.get_stats().followers == 0
    late = Driven()
    with pytest.raises(type(error())):
        late.exchange.follow(feed_of_x().follower(keys=wanted), 0)


def test_the_end_of_such_a_follow_lets_others_of_its_response_go_on() -> None:
    driven = Driven()
    feeds = [Feed(clock=Clock()), Feed(clock=Clock())]
    follow = driven.exchange.follow(follower_of(feeds, keys=raising(PanicError)), 0)
    behind = driven.exchange.write(b"behind", 0)
    feeds[1].publish("x1", "x")
    with pytest.raises(RuntimeError, match="keys raised PanicError"):
        assert follow.result
    driven.push()
    assert (driven.body, behind.result) == (b"behind", None)
    assert [feed.get_stats().followers for feed in feeds] == [0, 0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_meant_for_the_program_reaches_it(error: type[BaseException]) -> None:
    feed, client = Feed(clock=Clock()), Driven()
    client.exchange.follow(feed.follower(keys=raising(error)), 0)
    with pytest.raises(error):
        feed.publish("x1", "x")


WRONG: list[Any] = ["ab", b"ab", 5, 1.5, [["a"]]]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_are_no_keys_raises(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"keys? must be"):
        Feed(clock=Clock()).follower(keys=wrong)
    if wrong != [["a"]]:
        with pytest.raises(TypeError, match="keys must be a set of keys, not"):
            Keys(wrong)


# Keys that change -------------------------------------------------------------------------------------


def test_a_key_that_is_added_brings_its_latest_value_and_what_follows() -> None:
    driven, keys = Following(), Keys()
    publish(driven.feed, "a0")
    driven.follow(keys=keys, on_gap=lambda lost: f"[{lost}]")
    driven.push()
    publish(driven.feed, "a1")
    assert driven.push() == 0
    keys.add("a")
    keys.add("a")
    keys.add("b")
    driven.push()
    publish(driven.feed, "a2", "b1")
    driven.push()
    assert driven.body == b"a1,a2,b1,"
    assert driven.told == follow_stats(delivered=3)
    assert list(keys) == ["a", "b"]


def test_of_a_key_that_is_discarded_nothing_more_comes_nor_is_it_told_as_lost() -> None:
    driven, keys = Following(), Keys(["a", "b"])
    driven.follow(keys=keys, on_gap=lambda lost: f"[{lost}]")
    driven.push()
    publish(driven.feed, "a1", "b1")
    keys.discard("a")
    keys.discard("a")
    publish(driven.feed, "a2")
    driven.push()
    assert driven.body == b"b1,"
    assert driven.told == follow_stats(delivered=1)
    assert "a" not in keys
    assert len(keys) == 1


@pytest.mark.parametrize("taken", [False, True])
def test_what_was_offered_of_a_discarded_key_counts_if_it_is_taken(taken: bool) -> None:
    driven, keys = Following(), Keys(["a", "b"])
    driven.follow(keys=keys)
    driven.push()
    publish(driven.feed, "a1")
    offer = b"".join(driven.connection.data_to_send(driven.now))
    keys.discard("a")
    size = len(offer) if taken else 0
    driven.wire += offer[:size]
    driven.connection.bytes_accepted(size, driven.now)
    driven.push()
    assert driven.body == (b"a1," if taken else b"")
    assert driven.told == follow_stats(delivered=int(taken))


def test_a_payload_that_has_begun_goes_on_when_its_key_is_discarded() -> None:
    stage, keys = Stage(0), Keys(["a", "b"])
    client = stage.join(keys=keys)
    client.room = 4
    publish(stage.feed, "a1")
    stage.broadcast()
    keys.discard("a")
    stage.settle()
    assert client.body == b"a1,"
    assert client.told == (1, 0, 0, 0)


def test_those_in_step_change_together() -> None:
    stage, keys = Stage(0), Keys(["a"])
    for _ in range(3):
        stage.join(keys=keys)
    publish(stage.feed, "a1", "b1")
    stage.broadcast(1)
    keys.add("b")
    keys.discard("a")
    stage.settle()
    publish(stage.feed, "a2", "b2")
    stage.settle()
    assert stage.bodies == [b"a1,b1,b2,", b"b1,b2,", b"b1,b2,"]
    assert [client.told for client in stage.clients] == [(3, 0, 0, 0), (2, 0, 0, 0), (2, 0, 0, 0)]


def test_keys_reach_the_loops_of_other_threads_and_are_let_go_with_the_last_follower() -> None:
    feed, loop, keys = Feed(clock=Clock(), lock=nullcontext()), Loop(), Keys()
    client = InLoop(loop)
    follow = client.follow(feed, keys=keys)
    publish(feed, "a1", "b1")
    keys.add("a")
    keys.add("b")
    keys.discard("b")
    client.turn()
    assert client.body == b"a1,"
    client.leave(follow)
    keys.add("c")
    assert not loop.waiting, "nobody is told any more"
    assert feed.statistics().loops == ()


def test_a_follow_ends_when_the_feed_has_closed_and_what_was_pending_is_wanted_no_more() -> None:
    driven, keys = Following(), Keys(["a"])
    follow = driven.follow(keys=keys)
    driven.push()
    publish(driven.feed, "a1")
    driven.feed.close()
    assert not follow.settled
    keys.discard("a")
    assert follow.settled
    assert follow.result is None


def test_what_is_too_much_for_some_keys_is_not_too_much_for_others() -> None:
    feed = Feed(clock=Clock(), lock=nullcontext(), policy="every", max_queued=8)
    loop = Loop()
    clients = {key: InLoop(loop) for key in "ab"}
    follows = {key: client.follow(feed, keys=[key]) for key, client in clients.items()}
    for _ in range(4):
        publish(feed, "a12")
    loop.turn()
    assert result(follows["a"]).cancelled
    publish(feed, "b1")
    clients["b"].turn()
    assert clients["b"].body == b"b1,"
    assert clients["b"].told == follow_stats(delivered=1)


@pytest.mark.parametrize("how", ["discard", "remove"])
def test_a_follow_that_has_finished_ends_when_nothing_is_pending_any_more(how: str) -> None:
    """It takes in nothing more, as the server drains."""
    driven, keys = Following(), Keys(["a"])
    follow = driven.follow(keys=keys)
    driven.push()
    publish(driven.feed, "a1", "b1")
    driven.follower.finish()
    keys.add("b")
    publish(driven.feed, "a2")
    assert driven.told.pending == 1
    if how == "discard":
        keys.discard("a")
    else:
        driven.feed.remove("a")
    assert follow.settled
    assert driven.told.skipped == (how == "remove")


# Several feeds ----------------------------------------------------------------------------------------


def many(clock: Clock, *feeds: Feed, **options: Any) -> tuple[Driven, list[Any]]:
    """A client whose handler follows these, and what its calls returned."""
    seen: list[Any] = []

    def handler(req: object, io: GeneratorIO) -> Iterator[Pending]:
        seen.append(io)
        seen.append((yield io.follow(feeds, **options)))

    loop = Loopback(handler, clock=clock)
    client = loop.connect()
    client.get()
    return client, [seen, loop]  # type: ignore[return-value]


def test_several_feeds_are_followed_each_in_turn() -> None:
    clock = Clock()
    one, other = Feed(clock=clock), Feed(clock=clock, policy="every")
    publish(one, "a1", "b1")
    client: Any
    client, (seen, loop) = many(clock, one, other, on_gap=lambda lost: f"[{lost}]")
    client.room = 0
    publish(other, "x1", "x2")
    publish(one, "a2", "c1")
    client.give_room()
    loop.settle()
    body = client.responses()[0].body
    assert sorted(body.replace(b"[1]", b"").split(b",")[:-1]) == [
        b"a1",
        b"a2",
        b"b1",
        b"c1",
        b"x1",
        b"x2",
    ] or (b"[1]a2," in body)
    stats = seen[0].get_follow_stats()
    assert stats.delivered + stats.skipped == 6
    one.close()
    loop.settle()
    assert len(seen) == 1
    other.close()
    loop.settle()
    assert seen[1] is None
    assert one.get_stats().followers == other.get_stats().followers == 0


def test_no_feed_starves_beside_a_busy_one() -> None:
    clock = Clock()
    busy, quiet = Feed(clock=clock), Feed(clock=clock)
    driven = Driven()
    driven.clock = clock
    driven.exchange.follow(follower_of([busy, quiet]), driven.now)
    driven.push()
    for number in range(10):
        busy.publish(f"b{number},", number)
        quiet.publish(f"q{number},", number)
    driven.push()
    assert driven.body == b"".join(b"b%d,q%d," % (number, number) for number in range(10))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ([], ValueError, "at least one Feed"),
        ([5], TypeError, "a list of Feeds, not 5 in it"),
        ("feed", TypeError, "a Feed, or a list of them, not 'feed'"),
        (5, TypeError, "a Feed, or a list of them, not 5"),
    ],
)
def test_what_are_no_feeds_raises(wrong: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        follower_of(wrong)
    feed = Feed(clock=Clock())
    with pytest.raises(ValueError, match="each Feed once"):
        follower_of([feed, feed])


# What publishing costs --------------------------------------------------------------------------------


def calls_of(function: Callable[[], None]) -> int:
    """How many Python functions it calls."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


class Quiet:
    """What a follower needs of an exchange, and no more, as there are many."""

    timers: Any = None

    def reset(self, now: float, cause: object) -> None:
        raise AssertionError

    def feed_closed(self, now: float) -> None:
        raise AssertionError

    def follow_failed(self, error: BaseException, now: float) -> None:
        raise AssertionError

    def cut_off(self, last: bytes, now: float, cause: object) -> None:
        raise AssertionError

    def settle_counts(self, source: object) -> None:
        raise AssertionError

    def broadcast_fell_short(self, taken: int, now: float) -> None:
        raise AssertionError

    def broadcast_lost(self, now: float, cause: object, *, is_cut: bool) -> None:
        raise AssertionError


@pytest.mark.parametrize("kind", ["set", "Keys", "function"])
def test_publishing_costs_what_the_followers_cost_that_want_the_key(kind: str) -> None:
    followers = 10_000 if kind == "set" else 1_000
    feed, chance, owner = Feed(clock=Clock()), random.Random(5), Quiet()
    wanting: dict[int, int] = {}
    for _ in range(followers):
        keys = frozenset(chance.sample(range(5000), 20))
        for key in keys:
            wanting[key] = wanting.get(key, 0) + 1
        wanted: Any = {"set": keys, "Keys": Keys(keys), "function": keys.__contains__}[kind]
        feed.follower(keys=wanted).begin(owner, Host())
    for key in range(5000):
        # A function is asked the first time.
        feed.publish("x", key)
    unwanted = calls_of(lambda: feed.publish("x", 5000))
    by_key = {key: calls_of(lambda key=key: feed.publish("x", key)) for key in range(0, 5000, 100)}  # type: ignore[misc]
    for key, calls in by_key.items():
        assert calls <= unwanted + 8 * wanting.get(key, 0) + 2, "each that wants it costs a few calls"
    assert unwanted <= (40 if kind != "function" else 40 + followers)


def test_broadcasts_of_followers_with_keys_send_as_those_of_all() -> None:
    clock, broadcasts = Clock(), list[Broadcast]()
    feed, clients = (
        Feed(clock=clock),
        [Driven(host=Host(feed_ready=broadcasts.append, direct_send=len)) for _ in range(50)],
    )
    for number, client in enumerate(clients):
        client.exchange.follow(feed.follower(keys={number % 2}), clock.now)
        client.push()
    feed.publish("x", 0)
    run_broadcasts(broadcasts, 100, clock.now)
    feed.publish("y", 0)
    assert calls_of(lambda: run_broadcasts(broadcasts, 100, clock.now)) <= 30
    assert feed.get_stats().delivered == 50


def test_keys_are_something_even_when_they_are_none() -> None:
    driven, keys = Following(), Keys()
    assert keys
    assert len(keys) == 0
    driven.follow(keys=keys)
    publish(driven.feed, "a1")
    driven.push()
    assert driven.body == b"", "it wants these keys, not all"


def test_a_key_that_changes_when_all_have_left_is_for_nobody() -> None:
    feed, loop, keys = Feed(clock=Clock(), lock=nullcontext()), Loop(), Keys()
    client = InLoop(loop)
    follow = client.follow(feed, keys=keys)
    publish(feed, "a1")
    keys.add("a")
    client.leave(follow)
    client.turn()
    assert client.body == b""
    assert client.told == follow_stats()


def test_a_function_that_raises_of_what_is_lost_ends_its_follow() -> None:
    feed, clients = Feed(clock=Clock()), [Driven() for _ in range(2)]
    follows = [
        client.exchange.follow(feed.follower(keys=keys), 0)
        for client, keys in zip(clients, (raising(ZeroDivisionError), None), strict=True)
    ]
    feed.lose(1, "x")
    with pytest.raises(ZeroDivisionError):
        assert follows[0].result
    assert not follows[1].settled


def test_of_very_many_keys_a_function_is_asked_again() -> None:
    asked: list[int] = []

    def wanted(key: int) -> bool:
        asked.append(key)
        return False

    loop = Loop()
    feed, client = Feed(clock=Clock(), lock=nullcontext()), InLoop(loop)
    client.follow(feed, keys=wanted)
    for keys in (range(65_537), [0, 65_536]):
        for key in keys:
            feed.lose(1, key)
        loop.turn()
    assert asked == [*range(65_537), 0], "answers are kept, but not for ever"


@pytest.mark.parametrize("end", ["close", "overflow", "fail"])
def test_the_end_of_one_follow_may_be_the_end_of_another(end: str) -> None:
    """Whoever is told of the first ends the second, whose turn would be next."""
    policy: Any = "every" if end == "overflow" else "latest"
    feed = Feed(clock=Clock(), policy=policy, max_queued=8, lock=nullcontext())
    clients, wanted = [Driven() for _ in range(2)], raising(ZeroDivisionError) if end == "fail" else None
    follows = [client.exchange.follow(feed.follower(keys=wanted), 0) for client in clients]
    for one, other in (clients, clients[::-1]):
        follow = follows[clients.index(one)]
        follow.on_settle = partial(other.exchange.reset, 0)
    if end == "close":
        feed.close()
    elif end == "fail":
        publish(feed, "x1")
    else:
        for _ in range(4):
            publish(feed, "a12")
    assert all(follow.settled for follow in follows)
    assert feed.get_stats().followers == 0
    assert [client.exchange.is_over for client in clients].count(True) >= 1
