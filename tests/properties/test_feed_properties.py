"""Any order of publishing, of a kernel that takes what it likes, and of time: what a follower may see.

Each payload tells its key and its number, and is as long as it says; so a body can be read without knowing
what the feed chose.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.core.driving import Driven, run_broadcasts

from httpng_core import Broadcast, Feed, Host, Keys, Pending, Readiness
from httpng_core.feeds import Follower

KEYS = "abc"
MAX_QUEUED = 120
PAYLOAD = re.compile(rb"<(\w+) (\d+) (\d+)>(\.*)")
GAP = re.compile(rb"\[(\d+)\]")

ages = st.sampled_from([None, 1.0])
rooms = st.one_of(st.integers(0, 60), st.just(1 << 30))


class Seen:
    """One client and its follower; what it has read, read again as payloads and gaps."""

    def __init__(
        self,
        feed: Feed,
        clock: Any,
        max_age: float | None = None,
        tells_gaps: bool = False,
        broadcasts: list[Broadcast] | None = None,
        keys: Any = None,
    ) -> None:
        self.room: float = 0
        host = Host() if broadcasts is None else Host(feed_ready=broadcasts.append, direct_send=self.send)
        self.driven = Driven(host=host)
        self.driven.clock = clock
        self.max_age = max_age
        self.tells_gaps = tells_gaps
        self.follower: Follower = feed.follower(
            max_age=max_age, on_gap=(lambda lost: f"[{lost}]") if tells_gaps else None, keys=keys
        )
        self.follow: Pending = self.driven.exchange.follow(self.follower, self.driven.now)
        self.joined_at = feed.published
        self.keys = keys
        self.had = {key for key in KEYS if feed.has(key)}

    def wants(self, key: str) -> bool:
        """Whether it follows a key now."""
        if callable(self.keys):
            return bool(self.keys(key))
        return self.keys is None or key in self.keys

    def push(self, room: float) -> None:
        """The kernel takes `room` bytes, then refuses."""
        driven, connection, self.room = self.driven, self.driven.connection, room
        while connection.wants_write and (self.room >= 1 or connection.prepare() is not Readiness.ASK):
            wire = b"".join(connection.data_to_send(driven.now))
            taken = self.take(wire)
            connection.bytes_accepted(taken, driven.now)
            if taken < len(wire):
                return

    def take(self, wire: bytes) -> int:
        """What the kernel takes of it."""
        taken = int(min(len(wire), self.room))
        self.room -= taken
        self.driven.wire += wire[:taken]
        return taken

    def send(self, wire: bytes) -> int:
        """The same for a broadcast."""
        taken = self.take(wire)
        if taken == 0:
            raise BlockingIOError
        return taken

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
            self.feed = Feed(clock=self.clock, lock=nullcontext(), on_remove=self._removal)
        else:
            overflow: Any = policy
            self.feed = Feed(
                clock=self.clock,
                policy="every",
                max_queued=MAX_QUEUED,
                overflow=overflow,
                lock=nullcontext(),
            )
        self.published: list[tuple[str, int]] = []
        self.clients: list[Seen] = []
        self.live = Keys([KEYS[0]])
        self.broadcasts: list[Broadcast] = []
        self.join(None, False, True, "all")

    @rule(
        max_age=ages,
        tells_gaps=st.booleans(),
        in_step=st.booleans(),
        wanted=st.sampled_from(["all", "all", "set", "function", "live"]),
    )
    def join(self, max_age: float | None, tells_gaps: bool, in_step: bool, wanted: str) -> None:
        if len(self.clients) < 6:
            broadcasts = self.broadcasts if in_step else None
            keys = {"all": None, "set": {KEYS[0]}, "function": KEYS[:2].__contains__, "live": self.live}[
                wanted
            ]
            self.clients.append(Seen(self.feed, self.clock, max_age, tells_gaps, broadcasts, keys))

    @rule(key=st.sampled_from(KEYS))
    def change_keys(self, key: str) -> None:
        """Somebody who follows some keys wants another one, or one less."""
        if key in self.live:
            self.live.discard(key)
        else:
            self.live.add(key)

    @rule(key=st.sampled_from(KEYS), size=st.integers(0, 40), from_thread=st.booleans())
    def publish(self, key: str, size: int, from_thread: bool) -> None:
        number = len(self.published) + 1
        payload = f"<{key} {number} {size}>{'.' * size}"
        if from_thread:
            self.feed.publish_threadsafe(payload, key)
        else:
            self.feed.publish(payload, key)
        self.published.append((key, number))

    def _removal(self, key: Any) -> str:
        number = len(self.published) + 1
        self.published.append((key, number))
        return f"<{key} {number} 0>"

    @rule(key=st.sampled_from(KEYS))
    def remove(self, key: str) -> None:
        if self.policy == "latest":
            had, before = self.feed.has(key), len(self.published)
            assert self.feed.remove(key) == had == (len(self.published) > before)
            assert not self.feed.has(key)

    @rule(pick=st.integers(0, 5), room=rooms)
    def push(self, pick: int, room: int) -> None:
        self.clients[pick % len(self.clients)].push(room)

    @rule(room=rooms)
    def push_all(self, room: int) -> None:
        for client in self.clients:
            client.push(room)

    @rule(limit=st.integers(1, 6), room=rooms)
    def broadcast(self, limit: int, room: int) -> None:
        """A pass of each broadcast, over `limit` followers, one of whose kernels takes just `room`."""
        for number, client in enumerate(self.clients):
            client.room = room if number == 1 else 1 << 30
        run_broadcasts(self.broadcasts, limit, self.clock.now)

    @rule(pick=st.integers(0, 5), position=st.integers(0, 200), timeout=st.sampled_from([0.5, 5]))
    def wait(self, pick: int, position: int, timeout: float) -> None:
        """Somebody waits for a position meanwhile, or writes."""
        exchange = self.clients[pick % len(self.clients)].driven.exchange
        exchange.wait(position, self.clock.now, timeout)

    @rule(seconds=st.sampled_from([0.1, 0.6, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(pick=st.integers(0, 5))
    def leave(self, pick: int) -> None:
        client = self.clients[pick % len(self.clients)]
        client.driven.exchange.withdraw(client.follow, self.clock.now)

    @invariant()
    def every_client_sees_what_it_may(self) -> None:
        for client in self.clients:
            self._check(client)

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
        self._check_counts(client)
        responses = client.driven.responses()
        assert client.driven.stats.sent == (len(responses[0].body) if responses else 0)
        assert client.driven.connection.accepted == len(client.driven.wire)

    def _check_counts(self, client: Seen) -> None:
        """All that was published of what a client wants has become something, since it follows."""
        if client.keys is self.live or client.follow.settled:
            return
        told = client.follower.stats
        published = sum(number > client.joined_at and client.wants(key) for key, number in self.published)
        if self.policy == "latest":
            published += sum(map(client.wants, client.had))
        assert published == told.delivered + told.skipped + told.expired + told.pending

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
        """The feed closes and the kernels take all: everybody ends with the newest, and the counts agree."""
        if not hasattr(self, "feed"):
            return
        self.feed.close()
        for client in self.clients:
            client.push(1 << 30)
            assert client.follow.settled
            self._check(client)
        self._check_ends()
        totals = [client.follower.stats for client in self.clients]
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
                # Who joined later than a key was removed knows nothing of it.
                known = {k: n for k, n in newest.items() if n > client.joined_at or k in client.had}
                if client.keys is self.live:
                    assert all(seen[key] == newest[key] for key in self.live if self.feed.has(key))
                else:
                    assert seen == {key: number for key, number in known.items() if client.wants(key)}
            elif client.max_age is None and client.keys is not self.live:
                wanted = [each for each in self.published[client.joined_at :] if client.wants(each[0])]
                assert payloads[-1:] == wanted[-1:]
            if self.policy == "close" and client.max_age is None:
                assert told.skipped == 0


TestFeedMachine = FeedMachine.TestCase
TestFeedMachine.settings = hypothesis_settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True
)


def test_followers_get_in_step() -> None:
    """So that the machine above does see broadcasts."""
    clock = Driven().clock
    feed, broadcasts = Feed(clock=clock), list[Broadcast]()
    clients = [Seen(feed, clock, broadcasts=broadcasts) for _ in range(3)]
    for number in range(5):
        feed.publish(f"<a {number} 0>")
        for client in clients:
            client.push(1000)
        assert len(broadcasts) == (number > 0)
        run_broadcasts(broadcasts, 100, clock.now)
    assert [number for _, number in clients[2].read()[0]] == [0, 1, 2, 3, 4]
