"""The chunked transfer coding: what is content, what is refused, and when."""

import pytest
from tests.core.http1.reading import CHUNKED, GET, parser, read, refused, served

from httpng_core.http1 import MAX_CHUNK_LINE, MAX_EXTENSIONS, MAX_LINES, ChunkedDecoder


def decode(data: bytes, step: int = 1, limit: int = 65536) -> bytes:
    """Return the content of a whole body."""
    decoder = ChunkedDecoder(1 << 20, 65536, 100)
    content = b""
    for start in range(0, len(data), step):
        piece = data[start : start + step]
        at = 0
        while at < len(piece):
            assert not decoder.ended
            at = decoder.decode(piece, at, limit)
            content += decoder.take()
    assert decoder.ended
    assert decoder.size == len(content)
    return content


BODIES = {
    b"0\r\n\r\n": b"",
    b"000\r\n\r\n": b"",
    b"a\r\n0123456789\r\n0\r\n\r\n": b"0123456789",
    b"0A\r\n0123456789\r\n0\r\n\r\n": b"0123456789",
    b"2\r\n\r\n\r\n0\r\n\r\n": b"\r\n",
    b"5\r\n0\r\n\r\n\r\n0\r\n\r\n": b"0\r\n\r\n",
    b"1;a\r\nx\r\n0;b\r\n\r\n": b"x",
    b"1 ; a = b ; c\r\nx\r\n0\r\n\r\n": b"x",
    b'1;a="b;\\"\t\xe9 c"\r\nx\r\n0\r\n\r\n': b"x",
    b"1\r\nx\r\n0\r\nA: b\r\nContent-Length: 5\r\n\r\n": b"x",
}


@pytest.mark.parametrize("data", BODIES)
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize("limit", [1, 65536])
def test_the_content(data: bytes, step: int, limit: int) -> None:
    assert decode(data, step, limit) == BODIES[data]


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n",
        b"5\r\nhelloworld\r\n",
        b"5\r\nhello\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b"\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1\n",
        b"1\r",
        b"1;\r\n",
        b"1;a=\r\n",
        b'1;a="b\r\n',
        b"1;a\nb\r\n",
        b"1;a\0\r\n",
        b"1,a\r\n",
        b"10000000000000000\r\n",
        b"0\r\nno colon\r\n",
        b"0\r\na : b\r\n",
        b"0\r\na: b\r\n folded\r\n",
        b"0\r\na: \x01",
        b"0\r\n\n",
        b"0\r\na: b\n",
    ],
)
def test_what_is_broken_is_refused(body: bytes) -> None:
    assert refused(CHUNKED + body + (b"x" if body.endswith(b"\r") else b"")).status == 400


@pytest.mark.parametrize(
    "body", [b"1\rx", b"1;a\rx", b"1\n", b"1;a\n", b"5\r\nhelloX", b"0\r\na\n", b"0\r\na\rx"]
)
def test_it_is_refused_without_waiting_for_more(body: bytes) -> None:
    assert refused(CHUNKED + body).status == 400


def extension(size: int) -> bytes:
    return b";" + b"e" * (size - 1)


def test_the_length_of_a_chunk_line_is_bounded() -> None:
    room = MAX_CHUNK_LINE - len(b"1\r\n")
    assert served(CHUNKED + b"1" + extension(room) + b"\r\nx\r\n0\r\n\r\n").body == b"x"
    assert refused(CHUNKED + b"1" + extension(room + 1) + b"\r\nx\r\n0\r\n\r\n").status == 400
    assert refused(CHUNKED + b"1" + extension(MAX_CHUNK_LINE)).status == 400


def test_all_extensions_of_a_body_together_are_bounded() -> None:
    chunk = b"1" + extension(1024) + b"\r\nx\r\n"
    most = MAX_EXTENSIONS // 1024
    assert served(CHUNKED + chunk * most + b"0\r\n\r\n").body == b"x" * most
    assert refused(CHUNKED + chunk * (most + 1)).status == 400


def test_trailers_are_bounded_as_the_head_is() -> None:
    line = b"a: " + b"b" * 95 + b"\r\n"
    start = CHUNKED + b"0\r\n"
    assert served(start + line * 9 + b"\r\n", 1000).body == b""
    assert refused(start + line * 10 + b"\r\n", 1000).status == 431
    assert refused(start + b"a: " + b"b" * 998, 1000).status == 431
    assert refused(start + b"a: b\rc" + b"b" * 998, 1000).status == 400
    assert served(start + b"a: b\r\n" * 10 + b"\r\n", 1000, 0, 10).body == b""
    assert refused(start + b"a: b\r\n" * 11, 1000, 0, 10).status == 431


def test_trailers_are_no_header_fields() -> None:
    request = served(CHUNKED + b"0\r\nx-a: b\r\nhost: y\r\n\r\n")
    assert (request.host, dict(request.block.fields()).get(b"x-a")) == ("x", None)


def test_a_step_ends_after_so_many_lines_or_bytes() -> None:
    decoder = ChunkedDecoder(1 << 20, 65536, 100)
    data = b"1\r\nx\r\n" * 1000
    at = decoder.decode(data, 0, 65536)
    assert len(decoder.take()) == MAX_LINES
    assert decoder.decode(data, at, 10) - at == len(b"1\r\nx\r\n") * 10
    assert decoder.take() == b"x" * 10
    assert decoder.take() == b""


def test_what_follows_the_body_is_left() -> None:
    outcome = read([CHUNKED + b"1\r\nx\r\n0\r\n\r\n" + GET + b"rest"], parser())
    assert [request.body for request in outcome.requests] == [b"x", b""]
    assert outcome.rest == b"rest"
    decoder = ChunkedDecoder(9, 9, 9)
    assert decoder.decode(b"0\r\n\r\nrest", 0, 9) == 5
    assert decoder.decode(b"rest", 0, 9) == 0
