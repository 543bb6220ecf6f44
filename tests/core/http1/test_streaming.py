"""Bodies handed out as they come."""

import pytest
from tests.core.http1.reading import CHUNKED, GET, POST, head, parser

from httpng_core.http1 import ParsedHead, Reading, RefusedRequest, RequestParser


def streaming(data: bytes) -> RequestParser:
    reader = parser()
    reader.stream = True
    reader.feed(data)
    return reader


def test_a_request_is_given_once_its_head_is_in() -> None:
    reader = streaming(POST % 5)
    request = reader.next_request()
    assert isinstance(request, ParsedHead)
    assert (request.body, reader.state) == (b"", Reading.BODY)
    assert reader.next_piece() is None
    reader.feed(b"hel")
    assert reader.next_request() is None
    assert reader.next_piece() == b"hel"
    assert reader.next_piece() is None
    reader.feed(b"lo" + GET)
    assert reader.next_piece() == b"lo"
    assert reader.state is Reading.HEAD
    assert reader.next_piece() == b""
    assert isinstance(reader.next_request(), ParsedHead)
    assert reader.next_piece() == b""


def test_a_piece_is_no_longer_than_asked_for() -> None:
    for data in (POST % 10 + b"0123456789", CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n"):
        reader = streaming(data)
        assert isinstance(reader.next_request(), ParsedHead)
        assert [reader.next_piece(4) for _ in range(5)] == [b"0123", b"4567", b"89", b"", b""]


def test_a_chunked_body_ends_with_its_trailers() -> None:
    reader = streaming(CHUNKED + b"1\r\na\r\n1\r\nb\r\n")
    assert isinstance(reader.next_request(), ParsedHead)
    assert reader.next_piece() == b"ab"
    assert reader.next_piece() is None
    reader.feed(b"0\r\nt: u\r\n")
    assert reader.next_piece() is None
    states = [reader.state]
    reader.feed(b"\r\n" + GET)
    assert reader.next_piece() == b""
    assert [*states, reader.state] == [Reading.BODY, Reading.HEAD]


def test_a_request_without_a_body_has_no_pieces() -> None:
    for data in (GET, POST % 0):
        reader = streaming(data)
        assert isinstance(reader.next_request(), ParsedHead)
        assert reader.next_piece() == b""


def test_a_body_is_refused_where_it_breaks() -> None:
    reader = streaming(CHUNKED + b"1\r\na\r\n")
    assert isinstance(reader.next_request(), ParsedHead)
    assert reader.next_piece() == b"a"
    reader.feed(b"x\r\n")
    for _ in range(2):
        with pytest.raises(RefusedRequest):
            reader.next_piece()


def test_a_client_may_wait_for_100() -> None:
    reader = streaming(
        head(b"host: x", b"content-length: 2", b"expect: 100-continue", first=b"PUT / HTTP/1.1")
    )
    assert isinstance(reader.next_request(), ParsedHead)
    assert reader.wants_continue
    reader.feed(b"ab")
    assert reader.next_piece() == b"ab"
    assert not reader.wants_continue


def test_one_that_has_begun_its_body_does_not() -> None:
    waiting = head(b"host: x", b"content-length: 2", b"expect: 100-continue", first=b"PUT / HTTP/1.1")
    reader = streaming(waiting + b"a")
    assert isinstance(reader.next_request(), ParsedHead)
    assert not reader.wants_continue
