"""Frames (RFC 9113, 4 and 6): how they are cut, checked by themselves, and written."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hyperframe.frame import Frame as HyperFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.http2.engine.driving import frame, read_all

from httpng_core.http2.engine import (
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    FatalError,
    StreamError,
    frames,
)

quick = settings(max_examples=100, deadline=None, derandomize=True)
TYPES = range(0x12)
ON_STREAM = {0, 1, 2, 3, 5, 9}
ON_CONNECTION = {4, 6, 7, 0x10}
SIZES = {2: 5, 3: 4, 4: 6, 6: 8, 7: 8, 8: 4, 0x10: 4}


def refused(wire: bytes) -> FatalError | StreamError | None:
    """What the reader says about the last of some frames."""
    reader = frames.FrameReader()
    reader.feed(wire)
    try:
        while reader.next_frame() is not None:
            pass
    except (FatalError, StreamError) as error:
        return error
    return None


def code(wire: bytes) -> int | None:
    error = refused(wire)
    return None if error is None else error.code


def pieces(wire: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(wire)]
    return [wire[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("stream_id", [0, 1])
def test_each_type_on_a_stream_and_on_the_connection(kind: int, stream_id: int) -> None:
    flags = frames.END_HEADERS if kind == frames.HEADERS else 0
    wire = frame(kind, flags, stream_id, b"\0" * SIZES.get(kind, 6))
    wrong = kind in (ON_CONNECTION if stream_id else ON_STREAM) or kind in (5, 9)
    assert code(wire) == (PROTOCOL_ERROR if wrong else None)


@pytest.mark.parametrize("kind", set(TYPES) - {5, 9})
@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 6, 7, 8, 9, 12, 16384, 16385])
def test_each_type_with_each_size(kind: int, size: int) -> None:
    wire = frame(kind, 4, 0 if kind in ON_CONNECTION else 1, bytes(size))
    if kind in (3, 6, 8):
        right = size == SIZES[kind]
    elif kind in (7, 0x10):
        right = size >= SIZES[kind]
    elif kind == frames.PRIORITY:
        right = size == 5
    else:
        right = kind != frames.SETTINGS or size % 6 == 0
    assert code(wire) == (None if right and size <= 16384 else FRAME_SIZE_ERROR)


def test_a_priority_of_the_wrong_size_is_an_error_of_its_stream_alone() -> None:
    reader = frames.FrameReader()
    reader.feed(frame(frames.PRIORITY, 0, 5, bytes(4)) + frame(frames.PING, 0, 0, bytes(8)))
    with pytest.raises(StreamError) as error:
        reader.next_frame()
    assert (error.value.stream_id, error.value.code) == (5, FRAME_SIZE_ERROR)
    following = reader.next_frame()
    assert following is not None
    assert following.kind == frames.PING


def test_an_acknowledgement_of_settings_has_no_payload() -> None:
    assert code(frame(frames.SETTINGS, frames.ACK)) is None
    assert code(frame(frames.SETTINGS, frames.ACK, 0, bytes(6))) == FRAME_SIZE_ERROR


def test_a_frame_that_is_too_long_is_refused_before_it_has_come() -> None:
    assert code(frame(frames.DATA, 0, 1, bytes(16385))[:9]) == FRAME_SIZE_ERROR
    assert code(frame(frames.PING, 0, 0, bytes(9))[:9]) == FRAME_SIZE_ERROR


def test_the_reserved_bit_of_the_stream_is_ignored() -> None:
    assert read_all(frame(frames.DATA, 0, 0x80000003, b"x"))[0].stream_id == 3


# Padding and priority fields ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [frames.DATA, frames.HEADERS])
@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("padding", range(7))
def test_padding_is_taken_off_or_is_too_long(kind: int, size: int, padding: int) -> None:
    payload = bytes([padding]) + b"body."[: size - 1]
    wire = frame(kind, frames.PADDED | frames.END_HEADERS, 1, payload)
    if padding >= size:
        assert code(wire) == PROTOCOL_ERROR
    else:
        found = read_all(wire)[0]
        assert found.payload == payload[1 : size - padding]
        assert found.size == (size if kind == frames.DATA else len(found.payload))


@pytest.mark.parametrize("kind", [frames.DATA, frames.HEADERS])
def test_a_padded_frame_has_room_for_the_length_of_its_padding(kind: int) -> None:
    assert code(frame(kind, frames.PADDED | frames.END_HEADERS, 1)) == FRAME_SIZE_ERROR


def test_priority_fields_are_taken_off_a_header_block() -> None:
    reader = frames.FrameReader()
    reader.feed(frame(frames.HEADERS, 0x2C, 3, b"\2" + b"\x80\0\0\7\x10" + b"block" + b"\0\0"))
    found = reader.next_frame()
    assert found is not None
    assert (found.payload, reader.dependency) == (b"block", 7)
    reader.feed(frame(frames.HEADERS, 0x04, 5, b"block"))
    reader.next_frame()
    assert reader.dependency == -1


@pytest.mark.parametrize("size", range(5))
def test_headers_with_priority_have_room_for_it(size: int) -> None:
    assert code(frame(frames.HEADERS, 0x24, 1, bytes(size))) == FRAME_SIZE_ERROR


# Header blocks in parts ---------------------------------------------------------------------------------


def test_a_block_in_parts_is_one_frame() -> None:
    reader = frames.FrameReader()
    reader.feed(frame(frames.HEADERS, 1, 1, b"a") + frame(9, 0, 1, b"") + frame(9, 0, 1, b"b"))
    assert reader.next_frame() is None
    assert reader.is_partial
    reader.feed(frame(9, 4, 1, b"c"))
    found = reader.next_frame()
    assert found is not None
    assert (found.kind, found.flags & frames.END_STREAM, found.payload) == (frames.HEADERS, 1, b"abc")
    assert reader.continuations == 3
    assert not reader.is_partial


@pytest.mark.parametrize("kind", set(TYPES))
def test_nothing_comes_between_the_parts_of_a_block(kind: int) -> None:
    between = frame(kind, 4, 0 if kind in ON_CONNECTION else 1, bytes(SIZES.get(kind, 6)))
    expected = None if kind == frames.CONTINUATION else PROTOCOL_ERROR
    assert code(frame(frames.HEADERS, 0, 1, b"a") + between) == expected


def test_continuation_is_of_the_same_stream_and_follows_a_block_that_is_not_whole() -> None:
    assert code(frame(frames.HEADERS, 0, 1, b"a") + frame(9, 4, 3, b"b")) == PROTOCOL_ERROR
    assert code(frame(frames.HEADERS, 4, 1, b"a") + frame(9, 4, 1, b"b")) == PROTOCOL_ERROR
    assert code(frame(9, 4, 1, b"b")) == PROTOCOL_ERROR


@pytest.mark.parametrize(("size", "taken"), [(0, 8), (1, 8), (16384, 3)])
def test_a_flood_of_continuations_ends(size: int, taken: int) -> None:
    reader = frames.FrameReader(max_block=65536, max_continuations=8)
    reader.feed(frame(frames.HEADERS, 0, 1, bytes(size)) + frame(9, 0, 1, bytes(size)) * taken)
    assert reader.next_frame() is None
    reader.feed(frame(9, 0, 1, bytes(size)))
    with pytest.raises(FatalError) as error:
        reader.next_frame()
    assert error.value.code == ENHANCE_YOUR_CALM


# Pieces -------------------------------------------------------------------------------------------------

FRAMES = st.lists(
    st.one_of(
        st.builds(frame, st.just(0), st.sampled_from([0, 1]), st.just(1), st.binary(max_size=40)),
        st.builds(frame, st.just(1), st.just(4), st.just(1), st.binary(max_size=40)),
        st.just(frame(1, 0, 3, b"first") + frame(9, 4, 3, b"second")),
        st.builds(frame, st.integers(0x20, 0xFF), st.integers(0, 255), st.just(7), st.binary(max_size=9)),
    ),
    max_size=8,
)


@quick
@given(FRAMES, st.lists(st.integers(0, 400), max_size=20))
def test_frames_are_the_same_however_they_were_cut(wires: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(wires)
    reader = frames.FrameReader()
    found = []
    for piece in pieces(wire, [cut for cut in cuts if cut <= len(wire)]):
        reader.feed(piece)
        while (one := reader.next_frame()) is not None:
            found.append((one.kind, one.flags, one.stream_id, one.payload))
    assert found == [(one.kind, one.flags, one.stream_id, one.payload) for one in read_all(wire)]
    assert not reader.is_partial


# Writing ------------------------------------------------------------------------------------------------


def parsed(wire: bytes) -> list[HyperFrame]:
    """What hyperframe reads."""
    found = []
    while wire:
        one, length = HyperFrame.parse_frame_header(memoryview(wire[:9]))
        one.parse_body(memoryview(wire[9 : 9 + length]))
        found.append(one)
        wire = wire[9 + length :]
    return found


def test_what_is_written_reads_as_meant() -> None:
    wire = (
        frames.settings([(3, 100), (4, 65535)])
        + frames.SETTINGS_ACK
        + frames.ping(b"12345678")
        + frames.ping(b"12345678", True)
        + frames.window_update(0, 1 << 30)
        + frames.rst_stream(5, 8)
        + frames.goaway(7, 11, b"calm")
        + frames.data_head(3, 5, True)
        + b"abc"
    )
    shown = [(type(one).__name__, one.stream_id, sorted(one.flags)) for one in parsed(wire)]
    assert shown == [
        ("SettingsFrame", 0, []),
        ("SettingsFrame", 0, ["ACK"]),
        ("PingFrame", 0, []),
        ("PingFrame", 0, ["ACK"]),
        ("WindowUpdateFrame", 0, []),
        ("RstStreamFrame", 5, []),
        ("GoAwayFrame", 0, []),
        ("DataFrame", 5, ["END_STREAM"]),
    ]


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 21, 25])
def test_a_long_block_is_written_in_parts(size: int, end: bool) -> None:
    block = bytes(range(size))
    wire = frames.headers(3, block, end, 10)
    assert all(one.body_len <= 10 for one in parsed(wire))
    (found,) = read_all(wire)
    assert (found.stream_id, found.payload, bool(found.flags & frames.END_STREAM)) == (3, block, end)
