"""HPACK (RFC 7541), judged by the library of that name, both ways."""

import random

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st

from httpng_core.http2.engine import (
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    STATIC_TABLE,
    Decoder,
    FatalError,
    decode_huffman,
    hpack_encoder,
)

Fields = list[tuple[bytes, bytes]]
quick = settings(max_examples=100, deadline=None, derandomize=True)
HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
NAMES = st.sampled_from([b":path", b"cookie", b"x-a", b"x-b", b"content-type"]) | st.binary(max_size=30)
VALUES = st.sampled_from([b"", b"/", b"a", b"x" * 200]) | st.binary(max_size=200)
LISTS = st.lists(st.tuples(NAMES, VALUES), max_size=12)


def refused(block: bytes) -> int | None:
    try:
        Decoder(1 << 20).decode(block)
    except FatalError as error:
        return error.code
    return None


def test_the_static_table() -> None:
    assert tuple(STATIC_TABLE[1:]) == hpack.table.HeaderTable.STATIC_TABLE


# Huffman ------------------------------------------------------------------------------------------------


@quick
@given(st.binary(max_size=300))
def test_huffman_both_ways(text: bytes) -> None:
    assert decode_huffman(HUFFMAN.encode(text)) == text


@pytest.mark.parametrize("symbol", range(256))
def test_each_symbol_before_and_after_others(symbol: int) -> None:
    for before in (b"", b"a", b"~", b"\xf9"):
        text = before + bytes([symbol, symbol]) + b"z"
        assert decode_huffman(HUFFMAN.encode(text)) == text


