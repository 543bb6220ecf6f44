"""Feeds, a driver that serves only who woke it, and all that may happen to an exchange meanwhile.

The driver is a hub in small: a connection is served when it has woken the driver or its kernel has room
again. So a wake that is missing shows, as bytes that stay where they are. What is pending for each follower
is told by a model of a few lines, that knows of no backlogs and broadcasts.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import partial
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.core.driving import GET, GET_10, HEAD, Driven, run_broadcasts

from httpng_core import Broadcast, Feed, Host, Pending, Readiness, SendStats
from httpng_core.feeds import Follower
from httpng_core.sending import Follow
from httpng_core.testing import decode

KEYS = "ab"
MAX_QUEUED = 100
PLENTY = 1 << 30
TOKEN = re.compile(rb"<(?P<feed>\d)(?P<key>\w) (?P<number>\d+) (?P<size>\d+)>\.*;|\[\d+\]|\{(?P<write>\d+)\}")
GAPS = ["none", "tells", "raises", "closes", "resets", "withdraws", "publishes", "closes the feed"]

picks = st.integers(0, 4)
rooms = st.one_of(st.integers(0, 60), st.just(PLENTY))


class Topic:
    """A feed, and what was published."""

    def __init__(self, name: int, clock: Any, policy: str) -> None:
        self.name, self.policy = name, policy
        options: Any = {} if policy == "latest" else {"policy": "every", "overflow": policy}
        self.feed = Feed(
            clock=clock, lock=nullcontext(), **({**options, "max_queued": MAX_QUEUED} if options else {})
        )
        self.published: list[tuple[str, int, int]] = []
        self.overdue: list[tuple[str, int, int]] = []

    def publish(self, key: str, size: int, from_thread: bool = False) -> None:
        if self.feed.is_closed:
            return
        number = len(self.published) + len(self.overdue) + 1
        payload = f"<{self.name}{key} {number} {size}>{'.' * size};"
        if from_thread:
            self.overdue.append((key, number, len(payload)))
            self.feed.publish_threadsafe(payload, key)
            self.take_overdue()
            return
        self.overdue.append((key, number, len(payload)))
        self.feed.publish(payload, key)
        self.take_overdue()

    def take_overdue(self) -> None:
        """Those of other threads the feed takes at once, or if nobody follows along with what comes next."""
        while len(self.published) < self.feed.published:
            self.published.append(self.overdue.pop(0))


class Following:
    """One follow of a client, and the model of what is pending for it."""

    def __init__(self, topic: Topic, follower: Follower, follow: Pending, max_age: float | None) -> None:
        self.topic, self.follower, self.follow, self.max_age = topic, follower, follow, max_age
        self.joined = len(topic.published)
        self.joins = isinstance(follow, Follow)

    def pending(self, delivered: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """What must be pending if these were delivered and nothing expires."""
        topic = self.topic
        if topic.policy == "latest":
            had = dict(delivered)
            newest = {key: number for key, number, _ in topic.published}
            return sorted((key, number) for key, number in newest.items() if number > had.get(key, 0))
        last = max([number for _, number in delivered], default=0)
        waiting = [each for each in topic.published[self.joined :] if each[1] > last]
        return [(key, number) for key, number, _ in waiting]


class Client:
    """A connection with a kernel of its own."""

    # Whether what is committed may be of a payload in part, as windows have no room for more.
    tears = False

    def __init__(
        self, machine: BroadcastMachine, received: bytes, stall: float | None, in_step: bool
    ) -> None:
        self.machine = machine
        self.flagged, self.blocked = True, False
        ready = machine.broadcasts.append if in_step else None
        host = Host(self.flag, feed_ready=ready, direct_send=self.send if in_step else None)
        self.driven = Driven(received, host=host)
        self.driven.clock = machine.clock
        self.connection = self.driven.connection
        self.head = received.startswith(b"HEAD")
        self.old = b"1.0" in received
        self.exchange = self.driven.exchange
        self.exchange.stall_timeout = stall
        self.stall = stall
        self.room: float = PLENTY
        self.moved_at = machine.clock.now
        self.followings: list[Following] = []
        self.writes: list[Pending] = []
        self.waits: list[tuple[int, Pending]] = []
        self.gave_up = False
        self.read: tuple[bytes, bytes] = b"", b""

    @property
    def stats(self) -> SendStats:
        return self.driven.stats

    @property
    def wire(self) -> bytes:
        """What the kernel took."""
        return bytes(self.driven.wire)

    def take_events(self) -> None:
        self.driven.take_events()

    def lost(self) -> None:
        self.driven.lost()

    def eof(self) -> None:
        self.driven.eof()

    def flag(self) -> None:
        self.flagged = True

    # The kernel ---------------------------------------------------------------------------------------

    def take(self, wire: bytes) -> int:
        taken = int(min(len(wire), self.room))
        self.room -= taken
        self.driven.wire += wire[:taken]
        if taken:
            self.moved_at = self.machine.clock.now
        return taken

    def send(self, wire: bytes) -> int:
        """For a broadcast."""
        taken = self.take(wire)
        if taken == 0:
            raise BlockingIOError
        return taken

    def shut(self) -> None:
        """There is no room."""
        self.room = 0

    def drain(self, room: float) -> None:
        """The client reads: there is room again."""
        self.room += room
        if self.blocked and self.room >= 1:
            self.blocked = False
            self.flagged = True

    def serve(self) -> None:
        """What a driver does for a connection that is flagged."""
        driven, connection = self.driven, self.connection
        while connection.wants_write and not self.blocked:
            if connection.prepare() is Readiness.ASK and self.room < 1:
                self.blocked = True
                break
            wire = b"".join(connection.data_to_send(driven.now))
            if not wire:
                continue
            taken = self.take(wire)
            self.blocked = taken < len(wire)
            connection.bytes_accepted(taken, driven.now)
        driven.take_events()
        self.flagged = False

    # What has come ------------------------------------------------------------------------------------

    def body(self, more: bytes = b"") -> bytes:
        wire = bytes(self.driven.wire) + more
        if self.read[0] != wire:
            responses = decode(wire, ("HEAD" if self.head else "GET",), closed=False)
            self.read = wire, responses[0].body if responses else b""
        return self.read[1]

    @property
    def committed(self) -> bytes:
        if self.connection.statistics().ledger == self.connection.accepted:
            return self.body()
        return self.body(b"".join(self.connection.data_to_send(self.machine.clock.now)))


class BroadcastMachine(RuleBasedStateMachine):
    """Two feeds, up to five clients."""

    @initialize(policies=st.tuples(*[st.sampled_from(["latest", "latest", "drop_oldest", "close"])] * 2))
    def start(self, policies: tuple[str, str]) -> None:
        self.clock = Driven().clock
        self.broadcasts: list[Broadcast] = []
        self.topics = [Topic(name, self.clock, policy) for name, policy in enumerate(policies)]
        self.clients: list[Any] = []
        for kind in range(3):
            self.connect(GET, None, True, kind)
            self.follow(len(self.clients) - 1, 0, None, "none", None)
        self.turn(10)

    def pick(self, number: int) -> Any:
        return self.clients[number % len(self.clients)]

    # Clients and handlers -----------------------------------------------------------------------------

    @rule(
        received=st.sampled_from([GET, GET, GET, GET_10, HEAD]),
        stall=st.sampled_from([None, 3.0]),
        in_step=st.booleans(),
        kind=st.integers(0, 7),
    )
    def connect(self, received: bytes, stall: float | None, in_step: bool, kind: int) -> None:
        live = [client for client in self.clients if not client.exchange.is_over]
        if len(live) < 5:
            self.clients = [*live, self.make(received, stall, in_step, kind)]

    def make(self, received: bytes, stall: float | None, in_step: bool, kind: int) -> Any:
        """A client; of what kind it is, is the matter of machines that know several."""
        return Client(self, received, stall, in_step)

    @rule(
        pick=picks,
        topic=st.integers(0, 1),
        max_age=st.sampled_from([None, None, 1.0]),
        gap=st.sampled_from(["none", "none", "none", *GAPS]),
        timeout=st.sampled_from([None, None, 0.5, 5.0]),
    )
    def follow(self, pick: int, topic: int, max_age: float | None, gap: str, timeout: float | None) -> None:
        client, about = self.pick(pick), self.topics[topic]
        if any(not each.follow.settled for each in client.followings):
            return
        follows: list[Pending] = []
        on_gap: Any = None if gap == "none" else partial(self._on_gap, client, about, gap, follows)
        follower = about.feed.follower(max_age=max_age, on_gap=on_gap)
        follow = client.exchange.follow(follower, self.clock.now, timeout)
        about.take_overdue()
        follows.append(follow)
        if isinstance(follow, Follow) and not client.exchange.is_over:
            client.followings.append(Following(about, follower, follow, max_age))

    def _on_gap(self, client: Any, topic: Topic, gap: str, follows: list[Pending], lost: int) -> str | None:
        now = self.clock.now
        if gap == "raises":
            raise LookupError
        if gap == "closes":
            client.exchange.close(now)
        if gap == "resets":
            client.gave_up = True
            client.exchange.reset(now)
        if gap == "withdraws":
            client.exchange.withdraw(follows[0], now)
        if gap == "publishes":
            topic.publish("a", 1)
        if gap == "closes the feed":
            topic.feed.close()
            topic.take_overdue()
        return f"[{lost}]" if lost % 2 else None

    @rule(pick=picks, timeout=st.sampled_from([0.5, 5.0]))
    def write(self, pick: int, timeout: float) -> None:
        client = self.pick(pick)
        number = len(client.writes)
        client.writes.append(client.exchange.write(b"{%d}" % number, self.clock.now, timeout))

    @rule(pick=picks, ahead=st.integers(-60, 60), timeout=st.sampled_from([0.5, 5]))
    def wait(self, pick: int, ahead: int, timeout: float) -> None:
        client = self.pick(pick)
        position = max(len(client.body()) + ahead, 0)
        client.waits.append((position, client.exchange.wait(position, self.clock.now, timeout)))
        # A call that waits has the kernel asked at once.
        client.flag()

    @rule(pick=picks, which=st.integers(0, 9))
    def withdraw(self, pick: int, which: int) -> None:
        client = self.pick(pick)
        pendings = [each.follow for each in client.followings] + client.writes
        pendings = [each for each in pendings if not each.settled]
        if pendings:
            client.exchange.withdraw(pendings[which % len(pendings)], self.clock.now)

    @rule(pick=picks, how=st.sampled_from(["close", "finish", "reset", "lost", "eof", "drain", "fail"]))
    def end(self, pick: int, how: str) -> None:
        client, now = self.pick(pick), self.clock.now
        if how == "lost":
            client.lost()
        elif how == "eof":
            client.eof()
        elif how == "drain":
            client.connection.drain(now)
        else:
            client.gave_up = client.gave_up or how in ("reset", "fail", "finish")
            getattr(client.exchange, how)(now)

    # Publishers ---------------------------------------------------------------------------------------

    @rule(
        topic=st.integers(0, 1), key=st.sampled_from(KEYS), size=st.integers(0, 40), from_thread=st.booleans()
    )
    def publish(self, topic: int, key: str, size: int, from_thread: bool) -> None:
        self.topics[topic].publish(key, size, from_thread)

    @rule(key=st.sampled_from(KEYS))
    def publish_one(self, key: str) -> None:
        self.topics[0].publish(key, 3)

    @rule(topic=st.integers(0, 1), sure=st.integers(0, 4))
    def close_feed(self, topic: int, sure: int) -> None:
        if sure == 0:
            self.topics[topic].feed.close()
            self.topics[topic].take_overdue()

    # The driver ---------------------------------------------------------------------------------------

    @rule(limit=st.integers(1, 6))
    def turn(self, limit: int) -> None:
        """As a hub: first the broadcasts, then who is flagged."""
        run_broadcasts(self.broadcasts, limit, self.clock.now)
        self.serve()

    @rule()
    def serve(self) -> None:
        for client in self.clients:
            if client.flagged:
                client.serve()

    @rule(limit=st.integers(1, 6))
    def broadcast(self, limit: int) -> None:
        run_broadcasts(self.broadcasts, limit, self.clock.now)

    @rule(pick=picks, room=rooms)
    def kernel(self, pick: int, room: float) -> None:
        """The kernel has just so much room from now on."""
        client = self.pick(pick)
        client.shut()
        client.drain(room)

    @rule(seconds=st.sampled_from([0.1, 0.6, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        for client in self.clients:
            deadline = client.connection.next_deadline()
            if deadline is not None and deadline <= self.clock.now:
                client.connection.handle_timeout(self.clock.now)
                client.flag()

    # What must be so ----------------------------------------------------------------------------------

    @invariant()
    def all_is_as_it_must(self) -> None:
        if not hasattr(self, "clients"):
            return
        for client in self.clients:
            client.take_events()
            self._check_wire(client)
            self._check_calls(client)
            if not client.exchange.is_over and not client.exchange.substitute:
                self._check_body(client)
        self._check_broadcasts()

    def _check_wire(self, client: Any) -> None:
        told, exchange = client.stats, client.exchange
        assert client.connection.accepted == len(client.wire)
        if not client.head and not exchange.substitute:
            assert told.sent == len(client.body())
        assert told.sent <= told.current
        assert told.lag == 0 or told.current > told.sent
        wants = client.connection.wants_write and not client.blocked
        assert not wants or client.flagged, "it waits, and nobody knows"
        if exchange.state.name == "RESET" and not client.gave_up and not client.old:
            overflowed = any(each.topic.policy == "close" for each in client.followings)
            stalled = client.stall is not None and self.clock.now - client.moved_at >= client.stall
            flushed_too_long = self.clock.now - client.moved_at >= 30
            assert overflowed or stalled or flushed_too_long or client.writes, "why was it reset?"

    def _check_calls(self, client: Any) -> None:
        sent = client.stats.sent
        for position, wait in client.waits:
            assert wait.settled or sent < position or position == 0
        if client.exchange.is_over:
            assert all(each.settled for each in client.writes)
            assert all(each.follow.settled for each in client.followings)

    def _check_body(self, client: Any) -> None:
        body, at = client.committed, 0
        tokens, torn = [], False
        while at < len(body):
            token = TOKEN.match(body, at)
            if token is None:
                assert client.tears, (body, at, "torn")
                torn = True
                break
            tokens.append(token)
            at = token.end()
        writes = [int(token["write"]) for token in tokens if token["write"]]
        assert writes == sorted(set(writes))
        payloads = [
            (int(token["feed"]), token["key"].decode(), int(token["number"]))
            for token in tokens
            if token["feed"]
        ]
        for following in client.followings:
            count = following.follower.stats.delivered
            mine, payloads = payloads[:count], payloads[count:]
            if torn and len(mine) == count - 1:
                # It is the one of which windows leave room for a part.
                continue
            assert len(mine) == count
            assert {feed for feed, _, _ in mine} <= {following.topic.name}
            self._check_following(client, following, [(key, number) for _, key, number in mine])
        assert payloads == []

    def _check_following(self, client: Any, one: Following, delivered: list[tuple[str, int]]) -> None:
        topic, told = one.topic, one.follower.stats
        assert set(delivered) <= {(key, number) for key, number, _ in topic.published}
        for key in KEYS:
            numbers = [number for other, number in delivered if other == key]
            assert numbers == sorted(set(numbers))
        if topic.policy != "latest":
            assert [number for _, number in delivered] == sorted(number for _, number in delivered)
        assert told.skipped >= 0
        assert told.expired == 0 or one.max_age is not None
        if one.follow.settled:
            assert told.pending == 0
            return
        expected = one.pending(delivered)
        if topic.policy == "latest":
            assert told.pending <= len(expected) <= told.pending + told.expired
        elif one.max_age is None and topic.policy == "close":
            assert told.pending == len(expected)
            assert told.skipped == 0
        if topic.policy != "latest":
            # What waits is the newest of all.
            waiting = topic.published[len(topic.published) - told.pending :]
            assert len(waiting) < 2 or sum(size for _, _, size in waiting) <= MAX_QUEUED
        position = client.stats
        if topic.feed.is_closed and told.pending == 0 and position.sent == position.current:
            first = next(each for each in client.followings if not each.follow.settled)
            assert first is not one or client.connection.wants_write, "its feed has closed and all is sent"

    def _check_broadcasts(self) -> None:
        assert len(set(map(id, self.broadcasts))) == len(self.broadcasts)
        asked = 0
        for topic in self.topics:
            unsettled = [
                each
                for client in self.clients
                for each in client.followings
                if each.topic is topic and not each.follow.settled
            ]
            assert topic.feed.get_stats().followers == len(unsettled)
            for loop in topic.feed.statistics().loops:
                # Those who come to a feed that has closed get its last values, and join nobody.
                joined = loop.in_step + loop.apart
                assert joined <= loop.followers if topic.feed.is_closed else joined == loop.followers
                assert loop.joining <= loop.apart
                assert loop.in_step <= loop.places <= 2 * loop.followers + 12
                assert not loop.pending or loop.scheduled or not loop.in_step
                asked += loop.scheduled
        # One that nobody follows any more is sent by its driver once more.
        assert asked <= len(self.broadcasts)
        assert all(broadcast.is_scheduled for broadcast in self.broadcasts)

    def teardown(self) -> None:
        """All kernels have room, and whoever has woken the driver is served: everybody gets the newest."""
        if not hasattr(self, "clients"):
            return
        for topic in self.topics:
            topic.publish("a", 0)
        for client in self.clients:
            client.drain(PLENTY)
        for _ in range(100):
            self.turn(3)
            if not self.broadcasts and not any(client.flagged for client in self.clients):
                break
        assert not self.broadcasts
        self.all_is_as_it_must()
        for client in self.clients:
            assert not client.connection.wants_write
            if client.exchange.is_over:
                continue
            first = next((each for each in client.followings if not each.follow.settled), None)
            assert first is None or first.follower.stats.pending == 0
        for topic in self.topics:
            topic.feed.close()
            assert topic.feed.get_stats().followers == 0 or any(
                sum(not each.follow.settled for each in client.followings) for client in self.clients
            )
            assert topic.feed.published == len(topic.published)


TestBroadcastMachine = BroadcastMachine.TestCase
TestBroadcastMachine.settings = hypothesis_settings(
    max_examples=80, stateful_step_count=50, deadline=None, derandomize=True
)
