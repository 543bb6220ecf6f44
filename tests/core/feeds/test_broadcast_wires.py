"""Followers in step over TLS and over HTTP/2: what is made for one client alone, and can't be taken back."""

from typing import Any

import pytest
from h2.settings import SettingCodes
from tests.certificates import trusting
from tests.core.driving import run_broadcasts
from tests.core.feeds.wires import PLENTY, WIRES, Wired

from httpng_core import (
    COMPILED,
    Broadcast,
    CertificateFiles,
    Certificates,
    Closing,
    Feed,
    FollowStats,
    Resume,
)
from httpng_core.testing import Clock

MADE = WIRES[1:]
SEALS = {"tls": 22, "http/2": 0, "http/2+tls": 22}
FRAMES = {"http/1.1": 5, "tls": 5, "http/2": 9, "http/2+tls": 9}


class Stage:
    """A feed, and those who follow it over all kinds of wires."""

    def __init__(self, certificates: Certificates, pair: CertificateFiles, **options: Any) -> None:
        self.certificates, self.context = certificates, trusting(pair)
        self.clock = Clock()
        self.feed = Feed(clock=self.clock, **options)
        self.broadcasts: list[Broadcast] = []
        self.clients: list[Wired] = []
        self.followers: list[list[Any]] = []

    def join(self, wire: str, streams: int = 1, follows: int | None = None, **options: Any) -> Wired:
        """One more connection; each of its streams follows, or the first of them, and its head is sent."""
        client = Wired(
            wire,
            self.clock,
            self.broadcasts.append,
            self.certificates,
            self.context,
            streams=streams,
            **options,
        )
        followers = []
        for exchange in client.exchanges[:follows]:
            followers.append(self.feed.follower())
            exchange.follow(followers[-1], self.clock())
        client.serve()
        self.clients.append(client)
        self.followers.append(followers)
        return client

    def told(self, client: Wired, which: int = 0) -> tuple[int, int, int]:
        """Delivered, skipped and pending."""
        stats: FollowStats = self.followers[self.clients.index(client)][which].stats
        return stats.delivered, stats.skipped, stats.pending

    def publish(self, *payloads: str, key: str | None = None) -> None:
        for payload in payloads:
            self.feed.publish(payload, key)

    def broadcast(self, limit: int = 100) -> None:
        run_broadcasts(self.broadcasts, limit, self.clock.now)

    def settle(self) -> None:
        """Passes, and turns of the driver, until there is nothing more to send."""
        for _ in range(100):
            while self.broadcasts:
                self.broadcast()
            moved = [client.serve() for client in self.clients if client.flagged]
            if not any(moved) and not self.broadcasts:
                return
        raise AssertionError("it goes on for ever")

    @property
    def in_step(self) -> int:
        return sum(loop.in_step for loop in self.feed.statistics().loops)

    def check(self) -> None:
        """What is told to have been sent is with the client, to the byte."""
        for client in self.clients:
            assert client.connection.accepted == len(client.raw)
            for which, _ in enumerate(client.exchanges):
                assert client.stats(which).sent == len(client.body(which))


@pytest.fixture
def stage(certificates: Certificates, pair: CertificateFiles) -> Stage:
    return Stage(certificates, pair)


@pytest.mark.parametrize("wire", MADE)
def test_a_payload_is_sent_at_once_to_all_in_step(stage: Stage, wire: str) -> None:
    clients = [stage.join(wire) for _ in range(3)]
    stage.publish("tick,")
    assert stage.in_step == 3
    assert not any(client.connection.wants_write for client in clients)
    assert [stage.told(client) for client in clients] == [(0, 0, 1)] * 3
    stage.broadcast(2)
    assert [client.stats().sent for client in clients] == [5, 5, 0]
    stage.check()
    stage.broadcast()
    assert [client.decoded() for client in clients] == [b"tick,"] * 3
    assert [stage.told(client) for client in clients] == [(1, 0, 0)] * 3
    stage.check()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("size", [16_180, 16_220, 16_280, 16_310, 16_400])
def test_a_payload_and_the_line_before_it_fit_into_a_record_and_a_frame(
    certificates: Certificates, pair: CertificateFiles, wire: str, size: int
) -> None:
    """An id may be long; RFC 9113 has a client allow for frames of 16 KiB, not of more."""
    resume = Resume(name="n" * 100, first=None)
    stage = Stage(certificates, pair, resume=resume)
    client, other = stage.join(wire), stage.join(wire)
    stage.publish("first,")
    stage.settle()
    assert stage.in_step == 2
    before = len(client.decoded())
    client.room = 16_384 + SEALS.get(wire, 0) + 1
    stage.publish("x" * size)
    stage.settle()
    stage.check()
    client.drain(PLENTY)
    stage.settle()
    assert client.decoded() == other.decoded()
    assert len(client.decoded()) - before == size + len(f"id: {'n' * 100}.2\n")
    stage.check()


