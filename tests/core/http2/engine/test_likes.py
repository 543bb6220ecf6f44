"""Blocks that differ in their path alone say what others have said, but for the path."""

import random

import pytest
from hpack import NeverIndexedHeaderTuple
from tests.core.http2.engine.driving import Driven, frame

from httpng_core.http2.engine import frames
from httpng_core.http2.engine.events import Event, RequestBegan, RequestRefused, StreamReset
from httpng_core.http2.engine.requests import parse_request
from httpng_core.http2.engine.session_config import Config

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
