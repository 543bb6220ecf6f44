"""A connection inside TLS: the handshake, what is sealed when, what counts as sent, and how it ends."""

import random
import ssl
from collections.abc import Callable, Generator
from math import inf
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import make_pair, trusting

from httpng_core import (
    Address,
    CertificateFiles,
    Certificates,
    Event,
    Exchange,
    ExchangeEnded,
    Feed,
    GeneratorIO,
    Pending,
    Request,
    RequestReceived,
    RequestRefused,
    Settings,
    TlsConnection,
    TlsFailed,
    TlsFiles,
    parse_settings,
)
from httpng_core.protocols.decoding import ReceivedResponse, decode
from httpng_core.testing import Client, Clock, Loopback, TlsEnd
from httpng_core.tls import connection as tls_connection
from httpng_core.tls.end import RECORD

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
PEER = Address("192.0.2.1", 50000)
# What OpenSSL adds to a record of TLS 1.3.
SEAL = 22


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return make_pair(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificates(pair: CertificateFiles) -> Certificates:
    return Certificates(TlsFiles((pair,)), Settings())


class Sealed:
    """A TlsConnection, its handlers, its kernel and its client in the hands of the test.

    Attributes:
        taken: how many sealed bytes the kernel took.
        opened: the plaintext that the client could open of these.
    """

    def __init__(self, certificates: Certificates, pair: CertificateFiles, **settings: Any) -> None:
        self.clock = Clock()
        self.wakes = 0
        self.connection = TlsConnection(
            certificates,
            parse_settings(settings),
            self.now,
            peer=PEER,
            on_wake=self._wake,
            tells_acknowledged=True,
        )
        self.client = TlsEnd(trusting(pair), server_side=False, server_hostname="localhost")
        self.taken = 0
        self.opened = b""
        self.said_all = False
        self.plain = bytearray()
        self.events: list[Event] = []
        self.shaken = False

    def _wake(self) -> None:
        self.wakes += 1

    @property
    def now(self) -> float:
        return self.clock.now

    def shake(self) -> "Sealed":
        """The handshake, and the tickets after it are taken."""
        while not self.shaken:
            self.shaken = self.client.shake()
            self.receive(self.client.take())
            self.push()
        return self

    def receive(self, data: bytes) -> None:
        """Sealed bytes reach the server."""
        self.connection.receive_data(data, self.now)
        self._take_events()

    def send(self, plaintext: bytes = GET) -> "Sealed":
        self.client.seal(plaintext)
        self.receive(self.client.take())
        return self

    def eof(self) -> None:
        self.connection.receive_eof(self.now)
        self._take_events()

    def offer(self, limit: int | None = None) -> bytes:
        data = b"".join(self.connection.data_to_send(self.now, limit))
        self._take_events()
        return data

    def accept(self, data: bytes) -> None:
        """The kernel takes `data`, and the client opens what it can."""
        self.taken += len(data)
        self.connection.bytes_accepted(len(data), self.now)
        self._take_events()
        if not self.client.begun and data[:1] == b"H":
            self.plain += data
            return
        self.client.receive(data)
        while self.shaken and not self.said_all and (opened := self.client.read()) is not None:
            self.said_all = not opened
            self.opened += opened

    def push(self, room: float = inf) -> None:
        """The kernel takes `room` bytes, then refuses."""
        while self.connection.wants_write and (room >= 1 or not self.connection.asks_first):
            offer = self.offer()
            taken = int(min(len(offer), room))
            room -= taken
            self.accept(offer[:taken])
            if taken < len(offer):
                return

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.connection.handle_timeout(self.now)
        self._take_events()

    def _take_events(self) -> None:
        while (event := self.connection.next_event()) is not None:
            self.events.append(event)

    @property
    def exchange(self) -> Exchange:
        return [event.exchange for event in self.events if isinstance(event, RequestReceived)][-1]

    @property
    def outcomes(self) -> list[str]:
        self._take_events()
        return [event.outcome for event in self.events if isinstance(event, ExchangeEnded)]

    @property
    def failures(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, TlsFailed)]

    def write(self, body: bytes, timeout: float | None = None, window: int | None = None) -> Pending:
        return self.exchange.write(body, self.now, timeout, window)

    @property
    def sent(self) -> int:
        return self.exchange.stats(self.now).sent

    @property
    def acked(self) -> int | None:
        return self.exchange.stats(self.now).acked

    @property
    def response(self) -> ReceivedResponse:
        [response] = decode(self.opened, ("GET",) * 9, closed=False)
        return response

    @property
    def ended(self) -> str:
        """How the socket is to be ended."""
        if self.connection.close_expected():
            return "reset" if self.connection.reset_expected else "close"
        return "half-close" if self.connection.half_close_expected() else ""