def test_followers_over_all_wires_share_what_is_published(stage: Stage) -> None:
    clients = [stage.join(wire) for wire in WIRES for _ in range(2)]
    for number in range(20):
        stage.publish(f"{number},", key=str(number % 3))
        stage.settle()
    assert stage.in_step == 8
    everything = "".join(f"{number}," for number in range(20)).encode()
    assert [client.decoded() for client in clients] == [everything] * 8
    (loop,) = stage.feed.statistics().loops
    assert loop.drivers == 2, "chunks, and payloads as they are"
    stage.check()


@pytest.mark.parametrize("wire", MADE)
@pytest.mark.parametrize("taken", [1, 4, 9, 13, 14, 18, 35])
def test_what_was_made_and_cut_goes_on_where_it_was_cut(stage: Stage, wire: str, taken: int) -> None:
    clients = [stage.join(wire) for _ in range(3)]
    slow = clients[1]
    whole = 6 + FRAMES[wire] + SEALS[wire]
    slow.room = min(taken, whole - 1)
    stage.publish("first,")
    stage.broadcast()
    stage.check()
    assert stage.told(slow) == (1, 0, 0), "it is delivered once its first byte is"
    assert slow.stats().current == 6
    assert stage.in_step == 2
    stage.publish("second,")
    slow.drain(PLENTY)
    stage.settle()
    assert [client.decoded() for client in clients] == [b"first,second,"] * 3
    stage.check()


@pytest.mark.parametrize("wire", MADE)
def test_nothing_is_made_when_the_kernel_says_no(stage: Stage, wire: str) -> None:
    stage.join(wire)
    slow = stage.join(wire)
    before = len(slow.raw)
    slow.room = 0
    stage.publish("old,")
    stage.settle()
    assert stage.told(slow) == (0, 0, 1)
    assert slow.stats().current == 0, "nothing is committed to a client that takes nothing"
    stage.publish("new,")
    stage.settle()
    assert len(slow.raw) == before
    slow.drain(PLENTY)
    stage.settle()
    assert slow.decoded() == b"new,", "it was chosen when there was room"
    assert stage.told(slow) == (1, 1, 0)
    stage.publish("next,")
    assert stage.in_step == 2, "it has had everything, so it is in step again"
    stage.settle()
    stage.check()


@pytest.mark.parametrize("wire", MADE)
def test_what_was_made_and_refused_all_the_same_is_the_next_to_go_out(stage: Stage, wire: str) -> None:
    client = stage.join(wire)
    client.refuses_after_asking = True
    stage.publish("old,")
    stage.broadcast()
    stage.check()
    assert stage.told(client) == (1, 0, 0)
    assert (client.stats().current, client.stats().sent) == (4, 0)
    stage.publish("new,")
    stage.settle()
    assert client.decoded() == b"old,new,"
    stage.check()


@pytest.mark.parametrize("wire", MADE)
def test_the_kernel_is_not_asked_again_before_it_got_what_it_surely_takes(stage: Stage, wire: str) -> None:
    client = stage.join(wire)
    for _ in range(8):
        stage.publish("z" * 1000)
        stage.settle()
    assert client.asked == 2, "once in 4 KiB"
    assert client.stats().sent == 8000
    stage.check()


HTTP2 = pytest.mark.parametrize("wire", ["http/2", "http/2+tls"])


@HTTP2
@pytest.mark.parametrize("own", [True, False], ids=["stream", "connection"])
def test_a_window_without_room_for_the_whole_takes_one_out_of_step(
    stage: Stage, wire: str, own: bool
) -> None:
    other = stage.join(wire)
    client = stage.join(wire, window=100) if own else stage.join(wire, shared_window=65535)
    assert client.http2 is not None
    client.http2.reads = False
    fill = "" if own else "." * 13087
    for _ in range(0 if own else 5):
        stage.publish(fill)
        stage.settle()
    for number in range(4):
        stage.publish(f"{number:030}")
        stage.settle()
    # Three of 30 bytes, and 10 of the fourth: what has begun is committed whole.
    assert client.stats().sent == 100 + 5 * len(fill)
    assert client.stats().current == 120 + 5 * len(fill)
    assert stage.in_step == 1
    stage.publish("old", "new")
    stage.settle()
    stage.check()
    client.http2.give(1 << 20, 1 if own else None)
    client.receive(client.http2.take())
    stage.settle()
    stage.publish("last")
    assert stage.in_step == 2
    stage.settle()
    numbers = b"".join(b"%030d" % number for number in range(4))
    assert client.decoded() == other.decoded() == fill.encode() * 5 + numbers + b"newlast"
    stage.check()


