"""Any order of publishing, of a kernel that takes what it likes, and of time: what a follower may see.

Each payload tells its key and its number, and is as long as it says; so a body can be read without knowing
what the feed chose.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.core.driving import Driven

from httpng_core import Feed
from httpng_core.follower import Follower
from httpng_core.pending import Pending

KEYS = "abc"
MAX_QUEUED = 120
PAYLOAD = re.compile(rb"<(\w+) (\d+) (\d+)>(\.*)")
GAP = re.compile(rb"\[(\d+)\]")

ages = st.sampled_from([None, 1.0])
rooms = st.one_of(st.integers(0, 60), st.just(1 << 30))


class Seen:
    """One client and its follower; what it has read, read again as payloads and gaps."""

    def __init__(self, feed: Feed, clock: Any, max_age: float | None, tells_gaps: bool) -> None:
        self.driven = Driven()
        self.driven.clock = clock
        self.short_ways = 0
        self.max_age = max_age
        self.tells_gaps = tells_gaps
        self.follower: Follower = feed.follower(
            max_age=max_age, on_gap=(lambda lost: f"[{lost}]") if tells_gaps else None
        )
        self.follow: Pending = self.driven.exchange.follow(self.follower, self.driven.now)
        self.joined_at = feed.published

    def push(self, room: float, *, the_short_way: bool = False) -> None:
        """The kernel takes `room` bytes, then refuses."""
        driven, connection = self.driven, self.driven.connection
        while connection.wants_write and (room >= 1 or not connection.asks_first):
            wire = connection.take_payload() if the_short_way else None
            answer = connection.bytes_accepted if wire is None else connection.payload_taken
            self.short_ways += wire is not None
            wire = b"".join(connection.data_to_send(driven.now)) if wire is None else wire
            taken = int(min(len(wire), room))
            room -= taken
            driven.wire += wire[:taken]
            answer(taken, driven.now)
            if taken < len(wire):
                return

    def books(self) -> object:
        """All that must not depend on the way that payloads went."""
        connection, exchange = self.driven.connection, self.driven.exchange
        wire = connection.wire
        return (
            bytes(self.driven.wire),
            self.driven.stats,
            self.follower.stats,
            (wire.pushed, wire.accepted),
            (self.follow.settled, connection.wants_write, connection.asks_first),
            (exchange._queue.window.committed, exchange._moved_at),
        )

    def read(self) -> tuple[list[tuple[str, int]], int, bytes]:
        """The payloads in order, the sum of the gaps told, and the beginning of one more payload."""
        responses = self.driven.responses()
        body = responses[0].body if responses else b""
        payloads, gaps, at = [], 0, 0
        while at < len(body):
            if gap := GAP.match(body, at):
                gaps, at = gaps + int(gap[1]), gap.end()
                continue
            payload = PAYLOAD.match(body, at)
            if payload is None or len(payload[4]) < int(payload[3]):
                break
            payloads.append((payload[1].decode(), int(payload[2])))
            at = payload.end()
        return payloads, gaps, body[at:]


class FeedMachine(RuleBasedStateMachine):
    """A feed and some clients; every rule is one thing that the publisher, a kernel or time does."""

    @initialize(policy=st.sampled_from(["latest", "latest", "drop_oldest", "close"]))
    def start(self, policy: str) -> None:
        self.policy = policy
        first = Driven()
        self.clock = first.clock
        if policy == "latest":
            self.feed = Feed(clock=self.clock)
        else:
            overflow: Any = policy
            self.feed = Feed(clock=self.clock, policy="every", max_queued=MAX_QUEUED, overflow=overflow)
        self.published: list[tuple[str, int]] = []
        self.clients: list[Seen] = []
        self.twins: list[Seen] = []
        self.join(None, False)

    @rule(max_age=ages, tells_gaps=st.booleans())
    def join(self, max_age: float | None, tells_gaps: bool) -> None:
        if len(self.clients) < 4:
            self.clients.append(Seen(self.feed, self.clock, max_age, tells_gaps))
            self.twins.append(Seen(self.feed, self.clock, max_age, tells_gaps))

    @rule(key=st.sampled_from(KEYS), size=st.integers(0, 40), from_thread=st.booleans())
    def publish(self, key: str, size: int, from_thread: bool) -> None:
        number = len(self.published) + 1
        payload = f"<{key} {number} {size}>{'.' * size}"
        if from_thread:
            # No follower has a hook here: the next publication takes it along.
            self.feed.publish_threadsafe(payload, key)
        else:
            self.feed.publish(payload, key)
        self.published.append((key, number))

    @rule(pick=st.integers(0, 3), room=rooms)
    def push(self, pick: int, room: int) -> None:
        self.clients[pick % len(self.clients)].push(room)
        self.twins[pick % len(self.clients)].push(room, the_short_way=True)

    @rule(pick=st.integers(0, 3), position=st.integers(0, 200), timeout=st.sampled_from([0.5, 5]))
    def wait(self, pick: int, position: int, timeout: float) -> None:
        """Somebody waits for a position meanwhile, or writes."""
        for clients in (self.clients, self.twins):
            exchange = clients[pick % len(clients)].driven.exchange
            exchange.wait(position, self.clock.now, timeout)

    @rule(seconds=st.sampled_from([0.1, 0.6, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(pick=st.integers(0, 3))
    def leave(self, pick: int) -> None:
        for clients in (self.clients, self.twins):
            client = clients[pick % len(clients)]
            client.driven.exchange.withdraw(client.follow, self.clock.now)

    @invariant()
    def every_client_sees_what_it_may(self) -> None:
        for client, twin in zip(self.clients, self.twins, strict=True):
            self._check(client)
            assert client.books() == twin.books(), "the short way leads where the general one does"

    def _check(self, client: Seen) -> None:
        payloads, gaps, rest = client.read()
        told = client.follower.stats
        assert self._in_order(payloads), "each was published, and none of a key after a newer one"
        begun = len(payloads) + bool(re.match(rb"(\[\d+\])?<", rest))
        assert told.delivered >= begun
        assert told.delivered <= begun + 1, "at most the frame that is under way"
        assert told.skipped >= 0
        assert told.skipped + told.expired >= gaps
        assert told.expired == 0 or client.max_age is not None
        self._check_memory(client)
        responses = client.driven.responses()
        assert client.driven.stats.sent == (len(responses[0].body) if responses else 0)

    def _in_order(self, payloads: list[tuple[str, int]]) -> bool:
        if self.policy == "latest":
            numbers = [[number for other, number in payloads if other == key] for key in KEYS]
        else:
            numbers = [[number for _, number in payloads]]
        increasing = all(list(one) == sorted(set(one)) for one in numbers)
        return increasing and set(payloads) <= set(self.published)

    def _check_memory(self, client: Seen) -> None:
        pending = client.follower.stats.pending
        if self.policy == "latest":
            assert pending <= len(KEYS)
        else:
            assert pending <= MAX_QUEUED // len("<a 1 0>")

    def teardown(self) -> None:
        """The feed closes and the kernels take all: everybody ends with the newest, and the books agree."""
        if not hasattr(self, "feed"):
            return
        self.feed.close()
        for client in [*self.clients, *self.twins]:
            client.push(1 << 30)
            assert client.follow.settled
            self._check(client)
        self._check_ends()
        totals = [client.follower.stats for client in [*self.clients, *self.twins]]
        told = self.feed.get_stats()
        assert told.published == len(self.published)
        assert told.followers == 0
        assert told.delivered == sum(one.delivered for one in totals)
        assert told.skipped == sum(one.skipped for one in totals)
        assert told.expired == sum(one.expired for one in totals)

    def _check_ends(self) -> None:
        newest = dict(self.published)
        for client in self.clients:
            payloads, _, rest = client.read()
            if client.follow.failed or client.follow.result is not None:
                continue
            assert rest == b""
            told = client.follower.stats
            assert told.delivered == len(payloads)
            seen = dict(payloads)
            if self.policy == "latest" and client.max_age is None:
                assert seen == newest
            elif client.max_age is None and self.published and len(self.published) > client.joined_at:
                assert payloads[-1] == self.published[-1]
            if self.policy == "close" and client.max_age is None:
                assert told.skipped == 0


TestFeedMachine = FeedMachine.TestCase
TestFeedMachine.settings = hypothesis_settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True
)


def test_the_short_way_is_gone() -> None:
    """So that the comparison above is one."""
    feed = Feed(clock=Driven().clock)
    client = Seen(feed, Driven().clock, None, False)
    for number in range(5):
        feed.publish(f"<a {number} 0>")
        client.push(1000, the_short_way=True)
    assert client.short_ways == 4
    assert [number for _, number in client.read()[0]] == [0, 1, 2, 3, 4]
