"""Bulk of HTTP/2 over TLS: several records at once, whatever the kernel takes of them."""

import random

import pytest
from tests.core.conftest import Make
from tests.core.sealed import Sealed

from httpng_core import Exchange, RequestReceived
from httpng_core.testing import Http2Client

SIZE = 600_000


class Bulk:
    """A client of HTTP/2 over TLS, with large windows, whose streams all have much to read."""

    def __init__(self, make: Make, streams: int) -> None:
        self.sealed: Sealed = make(default_send_window=1 << 20).shake()
        self.client = Http2Client(1 << 24)
        self.client.give(1 << 24)
        self._read = 0
        self.ids = [self.client.request("/", "GET") for _ in range(streams)]
        self.sealed.send(self.client.take())
        self.exchanges: list[Exchange] = [
            event.exchange for event in self.sealed.events if isinstance(event, RequestReceived)
        ]
        self.bodies = [bytes([number]) * SIZE for number in range(streams)]
        for exchange, body in zip(self.exchanges, self.bodies, strict=True):
            exchange.write(body, self.sealed.now)
            exchange.finish(self.sealed.now)

    def take(self, room: int) -> int:
        """The kernel takes so much of the next offer; how long that was."""
        offer = self.sealed.offer()
        self.sealed.accept(offer[:room])
        self.client.receive(self.sealed.opened[self._read :])
        self._read = len(self.sealed.opened)
        if data := self.client.take():
            self.sealed.send(data)
        return len(offer)

    def check(self) -> None:
        """What counts as sent is what the client could open; of the last frame it may wait for the rest."""
        sent = [exchange.stats(self.sealed.now).sent for exchange in self.exchanges]
        came = [len(self.client.streams[each].body) for each in self.ids]
        assert all(done >= had for done, had in zip(sent, came, strict=True))
        assert sum(sent) - sum(came) < 16_384


@pytest.mark.parametrize("streams", [1, 3])
def test_all_arrives_and_counts_as_it_is_opened(make: Make, streams: int) -> None:
    bulk, sizes = Bulk(make, streams), []
    while bulk.sealed.connection.wants_write:
        sizes.append(bulk.take(1 << 20))
        bulk.check()
    assert 60_000 < max(sizes) < 66_000
    assert [bytes(bulk.client.streams[each].body) for each in bulk.ids] == bulk.bodies


def test_whatever_the_kernel_takes_at_a_time(make: Make) -> None:
    for seed in range(20):
        chance, bulk = random.Random(seed), Bulk(make, 3)
        while bulk.sealed.connection.wants_write:
            bulk.take(chance.choice((0, 1, 10_000, 40_000, 1 << 20, 1 << 20)))
            bulk.check()
        assert [bytes(bulk.client.streams[each].body) for each in bulk.ids] == bulk.bodies
        assert all(bulk.client.streams[each].complete for each in bulk.ids)


def answered(make: Make) -> tuple[Sealed, Http2Client, list[Exchange]]:
    """Eight streams whose answers were given whole, and wait to go out together."""
    sealed, client = make().shake(), Http2Client()
    for _ in range(8):
        client.request("/", "GET")
    sealed.send(client.take())
    sealed.push()
    client.receive(sealed.opened)
    sealed.send(client.take())
    sealed.push()
    exchanges = [event.exchange for event in sealed.events if isinstance(event, RequestReceived)]
    for exchange in exchanges:
        exchange.answer(200, {}, b"hello", sealed.now)
    return sealed, client, exchanges


def test_answers_that_go_together_count_when_their_record_is_whole(make: Make) -> None:
    size = len(answered(make)[0].offer())
    for room in range(0, size + 1, 7):
        sealed, client, exchanges = answered(make)
        read = len(sealed.opened)
        offer = sealed.offer()
        # It is the same offer until the kernel has answered.
        assert sealed.offer() == offer
        sealed.accept(offer[:room])
        assert [each.stats(sealed.now).sent for each in exchanges] == [5 if room == size else 0] * 8
        assert sealed.connection.accepted == sealed.taken
        if room < size:
            assert sealed.offer() == offer[room:]
            sealed.push()
        client.receive(sealed.opened[read:])
        assert all(each.is_over for each in exchanges)
        assert [bytes(stream.body) for stream in client.streams.values()] == [b"hello"] * 8
        assert all(stream.complete for stream in client.streams.values())


def test_what_comes_in_before_the_kernel_has_answered_changes_nothing_of_what_is_sealed(make: Make) -> None:
    sealed, client, exchanges = answered(make)
    read = len(sealed.opened)
    offer = sealed.offer()
    client.request("/", "GET")
    client.h2.reset_stream(1)
    sealed.send(client.take())
    sealed.accept(offer)
    sealed.push()
    client.receive(sealed.opened[read:])
    assert all(each.is_over for each in exchanges)
    bodies = [bytes(stream.body) for number, stream in sorted(client.streams.items()) if number > 1]
    assert bodies[:7] == [b"hello"] * 7
    assert sealed.connection.accepted == sealed.taken
