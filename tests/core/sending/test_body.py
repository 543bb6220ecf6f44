"""The body of a response: its four positions, and the bytes between `committed` and `current`."""

import pytest

from httpng_core import ContentLengthError
from httpng_core.sending import SMALL_PIECE, Buffer, ResponseBody


def body_of(*pieces: bytes) -> ResponseBody:
    body = ResponseBody()
    for piece in pieces:
        body.accept(piece, 0.0)
    return body


def joined(buffers: list[Buffer]) -> bytes:
    return b"".join(buffers)


# Positions --------------------------------------------------------------------------------------------


def test_bytes_are_accepted_committed_and_sent_in_this_order() -> None:
    body = body_of(b"x" * 10)
    body.commit(7)
    body.pay(3, 0.0)
    assert (body.current, body.committed, body.sent, body.acked) == (10, 7, 3, None)
    assert (body.in_flight("sent"), body.buffered) == (7, 3)


def test_no_byte_is_committed_that_was_not_accepted_nor_sent_that_was_not_committed() -> None:
    with pytest.raises(AssertionError, match="committed 4 of 3"):
        body_of(b"abc").commit(4)
    body = body_of(b"abc")
    body.commit(2)
    with pytest.raises(AssertionError, match="sent 3 of 2"):
        body.pay(3, 0.0)


def test_no_byte_is_acknowledged_that_was_not_sent() -> None:
    body = body_of(b"abc")
    body.commit(3)
    body.pay(2, 0.0)
    body.acknowledge(3, 0.0)
    assert body.acked is None, "nobody asked for it"
    body.acked = 0
    body.acknowledge(2, 0.0)
    assert (body.acked, body.reached("acked"), body.in_flight("acked")) == (2, 2, 1)
    with pytest.raises(AssertionError, match="3 acknowledged of 2"):
        body.acknowledge(1, 0.0)


def test_where_acked_is_unknown_in_flight_counts_from_sent() -> None:
    body = body_of(b"abc")
    body.commit(3)
    body.acked = 0
    body.pay(2, 0.0)
    assert body.in_flight("acked") == 3
    body.forget_acked()
    assert body.acked is None
    assert body.in_flight("acked") == 1


def test_bytes_that_are_dropped_by_rule_are_sent_at_once() -> None:
    body = ResponseBody()
    body.drops, body.acked = True, 0
    body.accept(b"abcde", 0.0)
    assert (body.current, body.committed, body.sent, body.acked, body.buffered) == (5, 5, 5, 5, 0)


def test_more_than_the_declared_length_raises_unless_it_is_dropped_by_rule() -> None:
    body = body_of(b"abc")
    body.check_length(1 << 40)
    body.length = 5
    body.check_length(2)
    with pytest.raises(ContentLengthError, match="3 bytes were written and 3 more"):
        body.check_length(3)
    body.drops = True
    body.check_length(3)


# Lag --------------------------------------------------------------------------------------------------


def test_lag_is_the_age_of_the_oldest_byte_in_flight() -> None:
    body = ResponseBody()
    assert body.lag(5.0) == 0
    body.accept(b"ab", 1.0)
    body.accept(b"cd", 2.5)
    body.commit(4)
    assert body.lag(2.5) == 1.5
    body.pay(2, 2.5)
    assert body.lag(3.0) == 0.5
    body.pay(2, 3.0)
    assert body.lag(9.0) == 0
    body.accept(b"e", 10.0)
    assert body.lag(10.25) == 0.25


def test_what_was_dropped_does_not_lag() -> None:
    body = body_of(b"abc")
    body.drop_all()
    assert (body.lag(9.0), body.buffered, body.current) == (0, 0, 3)


# Bytes out --------------------------------------------------------------------------------------------


def test_nothing_is_copied_out_of_one_large_piece() -> None:
    piece = b"x" * 100
    body = body_of(piece)
    assert body.peek(100) is piece
    assert body.peek(1000) is piece
    part = body.peek(10)
    assert isinstance(part, memoryview)
    assert part.obj is piece
    body.commit(95)
    assert bytes(body.peek(10)) == b"x" * 5


def test_small_pieces_are_joined() -> None:
    body = body_of(b"ab", b"", b"cd", b"ef")
    assert body.buffered == 6
    assert body.peek(3) == b"abc"
    assert body.peek(4) == b"abcd"
    assert body.peek(99) == b"abcdef"
    body.commit(3)
    assert body.peek(99) == b"def"
    body.commit(3)
    assert body.peek(99) == b""


def test_a_large_piece_is_cut_into_frames_by_reference() -> None:
    piece = bytes(range(256)) * 256
    frames = body_of(piece).frames(1 << 20, 16384)
    assert [len(frame) for frame in frames] == [16384] * 4
    assert all(isinstance(frame, memoryview) and frame.obj is piece for frame in frames)
    assert joined(frames) == piece


def test_a_piece_that_fits_a_frame_is_one_by_reference() -> None:
    first, second = b"a" * SMALL_PIECE, b"b" * 16384
    assert list(map(id, body_of(first, second).frames(1 << 20, 16384))) == [id(first), id(second)]


def test_small_neighbours_share_a_frame_that_is_no_longer_than_a_frame() -> None:
    pieces = [bytes([65 + number]) * 1000 for number in range(20)]
    frames = body_of(*pieces).frames(1 << 20, 4096)
    assert [len(frame) for frame in frames] == [4000] * 5
    assert joined(frames) == b"".join(pieces)


def test_small_pieces_around_a_large_one_keep_their_order() -> None:
    pieces = [b"a" * 10, b"b" * 10, b"c" * 70_000, b"d" * 10, b"e" * 5000, b"f" * 3]
    frames = body_of(*pieces).frames(1 << 20, 16384)
    assert [len(frame) for frame in frames] == [20, 16384, 16384, 16384, 16384, 4464, 10, 5000, 3]
    assert joined(frames) == b"".join(pieces)


@pytest.mark.parametrize("limit", [1, 100, 16384, 40_000, 65_536])
def test_frames_hold_the_limit_or_a_little_more(limit: int) -> None:
    pieces = [b"a" * 10, b"b" * 30_000, b"c" * 2000, b"d" * 40_000]
    size = 16384
    frames = body_of(*pieces).frames(limit, size)
    assert limit <= sum(map(len, frames)) < limit + size
    assert b"".join(pieces).startswith(joined(frames))


@pytest.mark.parametrize("committed", [1, 4095, 4096, 20_000, 29_999, 30_000, 30_001])
def test_frames_begin_where_the_last_commit_ended(committed: int) -> None:
    pieces = [b"a" * 30_000, b"b" * 2000, b"c" * 2000]
    body = body_of(*pieces)
    body.commit(committed)
    assert joined(body.frames(1 << 20, 16384)) == b"".join(pieces)[committed:]


def test_nothing_is_left_behind_that_was_committed() -> None:
    body = body_of(b"a" * 10, b"b" * 10)
    body.commit(20)
    assert (body.frames(100, 100), body.buffered) == ([], 0)
    body.accept(b"c", 1.0)
    assert joined(body.frames(100, 100)) == b"c"
