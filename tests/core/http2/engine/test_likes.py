"""Blocks that differ in their path alone say what others have said, but for the path."""

import random

import pytest
from hpack import NeverIndexedHeaderTuple
from tests.core.http2.engine.driving import Driven, frame

from httpng_core.http2.engine import (
    Config,
    ConnectionFailed,
    Event,
    RequestBegan,
    RequestRefused,
    StreamReset,
    frames,
    parse_request,
)

WHOLE = frames.END_HEADERS | frames.END_STREAM
MANY = Config(max_streams=100_000)
# GET and http by index.
METHOD, SCHEME = b"\x82", b"\x86"
HOST = b"\x01\x04test"


def path(text: bytes, first: int = 0x04) -> bytes:
    """A literal that isn't put into the table."""
    return bytes([first, len(text)]) + text


def ask(driven: Driven, number: int, *parts: bytes) -> Event:
    """The event of a request with the block that these parts are."""
    begun = driven.send(frame(frames.HEADERS, WHOLE, number, b"".join(parts)))
    assert len(begun) == 1
    return begun[0]


def test_they_mean_what_they_would_alone_whatever_becomes_of_the_table() -> None:
    chance = random.Random(11)
    driven = Driven(MANY)
    found = 0
    for number in range(1, 6000, 2):
        text = b"/item/%d" % chance.choice((number, chance.randrange(10)))
        asked = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", text), (b":authority", b"test")]
        if chance.random() < 0.5:
            asked.insert(0, asked.pop(2))
        if chance.random() < 0.2:
            asked.append((b"x-more", b"%d" % chance.randrange(5)))
        meant = parse_request(tuple(asked), False)
        given = [NeverIndexedHeaderTuple(*one) if one[0] == b":path" else one for one in asked]
        block = driven.encoder.encode(given, huffman=chance.random() < 0.5)
        (event,) = driven.send(frame(frames.HEADERS, WHOLE, number, block))
        assert isinstance(event, RequestBegan)
        head = event.head
        for name in ("method", "scheme", "authority", "path", "protocol", "fields", "length"):
            assert getattr(head, name) == getattr(meant, name)
        found += head.like is not None
    assert found > 1000


@pytest.mark.parametrize("first", [0x04, 0x14])
def test_a_path_that_is_none_is_refused_as_ever(first: int) -> None:
    driven = Driven(MANY)
    for number in (1, 3):
        asked = ask(driven, number, METHOD, path(b"/%d" % number, first), SCHEME, HOST)
        assert isinstance(asked, RequestBegan)
        assert (asked.head.like is None) == (number == 1)
    for number, text in enumerate((b"", b"*", b"x", b"/a#b", b"/a b", b"/\x80", b"http://x/"), 4):
        asked = ask(driven, 2 * number + 1, METHOD, path(text, first), SCHEME, HOST)
        assert isinstance(asked, StreamReset)


def test_a_second_path_is_refused_as_ever() -> None:
    driven = Driven(MANY)
    for number in (1, 3, 5):
        asked = ask(driven, number, path(b"/%d" % number), METHOD, SCHEME, HOST, path(b"/again"))
        assert isinstance(asked, StreamReset)


def test_a_path_that_makes_the_list_too_long_is_refused_as_ever() -> None:
    driven = Driven(Config(max_header_list=250))
    for number, size in ((1, 10), (3, 20), (5, 120)):
        asked = ask(driven, number, path(b"/" * size), METHOD, SCHEME, HOST)
        assert isinstance(asked, RequestRefused if size == 120 else RequestBegan)


def test_a_path_that_is_cut_or_no_huffman_code_ends_the_connection() -> None:
    for bad in (path(b"/a")[:-1], b"\x04", b"\x04\x82\xff\xff", b"\x04\x7f\xff\xff\xff\xff\xff\x01"):
        driven = Driven(MANY)
        for number in (1, 3):
            ask(driven, number, path(b"/%d" % number), METHOD, SCHEME, HOST)
        driven.send(frame(frames.HEADERS, WHOLE, 5, bad))
        assert driven.session.has_failed


