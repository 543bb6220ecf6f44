"""Offers of many frames: what the kernel takes of one is committed, the rest of it was never made.

A scripted kernel cuts such an offer at every byte; a client that decodes for itself says what it got.
"""

from dataclasses import dataclass, field

import pytest
from tests.core.driving import GET, GET_10, Driven
from tests.properties.receiver import Receiver

from httpng_core.http1 import Framer
from httpng_core.wire import OfferSize, Outbound

PIECES = [b"abcdefg", b"hi", b"j" * 9, b"klmnopqrst", b"u", b"vwxyz" * 3]
BODY = b"".join(PIECES)
LENGTH = {"content-length": len(BODY)}


def tiny() -> OfferSize:
    """So small that an offer can be cut at each of its bytes in no time."""
    size = OfferSize(is_sealed=True)
    # The most body bytes of one frame, but for a single piece.
    size.frame, size.asks_first = 10, False
    return size


@dataclass
class Cut:
    """A response that was offered as a whole, in many frames, of which the kernel took the first bytes."""

    driven: Driven
    outbound: Outbound
    framer: Framer
    offer: bytes
    taken: int
    ends: list[int] = field(default_factory=list)

    @property
    def got(self) -> bytes:
        """The body as the client has it."""
        return received(self.offer[: self.taken])

    def next_offer(self) -> bytes:
        """What goes out next."""
        if self.outbound.is_empty and self.driven.exchange.has_frame:
            self.framer.fill(self.driven.exchange, self.outbound, None, self.driven.now)
        return b"".join(self.outbound.buffers)


def received(wire: bytes) -> bytes:
    receiver = Receiver()
    receiver.feed(wire)
    return bytes(receiver.responses[0].body) if receiver.responses else b""


def offered(request: bytes, headers: dict[str, int], ended: bool, size: int | None = None) -> Cut:
    """All of a response in one offer; the kernel takes `size` bytes, or has not answered."""
    driven = Driven(request)
    driven.header(headers=headers)
    for piece in PIECES:
        driven.write(piece)
    if ended:
        driven.exchange.finish(driven.now)
    outbound, framer = Outbound(driven.now), Framer(lambda: None)
    outbound.size = tiny()
    framer.keep_alive = True
    framer.fill(driven.exchange, outbound, None, driven.now)
    assert not outbound.is_empty
    cut = Cut(driven, outbound, framer, b"".join(outbound.buffers), size or 0)
    if size is not None:
        outbound.accepted(size, driven.now)
    return cut


def chunk_ends(wire: bytes) -> set[int]:
    """Where chunks end, the last one with the end of the body; the first goes with the head."""
    at, ends = wire.index(b"\r\n\r\n") + 4, {0}
    while at < len(wire):
        line_end = wire.index(b"\r\n", at)
        size = int(wire[at:line_end], 16)
        at = line_end + 2 + size + 2
        ends.add(at)
        if wire[at:] == b"0\r\n\r\n":
            return ends - {at} | {len(wire)}
    return ends


KINDS = pytest.mark.parametrize(
    ("request_bytes", "headers"), [(GET, {}), (GET, LENGTH), (GET_10, {})], ids=["chunks", "length", "close"]
)
ENDED = pytest.mark.parametrize("ended", [False, True], ids=["open", "ended"])


def every_cut(request_bytes: bytes, headers: dict[str, int], ended: bool) -> list[Cut]:
    size = len(offered(request_bytes, headers, ended).offer)
    return [offered(request_bytes, headers, ended, taken) for taken in range(size + 1)]


@KINDS
@ENDED
def test_an_offer_of_many_frames_holds_the_whole_body(
    request_bytes: bytes, headers: dict[str, int], ended: bool
) -> None:
    cut = offered(request_bytes, headers, ended)
    assert received(cut.offer) == BODY
    assert cut.driven.positions == (len(BODY), 0)
    assert cut.driven.exchange.committed == 0, "it is only offered"


@KINDS
@ENDED
def test_sent_is_what_the_client_has_wherever_the_kernel_cuts(
    request_bytes: bytes, headers: dict[str, int], ended: bool
) -> None:
    for cut in every_cut(request_bytes, headers, ended):
        assert cut.driven.positions == (len(BODY), len(cut.got))
        assert cut.driven.stats.headers_were_sent == (b"\r\n\r\n" in cut.offer[: cut.taken])