Make = Callable[..., Sealed]


@pytest.fixture
def make(certificates: Certificates, pair: CertificateFiles) -> Make:
    """`make(**settings)`: nothing has come yet."""
    return lambda **settings: Sealed(certificates, pair, **settings)


@pytest.fixture
def busy(make: Make) -> Callable[..., Sealed]:
    """`busy(**settings)`: the handler has the exchange."""
    return lambda **settings: make(**settings).shake().send()


# The handshake ----------------------------------------------------------------------------------------


def test_a_request_after_the_handshake_says_https(busy: Make) -> None:
    sealed = busy()
    assert sealed.exchange.request.https
    assert sealed.exchange.request.peer == PEER


def test_a_handshake_byte_by_byte(make: Make) -> None:
    sealed = make()
    sealed.client.shake()
    for byte in sealed.client.take():
        sealed.receive(bytes([byte]))
    sealed.shake().send()
    assert not sealed.exchange.is_over


def test_the_request_may_come_with_the_end_of_the_handshake(make: Make) -> None:
    sealed = make()
    sealed.client.shake()
    sealed.receive(sealed.client.take())
    sealed.push()
    assert sealed.client.shake()
    sealed.client.seal(GET)
    sealed.receive(sealed.client.take())
    assert sealed.exchange.request.method == "GET"


def test_a_handshake_has_its_time(make: Make) -> None:
    sealed = make(handshake_timeout=3)
    sealed.client.shake()
    sealed.receive(sealed.client.take())
    assert sealed.connection.next_deadline() == sealed.now + 3
    sealed.advance(2.9)
    assert sealed.ended == ""
    sealed.advance(0.1)
    assert (sealed.ended, sealed.failures) == ("close", ["the handshake took too long"])
    assert sealed.connection.next_deadline() is None


def test_the_request_has_its_own_time_after_it(make: Make) -> None:
    sealed = make(handshake_timeout=3, header_timeout=5)
    sealed.advance(2)
    sealed.shake()
    sealed.advance(4.9)
    assert sealed.ended == ""
    sealed.advance(0.1)
    assert sealed.ended == ""
    sealed.push()
    assert (sealed.ended, sealed.said_all) == ("close", True)


def test_a_client_that_leaves_during_the_handshake_is_told_of(make: Make) -> None:
    sealed = make()
    sealed.client.shake()
    sealed.receive(sealed.client.take())
    sealed.eof()
    sealed.eof()
    assert (sealed.ended, sealed.failures) == ("close", ["the client closed during the handshake"])


def test_one_that_only_looks_whether_the_port_is_open_is_not(make: Make) -> None:
    sealed = make()
    sealed.eof()
    assert (sealed.ended, sealed.failures) == ("close", [])


def test_a_failed_handshake_sends_its_alert_and_waits_for_the_fin(make: Make) -> None:
    sealed = make()
    sealed.receive(b"\x16\x03\x01\x00\x05hello")
    assert sealed.failures == ["unexpected message"]
    assert (sealed.ended, sealed.connection.wants_write) == ("", True)
    alert = sealed.offer()
    sealed.connection.bytes_accepted(3, sealed.now)
    assert sealed.ended == ""
    sealed.connection.bytes_accepted(len(alert) - 3, sealed.now)
    assert (sealed.ended, sealed.connection.wants_read, sealed.connection.wants_write) == (
        "half-close",
        True,
        False,
    )
    sealed.receive(b"more of it")
    sealed.eof()
    assert sealed.ended == "close"


def test_a_fin_before_the_alert_is_out(make: Make) -> None:
    sealed = make()
    sealed.receive(b"\x16\x03\x01\x00\x05hello")
    sealed.eof()
    assert sealed.ended == ""
    sealed.connection.bytes_accepted(len(sealed.offer()), sealed.now)
    assert sealed.ended == "close"