def bits(text: str) -> bytes:
    return int(text, 2).to_bytes(len(text) // 8)


PADDINGS = {
    "00011" + "111": True,
    "00011" + "110": False,
    "00011" + "000": False,
    "00011" + "1" * 11: False,
    "1" * 8: False,
    "1" * 32: False,
    "00011" * 3 + "1": True,
    "00011" * 3 + "0": False,
}


@pytest.mark.parametrize(("text", "sound"), PADDINGS.items())
def test_padding_is_less_than_a_byte_of_ones(text: str, sound: bool) -> None:
    if sound:
        assert set(decode_huffman(bits(text))) == {ord("a")}
    else:
        with pytest.raises(FatalError):
            decode_huffman(bits(text))


@pytest.mark.parametrize("behind", [b"", b"a", HUFFMAN.encode(b"aaaa") * 3])
def test_the_end_of_a_string_is_no_symbol_whatever_comes_behind_it(behind: bytes) -> None:
    end = bits("00011" + "1" * 30 + "00011")
    with pytest.raises(FatalError):
        decode_huffman(end + behind)


@quick
@given(st.binary(max_size=60))
def test_any_bytes_are_huffman_where_hpack_says_so(code: bytes) -> None:
    try:
        expected: bytes | None = hpack.huffman_table.decode_huffman(code)
    except hpack.HPACKDecodingError:
        expected = None
    try:
        found: bytes | None = decode_huffman(code)
    except FatalError:
        found = None
    assert found == expected


# Decoding -----------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(LISTS, st.booleans(), st.none() | st.integers(0, 4096)), max_size=12))
def test_blocks_of_a_connection_decode_as_they_were_meant(
    blocks: list[tuple[Fields, bool, int | None]],
) -> None:
    encoder, decoder = hpack.Encoder(), Decoder(1 << 20)
    for fields, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        found = decoder.decode(encoder.encode(fields, huffman=huffman))
        assert list(found.fields) == fields
        assert found.size == sum(len(name) + len(value) + 32 for name, value in fields)


def test_a_memo_never_says_what_was_true_before_the_table_changed() -> None:
    """A client that draws from few lists repeats blocks; the same block may mean another list later."""
    chance = random.Random(7)
    encoder, decoder = hpack.Encoder(), Decoder(1 << 20)
    meanings: dict[bytes, set[tuple[tuple[bytes, bytes], ...]]] = {}
    for _ in range(3000):
        fields = [(b"x-%d" % chance.randrange(90), b"v" * chance.randrange(60)) for _ in range(3)]
        for _ in range(chance.randrange(1, 5)):
            block = encoder.encode(fields)
            assert list(decoder.decode(block).fields) == fields
            meanings.setdefault(block, set()).add(tuple(fields))
    assert any(len(lists) > 1 for lists in meanings.values())


@quick
@given(st.lists(st.binary(max_size=30), max_size=4))
def test_any_bytes_mean_what_hpack_says(blocks: list[bytes]) -> None:
    ours, theirs = Decoder(1 << 20), hpack.Decoder(max_header_list_size=1 << 20)
    for block in blocks:
        try:
            expected: Fields | None = [(one[0], one[1]) for one in theirs.decode(block, raw=True)]
        except hpack.HPACKError:
            expected = None
        try:
            found: Fields | None = list(ours.decode(block).fields)
        except FatalError:
            found = None
        assert found == expected
        if found is None:
            return


WRONG = {
    "an index of 0": b"\x80",
    "an index past both tables": b"\xbe",
    "a name with an index past both tables": b"\x7e\x01a",
    "a far larger index": b"\xff\xff\xff\xff\x07",
    "an index of many bytes": b"\xff" + b"\x80" * 40 + b"\x01",
    "an index that is not whole": b"\xff\x80",
    "a name that is not whole": b"\x40\x05ab",
    "a value that is missing": b"\x40\x01a",
    "a value that is not whole": b"\x40\x01a\x02b",
    "a length that is not whole": b"\x40\x7f",
    "a larger table than we allow": b"\x3f\xe2\x1f",
    "a change of size after a field": b"\x82\x20",
    "a change of size that is not whole": b"\x3f",
    "a string with the end of string": b"\x40\x01a\x84\xff\xff\xff\xff",
    "a string with a byte of padding": b"\x40\x01a\x82\x1f\xff",
    "a string padded with zeros": b"\x40\x01a\x81\x18",
}


@pytest.mark.parametrize("block", WRONG.values(), ids=WRONG)
def test_what_cannot_be_decoded(block: bytes) -> None:
    assert refused(block) == COMPRESSION_ERROR


def test_the_size_may_change_more_than_once_at_the_start_of_a_block() -> None:
    assert refused(b"\x20\x3f\xe1\x1f\x82") is None


def test_a_table_that_shrinks_forgets_the_oldest() -> None:
    decoder = Decoder(1 << 20)
    decoder.decode(b"\x40\x01a\x01b" + b"\x40\x01c\x01d")
    assert decoder.decode(b"\xbe\xbf").fields == ((b"c", b"d"), (b"a", b"b"))
    assert decoder.decode(b"\x3f\x03\xbe").fields == ((b"c", b"d"),)
    with pytest.raises(FatalError):
        decoder.decode(b"\xbf")


def test_an_entry_larger_than_the_table_empties_it() -> None:
    decoder = Decoder(1 << 20)
    decoder.decode(b"\x40\x01a\x01b")
    decoder.decode(b"\x40\x01c" + hpack_encoder.encode_integer(5000, 0x7F, 0) + b"x" * 5000)
    with pytest.raises(FatalError):
        decoder.decode(b"\xbe")


# Bounds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "is_oversized"), [(b"x" * 63, False), (b"x" * 64, True)])
def test_a_list_that_counts_too_much_is_cut_and_says_so(value: bytes, is_oversized: bool) -> None:
    found = Decoder(200).decode(hpack_encoder.encode([(b"a", b"b" * 71), (b"c", value), (b"d", b"")][:2]))
    assert (found.is_oversized, len(found.fields)) == (is_oversized, 1 if is_oversized else 2)


def test_what_is_cut_off_still_changes_the_table() -> None:
    decoder = Decoder(60)
    found = decoder.decode(b"\x40\x01a\x01b" + b"\x40\x01c\x01d" * 2)
    assert (found.is_oversized, found.fields) == (True, ((b"a", b"b"),))
    assert decoder.decode(b"\xbe").fields == ((b"c", b"d"),)
    assert decoder.decode(b"\xc0").fields == ((b"a", b"b"),)


def test_many_fields_are_cut_and_far_too_many_end_the_connection() -> None:
    decoder = Decoder(1 << 20, max_fields=10)
    assert not decoder.decode(b"\x82" * 10).is_oversized
    assert decoder.decode(b"\x82" * 80).is_oversized
    with pytest.raises(FatalError) as error:
        decoder.decode(b"\x82" * 81)
    assert error.value.code == ENHANCE_YOUR_CALM


def test_references_to_a_large_entry_do_not_add_up() -> None:
    decoder = Decoder(65536)
    decoder.decode(b"\x40\x01a" + hpack_encoder.encode_integer(4000, 0x7F, 0) + b"x" * 4000)
    found = decoder.decode(b"\xbe" * 1000)
    assert found.is_oversized
    assert sum(len(name) + len(value) for name, value in found.fields) <= 65536


# Encoding -----------------------------------------------------------------------------------------------


@quick
@given(st.lists(LISTS, max_size=5))
def test_what_is_encoded_decodes_and_leaves_the_table_alone(blocks: list[Fields]) -> None:
    theirs = hpack.Decoder(max_header_list_size=1 << 20)
    for fields in blocks:
        assert [tuple(one) for one in theirs.decode(hpack_encoder.encode(fields), raw=True)] == fields
    assert len(theirs.header_table.dynamic_entries) == 0


@pytest.mark.parametrize("status", [100, 103, 200, 204, 206, 304, 400, 404, 418, 500, 599])
def test_heads(status: int) -> None:
    block = hpack_encoder.encode_head(status, [(b"server", b"x")])
    assert hpack.Decoder().decode(block, raw=True) == [(b":status", b"%d" % status), (b"server", b"x")]
    assert (len(block) == 5) == (status in (200, 204, 206, 304, 400, 404, 500))


def test_a_decoder_that_allows_no_table_takes_blocks_after_one_that_says_so() -> None:
    theirs = hpack.Decoder()
    theirs.max_allowed_table_size = 0
    with pytest.raises(hpack.InvalidTableSizeError):
        theirs.decode(hpack_encoder.encode_head(200, []))
    theirs.decode(hpack_encoder.EMPTY_TABLE + hpack_encoder.encode_head(200, []))
    theirs.decode(hpack_encoder.encode_head(200, []))