@KINDS
@ENDED
def test_wire_bytes_pushed_are_accepted_or_buffered(
    request_bytes: bytes, headers: dict[str, int], ended: bool
) -> None:
    for cut in every_cut(request_bytes, headers, ended):
        buffered = len(b"".join(cut.outbound.buffers))
        assert cut.outbound.ledger.accepted == cut.taken
        assert cut.outbound.ledger.pushed == cut.taken + buffered
        assert cut.outbound.is_empty == (not buffered)


@ENDED
def test_of_chunks_the_one_that_was_cut_is_the_tail_and_the_rest_was_never_made(ended: bool) -> None:
    """The tail ends where a chunk does, and what lies behind it can still be dropped."""
    whole = offered(GET, {}, ended).offer
    head = whole.index(b"\r\n\r\n") + 4
    for cut in every_cut(GET, {}, ended):
        exchange, tail = cut.driven.exchange, b"".join(cut.outbound.buffers)
        assert tail == whole[cut.taken : cut.taken + len(tail)]
        assert exchange.committed == len(received(whole[: cut.taken + len(tail)]))
        assert exchange.buffered == len(BODY) - exchange.committed
        assert bool(tail) == (cut.taken not in chunk_ends(whole)), "a frame that was not begun was not made"
        if tail:
            assert whole[: cut.taken + len(tail)].endswith(b"\r\n")
            assert len(tail) < len(PIECES[-1]) + 16 + (head if cut.taken < head else 0)


@KINDS
def test_without_framing_around_it_nothing_beyond_what_the_kernel_took_is_committed(
    request_bytes: bytes, headers: dict[str, int]
) -> None:
    if request_bytes is GET and not headers:
        return
    for cut in every_cut(request_bytes, headers, False):
        head = cut.offer.index(b"\r\n\r\n") + 4
        assert cut.driven.exchange.committed == len(cut.got)
        tail = b"".join(cut.outbound.buffers)
        assert tail == (cut.offer[cut.taken : head] if 0 < cut.taken < head else b"")


@KINDS
@ENDED
def test_what_comes_next_goes_on_where_the_kernel_stopped(
    request_bytes: bytes, headers: dict[str, int], ended: bool
) -> None:
    for cut in every_cut(request_bytes, headers, ended):
        wire = cut.offer[: cut.taken]
        for _ in range(9):
            if not (following := cut.next_offer()):
                break
            wire += following
            cut.outbound.accepted(len(following), cut.driven.now)
        assert received(wire) == BODY
        assert cut.driven.positions == (len(BODY), len(BODY))
        assert cut.driven.outcomes == (["complete"] if ended or headers else [])


@KINDS
def test_a_refused_offer_is_taken_back_as_a_whole(request_bytes: bytes, headers: dict[str, int]) -> None:
    cut = offered(request_bytes, headers, False, 0)
    exchange = cut.driven.exchange
    assert (exchange.committed, exchange.buffered, cut.outbound.is_empty) == (0, len(BODY), True)
    exchange.fail(cut.driven.now)
    assert b"500 Internal" in cut.next_offer()


def test_the_kernel_takes_no_more_than_was_offered() -> None:
    cut = offered(GET, {}, False)
    with pytest.raises(ValueError, match="1 more bytes accepted than were offered"):
        cut.outbound.accepted(len(cut.offer) + 1, cut.driven.now)


def test_while_acknowledgements_are_tracked_each_frame_is_remembered() -> None:
    for taken in range(len(offered(GET, {}, False).offer) + 1):
        cut = offered(GET, {}, False)
        exchange, outbound = cut.driven.exchange, cut.outbound
        outbound.ledger.track(exchange)
        exchange.acked = 0
        outbound.accepted(taken, 1.0)
        for total in range(taken + 1):
            outbound.acknowledged(total, 2.0)
            assert exchange.acked == len(received(cut.offer[:total]))


def test_in_clear_text_a_client_makes_us_say_nothing() -> None:
    outbound = Outbound(0.0)
    outbound.push(b"x" * 1_000_000)
    assert not outbound.is_clogged