def test_an_alert_that_nobody_reads_is_given_up(make: Make) -> None:
    sealed = make()
    sealed.receive(b"\x16\x03\x01\x00\x05hello")
    sealed.advance(4.9)
    assert sealed.ended == ""
    sealed.advance(0.1)
    assert sealed.ended == "close"


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"DELETE /x", b"P"])
def test_plain_http_is_told_that_this_is_an_https_port(make: Make, request_line: bytes) -> None:
    sealed = make()
    sealed.receive(request_line)
    assert sealed.failures == ["plain HTTP on an HTTPS port"]
    sealed.push()
    [response] = decode(bytes(sealed.plain), ("GET",), closed=False)
    assert response.status == 400
    assert response.body == b"this is an HTTPS port: the request came without TLS"
    assert sealed.ended == "half-close"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed(
    certificates: Certificates, pair: CertificateFiles, version: ssl.TLSVersion
) -> None:
    context = trusting(pair)
    context.maximum_version = version
    loop = Loopback(lambda req: "hello", certificates=certificates)
    session, reused = None, []
    for _ in range(2):
        end = TlsEnd(context, server_side=False, server_hostname="localhost", session=session)
        client = loop.connect(tls=end)
        client.get()
        assert client.responses()[0].body == b"hello"
        session = end.session
        reused.append(end.session_reused)
    assert reused == [False, True]


# Sealing late -----------------------------------------------------------------------------------------


def test_nothing_is_sealed_before_it_is_asked_for(busy: Make) -> None:
    sealed = busy()
    pushed = sealed.connection._book.pushed
    sealed.write(b"x" * 100_000)
    assert sealed.connection.wants_write
    assert sealed.connection.asks_first
    assert sealed.connection._book.pushed == pushed


def test_one_record_is_ahead_of_the_kernel_and_stays_so(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 100_000)
    record = sealed.offer()
    assert len(record) <= RECORD + SEAL
    for _ in range(3):
        sealed.connection.bytes_accepted(0, sealed.now)
        assert sealed.offer() == record
        assert sealed.connection.asks_first
    window = sealed.exchange._queue.window
    assert (window.committed <= RECORD, window.sent) == (True, 0)


def test_what_was_sealed_goes_out_though_the_write_timed_out(busy: Make) -> None:
    sealed = busy(default_send_window=0)
    pending = sealed.write(b"x" * 100_000, timeout=1)
    record = sealed.offer()
    sealed.connection.bytes_accepted(0, sealed.now)
    sealed.advance(1)
    told = pending.result
    assert told is not None
    assert 0 < told.body_bytes_sent <= RECORD
    assert sealed.offer() == record
    sealed.push()
    assert sealed.sent == len(sealed.response.body) == told.body_bytes_sent


def test_a_full_frame_is_one_record(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 200_000)
    sealed.push(20_000)
    sealed.push()
    sizes = set()
    sealed.write(b"y" * 100_000)
    while sealed.connection.wants_write:
        offer = sealed.offer()
        sizes.add(len(offer))
        sealed.accept(offer)
    assert max(sizes) <= RECORD + SEAL
    assert sealed.response.body == b"x" * 200_000 + b"y" * 100_000


def test_a_frame_with_a_head_is_one_record_as_well(busy: Make) -> None:
    sealed = busy()
    sealed.exchange.write_header(200, {"x": "h" * 9_000}, sealed.now, None)
    sealed.write(b"x" * 50_000)
    record = sealed.offer()
    assert RECORD - 20 < len(record) <= RECORD + SEAL
    sealed.accept(record)
    assert sealed.sent == sealed.exchange._queue.window.committed < RECORD - 9_000
    sealed.push()
    assert sealed.response.body == b"x" * 50_000


def test_a_head_that_makes_a_frame_longer_than_a_record(busy: Make) -> None:
    """The rest of the frame is sealed only when the first record is out, and after asking."""
    sealed = busy()
    sealed.exchange.write_header(200, {"x": "h" * 20_000}, sealed.now, None)
    sealed.write(b"x" * 50_000)
    first = sealed.offer()
    assert len(first) == RECORD + SEAL
    sealed.accept(first)
    assert sealed.connection.asks_first
    assert sealed.sent == 0
    sealed.push()
    assert sealed.response.body == b"x" * 50_000


