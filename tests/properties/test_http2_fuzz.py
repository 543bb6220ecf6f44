"""Streams of HTTP/2 frames that a client changed by chance: no exception, no memory, nothing h2 rejects.

A run has a seed, which a failure names. `make test` makes some thousand of them, `make soak` ten minutes,
or as many seconds as `FUZZ_SECONDS` says.
"""

import gc
import os
import random
import tracemalloc
from itertools import count
from pathlib import Path
from time import monotonic

import pytest
from h2.connection import ConnectionState
from h2.settings import SettingCodes
from tests.core.http2.engine.scripts import Script
from tests.properties.http2_corpus import CLIENTS, corpus, made

from httpng_core import Connection, Exchange, RequestReceived, Response, Settings
from httpng_core.testing import Http2Client

RUNS = 4000
SECONDS = float(os.environ.get("FUZZ_SECONDS", "600"))
READ = 65536
PEAK = 8 << 20
"""How much a run may take, over what was taken before it: tables of Huffman code that it fills among it."""
KEPT = 64 << 20
"""How much all runs together may leave, over what the process has once it is warm."""
WARM = 500
"""After so many runs, what is kept between connections is there: tables and memos."""
PREFACE = 24
WHOLE_HEAD = b"\x01\x05"
"""HEADERS, with END_HEADERS and END_STREAM."""
ODD = [0, 1, 2, 0x7F, 0x80, 0xFF]
NUMBERS = [0, 1, 2, 3, 5, 0x7FFFFFFF, 0x80000001, 0xFFFFFFFF]


# Changes ----------------------------------------------------------------------------------------------


def frames_of(wire: bytes) -> list[bytes]:
    """The preface and each frame."""
    found, at = [wire[:PREFACE]], PREFACE
    while at < len(wire):
        end = at + 9 + int.from_bytes(wire[at : at + 3])
        found.append(wire[at:end])
        at = end
    return found


class Mutator:
    """Changes frames of sound clients."""

    def __init__(self, seed: int, sound: dict[str, bytes]) -> None:
        self.chance = random.Random(seed)
        self.script = Script(seed)
        self.sound = sound

    def stream(self) -> bytes:
        """What a client sends that isn't quite sound."""
        frames = frames_of(self.chance.choice(list(self.sound.values())))
        for _ in range(self.chance.choice([1, 1, 2, 3, 8])):
            changes = [self.flip, self.head, self.resize, self.drop, self.repeat]
            changes += [self.swap, self.splice, self.insert, self.cut]
            self.chance.choice(changes)(frames)
        return b"".join(frames)

    def place(self, frames: list[bytes]) -> int:
        """Rarely the preface: behind a wrong one nothing is read."""
        first = 0 if self.chance.random() < 0.02 else min(1, len(frames) - 1)
        return self.chance.randrange(first, len(frames))

    def flip(self, frames: list[bytes]) -> None:
        at = self.place(frames)
        wire = bytearray(frames[at])
        if wire:
            where = self.chance.randrange(len(wire))
            wire[where] = self.chance.choice([*ODD, wire[where] ^ 1 << self.chance.randrange(8)])
        frames[at] = bytes(wire)

    def head(self, frames: list[bytes]) -> None:
        """Another type, other flags or another stream; or a number in the payload."""
        at = self.place(frames)
        wire = bytearray(frames[at])
        if len(wire) < 9:
            return
        field = self.chance.randrange(4)
        if field == 0:
            wire[3] = self.chance.randrange(12)
        elif field == 1:
            wire[4] ^= self.chance.choice([1, 4, 8, 0x20, 0xFF])
        elif field == 2:
            wire[5:9] = self.chance.choice(NUMBERS).to_bytes(4)
        elif len(wire) >= 13:
            where = self.chance.randrange(9, len(wire) - 3)
            wire[where : where + 4] = self.chance.choice(NUMBERS).to_bytes(4)
        frames[at] = bytes(wire)

    def resize(self, frames: list[bytes]) -> None:
        """Another payload, mostly short, of which the head tells the length; and maybe another flag."""
        at = self.place(frames)
        one = frames[at]
        if len(one) < 9:
            return
        payload = one[9 : 9 + self.chance.randrange(12)] + bytes(self.chance.choice([0, 0, 1, 16384]))
        flags = one[4] ^ self.chance.choice([0, 0, 1, 4, 8, 0x20])
        frames[at] = len(payload).to_bytes(3) + one[3:4] + bytes([flags]) + one[5:9] + payload

    def drop(self, frames: list[bytes]) -> None:
        del frames[self.place(frames)]
        frames[:] = frames or [b""]

    def repeat(self, frames: list[bytes]) -> None:
        at = self.place(frames)
        frames[at:at] = [frames[at]] * self.chance.choice([1, 1, 5, 300])

    def swap(self, frames: list[bytes]) -> None:
        one, other = self.place(frames), self.place(frames)
        frames[one], frames[other] = frames[other], frames[one]

    def splice(self, frames: list[bytes]) -> None:
        other = frames_of(self.chance.choice(list(self.sound.values())))
        frames[self.place(frames) :] = other[self.place(other) :]

    def insert(self, frames: list[bytes]) -> None:
        at = self.place(frames)
        frames[at:at] = [self.script.frames() for _ in range(self.chance.choice([1, 3, 20]))]

    def cut(self, frames: list[bytes]) -> None:
        at = self.place(frames)
        frames[at] = frames[at][: self.chance.randrange(len(frames[at]) + 1)]


