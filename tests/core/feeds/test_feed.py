"""Feeds, a test a sentence: what is kept for a follower, when it goes out, and how a follow ends."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from math import inf
from typing import Any

import pytest
from tests.core.driving import GET, GET_10, HEAD, Driven, result

from httpng_core import (
    CallInLoop,
    ContentLengthError,
    Feed,
    FeedStats,
    FollowStats,
    GeneratorIO,
    Host,
    Pending,
    ResponseStateError,
)
from httpng_core.feeds import Follower
from httpng_core.testing import Clock, Loopback


class Following(Driven):
    """A connection whose exchange follows a feed that has the same clock."""

    def __init__(
        self,
        received: bytes = GET,
        *,
        tells_acknowledged: bool = False,
        call_in_loop: CallInLoop | None = None,
        **options: Any,
    ) -> None:
        self.call_in_loop = call_in_loop
        super().__init__(received, tells_acknowledged=tells_acknowledged)
        self.feed = Feed(clock=self.clock, **options)

    def _host(self) -> Host:
        return Host(self._wake, call_in_loop=self.call_in_loop)

    def follow(self, timeout: float | None = None, window: int | None = None, **options: Any) -> Pending:
        self.follower: Follower = self.feed.follower(**options)
        return self.exchange.follow(self.follower, self.now, timeout, window)

    @property
    def told(self) -> FollowStats:
        return self.follower.stats


def follow_stats(delivered: int = 0, skipped: int = 0, expired: int = 0, pending: int = 0) -> FollowStats:
    return FollowStats(delivered=delivered, skipped=skipped, expired=expired, pending=pending)


# What is kept ---------------------------------------------------------------------------------------------


def test_a_payload_goes_to_whoever_follows() -> None:
    driven = Following()
    follow = driven.follow()
    driven.feed.publish("tick")
    driven.push()
    assert driven.body == b"tick"
    assert driven.positions == (4, 4)
    assert not follow.settled
    assert driven.told == follow_stats(delivered=1)


def test_the_newest_of_each_key_is_kept_in_the_place_of_the_key() -> None:
    driven = Following()
    driven.follow()
    for payload, key in [("a1,", "a"), ("b1,", "b"), ("a2,", "a"), ("c1,", None), ("b2,", "b")]:
        driven.feed.publish(payload, key)
    assert driven.told == follow_stats(skipped=2, pending=3)
    driven.push()
    assert driven.body == b"a2,b2,c1,"
    assert driven.told == follow_stats(delivered=3, skipped=2)


def test_who_joins_gets_the_latest_of_each_key_oldest_first() -> None:
    driven = Following()
    for payload, key in [("a1,", "a"), ("b1,", "b"), ("a2,", "a")]:
        driven.feed.publish(payload, key)
    driven.follow()
    assert driven.told == follow_stats(pending=2)
    driven.push()
    assert driven.body == b"b1,a2,"


def test_a_payload_in_transmission_is_not_torn_and_not_replaced() -> None:
    driven = Following()
    driven.follow()
    driven.push()
    driven.feed.publish("first,")
    driven.push(5)
    driven.feed.publish("second,")
    driven.feed.publish("third,")
    driven.push()
    assert driven.body == b"first,third,"
    assert driven.told == follow_stats(delivered=2, skipped=1)


def test_a_refused_payload_is_chosen_anew() -> None:
    driven = Following()
    driven.follow()
    driven.push()
    driven.feed.publish("old")
    driven.connection.data_to_send(driven.now)
    driven.connection.bytes_accepted(0, driven.now)
    assert driven.positions == (0, 0)
    driven.feed.publish("new")
    driven.push()
    assert driven.body == b"new"


def test_an_offered_payload_that_is_taken_counts_though_a_newer_one_came() -> None:
    driven = Following()
    driven.follow()
    driven.push()
    driven.feed.publish("old,")
    offer = b"".join(driven.connection.data_to_send(driven.now))
    driven.feed.publish("b,", "b")
    driven.feed.publish("new,")
    driven.wire += offer
    driven.connection.bytes_accepted(len(offer), driven.now)
    driven.push()
    assert driven.body == b"old,b,new,"
    assert driven.told == follow_stats(delivered=3)


def test_an_offered_payload_that_is_taken_counts_though_its_follow_has_ended() -> None:
    driven = Following()
    follow = driven.follow()
    driven.push()
    driven.feed.publish("last")
    offer = b"".join(driven.connection.data_to_send(driven.now))
    driven.exchange.withdraw(follow, driven.now)
    assert driven.feed.get_stats().skipped == 1
    driven.wire += offer
    driven.connection.bytes_accepted(len(offer), driven.now)
    assert driven.positions == (4, 4)
    assert driven.told == follow_stats(delivered=1)
    assert driven.feed.get_stats() == FeedStats(published=1, followers=0, delivered=1, skipped=0, expired=0)


# What grew old ----------------------------------------------------------------------------------------


def test_what_is_older_than_max_age_is_dropped() -> None:
    driven = Following()
    driven.follow(max_age=1.0)
    driven.feed.publish("old,", "a")
    driven.clock.now += 0.6
    driven.feed.publish("fresh,", "b")
    driven.clock.now += 0.6
    driven.push()
    assert driven.body == b"fresh,"
    assert driven.told == follow_stats(delivered=1, expired=1)
    driven.feed.publish("old again")
    driven.clock.now += 2
    driven.push()
    assert driven.told == follow_stats(delivered=1, expired=2)


def test_a_follow_ends_when_the_last_that_was_pending_has_expired() -> None:
    driven = Following()
    follow = driven.follow(max_age=1.0)
    driven.push()
    driven.feed.publish("old")
    driven.feed.close()
    assert not follow.settled
    driven.clock.now += 2
    driven.push()
    assert follow.settled
    assert follow.result is None


def test_a_gap_is_told_before_the_next_payload() -> None:
    driven = Following()
    driven.follow(on_gap=lambda lost: f"[{lost}]", max_age=1.0)
    driven.push()
    for text in ("1", "2", "3"):
        driven.feed.publish(text)
    driven.push()
    driven.feed.publish("4")
    driven.push()
    driven.feed.publish("5", "other")
    driven.clock.now += 2
    driven.feed.publish("6")
    driven.push()
    assert driven.body == b"[2]34[1]6"
    assert driven.positions == (9, 9)


def test_a_gap_may_be_passed_over_in_silence() -> None:
    driven = Following()
    gaps: list[int] = []
    driven.follow(on_gap=gaps.append)
    driven.push()
    driven.feed.publish("1")
    driven.feed.publish("2")
    driven.push()
    assert driven.body == b"2"
    assert gaps == [1]


def test_what_on_gap_raises_is_raised_by_follow() -> None:
    driven = Following()
    follow = driven.follow(on_gap=lambda lost: 1 // 0)
    driven.push()
    driven.feed.publish("1")
    driven.feed.publish("2")
    driven.push()
    assert follow.settled
    with pytest.raises(ZeroDivisionError):
        assert follow.result
    assert driven.write("more").result is None
    driven.push()
    assert driven.body == b"more"


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_on_gap_may_end_its_own_exchange(end: str, raises: bool) -> None:
    driven = Following()

    def on_gap(lost: int) -> str:
        getattr(driven.exchange, end)(driven.now)
        return str(lost // (not raises))

    follow = driven.follow(on_gap=on_gap)
    driven.push()
    driven.feed.publish("1")
    driven.feed.publish("2")
    driven.push()
    assert result(follow).cancelled
    assert driven.wire.endswith(b"0\r\n\r\n" if end == "close" else b"chunked\r\n\r\n")
    assert driven.positions == (0, 0)
    assert driven.feed.get_stats() == FeedStats(published=2, followers=0, delivered=0, skipped=2, expired=0)


@pytest.mark.parametrize("end", ["reset", "lost"])
def test_on_gap_may_end_it_before_the_head_is_out(end: str) -> None:
    driven = Following()

    def on_gap(lost: int) -> None:
        if end == "lost":
            driven.connection.connection_lost(driven.now)
        else:
            driven.exchange.reset(driven.now)

    driven.follow(on_gap=on_gap)
    driven.feed.publish("1")
    driven.feed.publish("2")
    assert driven.connection.data_to_send(driven.now) == []
    assert driven.connection.close_expected()
    assert driven.connection.accepted == 0


# Every payload ----------------------------------------------------------------------------------------


def test_the_policy_every_skips_none_and_begins_with_the_next() -> None:
    driven = Following(policy="every")
    driven.feed.publish("before")
    driven.follow()
    for text in ("1", "2", "3"):
        driven.feed.publish(text)
    driven.push()
    assert driven.body == b"123"
    assert driven.told == follow_stats(delivered=3)


def test_a_follower_with_too_many_bytes_queued_is_reset() -> None:
    driven = Following(policy="every", max_queued=3)
    follow = driven.follow()
    driven.feed.publish("12")
    driven.feed.publish("3")
    assert not follow.settled
    driven.feed.publish("4")
    assert result(follow).cancelled
    assert driven.outcomes == ["reset"]
    assert driven.told == follow_stats(skipped=3)


def test_or_its_oldest_payloads_are_dropped() -> None:
    driven = Following(policy="every", max_queued=3, overflow="drop_oldest")
    driven.follow()
    driven.push()
    for text in ("1", "2", "345"):
        driven.feed.publish(text)
    offer = b"".join(driven.connection.data_to_send(driven.now))
    driven.feed.publish("6789")
    driven.wire += offer
    driven.connection.bytes_accepted(len(offer), driven.now)
    driven.push()
    assert driven.body == b"3456789"
    assert driven.told == follow_stats(delivered=2, skipped=2)


# When a payload goes out ------------------------------------------------------------------------------


def test_until_acked_the_next_waits_for_the_client() -> None:
    driven = Following(tells_acknowledged=True)
    follower = driven.feed.follower()
    driven.exchange.follow(follower, driven.now, until="acked")
    driven.feed.publish("1")
    driven.push()
    driven.feed.publish("2")
    assert driven.push() == 0
    driven.feed.publish("3")
    driven.connection.bytes_acknowledged(len(driven.wire), driven.now)
    driven.push()
    assert driven.body == b"13"


def test_until_acked_what_fits_into_the_window_need_not_wait() -> None:
    driven = Following(tells_acknowledged=True)
    follower = driven.feed.follower(max_age=1.0)
    driven.exchange.follow(follower, driven.now, window=3, until="acked")
    for text in ("1", "23", "4"):
        driven.feed.publish(text)
        driven.push()
    assert driven.body == b"123"
    driven.feed.publish("too long", "b")
    driven.clock.now += 2
    driven.feed.publish("also long", "b")
    assert driven.push() == 0


def test_writes_stand_in_line_with_a_follow() -> None:
    driven = Following()
    first = driven.write("x" * 20, window=10)
    follow = driven.follow(timeout=5)
    last = driven.write("end")
    driven.feed.publish("tick,")
    driven.push()
    assert first.settled
    assert driven.body == b"x" * 20 + b"tick,"
    assert not last.settled
    driven.advance(5)
    assert not result(follow).cancelled
    assert not result(follow).reached
    assert last.result is None
    driven.push()
    assert driven.body.endswith(b"tick,end")


@pytest.mark.parametrize("end", ["withdraw", "close"])
def test_who_stood_in_line_behind_a_follow_wakes_the_driver(end: str) -> None:
    driven = Following()
    follow = driven.follow()
    driven.push()
    last = driven.write("end")
    wakes = driven.wakes
    if end == "close":
        driven.feed.close()
    else:
        driven.exchange.withdraw(follow, driven.now)
    assert last.result is None
    assert driven.wakes > wakes
    driven.push()
    assert driven.body == b"end"


# How a follow ends ------------------------------------------------------------------------------------


def test_a_follow_ends_when_the_feed_is_closed_and_all_is_sent() -> None:
    driven = Following()
    follow = driven.follow()
    driven.push()
    driven.feed.publish("last")
    driven.feed.close()
    driven.push(4)
    assert not follow.settled
    driven.push()
    assert follow.settled
    assert follow.result is None


def test_an_idle_follow_ends_at_once_when_the_feed_is_closed() -> None:
    driven = Following()
    follow = driven.follow()
    driven.feed.close()
    assert follow.settled
    assert follow.result is None
    driven.feed.close()


@pytest.mark.parametrize("other", [False, True], ids=["the same feed", "another feed"])
def test_a_response_that_follows_can_not_follow_again_meanwhile(other: bool) -> None:
    driven = Following()
    follow = driven.follow(timeout=5)
    driven.push()
    driven.feed.publish("tick,")
    first = driven.feed
    if other:
        driven.feed = Feed(clock=driven.clock)
    with pytest.raises(ResponseStateError, match="follows a feed already"):
        driven.follow()
    driven.push()
    assert driven.body == b"tick,"
    assert first.get_stats().followers == 1
    driven.advance(5)
    assert follow.settled
    again = driven.follow()
    driven.feed.publish("tock,")
    driven.push()
    assert driven.body == b"tick,tock," if other else b"tick,tick,tock,"
    assert not again.settled


def test_a_follow_that_waits_in_line_can_not_be_doubled_either() -> None:
    driven = Following()
    driven.write("x" * 20, window=10)
    driven.follow()
    with pytest.raises(ResponseStateError):
        driven.follow()


def test_a_closed_feed_still_gives_its_latest_values() -> None:
    driven = Following()
    driven.feed.publish("last")
    driven.feed.close()
    follow = driven.follow()
    driven.push()
    assert driven.body == b"last"
    assert follow.settled
    with pytest.raises(RuntimeError, match="closed"):
        driven.feed.publish("more")


@pytest.mark.parametrize("end", ["lost", "eof"])
def test_a_follow_ends_when_the_client_is_gone(end: str) -> None:
    driven = Following()
    follow = driven.follow()
    driven.push()
    getattr(driven, end)()
    assert result(follow).cancelled
    driven.feed.publish("to nobody")
    assert driven.feed.get_stats().followers == 0
    assert result(driven.follow()).cancelled


def test_a_follow_ends_with_its_handler() -> None:
    driven = Following()
    follow = driven.follow()
    driven.feed.publish("never")
    driven.exchange.finish(driven.now)
    assert result(follow).cancelled
    driven.push()
    assert driven.body == b""
    assert driven.outcomes == ["complete"]
    assert driven.told == follow_stats(skipped=1)


def test_a_stalled_client_is_reset_and_an_idle_feed_is_not() -> None:
    driven = Following()
    driven.exchange.stall_timeout = 5
    driven.follow()
    driven.push()
    driven.advance(20)
    driven.feed.publish("x" * 100)
    driven.push(50)
    driven.advance(4)
    assert driven.outcomes == []
    driven.advance(2)
    assert driven.outcomes == ["reset"]


@pytest.mark.parametrize("request_", [HEAD, GET_10])
def test_a_body_that_is_dropped_by_rule_is_not_waited_for(request_: bytes) -> None:
    driven = Following(request_)
    follow = driven.follow()
    assert follow.settled == (request_ is HEAD)
    driven.feed.publish("tick")
    driven.push()
    assert driven.responses("HEAD" if request_ is HEAD else "GET")[0].body in (b"", b"tick")


def test_a_response_with_a_content_length_follows_no_feed() -> None:
    driven = Following()
    driven.header(headers={"content-length": 5})
    with pytest.raises(ContentLengthError):
        driven.follow()
    assert driven.feed.get_stats().followers == 0


# Publishing -------------------------------------------------------------------------------------------


def answer(called: list[Any]) -> None:
    """Does what was to be done in the thread of the loop, and what that brings."""
    while called:
        called.pop(0)()


def test_a_feed_without_a_lock_is_for_one_thread() -> None:
    with pytest.raises(RuntimeError, match="needs a lock"):
        Feed(clock=Clock()).publish_threadsafe("tick")


def test_what_other_threads_publish_is_taken_over_in_the_thread_of_the_feed() -> None:
    called: list[Any] = []
    driven = Following(call_in_loop=called.append, lock=nullcontext())
    driven.feed.publish_threadsafe("early,")
    driven.follow()
    driven.push()
    driven.feed.publish_threadsafe("late,")
    assert driven.body == b"early,"
    answer(called)
    driven.push()
    assert driven.body == b"early,late,"
    driven.feed.publish_threadsafe("last,")
    driven.feed.close()
    driven.feed.publish_threadsafe("never")
    answer(called)
    driven.push()
    assert driven.body == b"early,late,last,"


@pytest.mark.parametrize(
    ("payload", "key", "error"), [("", None, ValueError), (7, None, TypeError), ("x", [], TypeError)]
)
def test_wrong_payloads_raise(payload: Any, key: Any, error: type[Exception]) -> None:
    feed = Feed(clock=Clock(), lock=nullcontext())
    with pytest.raises(error):
        feed.publish(payload, key)
    with pytest.raises(error):
        feed.publish_threadsafe(payload, key)
    assert feed.published == 0


WRONG = [
    ({"policy": "newest"}, ValueError),
    ({"overflow": "block"}, ValueError),
    ({"max_queued": 0}, ValueError),
    ({"max_queued": True}, TypeError),
]


@pytest.mark.parametrize(("options", "error"), WRONG)
def test_wrong_options_raise(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Feed(clock=Clock(), **options)


@pytest.mark.parametrize(("max_age", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError)])
def test_a_wrong_max_age_raises(max_age: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Feed(clock=Clock()).follower(max_age=max_age)


MISTAKES = [
    ("io.follow(5)", TypeError, "io.follow needs a Feed, or a list of them, not 5"),
    ("io.follow(feed, on_gap=5)", TypeError, "on_gap must be a function that gets the number .* not 5"),
    ("io.follow(feed, max_age='x')", TypeError, "max_age must be a number of seconds, or None, not 'x'"),
    ("io.follow(feed, max_age=float('nan'))", ValueError, "max_age must be more than 0 seconds, not nan"),
    ("io.follow(feed, timeout='x')", TypeError, "timeout must be a number of seconds, not 'x'"),
    ("feed.publish(5)", TypeError, "a payload must be bytes or str, not 5"),
    ("feed.publish('x', ['a'])", TypeError, r"a key must be what can be a key of a dict, not \['a'\]"),
]


@pytest.mark.parametrize("kind", ["async", "generator"])
@pytest.mark.parametrize(("call", "error", "message"), MISTAKES)
def test_mistakes_raise_at_the_call_and_name_the_value(
    call: str, error: type[Exception], message: str, kind: str
) -> None:
    clock = Clock()
    feed = Feed(clock=clock)
    seen: list[Exception] = []

    def generator(req: object, io: GeneratorIO) -> Iterator[Pending]:
        try:
            yield eval(call, {"io": io, "feed": feed})
        except Exception as error:
            seen.append(error)

    async def coroutine(req: object, io: Any) -> None:
        try:
            await eval(call, {"io": io, "feed": feed})
        except Exception as error:
            seen.append(error)

    Loopback(generator if kind == "generator" else coroutine, clock=clock).connect().get()
    assert type(seen[0]) is error
    assert re.search(message, str(seen[0]))
    assert feed.get_stats().followers == feed.published == 0


@pytest.mark.parametrize("kind", ["async", "generator"])
def test_a_second_follow_of_a_handler_raises_while_the_first_runs(kind: str) -> None:
    clock = Clock()
    feed, seen = Feed(clock=clock), list[Exception]()
    held: list[Any] = []

    def generator(req: Any, io: GeneratorIO) -> Iterator[Pending]:
        held.append(io)
        yield io.follow(feed)

    async def coroutine(req: Any, io: Any) -> None:
        held.append(io)
        await io.follow(feed)

    async def second(req: Any, io: Any) -> None:
        try:
            pending = held[0].follow(feed)
            await pending
        except ResponseStateError as error:
            seen.append(error)

    async def either(req: Any, io: Any) -> None:
        await (second if req.path == "/second" else coroutine)(req, io)

    def plain(req: Any, io: GeneratorIO) -> Iterator[Pending]:
        if req.path != "/second":
            yield from generator(req, io)
            return
        try:
            yield held[0].follow(feed)
        except ResponseStateError as error:
            seen.append(error)

    loop = Loopback(either if kind == "async" else plain, clock=clock)
    client = loop.connect()
    client.get()
    loop.connect().get("/second")
    assert len(seen) == 1
    feed.publish("tick")
    loop.settle()
    feed.close()
    loop.settle()
    assert client.responses()[0].body == b"tick"


def test_an_infinite_max_age_is_none() -> None:
    driven = Following()
    driven.follow(max_age=inf)
    driven.feed.publish("old")
    driven.clock.now += 1e9
    driven.push()
    assert driven.body == b"old"


# In a handler -----------------------------------------------------------------------------------------


def test_a_generator_follows() -> None:
    clock = Clock()
    feed = Feed(clock=clock)
    told: list[object] = []

    def handler(req: object, io: GeneratorIO) -> Iterator[Pending]:
        told.append(io.get_follow_stats())
        io.headers = {"content-type": "text/event-stream"}
        told.append((yield io.follow(feed)))
        told.append(io.get_follow_stats())

    loop = Loopback(handler, clock=clock)
    client = loop.connect()
    client.get()
    feed.publish("tick")
    loop.settle()
    feed.close()
    loop.settle()
    (response,) = client.responses()
    assert response.body == b"tick"
    assert response.headers["content-type"] == "text/event-stream"
    assert response.complete
    assert told == [None, None, follow_stats(delivered=1)]


def test_a_feed_tells_what_became_of_all_it_published() -> None:
    feed = Feed(clock=Clock())
    clients = [Driven(), Driven()]
    for driven in clients:
        driven.exchange.follow(feed.follower(), driven.now)
    feed.publish("1")
    clients[0].push()
    feed.publish("2")
    clients[1].lost()
    assert feed.get_stats() == FeedStats(published=2, followers=1, delivered=1, skipped=2, expired=0)


def test_an_async_handler_follows_in_a_loopback() -> None:
    clock = Clock()
    feed = Feed(clock=clock)

    async def handler(req: object, io: Any) -> str:
        return "end" if await io.follow(feed) is None else "cut"

    loop = Loopback(handler, clock=clock)
    client = loop.connect()
    client.get()
    feed.publish("tick,")
    loop.settle()
    feed.close()
    loop.settle()
    assert client.responses()[0].body == b"tick,end"


def test_a_client_that_takes_no_payload_at_all_is_stalled() -> None:
    driven = Following()
    driven.exchange.stall_timeout = 5
    driven.follow()
    driven.push()
    driven.feed.publish("never taken")
    driven.advance(5)
    assert driven.outcomes == []
    driven.advance(5)
    assert driven.outcomes == ["reset"]


def test_a_notice_of_a_gap_that_does_not_fit_waits_with_its_payload() -> None:
    driven = Following(tells_acknowledged=True)
    notices: list[int] = []

    def on_gap(lost: int) -> str:
        notices.append(lost)
        return "[gap]"

    follower = driven.feed.follower(on_gap=on_gap)
    driven.exchange.follow(follower, driven.now, window=4, until="acked")
    driven.feed.publish("1")
    driven.feed.publish("2")
    driven.push()
    assert driven.body == b"[gap]2"
    driven.connection.bytes_acknowledged(len(driven.wire), driven.now)
    driven.feed.publish("3")
    driven.push()
    driven.feed.publish("4", "b")
    driven.feed.publish("5", "b")
    # The payload alone would fit; with its notice it waits, and nothing asks for it until more has moved.
    assert driven.push() == 0
    assert not driven.connection.wants_write
    assert notices == [1, 1]
    driven.connection.bytes_acknowledged(len(driven.wire), driven.now)
    driven.push()
    assert driven.body == b"[gap]23[gap]5"


def test_a_stall_timeout_may_be_changed_while_it_runs() -> None:
    driven = Following()
    driven.exchange.stall_timeout = 5
    assert driven.exchange.stall_timeout == 5
    driven.write("x" * 100)
    driven.advance(4)
    driven.exchange.stall_timeout = None
    assert driven.exchange.stall_timeout is None
    driven.write("y")
    driven.advance(60)
    assert driven.outcomes == []
    driven.exchange.stall_timeout = 3
    driven.write("z")
    driven.advance(2)
    driven.write("z")
    driven.advance(1)
    assert driven.outcomes == ["reset"]


def test_a_payload_may_be_any_kind_of_bytes() -> None:
    driven = Following()
    driven.follow()
    changing = bytearray(b"one,")
    driven.feed.publish(changing)  # type: ignore[arg-type]
    changing[:] = b"two,"
    driven.feed.publish(memoryview(b"three,"), "k")  # type: ignore[arg-type]
    driven.push()
    assert driven.body == b"one,three,"


def test_a_drain_that_comes_twice_ends_a_follow_once() -> None:
    driven = Following()
    follow = driven.exchange.follow(driven.feed.follower(), driven.now, until_draining=True)
    driven.push()
    driven.feed.publish("pending")
    for _ in range(2):
        driven.exchange.drain(driven.now)
    assert not follow.settled
    driven.push()
    assert driven.body == b"pending"
    assert follow.settled