def test_the_same_bytes_mean_something_else_once_the_table_has_changed() -> None:
    driven, number = Driven(MANY), 1
    for authority in (b"one", b"two", b"six"):
        ask(driven, number, METHOD, b"\x84", SCHEME, b"\x41\x03" + authority)
        for _ in range(4):
            number += 2
            # The last entry of the table.
            asked = ask(driven, number, METHOD, path(b"/%d" % number), SCHEME, b"\xbe")
            assert isinstance(asked, RequestBegan)
            assert (asked.head.authority, asked.head.path) == (authority, b"/%d" % number)
        number += 2


def mutated(chance: random.Random, block: bytes) -> bytes:
    """A block with a byte that is another one, is missing or too many, or cut."""
    at = chance.randrange(len(block))
    put = [bytes([block[at] ^ 1 << chance.randrange(8)]), b"", chance.randbytes(2), block[at : at + 1]]
    return (block[:at] + chance.choice(put) + block[at + 1 :])[: chance.choice((at, 300, 300, 300))]


def test_a_block_that_is_nearly_like_others_means_what_it_means_alone() -> None:
    chance, served = random.Random(12), 0
    for _ in range(3000):
        rest = chance.choice((b"", SCHEME + HOST))
        before = b"" if rest else SCHEME + HOST
        known = [METHOD + before + path(b"/%d" % number) + rest for number in range(3)]
        other = path(chance.choice((b"/another", b"/" * 126, b"/" * 127, b"\x82\x60\x7f", b"/\xff\xff")))
        block = METHOD + before + other + rest
        for _ in range(chance.randrange(3)):
            block = mutated(chance, block) or METHOD
        warm, alone = Driven(MANY), Driven(MANY)
        for number, one in enumerate(known):
            assert ask(warm, 2 * number + 1, one).stream_id
            ask(alone, 2 * number + 1, METHOD, SCHEME, HOST, b"\x84")
        # Twice, as what was found may be kept.
        wire = b"".join(frame(frames.HEADERS, WHOLE, number, block) for number in (7, 9))
        assert told(warm.send(wire)) == told(alone.send(wire))
        assert [one.payload for one in warm.answers] == [one.payload for one in alone.answers]
        served += isinstance(warm.events[-1], RequestBegan)
    assert 500 < served < 2500


def told(events: list[Event]) -> list[list[object]]:
    """All that events say."""
    found: list[list[object]] = []
    for event in events:
        says: list[object] = [type(event)]
        if isinstance(event, RequestBegan):
            head = event.head
            says += [head.method, head.scheme, head.authority, head.path, head.fields, head.length]
        elif isinstance(event, (StreamReset, ConnectionFailed, RequestRefused)):
            says += [event.reason]
        found.append([event.stream_id, *says])
    return found


def test_a_long_block_is_read_anew_each_time() -> None:
    driven = Driven(MANY)
    long = b"\x00\x01x\x7f" + bytes([300 - 127 & 0x7F | 0x80, 300 - 127 >> 7]) + b"v" * 300
    for number in (1, 3, 5):
        event = ask(driven, number, METHOD, SCHEME, path(b"/a"), HOST, long)
        assert isinstance(event, RequestBegan)
        assert (event.head.path, event.head.fields[-1]) == (b"/a", (b"x", b"v" * 300))


def test_a_path_that_cannot_be_decoded_fails_as_it_would_alone() -> None:
    driven = Driven(MANY)
    for number, text in ((1, b"/a"), (3, b"/b"), (5, b"/c")):
        assert isinstance(ask(driven, number, METHOD, SCHEME, path(text), HOST), RequestBegan)
    wrong = b"\x04\x84\xff\xff\xff\xff"
    right = b"\x04\x02/d"
    block = b"".join((METHOD, SCHEME, wrong, HOST))
    assert driven.session.take_one(frame(frames.HEADERS, WHOLE, 7, block)) is None
    one = driven.session.take_one(frame(frames.HEADERS, WHOLE, 7, block.replace(wrong, right)))
    assert one is not None
    assert one[1] == "/d"
    assert isinstance(ask(driven, 9, METHOD, SCHEME, wrong, HOST), ConnectionFailed)
