"""Followers in step, a test a sentence: who is, what a pass sends, and why one steps out."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.driving import GET, GET_10, Driven, run_broadcasts

from httpng_core import COMPILED, Broadcast, Feed, FollowStats, Host, Readiness
from httpng_core.feeds import Follower
from httpng_core.testing import Clock

LONG = "x" * (16 * 1024)


class Client(Driven):
    """A connection that follows a feed, and a kernel that has `room` for what a broadcast sends."""

    def __init__(
        self, feed: Feed, clock: Clock, broadcasts: list[Broadcast], received: bytes, **options: Any
    ) -> None:
        self.broadcasts = broadcasts
        self.room = 1 << 30
        self.payload_ready: Callable[[], None] = self._wake
        super().__init__(received, tells_acknowledged=True)
        self.clock = clock
        self.follower: Follower = feed.follower(**options)
        self.follow = self.exchange.follow(self.follower, self.now)

    def _host(self) -> Host:
        def payload_ready() -> None:
            self.payload_ready()

        return Host(
            self._wake,
            feed_ready=self.broadcasts.append,
            payload_ready=payload_ready,
            direct_send=self.send,
        )

    def send(self, wire: bytes) -> int:
        taken = min(len(wire), self.room)
        if taken == 0:
            raise BlockingIOError
        self.wire += wire[:taken]
        return taken

    @property
    def told(self) -> tuple[int, int, int, int]:
        """Delivered, skipped, expired and pending."""
        stats: FollowStats = self.follower.stats
        return stats.delivered, stats.skipped, stats.expired, stats.pending


class Stage:
    """A feed, its followers and the passes that a driver makes."""

    def __init__(self, clients: int = 3, received: bytes = GET, **options: Any) -> None:
        self.clock = Clock()
        self.feed = Feed(clock=self.clock, **options)
        self.broadcasts: list[Broadcast] = []
        self.clients: list[Client] = []
        for _ in range(clients):
            self.join(received)

    def join(self, received: bytes = GET, **options: Any) -> Client:
        """One more follows, and its head is sent."""
        self.clients.append(Client(self.feed, self.clock, self.broadcasts, received, **options))
        self.clients[-1].push()
        return self.clients[-1]

    def publish(self, *payloads: str, key: str | None = None) -> None:
        for payload in payloads:
            self.feed.publish(payload, key)

    def broadcast(self, limit: int = 100) -> None:
        run_broadcasts(self.broadcasts, limit, self.clock.now)

    def settle(self) -> None:
        """Passes and pushes until there is nothing more to send."""
        for _ in range(100):
            while self.broadcasts:
                self.broadcast()
            pushed = sum(client.push() for client in self.clients)
            if not pushed and not self.broadcasts:
                return
        raise AssertionError("it goes on for ever")

    @property
    def bodies(self) -> list[bytes]:
        return [client.body for client in self.clients]


def test_what_is_published_is_pending_for_all_in_step_and_a_pass_sends_it() -> None:
    stage = Stage()
    stage.publish("tick,")
    assert not any(client.connection.wants_write for client in stage.clients)
    assert [client.told for client in stage.clients] == [(0, 0, 0, 1)] * 3
    stage.broadcast()
    assert stage.bodies == [b"tick,"] * 3
    assert [client.told for client in stage.clients] == [(1, 0, 0, 0)] * 3
    assert stage.broadcasts == []


def test_the_books_are_right_in_the_middle_of_a_pass_and_after_it() -> None:
    stage = Stage()
    stage.publish("one,")
    stage.broadcast(2)
    assert [client.positions for client in stage.clients] == [(4, 4), (4, 4), (0, 0)]
    assert [client.told for client in stage.clients] == [(1, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1)]
    stage.broadcast(2)
    assert [client.positions for client in stage.clients] == [(4, 4)] * 3
    assert [client.connection.accepted for client in stage.clients] == [len(c.wire) for c in stage.clients]
    assert stage.feed.get_stats().delivered == 3


def test_several_keys_go_out_in_passes_one_after_the_other() -> None:
    stage = Stage()
    stage.publish("a1,", key="a")
    stage.publish("b1,", key="b")
    stage.broadcast(2)
    stage.publish("c1,", key="c")
    stage.settle()
    assert stage.bodies == [b"a1,b1,c1,"] * 3


def test_a_value_that_no_pass_has_begun_to_send_is_replaced_for_all() -> None:
    stage = Stage()
    stage.publish("old,", "new,")
    stage.settle()
    assert stage.bodies == [b"new,"] * 3
    assert [client.told for client in stage.clients] == [(1, 1, 0, 0)] * 3


def test_a_newer_value_ends_the_pass_and_goes_first_to_those_that_it_did_not_reach() -> None:
    stage = Stage()
    stage.publish("old,")
    stage.broadcast(2)
    stage.publish("new,")
    stage.broadcast(1)
    assert stage.bodies == [b"old,", b"old,", b"new,"]
    assert [client.told for client in stage.clients] == [(1, 0, 0, 1), (1, 0, 0, 1), (1, 1, 0, 0)]
    stage.settle()
    assert stage.bodies == [b"old,new,", b"old,new,", b"new,"]
    assert [client.positions for client in stage.clients] == [(8, 8), (8, 8), (4, 4)]


def test_with_other_keys_pending_behind_it_those_not_reached_keep_the_place_of_the_key() -> None:
    stage = Stage()
    stage.publish("a1,", key="a")
    stage.broadcast(2)
    stage.publish("b1,", key="b")
    stage.publish("a2,", key="a")
    stage.settle()
    assert stage.bodies == [b"a1,b1,a2,", b"a1,b1,a2,", b"a2,b1,"]


@pytest.mark.parametrize("reached", [0, 1])
def test_who_tells_its_client_of_gaps_steps_out_when_there_is_one(reached: int) -> None:
    stage = Stage(1)
    told = stage.join(on_gap=lambda lost: f"[{lost}]")
    stage.publish("1,")
    stage.broadcast(reached)
    stage.publish("2,")
    assert told.connection.wants_write
    stage.settle()
    assert told.body == b"[1]2,"
    stage.publish("3,")
    assert not told.connection.wants_write, "it is in step again"
    stage.settle()
    assert told.body == b"[1]2,3,"


@pytest.mark.parametrize("taken", [0, 1, 5, 8])
def test_who_takes_less_than_a_payload_steps_out_with_it(taken: int) -> None:
    stage = Stage()
    slow = stage.clients[1]
    slow.room = taken
    stage.publish("first,")  # 6, CR LF, the payload, CR LF: 11 bytes.
    stage.broadcast()
    assert bytes(slow.wire[-taken:] if taken else b"") == b"6\r\nfirst,\r\n"[:taken]
    assert slow.positions == ((6, max(taken - 3, 0)) if taken else (0, 0))
    assert slow.told == ((1, 0, 0, 0) if taken else (0, 0, 0, 1))
    stage.publish("second,")
    stage.settle()
    assert stage.clients[0].body == stage.clients[2].body == b"first,second,"
    assert slow.body == (b"first,second," if taken else b"second,"), "what has begun is not torn"
    assert [client.connection.accepted for client in stage.clients] == [len(c.wire) for c in stage.clients]


def test_who_once_took_less_is_asked_first_from_then_on_and_not_in_step() -> None:
    stage = Stage(1)
    (slow,) = stage.clients
    slow.room = 5
    stage.publish("first,")
    stage.settle()
    stage.publish("second,")
    assert slow.connection.prepare() is Readiness.ASK
    assert slow.connection.wants_write


@pytest.mark.parametrize("seconds", [0.5, 2])
def test_what_has_grown_old_is_dropped_for_those_that_say_so(seconds: float) -> None:
    stage = Stage(1)
    choosy = stage.join(max_age=1)
    stage.publish("tick,")
    stage.clock.now += seconds
    stage.settle()
    assert stage.clients[0].body == b"tick,"
    assert choosy.told == ((0, 0, 1, 0) if seconds > 1 else (1, 0, 0, 0))


def test_a_long_payload_goes_to_each_for_itself() -> None:
    stage = Stage()
    stage.publish(LONG)
    stage.broadcast()
    assert all(client.connection.wants_write for client in stage.clients)
    stage.settle()
    assert stage.bodies == [LONG.encode()] * 3


def test_every_payload_is_sent_where_every_one_counts() -> None:
    stage = Stage(policy="every")
    stage.publish("1,", "2,")
    stage.broadcast(2)
    stage.publish("3,")
    stage.settle()
    assert stage.bodies == [b"1,2,3,"] * 3


@pytest.mark.parametrize("overflow", ["close", "drop_oldest"])
def test_too_much_at_once_is_too_much_for_each(overflow: Any) -> None:
    stage = Stage(policy="every", max_queued=5, overflow=overflow)
    stage.publish("one,", "two,")
    if overflow == "close":
        assert [client.outcomes for client in stage.clients] == [["reset"]] * 3
        return
    stage.settle()
    assert stage.bodies == [b"two,"] * 3
    stage.publish("end,")
    stage.settle()
    assert stage.bodies == [b"two,end,"] * 3


def test_who_waits_for_a_position_steps_out_until_it_is_reached() -> None:
    stage = Stage(1)
    (client,) = stage.clients
    stage.publish("one,")
    stage.settle()
    wait = client.wait(8, 100)
    stage.publish("two,")
    assert client.connection.wants_write
    stage.settle()
    assert wait.settled
    stage.publish("six,")
    assert not client.connection.wants_write, "it is in step again"


def test_who_wants_to_know_what_is_acknowledged_steps_out() -> None:
    stage = Stage(1)
    (client,) = stage.clients
    stage.publish("one,")
    stage.settle()
    client.exchange.wait(4, client.now, 100, "acked")
    stage.publish("two,")
    assert client.connection.wants_write
    stage.settle()
    client.connection.bytes_acknowledged(client.connection.accepted, client.now)
    assert client.stats.acked == 8
    stage.publish("six,")
    assert client.connection.wants_write, "acknowledgements need counts"


def test_when_the_feed_closes_all_get_what_is_pending() -> None:
    stage = Stage()
    stage.publish("1,", key="a")
    stage.broadcast(1)
    stage.publish("2,", key="b")
    stage.feed.close()
    stage.settle()
    assert stage.bodies == [b"1,2,"] * 3
    assert all(client.follow.settled and client.follow.result is None for client in stage.clients)


@pytest.mark.parametrize("who", [0, 1, 2])
def test_one_that_leaves_in_a_pass_leaves_the_others_as_they_are(who: int) -> None:
    stage = Stage()
    stage.publish("1,")
    stage.broadcast(1)
    leaver = stage.clients[who]
    leaver.exchange.withdraw(leaver.follow, leaver.now)
    stage.settle()
    reached = 1 if who == 0 else 0
    assert leaver.told == (reached, 1 - reached, 0, 0)
    assert leaver.positions == (2 * reached, 2 * reached)
    others = [client for client in stage.clients if client is not leaver]
    stage.publish("2,")
    stage.settle()
    assert [client.body for client in others] == [b"1,2,"] * 2
    assert len(leaver.body) == 2 * reached
    assert stage.feed.get_stats().delivered == 4 + reached


def test_when_all_have_left_nothing_is_pending() -> None:
    stage = Stage(2)
    stage.publish("1,")
    stage.broadcast(1)
    for client in stage.clients:
        client.exchange.withdraw(client.follow, client.now)
    stage.publish("2,")
    stage.settle()
    stage.publish("3,")
    assert stage.broadcasts == []
    later = stage.join()
    stage.settle()
    assert later.body == b"3,"


def test_all_that_leave_before_the_pass_begins_end_it() -> None:
    stage = Stage(2)
    stage.publish("1,")
    for client in stage.clients:
        client.exchange.withdraw(client.follow, client.now)
    stage.broadcast()
    assert stage.broadcasts == []


def test_one_that_has_the_same_pending_gets_in_between_two_passes() -> None:
    stage = Stage(2)
    stage.publish("1,", key="a")
    stage.broadcast(1)
    third = stage.join()
    stage.publish("2,", key="b")
    assert third.connection.wants_write
    stage.broadcast()
    assert not third.connection.wants_write, "it is in step"
    stage.settle()
    assert stage.bodies == [b"1,2,"] * 3


def test_one_that_has_more_pending_does_not_get_in() -> None:
    stage = Stage(2)
    stage.publish("1,", key="a")
    stage.broadcast(1)
    third = stage.join()
    stage.publish("2,", key="b")
    third.push()
    stage.publish("3,", key="c")
    third.exchange.wait(1000, third.now, 100)
    stage.settle()
    assert stage.bodies == [b"1,2,3,"] * 3
    assert third.told == (3, 0, 0, 0)


def test_one_that_waits_to_get_in_and_leaves_does_not() -> None:
    stage = Stage(2)
    stage.publish("1,")
    stage.broadcast(1)
    third = stage.join()
    third.exchange.withdraw(third.follow, third.now)
    stage.publish("2,")
    stage.settle()
    assert third.body == b"1,"


def test_chunks_are_for_those_that_get_chunks() -> None:
    stage = Stage(2, GET_10)
    stage.publish("tick,")
    assert all(client.connection.wants_write for client in stage.clients)


def test_a_driver_that_can_not_send_gets_no_broadcasts() -> None:
    stage = Stage(1)
    other = Driven()
    other.clock = stage.clock
    other.exchange.follow(stage.feed.follower(), other.now)
    other.push()
    stage.publish("tick,")
    assert other.connection.wants_write


def test_one_in_step_with_an_idle_feed_is_not_stalled() -> None:
    stage = Stage(1)
    (client,) = stage.clients
    client.exchange.stall_timeout = 5
    client.write("")
    for _ in range(4):
        stage.publish("tick,")
        stage.settle()
        client.advance(4)
    client.advance(30)
    assert client.outcomes == []


def test_a_position_that_a_broadcast_has_sent_needs_no_waiting_for() -> None:
    stage = Stage(1)
    (client,) = stage.clients
    stage.publish("one,")
    stage.settle()
    assert client.wait(4, 100).settled
    stage.publish("two,")
    stage.settle()
    assert client.wait(8, 100).settled


def test_too_much_for_those_that_a_pass_has_not_reached_is_not_too_much_for_the_others() -> None:
    stage = Stage(policy="every", max_queued=5)
    stage.publish("one,")
    stage.broadcast(1)
    stage.publish("two,")
    assert [client.outcomes for client in stage.clients] == [[], ["reset"], ["reset"]]
    stage.publish("end,")
    assert [client.outcomes for client in stage.clients] == [["reset"]] * 3


def test_the_oldest_goes_for_those_that_a_pass_has_not_reached() -> None:
    stage = Stage(policy="every", max_queued=5, overflow="drop_oldest")
    stage.publish("one,")
    stage.broadcast(1)
    stage.publish("two,")
    stage.settle()
    assert stage.bodies == [b"one,two,", b"two,", b"two,"]


def test_those_that_come_and_go_between_two_publications_leave_no_places() -> None:
    stage = Stage(1)
    stage.publish("1,")
    stage.settle()
    for _ in range(100):
        visitor = stage.join()
        visitor.exchange.withdraw(visitor.follow, visitor.now)
        stage.clients.remove(visitor)
    (loop,) = stage.feed.statistics().loops
    assert loop.places <= 2
    stage.publish("2,")
    stage.settle()
    assert stage.bodies == [b"1,2,"]


def test_a_feed_that_nobody_follows_holds_no_driver() -> None:
    stage = Stage(2)
    stage.publish("1,")
    stage.settle()
    for client in stage.clients:
        client.lost()
    assert stage.feed.statistics().loops == ()


class DefectError(Exception):
    """What only a defect would raise."""


def defective(*args: Any) -> None:
    raise DefectError


def make_defective(monkeypatch: pytest.MonkeyPatch, client: Client, name: str) -> None:
    """What frames the exchange of one client, and of no other, has a defect."""
    transport = client.exchange.transport
    sound = getattr(type(transport), name)
    monkeypatch.setattr(
        type(transport), name, lambda self, *args: (defective if self is transport else sound)(self, *args)
    )


NOT_COMPILED = pytest.mark.skipif(COMPILED, reason="what is compiled can't be given a defect")


@NOT_COMPILED
@pytest.mark.parametrize("taken", [0, 5])
def test_a_defect_in_one_that_takes_less_costs_the_others_nothing(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(4)
    ill = stage.clients[1]
    make_defective(monkeypatch, ill, "fell_short")
    ill.room = taken
    stage.publish("tick,")
    (broadcast,) = stage.broadcasts
    with pytest.raises(DefectError):
        stage.broadcast()
    assert ill.outcomes == ["reset"]
    broadcast.disband(stage.clock.now)
    assert not broadcast.is_scheduled
    stage.settle()
    others = [stage.clients[0], *stage.clients[2:]]
    assert [client.body for client in others] == [b"tick,"] * 3
    stage.publish("more,")
    stage.settle()
    stage.publish("end,")
    assert not any(client.connection.wants_write for client in others), "they are in step again"
    stage.settle()
    assert [client.body for client in others] == [b"tick,more,end,"] * 3
    assert [client.connection.accepted for client in others] == [len(client.wire) for client in others]


@pytest.mark.parametrize("part", [pytest.param("settle_counts", marks=NOT_COMPILED), "wake"])
def test_one_that_can_not_step_out_is_given_up(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(3)
    ill = stage.clients[1]
    stage.publish("tick,")
    if part == "wake":
        ill.payload_ready = defective
    else:
        make_defective(monkeypatch, ill, "broadcast_sent")
        stage.settle()
        stage.publish("more,")
    (broadcast,) = stage.broadcasts
    stage.broadcasts.clear()
    broadcast.disband(stage.clock.now)
    assert ill.outcomes == ["reset"]
    assert stage.feed.get_stats().followers == 2
    stage.settle()
    body = b"tick," if part == "wake" else b"tick,more,"
    assert [stage.clients[0].body, stage.clients[2].body] == [body] * 2
