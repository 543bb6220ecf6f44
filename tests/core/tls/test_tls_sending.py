"""What is sealed when, and what of it counts as sent and as acknowledged."""

import random
from collections.abc import Generator
from typing import Any

import pytest
from tests.certificates import trusting
from tests.core.conftest import Make
from tests.core.sealed import SEAL

from httpng_core import (
    CertificateFiles,
    Certificates,
    Feed,
    GeneratorIO,
    Pending,
    Readiness,
    Request,
)
from httpng_core.testing import Clock, Loopback, TlsEnd
from httpng_core.tls import RECORD

# Sealing late -----------------------------------------------------------------------------------------


def test_nothing_is_sealed_before_it_is_asked_for(busy: Make) -> None:
    sealed = busy()
    pushed = sealed.connection.statistics().ledger
    sealed.write(b"x" * 100_000)
    assert sealed.connection.wants_write
    assert sealed.connection.prepare() is Readiness.ASK
    assert sealed.connection.statistics().ledger == pushed


def test_one_record_is_ahead_of_the_kernel_and_stays_so(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 100_000)
    record = sealed.offer()
    assert len(record) <= RECORD + SEAL
    for _ in range(3):
        sealed.connection.bytes_accepted(0, sealed.now)
        assert sealed.offer() == record
    assert (sealed.exchange.committed <= RECORD, sealed.sent) == (True, 0)


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


def test_what_was_sealed_is_committed_though_the_kernel_took_nothing(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 1000)
    sealed.offer()
    assert (sealed.exchange.committed, sealed.sent) == (1000, 0)


def test_a_handler_that_raises_after_something_was_sealed_is_cut_short(busy: Make) -> None:
    """It is too late for a 500: the sealed head would come before it."""
    sealed = busy()
    sealed.write(b"x" * 1000)
    sealed.offer()
    sealed.exchange.fail(sealed.now)
    sealed.push()
    assert (sealed.outcomes, sealed.ended, sealed.said_all) == (["cut short"], "half-close", False)
    assert (sealed.response.body, sealed.response.complete) == (b"x" * 1000, False)


def test_a_handler_that_raises_before_that_gets_its_500(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 1000)
    sealed.exchange.fail(sealed.now)
    sealed.push()
    assert sealed.response.status == 500


def test_a_full_frame_is_one_record_and_four_to_a_client_that_is_fast(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 500_000)
    sealed.push(20_000)
    sizes = []
    while sealed.connection.wants_write:
        offer = sealed.offer()
        sizes.append(len(offer))
        sealed.accept(offer)
    cut, *early = sizes[:5]
    assert cut < RECORD
    assert [round(size / RECORD) for size in sizes[5:9]] == [2, 4, 4, 4]
    assert all(RECORD - 20 < size <= RECORD + SEAL for size in early)
    assert max(sizes) <= 4 * (RECORD + SEAL)
    assert sealed.response.body == b"x" * 500_000


def test_of_four_records_none_waits_in_the_library_for_the_next(busy: Make) -> None:
    """It would keep the memory for as long as the connection is open, where nothing counts it."""
    sealed = busy()
    sealed.write(b"x" * 500_000)
    while sum(map(len, buffers := sealed.connection.data_to_send(sealed.now))) < 3 * RECORD:
        sealed.accept(b"".join(buffers))
    assert [len(buffer) for buffer in buffers] == [RECORD + SEAL] * 3 + [len(buffers[3])]
    assert sum(holding.size for holding in sealed.connection.holdings()[1:]) == sum(map(len, buffers))


def test_of_four_records_those_count_that_the_kernel_took_whole(busy: Make) -> None:
    sealed = busy()
    sealed.write(b"x" * 500_000)
    sealed.push(6 * RECORD)
    before = sealed.sent
    while len(offer := sealed.offer()) < 3 * RECORD:
        sealed.accept(offer)
        before = sealed.sent
    sealed.accept(offer[: 2 * (RECORD + SEAL) + 1])
    assert 2 * RECORD - 50 < sealed.sent - before <= 2 * RECORD
    assert sealed.sent == len(sealed.response.body)
    assert sealed.exchange.committed - sealed.sent <= 2 * RECORD
    # The client turned out to be slower, so no more than what is committed is made at once.
    sealed.push()
    assert sealed.response.body == b"x" * 500_000


def test_a_frame_with_a_head_is_one_record_as_well(busy: Make) -> None:
    sealed = busy()
    sealed.exchange.write_header(200, {"x": "h" * 9_000}, sealed.now, None)
    sealed.write(b"x" * 50_000)
    record = sealed.offer()
    assert RECORD - 20 < len(record) <= RECORD + SEAL
    sealed.accept(record)
    assert sealed.sent == sealed.exchange.committed < RECORD - 9_000
    sealed.push()
    assert sealed.response.body == b"x" * 50_000


def test_a_head_that_is_longer_than_a_record(busy: Make) -> None:
    """It can't wait for its second half; of the body it takes hardly anything with it."""
    sealed = busy()
    sealed.exchange.write_header(200, {"x": "h" * 20_000}, sealed.now, None)
    sealed.write(b"x" * 50_000)
    first = sealed.offer()
    assert 20_000 < len(first) < 20_200
    assert sealed.exchange.committed == 1
    sealed.accept(first[: RECORD + SEAL])
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


def test_an_end_without_bytes_needs_no_room(make: Make) -> None:
    """The kernel has the whole response, however slow the client is."""
    sealed = make().shake().send(b"GET / HTTP/1.0\r\n\r\n")
    sealed.write(b"12345")
    sealed.push()
    sealed.exchange.finish(sealed.now)
    assert (sealed.connection.wants_write, sealed.connection.prepare() is Readiness.ASK) == (True, False)
    sealed.offer()
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
    # What the kernel took is counted sealed.
    assert client.connection.accepted > len(client.received)


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
    assert (sealed.outcomes, sealed.ended) == (["reset"], "reset")