# A run ------------------------------------------------------------------------------------------------


class Judge:
    """h2's client, which is told of streams as the server learns of them: it opened all of them."""

    def __init__(self) -> None:
        self.client = Http2Client((1 << 31) - 1)
        self.client.h2.local_settings.update({SettingCodes.MAX_FRAME_SIZE: (1 << 24) - 1})
        self.client.h2.local_settings.acknowledge()
        self.client.h2.max_inbound_frame_size = (1 << 24) - 1
        self.client.give((1 << 31) - 1 - 65535)
        # What the settings of a changed stream allow isn't known here.
        self.client.h2.decoder.max_allowed_table_size = 1 << 32
        # A GOAWAY may come before any response.
        self.client.h2.state_machine.state = ConnectionState.CLIENT_OPEN
        self.rest = b""

    def open(self, stream_id: int) -> None:
        if stream_id not in self.client.streams:
            # In whatever order.
            self.client.h2.highest_outbound_stream_id = 0
            pseudo = ((":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/"))
            self.client.send_fields(stream_id, pseudo, None)

    def take(self, wire: bytes) -> None:
        """Judge what the server sends, frame by frame; it raises if it doesn't like it."""
        self.rest += wire
        while len(self.rest) >= 9 and len(self.rest) >= (size := 9 + int.from_bytes(self.rest[:3])):
            one, self.rest = self.rest[:size], self.rest[size:]
            stream_id = int.from_bytes(one[5:9])
            if stream_id:
                self.open(stream_id)
            if one[3:5] == WHOLE_HEAD and stream_id in self.client.h2.streams:
                # What the request's method was isn't known here, and a head alone may tell any length.
                self.client.h2.streams[stream_id].request_method = b"HEAD"
            self.client.receive(one)
            self.client.take()


