"""What a header block says."""

import pytest
from tests.core.http1.reading import head, parser, read

from httpng_core import Headers
from httpng_core.http1 import HeaderBlock, read_header_block


def block(*lines: bytes, minor: int = 1) -> HeaderBlock:
    return read_header_block(b"".join(line + b"\r\n" for line in (b"Host: x", *lines)), minor, 100)


def test_fields_are_in_order_with_names_in_lower_case() -> None:
    fields = block(b"X-B:2", b"x-a: \t1 \t", b"X-B:", b"A: b: c ", b"obs: \xe9").fields()
    assert fields[1:] == (
        (b"x-b", b"2"),
        (b"x-a", b"1"),
        (b"x-b", b""),
        (b"a", b"b: c"),
        (b"obs", b"\xe9"),
    )


def test_fields_are_split_once() -> None:
    one = block(b"a: b")
    assert one.fields() is one.fields()
    assert Headers(one.fields())["a"] == "b"


def test_a_block_may_be_empty() -> None:
    empty = read_header_block(b"", 0, 0)
    framing = empty.framing
    assert (empty.fields(), empty.count, framing.host, framing.content_length) == ((), 0, "default", -1)
    assert not any([framing.has_body, framing.keep_alive, framing.expects_continue, empty.upgrade])


@pytest.mark.parametrize(
    ("lines", "length", "chunked", "has_body"),
    [
        ((), -1, False, False),
        ((b"content-length: 0",), 0, False, False),
        ((b"Content-LENGTH: 0012",), 12, False, True),
        ((b"transfer-encoding: Chunked",), -1, True, True),
    ],
)
def test_how_the_body_is_delimited(
    lines: tuple[bytes, ...], length: int, chunked: bool, has_body: bool
) -> None:
    one = block(*lines).framing
    assert (one.content_length, one.chunked, one.has_body) == (length, chunked, has_body)


def test_only_whole_names_count() -> None:
    one = block(b"x-content-length: 5", b"connection-x: close", b"a: content-length: 5", b"hosts: y")
    assert (one.framing.host, one.framing.has_body, one.framing.keep_alive) == ("x", False, True)


def test_upgrade_counts_where_connection_names_it() -> None:
    assert block(b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket, h2c").upgrade == (
        b"websocket",
        b"h2c",
    )
    assert block(b"connection: upgrade", b"upgrade: a", b"upgrade: b").upgrade == (b"a", b"b")
    assert block(b"upgrade: websocket").upgrade == ()
    assert block(b"connection: upgrade", b"upgrade: websocket", minor=0).upgrade == ()


ALIKE = [
    ([b"A: 1", b"Host: x", b"B: 1", b"C: 1", b"D: 1"], None),
    ([b"A: 1", b"Host: x", b"B: 2", b"C: 1", b"D: 1"], (2, 2)),
    ([b"A: 1", b"Host: x", b"B: 3", b"B: 4", b"C: 1", b"D: 1"], (2, 2)),
    ([b"A: 1", b"Host: x", b"C: 1", b"D: 1"], (2, 2)),
    # Fewer lines are alike then, below the others and above them; they don't become more again.
    ([b"A: 1", b"Host: x", b"B: 3", b"C: 2", b"D: 1"], (2, 1)),
    ([b"A: 1", b"Host: x", b"B: 3", b"C: 2", b"D: 2"], (2, 0)),
    ([b"A: 1", b"Host: x", b"B: 3", b"C: 2", b"D: 3"], (2, 0)),
    # What is between them says of the framing; and nothing is alike.
    ([b"A: 2", b"Host: x", b"B: 3", b"C: 2", b"D: 3"], None),
    ([b"E: 1", b"Host: x", b"B: 4"], None),
    ([b"E: 1", b"Host: x", b"B: 5"], (2, 0)),
]
"""Lines of blocks of a connection, and how many are alike from then on, above those that change and below."""


def test_blocks_of_a_connection_that_are_alike_in_part_say_what_each_says_alone() -> None:
    together = read([head(*lines) for lines, _ in ALIKE])
    alone = [read([head(*lines)]) for lines, _ in ALIKE]
    assert together.values == [value for one in alone for value in one.values]
    alike = [getattr(request.block, "likeness", None) for request in together.requests]
    found = [None if each is None else (each.lines_above, each.lines_below) for each in alike]
    assert found == [lines for _, lines in ALIKE]
    assert alike[1] is alike[2] is alike[3], "it is worked out once"


def test_a_block_that_is_like_the_one_before_is_validated_nevertheless() -> None:
    for line, status in ((b"B : 2", 400), (b"B: \0", 400), (b"Host: y", 400), (b"X: 1\r\nY: 1", 431)):
        outcome = read(
            [head(b"Host: x", middle, b"C: 1") for middle in (b"B: 1", b"B: 2", line)], parser(max_fields=3)
        )
        assert (len(outcome.requests), outcome.status) == (2, status)
