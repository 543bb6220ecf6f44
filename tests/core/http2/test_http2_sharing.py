"""Many streams on one connection: what one does is no concern of the others."""

import tracemalloc
from collections import Counter
from functools import partial

import pytest
from tests.core.driving import Driven
from tests.core.driving2 import Driven2

from httpng_core import Connection, Response, Settings
from httpng_core.testing import Http2Client


def test_of_100_streams_one_stalls_and_the_others_are_unaffected() -> None:
    driven = Driven2(1000, reads=False)
    driven.client.give(1 << 24)
    begun = [driven.begin() for _ in range(100)]
    (stalled, held), *others = begun
    stalled.write(b"x" * 5000, driven.now)
    driven.turn()
    assert len(held.body) == 1000
    for exchange, _ in others:
        exchange.respond(Response(body=b"y" * 900), driven.now)
    driven.turn()
    assert all(stream.complete and len(stream.body) == 900 for _, stream in others)
    assert len(held.body) == 1000
    assert not driven.connection.wants_write
    driven.client.give(4000, 1)
    driven.turn()
    assert len(held.body) == 5000


def test_64_bulk_streams_get_the_same_within_5_percent() -> None:
    driven = Driven2(1 << 24)
    driven.client.give(1 << 30)
    for exchange, _ in [driven.begin() for _ in range(64)]:
        exchange.write(b"x" * (1 << 20), driven.now, window=1 << 24)
    begin = len(driven.wire)
    for turn in range(600):
        # A kernel that takes a part of what is offered, of another size each time.
        Driven.push(driven, 40_000 + turn * 7_001 % 10_000)
    sizes = body_sizes(driven.wire, begin)
    assert len(sizes) == 64
    assert min(sizes.values()) > 330_000
    assert max(sizes.values()) - min(sizes.values()) <= 0.05 * max(sizes.values())


def test_turns_of_a_fast_client_are_never_further_apart_than_one_of_them() -> None:
    driven = Driven2(1 << 24)
    driven.client.give(1 << 30)
    begun = [driven.begin() for _ in range(10)]
    for exchange, _ in begun:
        exchange.write(b"x" * (1 << 20), driven.now, window=1 << 24)
    begin = len(driven.wire)
    while driven.connection.wants_write:
        wire = b"".join(driven.connection.data_to_send(driven.now))
        driven.connection.bytes_accepted(len(wire), driven.now)
        driven.wire += wire
        sizes = body_sizes(driven.wire, begin)
        assert max(sizes.values()) - min(sizes[stream] for stream in range(1, 20, 2)) <= 65_536
    assert set(sizes.values()) == {1 << 20}


def test_who_asks_while_a_round_goes_on_and_is_more_urgent_is_next() -> None:
    driven = Driven2(1 << 24)
    driven.client.give(1 << 30)
    for exchange, _ in [driven.begin() for _ in range(10)]:
        exchange.write(b"x" * (1 << 20), driven.now, window=1 << 24)
    for _ in range(12):
        wire = b"".join(driven.connection.data_to_send(driven.now))
        driven.connection.bytes_accepted(len(wire), driven.now)
        driven.client.receive(wire)
    assert len(wire) > 60_000
    urgent = driven.client.request("/", headers=(("priority", "u=0"),))
    driven.receive(driven.client.take())
    driven.exchange.write(b"y" * 20_000, driven.now)
    driven.exchange.finish(driven.now)
    while not driven.client.streams[urgent].complete:
        wire = b"".join(driven.connection.data_to_send(driven.now))
        driven.connection.bytes_accepted(len(wire), driven.now)
        driven.client.receive(wire)
        assert driven.client.streams[urgent].body


def body_sizes(wire: bytearray, at: int) -> Counter[int]:
    """How many bytes of DATA the kernel has of each stream, by the heads of frames that begin at `at`."""
    sizes: Counter[int] = Counter()
    while at + 9 <= len(wire):
        size = int.from_bytes(wire[at : at + 3])
        if wire[at + 3] == 0:
            sizes[int.from_bytes(wire[at + 5 : at + 9])] += min(size, len(wire) - at - 9)
        at += 9 + size
    return sizes


@pytest.mark.soak
def test_memory_of_10_000_idle_streams_on_100_connections(capsys: pytest.CaptureFixture[str]) -> None:
    tracemalloc.start()
    wires = []
    for _ in range(100):
        client = Http2Client()
        for _ in range(100):
            client.request()
        wires.append(client.take())
    del client
    open_connection = partial(Connection, Settings(), 0.0, protocol="h2")
    before = tracemalloc.get_traced_memory()[0]
    connections, exchanges = [], []
    for wire in wires:
        connection = open_connection()
        connection.receive_data(wire, 0.0)
        connections.append(connection)
        while (event := connection.next_event()) is not None:
            exchanges.append(event)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    with capsys.disabled():
        print(
            f"\n10,000 idle streams on 100 connections: {taken / 1e6:.1f} MB, {taken / 10_000:.0f} bytes each"
        )
    assert len(exchanges) == 10_000
    assert taken < 40e6
