"""Any order of publishing, removing, breaking off and coming back, in two loops: what clients know then.

A client applies what it gets as an EventSource does, and comes back with the last id of a whole event. By
the policy "latest" it has the newest values in the end; by "every" each message once, but for as many as it
was told of.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import partial
from typing import Any

from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.core.driving import Driven, run_broadcasts
from tests.core.feeds.test_feed_loops import Loop

from httpng_core import Broadcast, Feed, Host, Keys, Resume
from httpng_core.languages import follower_of
from httpng_core.testing import Clock

KEYS = "abc"
ID = re.compile(r"id: (\S+)\n")
GAP = re.compile(r"event: gap\ndata: (\d+|null)\n")
DATA = re.compile(r"data: (\w)(-?\d+)\n")

rooms = st.one_of(st.integers(0, 90), st.just(1 << 30))


class Turns(Loop):
    """A loop that has, at times, a broadcast to run."""

    def __init__(self) -> None:
        super().__init__()
        self.broadcasts: list[Broadcast] = []

    def run(self, limit: int, now: float) -> None:
        with self:
            run_broadcasts(self.broadcasts, limit, now)


class Stream(Driven):
    """One response, which follows a feed from an id on."""

    def __init__(self, loop: Turns, feeds: list[Feed], clock: Clock, in_step: bool, options: Any) -> None:
        self.loop, self.in_step, self.room = loop, in_step, 0.0
        super().__init__()
        self.clock = clock
        with loop:
            self.follow = self.exchange.follow(follower_of(feeds, **options), self.now)

    def _host(self) -> Host:
        if not self.in_step:
            return Host(self._wake, call_in_loop=self.loop.call)
        return Host(
            self._wake,
            feed_ready=self.loop.broadcasts.append,
            direct_send=self.send,
            call_in_loop=self.loop.call,
        )

    def send(self, wire: bytes) -> int:
        taken = int(min(len(wire), self.room))
        self.room -= taken
        self.wire += wire[:taken]
        if not taken and wire:
            raise BlockingIOError
        return taken

    def leave(self) -> None:
        with self.loop:
            self.exchange.cancel(self.now)


class Reader:
    """A client: what it knows, and the id with which it comes back."""

    def __init__(self, keys: Any) -> None:
        self.keys = keys
        self.id: str | None = None
        self.values: dict[str, int] = {}
        self.numbers: list[int] = []
        self.lost: list[int | None] = []
        self.begins = self.came_at = 0
        self.stream: Stream | None = None
        self.read_to = 0

    def read(self) -> None:
        """Apply the whole events that have come."""
        stream = self.stream
        assert stream is not None
        responses = stream.responses()
        text = responses[0].body.decode() if responses else ""
        while (end := text.find("\n\n", self.read_to)) >= 0:
            self.apply(text[self.read_to : end + 1])
            self.read_to = end + 2

    def apply(self, event: str) -> None:
        found = ID.match(event)
        assert found, f"no id: {event!r}"
        if self.id is None:
            # Its loop may have some to hand out still that were published before it came.
            self.begins = int(found[1].split(".")[1].split(",")[0])
        self.id = found[1]
        rest = event[found.end() :]
        if gap := GAP.fullmatch(rest):
            self.lost.append(None if gap[1] == "null" else int(gap[1]))
            self.values.clear()
        elif data := DATA.fullmatch(rest):
            number = int(data[2])
            self.numbers.append(abs(number))
            self.values[data[1]] = number
            if number < 0:
                del self.values[data[1]]
        else:
            assert re.fullmatch(r"retry: \d+\n", rest), rest


class ResumeMachine(RuleBasedStateMachine):
    """A feed in two loops, and clients that come and go."""

    policy: Any = "latest"

    @initialize(replay=st.sampled_from([0, 60, 1000]))
    def start(self, replay: int) -> None:
        self.replay = replay
        self.restarted = False
        self.clock = Clock()
        self.loops = [Turns(), Turns()]
        self.number = 0
        self.sent: dict[str, int] = {}
        self.published: list[tuple[int, str]] = []
        wanted: list[Any] = [None, None, {"a"}, "ab".__contains__, Keys(["b"])]
        self.readers = [Reader(keys) for keys in wanted]
        self.feed = self.new_feed()
        for pick in range(len(wanted)):
            self.come(pick, pick % 2, pick < 3)

    def new_feed(self) -> Feed:
        # Of "every" no more may wait than a client can come to want: what overflows is tested elsewhere.
        every = {"max_queued": 100_000, "resume": Resume(max_replay=self.replay)}
        latest = {"on_remove": self.removal, "resume": True}
        options: Any = latest if self.policy == "latest" else every
        return Feed(clock=self.clock, policy=self.policy, lock=nullcontext(), **options)

    def event(self, key: str, sign: str = "") -> str:
        self.number += 1
        return f"data: {key}{sign}{self.number}\n\n"

    def removal(self, key: Any) -> str:
        return self.event(key, "-")

    def feeds(self) -> list[Feed]:
        return [self.feed]

    def feed_of(self, key: str) -> Feed:
        return self.feed

    @rule(keys=st.text(KEYS, min_size=1, max_size=4))
    def publish_several(self, keys: str) -> None:
        for key in keys:
            self.publish(key)

    @rule(key=st.sampled_from(KEYS))
    def publish(self, key: str) -> None:
        payload = self.event(key)
        self.sent[key] = self.number
        self.feed.publish(payload, key)

    @rule(key=st.sampled_from(KEYS))
    def remove(self, key: str) -> None:
        if self.policy == "latest" and self.feed.remove(key):
            del self.sent[key]

    @rule(pick=st.integers(0, 4), loop=st.integers(0, 1), in_step=st.booleans())
    def come(self, pick: int, loop: int, in_step: bool) -> None:
        reader = self.readers[pick]
        if reader.stream is not None:
            self.go(pick)
        if reader.id is None:
            # It has never had anything: it is none of those who missed something before.
            reader.numbers, reader.lost, reader.values = [], [], {}
        options = {"since": reader.id, "keys": reader.keys}
        reader.read_to = 0
        reader.stream = Stream(self.loops[loop], self.feeds(), self.clock, in_step, options)
        self.joined(reader)

    def joined(self, reader: Reader) -> None:
        """Somebody follows now."""

    @rule(pick=st.integers(0, 4))
    def go(self, pick: int) -> None:
        reader = self.readers[pick]
        if reader.stream is not None:
            reader.read()
            reader.stream.leave()
            reader.stream = None

    @rule(pick=st.integers(0, 4), room=rooms)
    def push(self, pick: int, room: int) -> None:
        stream = self.readers[pick].stream
        if stream is not None:
            with stream.loop:
                stream.push(room)

    @rule(loop=st.integers(0, 1), away=st.integers(0, 4), room=rooms)
    def turn(self, loop: int, away: int, room: int) -> None:
        """A loop takes what was published, and some of it goes out; somebody breaks off then."""
        self.loops[loop].turn()
        self.broadcast(loop, 3, room)
        for reader in self.readers:
            if reader.stream is not None and reader.stream.loop is self.loops[loop]:
                with reader.stream.loop:
                    reader.stream.push(room)
        self.go(away)

    @rule(loop=st.integers(0, 1), in_step=st.booleans())
    def come_all(self, loop: int, in_step: bool) -> None:
        for pick, reader in enumerate(self.readers):
            if reader.stream is None:
                self.come(pick, loop, in_step)

    @rule(loop=st.integers(0, 1), limit=st.integers(1, 3), room=rooms)
    def broadcast(self, loop: int, limit: int, room: int) -> None:
        for reader in self.readers:
            if reader.stream is not None:
                reader.stream.room = room
        self.loops[loop].run(limit, self.clock.now)

    @rule()
    def settle(self) -> None:
        """All that is there gets a turn, and every client reads all of it."""
        for _ in range(50):
            for loop in self.loops:
                loop.turn()
                for reader in self.readers:
                    if reader.stream is not None and reader.stream.loop is loop:
                        reader.stream.room = 1 << 30
                        with loop:
                            reader.stream.push()
                loop.run(100, self.clock.now)
            if not any(loop.waiting or loop.broadcasts for loop in self.loops):
                break
        else:
            raise AssertionError("it goes on for ever")
        for reader in self.readers:
            if reader.stream is not None:
                reader.read()
                self.check(reader)

    def check(self, reader: Reader) -> None:
        """It knows what it has to."""
        keys = reader.keys
        wants: Any = (lambda key: True) if keys is None else keys if callable(keys) else keys.__contains__
        assert reader.values == {key: number for key, number in self.sent.items() if wants(key)}

    @precondition(lambda self: self.number > 20 and not self.restarted)
    @rule()
    def restart(self) -> None:
        """Another process: of what was published by this one, ids are unknown; it has the same values."""
        self.restarted = True
        for pick in range(len(self.readers)):
            self.go(pick)
        self.loops = [Turns(), Turns()]
        self.feed = self.new_feed()
        for key in self.sent:
            self.sent[key] = self.number + 1
            self.feed_of(key).publish(self.event(key), key)

    def teardown(self) -> None:
        if hasattr(self, "feed"):
            for pick in range(len(self.readers)):
                self.come(pick, pick % 2, pick % 2 == 0)
            self.settle()


class EveryMachine(ResumeMachine):
    """The same with every message."""

    policy = "every"

    def event(self, key: str, sign: str = "") -> str:
        event = super().event(key, sign)
        self.published.append((self.number, key))
        return event

    def joined(self, reader: Reader) -> None:
        reader.came_at = self.number

    def check(self, reader: Reader) -> None:
        """Each message once, in order; if some are missing, it was told of all, or that nobody knows."""
        numbers = reader.numbers
        assert numbers == sorted(set(numbers)), "each once"
        wanted = [n for n, key in self.published if n > reader.begins and self._wants(reader, key)]
        missing = set(wanted) - set(numbers)
        assert set(numbers) <= set(wanted)
        assert not missing or max(missing) <= reader.came_at, "none is lost while it follows"
        if None not in reader.lost:
            assert len(missing) == sum(lost for lost in reader.lost if lost is not None)

    def _wants(self, reader: Reader, key: str) -> bool:
        keys = reader.keys
        return keys is None or (keys(key) if callable(keys) else key in keys)

    def restart(self) -> None:
        """Ids are unknown then, as after any restart."""


class TwoFeedsMachine(ResumeMachine):
    """The keys of two feeds, followed by one response with one id."""

    def new_feed(self) -> Feed:
        self.other = super().new_feed()
        return super().new_feed()

    def feeds(self) -> list[Feed]:
        return [self.feed, self.other]

    def feed_of(self, key: str) -> Feed:
        return self.other if key in "xyz" else self.feed

    @rule(key=st.sampled_from("xyz"))
    def publish_other(self, key: str) -> None:
        payload = self.event(key)
        self.sent[key] = self.number
        self.other.publish(payload, key)


SETTINGS = partial(
    hypothesis_settings, deadline=None, derandomize=True, phases=(Phase.generate,), report_multiple_bugs=False
)

TestLatest = ResumeMachine.TestCase
TestLatest.settings = SETTINGS(max_examples=60, stateful_step_count=50)
TestEvery = EveryMachine.TestCase
TestEvery.settings = SETTINGS(max_examples=50, stateful_step_count=50)
TestTwoFeeds = TwoFeedsMachine.TestCase
TestTwoFeeds.settings = SETTINGS(max_examples=40, stateful_step_count=50)