@HTTP2
def test_a_window_that_is_shut_amid_a_broadcast_shuts_out_one_alone(stage: Stage, wire: str) -> None:
    clients = [stage.join(wire) for _ in range(3)]
    stage.publish("tick,")
    stage.broadcast(1)
    shut = clients[1]
    assert shut.http2 is not None
    # A smaller initial window takes what was sent on the stream off, below zero (RFC 9113, 6.9.2).
    shut.http2.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    shut.receive(shut.http2.take())
    stage.settle()
    assert [client.decoded() for client in clients] == [b"tick,", b"", b"tick,"]
    assert stage.told(shut) == (0, 0, 1)
    shut.http2.give(100, 1)
    shut.receive(shut.http2.take())
    stage.settle()
    assert shut.decoded() == b"tick,"
    stage.check()


@HTTP2
def test_streams_of_one_connection_are_in_step(stage: Stage, wire: str) -> None:
    client = stage.join(wire, streams=5)
    stage.publish("one,")
    stage.broadcast(3)
    assert [client.stats(which).sent for which in range(5)] == [4, 4, 4, 0, 0]
    stage.publish("two,", key="other")
    stage.settle()
    assert stage.in_step == 5
    assert [client.decoded(which) for which in range(5)] == [b"one,two,"] * 5
    stage.check()


@HTTP2
def test_behind_a_frame_that_was_cut_nothing_is_made_for_other_streams(stage: Stage, wire: str) -> None:
    client = stage.join(wire, streams=4)
    client.room = 4 + FRAMES[wire] + SEALS[wire] + 5
    stage.publish("old,")
    stage.broadcast()
    assert [stage.told(client, which) for which in range(4)] == [(1, 0, 0), (1, 0, 0), (0, 0, 1), (0, 0, 1)]
    stage.check()
    stage.publish("new,")
    client.drain(PLENTY)
    stage.settle()
    assert [client.decoded(which) for which in range(4)] == [b"old,new,"] * 2 + [b"new,"] * 2
    stage.check()


@HTTP2
def test_what_another_stream_has_to_say_goes_first(stage: Stage, wire: str) -> None:
    client = stage.join(wire, streams=2, follows=1)
    client.exchanges[1].write("urgent", stage.clock())
    assert client.flagged
    stage.publish("tick,")
    stage.broadcast()
    assert client.body() == b"", "its driver is to serve it first"
    stage.settle()
    assert (client.decoded(), client.decoded(1)) == (b"tick,", b"urgent")
    stage.check()


@HTTP2
def test_what_the_client_asked_goes_first(stage: Stage, wire: str) -> None:
    client = stage.join(wire)
    assert client.http2 is not None
    client.http2.h2.ping(b"12345678")
    client.receive(client.http2.take())
    client.flagged = False
    stage.publish("tick,")
    stage.broadcast()
    assert stage.told(client) == (0, 0, 1)
    assert client.asked == 0
    stage.settle()
    assert client.decoded() == b"tick,"
    ping, data = client.plain.rfind(b"12345678"), client.plain.rfind(b"tick,")
    assert 0 < ping < data


@HTTP2
def test_what_a_later_stream_has_to_say_goes_first(stage: Stage, wire: str) -> None:
    client = stage.join(wire)
    assert client.http2 is not None
    stage.publish("tick,")
    stage.settle()
    client.http2.request("/", authority="localhost")
    client.receive(client.http2.take())
    client.serve()
    client.exchanges[1].write("urgent", stage.clock())
    stage.publish("tick,")
    stage.broadcast()
    assert client.body() == b"tick,", "its driver is to serve it first"
    stage.settle()
    assert (client.decoded(), client.decoded(1)) == (b"tick,tick,", b"urgent")


@HTTP2
def test_what_waits_for_the_kernel_goes_first(stage: Stage, wire: str) -> None:
    client = stage.join(wire)
    assert client.http2 is not None
    stage.publish("tick,")
    stage.settle()
    client.http2.h2.ping(b"12345678")
    client.receive(client.http2.take())
    assert client.connection.data_to_send(stage.clock())
    client.connection.bytes_accepted(0, stage.clock())
    client.flagged = False
    stage.publish("tick,")
    stage.broadcast()
    assert client.body() == b"tick,"
    stage.settle()
    assert client.decoded() == b"tick," * 2
    stage.check()


