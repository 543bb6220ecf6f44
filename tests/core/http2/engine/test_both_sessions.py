"""Both sessions are sent the same frames, by chance: what both take must mean the same to both.

What one of them refuses is for others: `test_against_h2` says where h2 is laxer or stricter.
"""

from collections.abc import Sequence
from math import inf
from typing import Any

import pytest
from tests.core.http2.engine.driving import Driven, data, frame, rst, settings, window_update
from tests.core.http2.engine.scripts import Script

from httpng_core.http2.engine import (
    PREFACE,
    Config,
    ConnectionFailed,
    Credit,
    DataReceived,
    Event,
    FatalError,
    RequestBegan,
    RequestHead,
    RequestRefused,
    Session,
    StreamReset,
    stream_states,
)
from httpng_core.http2.reference import ReferenceSession

FRAMES = 60
CONFIG = Config(max_header_list=400, max_control_rate=inf, max_reset_rate=inf, has_connect=True)
VALUES = [
    (1, 0),
    (1, 100),
    (3, 1),
    (4, 0),
    (4, 100),
    (4, 65535),
    (4, 100_000),
    (5, 16384),
    (5, 20_000),
    (77, 1),
]


class Sound(Script):
    """A client that mostly does what it may.

    Attributes:
        known: streams on which something may come.
    """

    known: Sequence[int] = ()

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.kinds = 4 * [self.request] + 6 * [self.data] + 2 * [self.window_update, self.update]
        self.kinds += [self.trailers, self.reset, self.settings, self.ping, self.unknown]

    def frames(self) -> bytes:
        return super().frames() if self.known else self.request()

    def some_stream(self) -> int:
        """One that was begun."""
        return self.chance.choice(self.known)

    def data(self) -> bytes:
        size, end = self.chance.choice([1, 10, 5000, 16384]), self.chance.random() < 0.1
        if self.chance.random() < 0.2:
            return frame(0, 8 | end, self.some_stream(), b"\2" + b"x" * (size & 0xFFF) + b"\0\0")
        return data(self.some_stream(), b"x" * size, end)

    def trailers(self) -> bytes:
        return frame(1, 5, self.some_stream(), self.encoder.encode([(b"x-end", b"1")]))

    def window_update(self) -> bytes:
        return window_update(
            self.chance.choice([0, self.some_stream()]), self.chance.choice([1, 1000, 65536])
        )

    def update(self) -> bytes:
        return frame(0x10, 0, 0, self.some_stream().to_bytes(4, "big") + b"u=1")

    def reset(self) -> bytes:
        return rst(self.some_stream(), self.chance.choice([0, 8, 99]))

    def settings(self) -> bytes:
        return settings(*[self.chance.choice(VALUES) for _ in range(self.chance.randrange(3))])

    def ping(self) -> bytes:
        return frame(6, self.chance.choice([0, 1]), 0, b"x" * 8)


def said(one: Any) -> list[Any]:
    """What an event says, or a head, a stream, or credit."""
    names = {name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())}
    if isinstance(one, StreamReset) and one.is_local:
        # Of why a stream is wrong each has its own opinion.
        names -= {"code", "reason"}
    values = [(name, getattr(one, name)) for name in sorted(names - {"like"})]
    found: list[Any] = [
        (name, said(value) if isinstance(value, RequestHead | Credit) else value) for name, value in values
    ]
    return [type(one), *found]


def resets(events: list[Event]) -> list[int]:
    return [event.stream_id for event in events if isinstance(event, StreamReset) and event.is_local]