class Run:
    """One connection: what the client sends, a handler by chance, a kernel that cuts."""

    def __init__(self, seed: int, wire: bytes, engine: str = "fast", *, most: int = 1 << 30) -> None:
        self.chance = random.Random(seed)
        self.most = most
        self.wire = wire
        self.now = 1000.0
        self.judge = Judge()
        self.exchanges: list[Exchange] = []
        self.running: list[Exchange] = []
        settings = Settings(http2_engine=engine)  # type: ignore[arg-type]
        self.connection = Connection(settings, self.now, protocol="h2")

    def play(self) -> None:
        at = 0
        while at < len(self.wire) and self.connection.wants_read:
            size = min(self.chance.choice([1, 9, 100, 5000, 65536, len(self.wire)]), self.most)
            self.connection.receive_data(self.wire[at : at + size], self.now)
            at += size
            self.step()
        self.connection.receive_eof(self.now)
        for _ in range(3):
            self.step()
            self.now += self.chance.choice([0, 1, 40])
            self.connection.handle_timeout(self.now)
        for exchange in self.running:
            exchange.finish(self.now)
        self.running.clear()
        self.step(wholly=True)
        self.connection.connection_lost(self.now)
        self.step(wholly=True)
        for exchange in self.exchanges:
            assert exchange.is_over

    def step(self, *, wholly: bool = False) -> None:
        """Take what happened, let handlers do something, and the kernel take something."""
        self.take_events()
        for exchange in list(self.running):
            if self.chance.random() < 0.3:
                self.handle(exchange)
        room = 1 << 30 if wholly else self.chance.choice([0, 1, 10, 20_000, 1 << 20])
        while room > 0 and self.connection.wants_write:
            offer = b"".join(self.connection.data_to_send(self.now))
            self.take_events()
            self.judge.take(offer[:room])
            self.connection.bytes_accepted(min(room, len(offer)), self.now)
            self.take_events()
            room -= len(offer)
            if not offer:
                break

    def take_events(self) -> None:
        while (event := self.connection.next_event()) is not None:
            if isinstance(event, RequestReceived):
                self.exchanges.append(event.exchange)
                self.running.append(event.exchange)
        for exchange in self.exchanges:
            stats = exchange.stats(self.now)
            assert 0 <= stats.sent <= stats.current

    def handle(self, exchange: Exchange) -> None:
        choice = self.chance.randrange(5)
        if choice > 2:
            exchange.write(b"w" * self.chance.choice([1, 100, 30_000]), self.now, 0)
            return
        self.running.remove(exchange)
        if choice == 0 and exchange.head is None:
            exchange.respond(Response(body=b"b" * self.chance.choice([0, 5, 70_000])), self.now)
        elif choice == 1:
            exchange.finish(self.now)
        else:
            exchange.fail(self.now)


def play(seed: int, sound: dict[str, bytes], engine: str = "fast", *, measured: bool = False) -> None:
    """Make a run; if it is measured, it may not take more memory than a bound."""
    wire = Mutator(seed, sound).stream()
    try:
        if not measured:
            Run(seed, wire, engine).play()
            return
        tracemalloc.start()
        try:
            # What comes at once, which a driver bounds, is held as it is.
            Run(seed, wire, engine, most=READ).play()
            assert tracemalloc.get_traced_memory()[1] < PEAK
        finally:
            tracemalloc.stop()
    except BaseException as error:
        error.add_note(f"seed {seed}, engine {engine}")
        raise


# Tests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIENTS)
def test_the_corpus_is_what_the_clients_send(name: str) -> None:
    assert corpus()[name] == made(name)


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("name", CLIENTS)
def test_what_sound_clients_send_is_served(name: str, engine: str) -> None:
    run = Run(0, corpus()[name], engine)
    run.play()
    assert run.exchanges
    assert run.judge.client.goaway in (None, 0)


def test_changed_streams_of_frames() -> None:
    sound = corpus()
    for seed in range(RUNS):
        play(seed, sound)


def test_changed_streams_take_no_more_memory_than_a_bound() -> None:
    sound = corpus()
    for seed in range(RUNS, RUNS + 40):
        play(seed, sound, measured=True)


def resident() -> int:
    """How many bytes of this process are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def seconds_of(engine: str) -> float:
    return SECONDS if engine == "fast" else SECONDS / 10


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_changed_streams_of_frames_for_minutes(engine: str) -> None:
    sound = corpus()
    first = random.SystemRandom().randrange(1 << 40)
    until = monotonic() + seconds_of(engine)
    before = 0
    for seed in count(first):
        play(seed, sound, engine)
        if seed == first + WARM:
            before = resident()
        elif seed > first + WARM and monotonic() > until:
            break
    assert resident() - before < KEPT, f"seeds {first} to {seed}, engine {engine}"


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_changed_streams_take_no_more_memory_than_a_bound_for_a_while(engine: str) -> None:
    """Apart from the others, as tracemalloc itself keeps some KiB each time that it is started."""
    sound = corpus()
    first = random.SystemRandom().randrange(1 << 40)
    until = monotonic() + seconds_of(engine) / 10
    for seed in count(first):
        play(seed, sound, engine, measured=True)
        if monotonic() > until:
            break
