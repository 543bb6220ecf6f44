"""A session and h2's client: requests, uploads and responses, cut anywhere, with all that may come between.

h2's client judges every byte that is sent. In the end each body must be what the other side meant, and
nothing may be left. Then the same client's bytes are spoiled: nothing may raise, and memory stays bounded.
"""

import random
from collections.abc import Iterator

import pytest
from h2 import events as h2_events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from tests.core.http2.engine.driving import read_all

from httpng_core.http2.engine import (
    MAX_CONTROL,
    Config,
    DataReceived,
    RequestBegan,
    RequestEnded,
    Session,
    StreamReset,
    hpack_encoder,
)

REQUEST = [(":method", "POST"), (":scheme", "http"), (":authority", "test")]
TEXT = bytes(range(256)) * 2000


def cut(wire: bytes, chance: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(wire):
        size = chance.choice([1, 3, 9, 100, 5000, 100000])
        yield wire[at : at + size]
        at += size


class Client:
    """h2's client with a will of its own."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.uploads: dict[int, int] = {}
        self.bodies: dict[int, bytearray] = {}
        self.done: set[int] = set()
        self.reset: set[int] = set()
        self.unread: list[tuple[int, int]] = []

    def request(self) -> None:
        stream_id = self.h2.get_next_available_stream_id()
        fields = [*REQUEST, (":path", f"/{self.chance.randrange(9)}")]
        size = self.chance.choice([0, 0, 5, 1000, 100000])
        # Both together make a frame of h2's too long.
        weight = 5 if self.chance.random() < 0.2 else None
        if weight is None and self.chance.random() < 0.1:
            fields.append(("x-long", "x" * self.chance.choice([100, 20000])))
        self.h2.send_headers(stream_id, fields, end_stream=not size, priority_weight=weight)
        self.bodies[stream_id] = bytearray()
        if size:
            self.uploads[stream_id] = size

    def upload(self) -> None:
        for stream_id, left in list(self.uploads.items()):
            room = min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size, left)
            size = self.chance.randrange(room + 1) if room > 0 and self.chance.random() < 0.5 else room
            padding = self.chance.choice([None, None, 7]) if size + 10 < room else None
            if size > 0:
                at = len(TEXT) - left
                self.h2.send_data(stream_id, TEXT[at : at + size], size == left, padding)
                self.uploads[stream_id] -= size
            if left == size:
                del self.uploads[stream_id]

    def act(self) -> None:
        """Whatever a client does besides."""
        what = self.chance.random()
        live = [number for number in self.bodies if number not in self.done | self.reset]
        if what < 0.05:
            self.h2.ping(b"12345678")
        elif what < 0.12:
            window = self.chance.choice([10, 1000, 65535, 200000])
            self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        elif what < 0.15:
            self.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: self.chance.choice([0, 100, 4096])})
        elif what < 0.2 and live:
            stream_id = self.chance.choice(live)
            self.h2.reset_stream(stream_id)
            self.reset.add(stream_id)
            self.uploads.pop(stream_id, None)
        elif what < 0.3 and live:
            self.h2.prioritize(self.chance.choice(live), 9, depends_on=0)
        self.read()

    def read(self) -> None:
        """Consume some of what came."""
        while self.unread and self.chance.random() < 0.8:
            stream_id, size = self.unread.pop()
            self.h2.acknowledge_received_data(size, stream_id)

    def give(self) -> None:
        """Open windows that a setting has closed: h2 gives no credit where one is negative."""
        for stream_id in self.bodies.keys() - self.done - self.reset:
            if self.h2.remote_flow_control_window(stream_id) <= 0:
                self.h2.increment_flow_control_window(100000, stream_id)

    def receive(self, wire: bytes) -> None:
        for event in self.h2.receive_data(wire):
            if isinstance(event, h2_events.DataReceived):
                self.bodies[event.stream_id] += event.data or b""
                self.unread.append((event.stream_id, event.flow_controlled_length or 0))
            elif isinstance(event, h2_events.StreamEnded):
                self.done.add(event.stream_id)
            assert not isinstance(event, h2_events.ConnectionTerminated)
            assert not isinstance(event, h2_events.StreamReset), event.stream_id


class Server:
    """A session that answers each request with as many bytes as its number says, once it is whole."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.session = Session(Config(max_control_rate=1e9), 0.0)
        self.uploads: dict[int, bytearray] = {}
        self.whole: dict[int, bytes] = {}
        self.left: dict[int, int] = {}
        self.out: list[bytes] = []

    @staticmethod
    def length(stream_id: int) -> int:
        return stream_id * 7919 % 150000

    def receive(self, wire: bytes) -> None:
        events = self.session.receive(wire, 0.0)
        while self.session.has_more:
            events += self.session.receive(b"", 0.0)
        for event in events:
            if isinstance(event, RequestBegan):
                self.uploads[event.stream_id] = bytearray()
                if event.end:
                    self.begin(event.stream_id)
            elif isinstance(event, DataReceived):
                self.uploads[event.stream_id] += event.data
                self.session.consume(event.stream_id, len(event.data))
            elif isinstance(event, RequestEnded):
                self.begin(event.stream_id)
            else:
                self.left.pop(event.stream_id, None) if isinstance(event, StreamReset) else None
        assert not self.session.has_failed

    def begin(self, stream_id: int) -> None:
        self.whole[stream_id] = bytes(self.uploads.pop(stream_id))
        self.left[stream_id] = self.length(stream_id)
        fields = [(b"server", b"x"), (b"x-long", b"y" * self.chance.choice([0, 0, 20000]))]
        self.control()
        self.out.append(self.session.send_head(stream_id, hpack_encoder.encode_head(200, fields), False))

    def control(self) -> None:
        self.out.append(self.session.take_control())

    def send(self) -> bytes:
        """Frames for which the windows have room."""
        self.control()
        for stream_id, left in list(self.left.items()):
            room = min(self.session.room(stream_id), self.chance.choice([100, 16384]), left)
            if room <= 0 < left:
                continue
            end = room == left
            at = self.length(stream_id) - left
            self.out.append(self.session.data_frame_head(stream_id, room, end))
            self.out.append(TEXT[at : at + room])
            self.left[stream_id] = left - room
            if end:
                del self.left[stream_id]
        made, self.out = b"".join(self.out), []
        return made


def play(seed: int, steps: int = 120) -> bytes:
    """Play a connection; return all that the client sent."""
    chance = random.Random(seed)
    client, server = Client(chance), Server(chance)
    sent = b""
    for step in range(20 * steps):
        if step < steps:
            if chance.random() < 0.3:
                client.request()
            client.act()
        elif not server.left and not client.uploads and client.done | client.reset == set(client.bodies):
            break
        if step >= steps or chance.random() < 0.1:
            client.give()
        client.upload()
        client.read()
        wire = client.h2.data_to_send()
        sent += wire
        for piece in cut(wire, chance):
            server.receive(piece)
        for piece in cut(server.send(), chance):
            client.receive(piece)
    assert client.done | client.reset == set(client.bodies)
    for stream_id in client.done:
        assert client.bodies[stream_id] == TEXT[: server.length(stream_id)]
    assert set(server.session.streams.open) == set()
    return sent


@pytest.mark.parametrize("seed", range(8))
def test_a_connection_with_everything_on_it(seed: int) -> None:
    assert play(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_connections_with_everything_on_them(seed: int) -> None:
    assert play(seed, 400)


def spoil(wire: bytes, chance: random.Random) -> bytes:
    """Change, leave out or repeat a few bytes."""
    spoiled = bytearray(wire)
    for _ in range(chance.choice([1, 2, 10])):
        at = chance.randrange(24, len(spoiled))
        what = chance.randrange(3)
        if what == 0:
            spoiled[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            del spoiled[at : at + chance.choice([1, 9, 100])]
        else:
            spoiled[at:at] = spoiled[at : at + chance.choice([1, 9, 100])]
    return bytes(spoiled)


def feed_spoiled(wire: bytes, seed: int) -> bool:
    """Feed a spoiled connection; return whether it failed. Requests are answered where there is room."""
    chance = random.Random(seed)
    session = Session(Config(), 0.0)
    for piece in cut(spoil(wire, chance), chance):
        session.receive(piece, 0.0)
        for stream_id in list(session.streams.open):
            if session.is_open(stream_id) and chance.random() < 0.2:
                read_all(session.send_head(stream_id, b"\x88", end=True))
                session.reset(stream_id, 0)
        assert len(session.streams.open) <= 100
        assert session.control_size <= 2 * MAX_CONTROL
        read_all(session.take_control())
        if session.has_failed:
            return True
    return False


@pytest.mark.parametrize("seed", range(4))
def test_spoiled_connections_raise_nothing(seed: int) -> None:
    wire = play(seed, 40)
    failed = [feed_spoiled(wire, number) for number in range(50)]
    assert any(failed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_many_spoiled_connections_raise_nothing(seed: int) -> None:
    wire = play(seed, 100)
    failed = [feed_spoiled(wire, number) for number in range(1000)]
    assert any(failed)