class Pair:
    """Both, after the preface."""

    def __init__(self) -> None:
        self.ends = [Driven(CONFIG, handshake=False) for _ in range(2)]
        self.fast, self.reference = self.ends
        self.reference.session = ReferenceSession(CONFIG, 0.0)
        assert self.send(PREFACE + settings()) is not None

    def send(self, wire: bytes) -> list[Event] | None:
        """Return what both say of it; `None`: one refuses it."""
        theirs, ours = self.reference.send(wire), self.fast.send(wire)
        has_failed = any(isinstance(event, ConnectionFailed) for event in ours + theirs)
        if has_failed or resets(theirs) != resets(ours):
            return None
        assert [said(event) for event in theirs] == [said(event) for event in ours], wire.hex()
        self.compare()
        return ours

    def compare(self) -> None:
        fast, reference = self.fast.session, self.reference.session
        assert (reference.window, reference.last_stream) == (fast.window, fast.last_stream)
        assert said(reference.credit) == said(fast.credit)
        assert list(map(said, reference.streams.open.values())) == list(map(said, fast.streams.open.values()))
        told, tells = [
            [(one.kind, one.stream_id, b"" if one.kind == 3 else one.payload) for one in end.answers]
            for end in self.ends
        ]
        assert tells == told

    def heed(self, script: Script, event: Event) -> None:
        """Do with both what a protocol would."""
        chance = script.chance.random()
        for session in (self.fast.session, self.reference.session):
            if isinstance(event, DataReceived) and chance < 0.8:
                session.consume(event.stream_id, len(event.data))
            elif isinstance(event, RequestRefused) and session.is_open(event.stream_id):
                session.push_head(event.stream_id, b"\x8d", True)
                session.reset(event.stream_id, 0)
            elif isinstance(event, RequestBegan) and chance < 0.2:
                session.widen_stream(event.stream_id, 1 << 18)

    def answer_some(self, script: Script) -> None:
        session = self.fast.session
        for stream_id in [number for number in session.streams.open if session.is_open(number)]:
            chance, size = script.chance.random(), max(min(session.room(stream_id), 5000), 0)
            for end in self.ends:
                if chance < 0.03:
                    end.session.reset(stream_id)
                elif chance < 0.2:
                    end.respond(stream_id, b"x" * size)


def run(seed: int) -> int:
    """Play one script; return how many frames both took."""
    script, pair = Sound(seed), Pair()
    streams = pair.fast.session.streams
    for count in range(FRAMES):
        # Twice those whose requests go on, and those that the client doesn't know to be over.
        begun = range(1, streams.highest + 1, 2)
        states = [
            stream_states.OPEN,
            stream_states.HALF_CLOSED_LOCAL,
            stream_states.HALF_CLOSED_REMOTE,
            stream_states.OPEN,
            stream_states.RESET_LOCAL,
            stream_states.HALF_CLOSED_LOCAL,
        ]
        script.known = [number for state in states for number in begun if streams.state(number) == state]
        events = pair.send(script.frames())
        if events is None:
            return count
        for event in events:
            pair.heed(script, event)
        pair.answer_some(script)
    return FRAMES


@pytest.mark.parametrize("part", range(4))
def test_what_both_take_means_the_same(part: int) -> None:
    assert sum(run(seed) for seed in range(150 * part, 150 * (part + 1))) > 3000


@pytest.mark.soak
@pytest.mark.parametrize("part", range(10, 20))
def test_what_both_take_means_the_same_at_length(part: int) -> None:
    assert sum(run(seed) for seed in range(3000 * part, 3000 * (part + 1))) > 60_000


def test_h2_is_not_asked_about_a_client_that_begins_without_its_settings() -> None:
    session = ReferenceSession(CONFIG, 0.0)
    events = session.receive(PREFACE + frame(6, 0, 0, bytes(8)), 0.0)
    assert [type(event) for event in events] == [ConnectionFailed]


@pytest.mark.parametrize("kind", range(12))
@pytest.mark.parametrize("value", [0, 1, 2, 16383, 16384, (1 << 24) - 1, 1 << 24, (1 << 31) - 1, 1 << 31])
def test_both_refuse_the_same_settings_of_an_upgrade(kind: int, value: int) -> None:
    told = []
    for session in (Session, ReferenceSession):
        try:
            session(CONFIG, 0.0, kind.to_bytes(2) + value.to_bytes(4))
            told.append("")
        except FatalError as error:
            told.append(str(error))
    assert told[0] == told[1]