@HTTP2
def test_a_stream_that_is_reset_in_a_pass_leaves_the_others_in_step(stage: Stage, wire: str) -> None:
    client = stage.join(wire, streams=3)
    assert client.http2 is not None
    stage.publish("tick,")
    stage.broadcast(1)
    client.http2.h2.reset_stream(3)
    client.receive(client.http2.take())
    stage.settle()
    stage.publish("more,")
    assert stage.in_step == 2
    stage.settle()
    assert [client.decoded(which) for which in range(3)] == [b"tick,more,", b"", b"tick,more,"]
    assert client.outcomes == ["cancelled"]


@HTTP2
def test_what_a_broadcast_sends_is_work_that_allows_a_client_its_window_updates(
    certificates: Certificates, pair: CertificateFiles, wire: str
) -> None:
    stage = Stage(certificates, pair)
    # Without what is earned it would be 10 in all.
    client = stage.join(wire, max_control_rate=1)
    assert client.http2 is not None
    for _ in range(60):
        stage.publish("tick,")
        stage.settle()
        client.http2.give(5, 1)
        client.receive(client.http2.take())
    assert client.outcomes == []
    assert client.decoded() == b"tick," * 60


@pytest.mark.parametrize("wire", MADE)
def test_what_was_swept_is_acknowledged_like_all_else(stage: Stage, wire: str) -> None:
    client = stage.join(wire)
    for number in range(3):
        stage.publish(f"tick {number}", key=str(number))
    stage.settle()
    sent = client.connection.accepted
    wait = client.exchange.wait(18, stage.clock(), 100, "acked")
    client.connection.bytes_acknowledged(sent - 1, stage.clock())
    assert not wait.settled
    client.connection.bytes_acknowledged(sent, stage.clock())
    assert wait.settled
    assert client.stats().acked == 18


@pytest.mark.parametrize("wire", MADE)
def test_what_was_swept_is_acknowledged_apart_from_what_comes_after_it(stage: Stage, wire: str) -> None:
    client = stage.join(wire)
    stage.publish("tick")
    stage.settle()
    sent = client.connection.accepted
    client.exchange.wait(4, stage.clock(), 100, "acked")
    stage.publish("more")
    stage.settle()
    client.connection.bytes_acknowledged(sent, stage.clock())
    assert client.stats().acked == 4
    client.connection.bytes_acknowledged(client.connection.accepted, stage.clock())
    assert client.stats().acked == client.stats().sent == 8


@HTTP2
def test_while_another_stream_counts_acknowledgements_none_is_in_step(stage: Stage, wire: str) -> None:
    client = stage.join(wire, streams=2, follows=1)
    stage.publish("tick,")
    stage.settle()
    client.exchanges[1].write("x" * 100, stage.clock())
    client.serve()
    client.exchanges[1].wait(100, stage.clock(), 100, "acked")
    client.serve()
    stage.publish("tick,")
    stage.settle()
    assert stage.in_step == 0
    client.connection.bytes_acknowledged(client.connection.accepted, stage.clock())
    assert client.stats(1).acked == 100
    assert client.decoded() == b"tick," * 2
    stage.check()


@pytest.mark.parametrize("wire", MADE)
def test_a_driver_that_can_not_be_asked_has_them_served_each_for_itself(stage: Stage, wire: str) -> None:
    client = stage.join(wire, follows=0)
    client.exchange.host.can_take = None
    client.exchange.follow(stage.feed.follower(), stage.clock())
    client.serve()
    stage.publish("tick,")
    assert stage.in_step == 0
    stage.settle()
    assert client.decoded() == b"tick,"


@pytest.mark.skipif(COMPILED, reason="what is compiled can't be given a defect")
@pytest.mark.parametrize("wire", MADE)
def test_a_defect_where_something_was_made_costs_the_others_nothing(
    stage: Stage, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [stage.join(wire, 2 if "http/2" in wire else 1, follows=1) for _ in range(3)]
    ill = clients[1]
    transport = ill.exchange.transport
    sound = type(transport).fell_short

    def fell_short(self: Any, taken: int, now: float) -> None:
        if self is transport:
            raise LookupError
        sound(self, taken, now)

    monkeypatch.setattr(type(transport), "fell_short", fell_short)
    ill.room = 5
    stage.publish("tick,")
    (broadcast,) = stage.broadcasts
    with pytest.raises(LookupError):
        stage.broadcast()
    broadcast.disband(stage.clock())
    ill.serve()
    # What else is on its connection would come behind a part of a frame.
    assert ill.connection.close_expected() is Closing.RESET
    assert ill.outcomes == ["reset", "cancelled"][: len(ill.exchanges)]
    assert not ill.connection.wants_write
    stage.settle()
    assert [clients[0].decoded(), clients[2].decoded()] == [b"tick,"] * 2
