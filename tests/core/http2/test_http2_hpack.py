"""Header blocks that are kept: both sides must go on reading the same, whatever came between."""

from weakref import ref

from hpack import Decoder, Encoder
from tests.core.driving2 import Driven2

from httpng_core import Response
from httpng_core.http2.reference.hpack import HeadDecoder, HeadEncoder, content_length_field
from httpng_core.http2.reference.stream import Stream

OK = (b":status", b"200")
TEXT = [OK, (b"content-type", b"text/plain")]


def test_the_same_again_is_the_same_block_once_the_table_has_it() -> None:
    encoder, decoder = HeadEncoder(), Decoder()
    blocks = [encoder.encode(TEXT) for _ in range(3)]
    assert [len(block) for block in blocks] == [len(blocks[0]), 2, 2]
    assert blocks[1] is blocks[2]
    assert [list(decoder.decode(block, raw=True)) for block in blocks] == [TEXT] * 3


def test_what_moves_the_table_makes_blocks_anew() -> None:
    encoder, decoder = HeadEncoder(), Decoder()
    for fields in (TEXT, TEXT, [OK, (b"x-other", b"1")], TEXT, TEXT):
        assert list(decoder.decode(encoder.encode(fields), raw=True)) == fields


def test_a_table_of_another_size_makes_blocks_anew() -> None:
    encoder, decoder = HeadEncoder(), Decoder()
    for size in (4096, 4096, 0, 4096, 40):
        encoder.header_table_size = size
        for _ in range(3):
            assert list(decoder.decode(encoder.encode(TEXT), raw=True)) == TEXT


def test_an_entry_in_place_of_another_is_noticed() -> None:
    encoder, decoder = HeadEncoder(), Decoder()
    encoder.header_table_size = 40
    # The table has room for one.
    for value in (b"1", b"1", b"2", b"1", b"2", b"2", b"1"):
        fields = [(b"x-a", value)]
        assert list(decoder.decode(encoder.encode(fields), raw=True)) == fields


def test_an_entry_that_has_gone_is_noticed() -> None:
    encoder, decoder = HeadEncoder(), Decoder()
    older, newer = [(b"x-a", b"1")], [(b"x-b", b"1")]
    for fields in (older, newer, older):
        assert list(decoder.decode(encoder.encode(fields), raw=True)) == fields
    encoder.header_table_size = 40
    # The first tells the decoder of the new size, and changes nothing else.
    for fields in ([OK], older):
        assert list(decoder.decode(encoder.encode(fields), raw=True)) == fields


def test_few_blocks_are_kept() -> None:
    encoder, decoder = HeadEncoder(), Decoder()
    for count in (*range(1, 100), *range(1, 100)):
        assert list(decoder.decode(encoder.encode([OK] * count), raw=True)) == [OK] * count
    assert len(encoder._blocks) <= 64


def test_a_block_that_came_before_says_the_same_as_long_as_the_table_stands() -> None:
    encoder, decoder = Encoder(), HeadDecoder()
    heads = [decoder.decode(encoder.encode(TEXT), raw=True) for _ in range(3)]
    assert [list(head) for head in heads] == [TEXT] * 3
    assert heads[0] is not heads[1]
    assert heads[1] is heads[2]


def test_a_block_that_came_before_says_something_else_when_the_table_has_moved() -> None:
    encoder, decoder = Encoder(), HeadDecoder()
    for value in (b"1", b"1", b"2", b"2", b"1"):
        fields = [(b"x-a", value)]
        assert list(decoder.decode(encoder.encode(fields), raw=True)) == fields
    # The newest entry, whatever it is.
    newest = b"\xbe"
    for value in (b"3", b"4"):
        decoder.decode(encoder.encode([(b"x-a", value)]), raw=True)
        assert list(decoder.decode(newest, raw=True)) == [(b"x-a", value)]


def test_little_is_kept_of_what_came() -> None:
    decoder = HeadDecoder()
    for count in range(1, 100):
        assert list(decoder.decode(b"\x88" * count, raw=True)) == [OK] * count
    assert len(decoder._heads) <= 16
    assert max(map(len, decoder._heads), default=0) <= 64


def test_content_length_stays_out_of_the_table() -> None:
    decoder = Decoder()
    for length in (0, 5, 10**17):
        fields = list(decoder.decode(content_length_field(length), raw=True))
        assert fields == [(b"content-length", b"%d" % length)]
    assert not decoder.header_table.dynamic_entries


def test_responses_of_one_head_tell_their_own_length() -> None:
    driven = Driven2()
    for size in (1, 22, 333):
        exchange, stream = driven.begin()
        exchange.respond(Response(body=b"x" * size, headers={"X-Name": "a"}), driven.now)
        driven.turn()
        assert stream.headers == {"x-name": "a", "content-length": str(size)}


def test_a_head_longer_than_a_frame_goes_on_in_continuations() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.write_header(200, {"x-long": "~" * 40_000}, driven.now)
    exchange.finish(driven.now)
    before = len(driven.wire)
    driven.push()
    types, flags, at = [], [], before
    while at < len(driven.wire):
        types.append(driven.wire[at + 3])
        flags.append(driven.wire[at + 4])
        at += 9 + int.from_bytes(driven.wire[at : at + 3])
    assert types == [1, 9, 9]
    assert flags == [1, 0, 4], "END_STREAM on the first, END_HEADERS on the last"
    assert stream.headers["x-long"] == "~" * 40_000
    assert stream.complete


def test_streams_that_are_over_are_forgotten_in_bunches() -> None:
    driven = Driven2(http2_engine="reference")
    streams = []
    for _ in range(100):
        exchange, _ = driven.begin()
        assert isinstance(exchange.transport, Stream)
        streams.append(ref(exchange.transport.flow))
        exchange.finish(driven.now)
        driven.turn()
        driven.events.clear()
        del exchange
        assert sum(stream() is not None for stream in streams) <= 16