def test_a_limit_bounds_the_frame(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"first")
    sealed.push()
    sealed.write(b"x" * 1000)
    sealed.accept(sealed.offer(limit=100))
    assert sealed.sent == 105


def test_more_than_was_offered_can_not_be_accepted(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x")
    offered = len(sealed.offer())
    with pytest.raises(ValueError, match="2 more bytes accepted than were offered"):
        sealed.connection.bytes_accepted(offered + 2, sealed.now)


def test_an_end_without_bytes_needs_no_room(busy: Make) -> None:
    """The kernel has the whole response, however slow the client is."""
    sealed = busy()
    sealed.exchange.write_header(200, {"content-length": "5"}, sealed.now, None)
    sealed.write(b"12345")
    sealed.push()
    sealed.exchange.finish(sealed.now)
    assert (sealed.connection.wants_write, sealed.connection.asks_first) == (True, False)
    assert sealed.offer() == b""
    assert sealed.outcomes == ["complete"]


def test_a_feed_goes_the_general_way(certificates: Certificates, pair: CertificateFiles) -> None:
    clock = Clock()
    feed = Feed(clock=clock)

    def handler(req: Request, io: GeneratorIO) -> Generator[Pending, Any, object]:
        yield io.follow(feed)
        return None

    loop = Loopback(handler, clock=clock, certificates=certificates)
    client = loop.connect(tls=TlsEnd(trusting(pair), server_side=False, server_hostname="localhost"))
    client.get()
    for number in range(3):
        feed.publish(b"payload %d," % number, "key")
        loop.settle()
    assert bytes(client.received).count(b"payload") == 3


# What counts ------------------------------------------------------------------------------------------


def test_sent_counts_by_whole_records(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 1000)
    record = sealed.offer()
    sealed.accept(record[:-1])
    assert sealed.sent == 0
    sealed.accept(record[-1:])
    assert sealed.sent == len(sealed.response.body) == 1000


@pytest.mark.parametrize("seed", range(8))
def test_sent_is_what_the_client_can_open(busy: Make, seed: int) -> None:
    """Records of any size, taken in any pieces: never more, and never less by a whole record."""
    chance = random.Random(seed)
    sealed = busy(default_send_window=1 << 20)
    written = 0
    for _ in range(60):
        size = int(2 ** chance.uniform(0, 15.5))
        if sealed.write(bytes([size % 256]) * size, timeout=0).result is None:
            written += size
        for _ in range(chance.randrange(4)):
            offer = sealed.offer() if sealed.connection.wants_write else b""
            sealed.accept(offer[: chance.choice((0, 1, 100, 20_000, len(offer)))])
            if sealed.opened:
                assert sealed.sent == len(sealed.response.body)
    sealed.push()
    assert sealed.sent == len(sealed.response.body) == written


@pytest.mark.parametrize("seed", range(4))
def test_acked_is_what_the_client_could_open_of_what_it_acknowledged(busy: Make, seed: int) -> None:
    chance = random.Random(seed)
    sealed = busy(default_send_window=1 << 20, default_window_until="acked")
    ends: list[tuple[int, int]] = []
    acknowledged = 0
    for _ in range(60):
        size = int(2 ** chance.uniform(0, 14))
        sealed.write(b"x" * size, timeout=0)
        offer = sealed.offer() if sealed.connection.wants_write else b""
        sealed.accept(offer[: chance.choice((0, 1, 100, len(offer)))])
        ends.append((sealed.taken, sealed.sent))
        acknowledged = chance.randrange(acknowledged, sealed.taken + 1)
        sealed.connection.bytes_acknowledged(acknowledged, sealed.now)
        assert sealed.acked == max((sent for taken, sent in ends if taken <= acknowledged), default=0)
    sealed.write(b"x")
    sealed.push()
    assert sealed.connection.wants_acknowledged
    sealed.connection.bytes_acknowledged(sealed.taken, sealed.now)
    assert sealed.acked == sealed.sent > 0
    assert not sealed.connection.tracks_acknowledged


def test_a_wait_for_acknowledgements_of_what_was_sent_before(busy: Make) -> None:
    """Where those records ended is forgotten but for the last: they count as a whole."""
    sealed = busy()
    for _ in range(5):
        sealed.write(b"x" * 100)
        sealed.push()
    before = sealed.taken
    assert len(sealed.connection._book) == 1
    pending = sealed.exchange.wait(0, sealed.now, None, "acked")
    sealed.connection.bytes_acknowledged(before - 1, sealed.now)
    assert (sealed.acked, pending.settled) == (0, False)
    sealed.connection.bytes_acknowledged(before, sealed.now)
    assert (sealed.acked, pending.settled) == (500, True)


def test_acknowledgements_that_can_not_be_told_any_more(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 100)
    pending = sealed.exchange.wait(0, sealed.now, None, "acked")
    sealed.push()
    sealed.connection.bytes_acknowledged(None, sealed.now)
    assert sealed.acked is None
    assert pending.settled


def test_acknowledgements_of_the_handshake_are_nobodys(make: Make) -> None:
    sealed = make()
    assert not sealed.connection.wants_acknowledged
    assert not sealed.connection.tracks_acknowledged
    sealed.connection.bytes_acknowledged(5, sealed.now)
    sealed.shake()
    sealed.connection.bytes_acknowledged(None, sealed.now)


def test_a_flush_that_moves_within_a_record_is_not_stalled(busy: Make) -> None:
    sealed = busy(stall_timeout=10)
    sealed.write(b"x" * 15_000)
    sealed.exchange.finish(sealed.now)
    record = sealed.offer()
    for start in range(3):
        sealed.accept(record[start : start + 1])
        sealed.advance(9)
    for total in range(3):
        sealed.connection.bytes_acknowledged(sealed.taken - 3 + total, sealed.now)
        sealed.advance(9)
    assert sealed.outcomes == []
    sealed.advance(1)
    assert (sealed.outcomes, sealed.ended) == (["aborted"], "reset")


# How it ends ------------------------------------------------------------------------------------------


def test_close_notify_follows_the_last_byte_and_comes_before_the_fin(make: Make) -> None:
    sealed = make().shake().send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    sealed.write(b"all")
    sealed.exchange.finish(sealed.now)
    response = sealed.offer()
    sealed.accept(response)
    assert (sealed.outcomes, sealed.ended, sealed.said_all) == (["complete"], "", False)
    alert = sealed.offer()
    sealed.accept(alert[:5])
    assert sealed.ended == ""
    sealed.accept(alert[5:])
    assert (sealed.ended, sealed.said_all) == ("half-close", True)
    assert sealed.response.body == b"all"
    sealed.send(b"too late")
    sealed.eof()
    assert sealed.ended == "close"


def test_the_clients_close_notify_ends_the_lingering(make: Make) -> None:
    sealed = make().shake().send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    sealed.exchange.finish(sealed.now)
    sealed.push()
    assert sealed.ended == "half-close"
    sealed.client.close()
    sealed.receive(sealed.client.take())
    assert sealed.ended == "close"


def test_lingering_has_its_time(make: Make) -> None:
    sealed = make().shake().send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    sealed.exchange.finish(sealed.now)
    sealed.push()
    sealed.advance(5)
    assert sealed.ended == "close"


def test_a_close_notify_for_which_there_is_no_room_has_its_time(make: Make) -> None:
    sealed = make(keepalive_timeout=20).shake().send()
    sealed.exchange.finish(sealed.now)
    sealed.push()
    sealed.advance(20)
    assert (sealed.ended, sealed.connection.wants_write) == ("", True)
    assert sealed.connection.next_deadline() == sealed.now + 5
    sealed.advance(5)
    assert sealed.ended == "close"


def test_an_end_that_no_verb_brought_is_followed_at_once(make: Make) -> None:
    """The handler ends the response while the socket has no room, so that nobody asks for data."""
    sealed = make().shake().send(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    sealed.exchange.write_header(200, {"content-length": "5"}, sealed.now, None)
    sealed.push()
    sealed.eof()
    sealed.exchange.cancel(sealed.now)
    assert sealed.ended == "reset"


def test_an_end_within_is_due_at_once(busy: Make) -> None:
    sealed = busy()
    inner = sealed.connection._inner
    assert inner is not None
    inner.close()
    deadline = sealed.connection.next_deadline()
    assert deadline is not None
    assert deadline <= sealed.now
    assert (sealed.ended, sealed.connection.wants_write) == ("", True)
    sealed.advance(0)
    sealed.push()
    assert (sealed.ended, sealed.said_all) == ("close", True)


def test_the_clients_close_notify_is_its_fin(busy: Make) -> None:
    """It came before the response has begun: the client gets its whole answer."""
    sealed = busy()
    sealed.client.close()
    sealed.receive(sealed.client.take())
    sealed.eof()
    assert not sealed.connection.wants_read
    sealed.write(b"x" * 50_000)
    sealed.exchange.finish(sealed.now)
    sealed.push()
    assert sealed.response.body == b"x" * 50_000
    assert sealed.response.complete
    assert (sealed.outcomes, sealed.said_all, sealed.ended) == (["complete"], True, "close")


def test_a_close_notify_during_a_streamed_response_cancels(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x")
    sealed.push()
    sealed.client.close()
    sealed.receive(sealed.client.take())
    assert (sealed.outcomes, sealed.ended) == (["cancelled"], "reset")


def test_a_fin_without_close_notify_is_a_fin(busy: Make) -> None:
    sealed = busy()
    sealed.eof()
    sealed.write(b"all of it")
    sealed.exchange.finish(sealed.now)
    sealed.push()
    assert sealed.response.body == b"all of it"
    assert (sealed.outcomes, sealed.said_all, sealed.ended) == (["complete"], True, "close")


@pytest.mark.parametrize("says_all", [True, False])
def test_half_a_request_is_refused_however_it_ended(make: Make, says_all: bool) -> None:
    sealed = make().shake().send(b"GET / HTTP/1.1\r\nhost")
    if says_all:
        sealed.client.close()
        sealed.receive(sealed.client.take())
    else:
        sealed.eof()
    assert [event.status for event in sealed.events if isinstance(event, RequestRefused)] == [400]
    sealed.push()
    assert (sealed.response.status, sealed.said_all) == (400, True)


def test_an_abort_is_a_reset_without_a_close_notify(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 100_000)
    sealed.offer()
    sealed.connection.abort(sealed.now)
    sealed.connection.abort(sealed.now)
    assert (sealed.ended, sealed.outcomes, sealed.offer()) == ("reset", ["cancelled"], b"")


def test_an_abort_during_the_handshake_is_a_reset(make: Make) -> None:
    sealed = make()
    sealed.connection.abort(sealed.now)
    assert sealed.ended == "reset"


def test_a_broken_record_is_a_lost_connection(busy: Make) -> None:
    sealed = busy()
    pending = sealed.write(b"x" * 2_000_000, timeout=5)
    sealed.client.seal(b"more")
    broken = bytearray(sealed.client.take())
    broken[-1] ^= 1
    sealed.receive(bytes(broken))
    told = pending.result
    assert told is not None
    assert told.cancelled
    assert sealed.failures == ["decryption failed or bad record mac"]
    assert sealed.outcomes == ["cancelled"]
    alert = sealed.offer()
    assert alert
    sealed.connection.bytes_accepted(len(alert), sealed.now)
    assert sealed.ended == "half-close"
    sealed.eof()
    assert sealed.ended == "close"


def test_what_can_not_be_sealed_is_a_lost_connection(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x")
    # The end is broken without the connection having been told.
    sealed.connection._end.receive(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    with pytest.raises(Exception, match="bad record"):
        sealed.connection._end.read()
    sealed.offer()
    assert len(sealed.failures) == 1
    assert sealed.outcomes == ["cancelled"]


def test_a_dead_socket(busy: Make, make: Make) -> None:
    sealed = busy()
    sealed.connection.connection_lost(sealed.now)
    assert (sealed.ended, sealed.outcomes) == ("close", ["cancelled"])
    early = make()
    early.connection.connection_lost(early.now)
    assert early.ended == "close"


def test_draining_gives_a_handshake_up(make: Make) -> None:
    sealed = make()
    sealed.connection.drain(sealed.now)
    sealed.connection.drain(sealed.now)
    assert sealed.ended == "close"


def test_draining_an_idle_connection_says_so(make: Make) -> None:
    sealed = make().shake()
    sealed.connection.drain(sealed.now)
    sealed.push()
    assert (sealed.said_all, sealed.ended) == (True, "close")


def test_draining_lets_the_exchange_end(busy: Make) -> None:
    sealed = busy()
    sealed.connection.drain(sealed.now)
    sealed.write(b"the last")
    sealed.exchange.finish(sealed.now)
    sealed.push()
    assert (sealed.response.body, sealed.said_all, sealed.ended) == (b"the last", True, "half-close")


# Driving ----------------------------------------------------------------------------------------------


def test_a_client_that_reads_nothing_is_not_read_either(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client makes TLS say (here the tickets) must not pile up."""
    monkeypatch.setattr(tls_connection, "_UNSENT_AT_MOST", 100)
    sealed = make()
    sealed.client.shake()
    sealed.receive(sealed.client.take())
    assert sealed.connection.wants_write
    assert not sealed.connection.wants_read
    sealed.push()
    assert sealed.connection.wants_read


def test_after_the_end_everything_does_nothing(busy: Make) -> None:
    sealed = busy()
    sealed.connection.connection_lost(sealed.now)
    sealed.receive(b"x")
    sealed.receive(b"")
    sealed.connection.bytes_accepted(5, sealed.now)
    sealed.eof()
    sealed.advance(100)
    assert (sealed.offer(), sealed.ended) == (b"", "close")
    assert not sealed.connection.wants_read
    assert not sealed.connection.wants_write


def test_the_driver_is_woken(busy: Make) -> None:
    sealed = busy()
    woken = sealed.wakes
    sealed.write(b"x")
    assert sealed.wakes > woken
    pushes: list[int] = []
    sealed.connection.on_push = lambda: pushes.append(1)
    sealed.exchange.carrier.push()
    assert pushes == [1]


def test_continue_and_a_body(make: Make) -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 40000\r\n\r\n"
    sealed = make().shake().send(head)
    sealed.push()
    assert sealed.opened == b"HTTP/1.1 100 Continue\r\n\r\n"
    for _ in range(4):
        sealed.send(b"b" * 10_000)
    assert sealed.exchange.request.body == b"b" * 40_000


# Loopback ---------------------------------------------------------------------------------------------


@pytest.fixture
def connect(certificates: Certificates, pair: CertificateFiles) -> Callable[..., tuple[Loopback, Client]]:
    def connect(handler: object, room: float = inf, **cfg: Any) -> tuple[Loopback, Client]:
        loop = Loopback(handler, certificates=certificates, **cfg)
        end = TlsEnd(trusting(pair), server_side=False, server_hostname="localhost")
        return loop, loop.connect(room, tls=end)

    return connect


def test_a_loopback_speaks_tls(connect: Callable[..., tuple[Loopback, Client]]) -> None:
    _, client = connect(lambda req: f"{req.method} {req.https} {len(req.body)}")
    client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50000\r\n\r\n" + b"x" * 50_000)
    client.get()
    assert [response.body for response in client.responses()] == [b"POST True 50000", b"GET True 0"]
    assert client.arrived > len(client.received)
    client.say_all()
    assert (client.said_all, client.closed) == (True, True)


def test_a_loopback_whose_kernel_refuses(connect: Callable[..., tuple[Loopback, Client]]) -> None:
    results: list[Any] = []

    def handler(req: Request, io: GeneratorIO) -> Generator[Pending, Any, object]:
        results.append((yield io.write(b"x" * 100_000, timeout=1)))
        results.append(io.get_send_stats().sent)
        io.close()
        return None

    loop, client = connect(handler, room=30_000, default_send_window=0)
    client.get()
    loop.advance(1)
    assert not results[0].cancelled
    assert results[1] < results[0].body_bytes_sent <= results[1] + RECORD
    client.give_room()
    assert len(client.responses()[0].body) == results[0].body_bytes_sent


def test_a_loopback_without_certificates(pair: CertificateFiles) -> None:
    end = TlsEnd(trusting(pair), server_side=False, server_hostname="localhost")
    with pytest.raises(AssertionError, match="no certificates"):
        Loopback(lambda req: "").connect(tls=end)


def test_a_failure_is_a_line_in_the_log(
    connect: Callable[..., tuple[Loopback, Client]], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level("INFO"):
        loop, _ = connect(lambda req: "")
        wary = TlsEnd(trusting(make_pair(tmp_path)), server_side=False, server_hostname="localhost")
        client = loop.connect(tls=wary)
        client.send(b"nobody hears this")
    assert client.failure == "certificate verify failed"
    assert [record.getMessage() for record in caplog.records] == [
        "TLS with 192.0.2.1 failed: tlsv1 alert unknown ca"
    ]
    assert caplog.records[0].exc_info is None
